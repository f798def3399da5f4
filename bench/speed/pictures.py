"""What pictures and animations cost: seconds each, seconds a frame, and their share of training time.

The share is that of a whole run of the default config in a process of its own, with all that its pictures take:
recording the frames while it trains, which is measured apart with the same model, and drawing everything at its end,
with the imports that need it. Every picture is then drawn again and again in this process, where the libraries are
there already.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Asked, Quiet, Table, interleaved, median
from vaescope import pictures
from vaescope.experiment import begin, followed
from vaescope.observers import Recorder, read_lines
from vaescope.run import Run, make_scene, read_arrays, validation_examples

FEW = 300
"""Steps of a quick look."""


def measure(asked: Asked) -> list[Table]:
    """The share of training time, and the seconds of every picture."""
    with tempfile.TemporaryDirectory() as scratch:
        asked.say("pictures: a whole run of the default config")
        summary = trained(Path(scratch) / "run", asked)
        asked.say("pictures: every picture again")
        run = Run.load(Path(scratch) / "run")
        frames = len(read_arrays(run.folder / "frames.npz")["numbers"])
        seconds = interleaved(ways(run, Path(scratch) / "again"), 2 if asked.quick else max(5, asked.blocks), asked)
    return [share(summary, frames, seconds, run), each(frames, seconds)]


def trained(folder: Path, asked: Asked) -> dict[str, Any]:
    """Trains, and returns the summary."""
    command = [sys.executable, "-m", "vaescope", "train", "--config", "configs/main.yaml", "--out", str(folder)]
    command += ["--json", "--figures.explorer", "false", *(["--data.root", asked.root] if asked.root else [])]
    command += ["--trainer.steps", str(FEW)] if asked.quick else []
    with Quiet(asked):
        done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=600)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


RECORD = "recording one frame"


def ways(run: Run, folder: Path) -> dict[str, Callable[[], object]]:
    """Every picture of a run, and one frame of its animations as it is recorded."""
    images = run.data(lambda line: None)
    target, figures = run.config.data.target, run.config.figures
    validation = validation_examples(run.model, target, images)
    scene = make_scene(run.config, run.folder, run.model, images, validation, run.step, run.loss)
    lines, frames = read_lines(run.folder / "metrics.jsonl"), read_arrays(run.folder / "frames.npz")

    def still(draw: Callable[[pictures.Scene, Path], Path]) -> Callable[[], object]:
        return lambda: draw(scene, folder)

    latents = run.model.prior.latent
    recorder = Recorder(figures.frames, *followed(run.config, images, validation, latents), target)
    state = begin(run.config, images, next(run.model.parameters()).device)
    terms = {"distortion": 0.0, "rate": 0.0}
    return {
        RECORD: lambda: recorder.validated(state, terms),  # before the first step it takes a frame every time
        "training.png": lambda: pictures.training_curves(scene, folder, lines),
        "latent_activity.png": lambda: pictures.latent_activity(scene, folder, lines),
        **{f"{draw.__name__}.png": still(draw) for draw in STILL},
        "latent_representation.gif": lambda: pictures.representation_animation(scene, folder, frames),
        "latent_progression.gif": lambda: pictures.progression_animation(scene, folder, frames),
    }


STILL = (
    pictures.latent_space,
    pictures.latent_representation,
    pictures.reconstructions,
    pictures.samples,
    pictures.traversals,
    pictures.architecture,
)
"""Pictures that need nothing but a scene."""


def share(summary: dict[str, Any], frames: int, seconds: dict[str, list[float]], run: Run) -> Table:
    """What all pictures cost of the time of training, which is that of the loop less that of recording frames."""
    recording = frames * median(seconds[RECORD])
    drawing, loop = summary["drawing_seconds"], summary["seconds"]
    training = loop - recording
    table = Table("Pictures of the default run", ["what", "seconds", "of training time"])
    table.rows += [
        [f"training, {summary['steps']:,} steps", training, None],
        [f"recording {frames} frames", recording, f"{recording / training:.1%}"],
        ["drawing all pictures and animations, with imports", drawing, f"{drawing / training:.1%}"],
        ["recording and drawing", recording + drawing, f"{(recording + drawing) / training:.1%}"],
    ]
    table.notes.append(
        f"`configs/main.yaml` with {run.config.figures.points:,} points. Training is the time of the loop, with "
        "validations and checkpoints, of one whole run, less that of recording. explorer.html is not among the "
        "pictures."
    )
    table.data |= {"summary": {key: summary[key] for key in ("steps", "seconds", "drawing_seconds")}}
    return table


def each(frames: int, seconds: dict[str, list[float]]) -> Table:
    """The seconds of every picture, and of animations those of a frame."""
    table = Table("Each picture", ["picture", "seconds", "least to most", "seconds a frame"])
    for name, times in seconds.items():
        moving = median(times) / frames if name.endswith(".gif") else None
        table.rows.append([name, median(times), f"{min(times):.3f} to {max(times):.3f}", moving])
    table.notes.append("Drawn again in one process, with the libraries imported; the files are written.")
    table.data["seconds"] = seconds
    return table
