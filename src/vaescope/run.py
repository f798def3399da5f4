"""A run: from a config to a folder that holds all that came of it, and back.

::

    runs/main/
      config.yaml         everything needed to repeat the run
      metrics.jsonl       every term, for training and validation, one JSON object a line
      checkpoints/        what --resume goes on from
      model.safetensors   the weights with the best validation loss, and in its header what they are for
      frames.npz          the numbers behind the animations
      figures/            the pictures
      README.md           a model card with the measured numbers
"""

import json
import os
import platform
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vaescope import __version__, checkpoint, config, pictures
from vaescope.config import Config
from vaescope.data.batches import Batches
from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet
from vaescope.data.targets import Target
from vaescope.errors import RunError, UsageError
from vaescope.files import atomic_file
from vaescope.metrics import Bound, negative_elbo
from vaescope.models import VAE
from vaescope.observers import Checkpointer, MetricsLog, Recorder, read_lines, write_lines
from vaescope.outline import count
from vaescope.streams import stream
from vaescope.train import Observer, Outcome, Player, State, fit

FORMAT = 1
MOST_FOLLOWED = 200_000
"""Latents in a frame of the animation at most: with 72 frames of half precision these are 29 MB."""


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Args:
        outcome: How it ended.
        steps: The number of steps done.
        epochs: The number of epochs done.
        seconds: The seconds in the training loop: steps, validations, frames and checkpoints.
        images_per_second: Training images through the loop in a second.
        best_step: The step whose weights were kept.
        validation: The validation loss of these weights, in nats per image.
        test: The bound on the test images, if the run came to its end.
        protocol: How the test images were scored.
        drawing_seconds: The seconds for all pictures after training.
        folder: The run folder.
        figures: The pictures.
    """

    outcome: Outcome
    steps: int
    epochs: float
    seconds: float
    images_per_second: float
    best_step: int
    validation: float
    test: Bound | None
    protocol: str
    drawing_seconds: float
    folder: Path
    figures: tuple[Path, ...]

    def record(self) -> dict[str, Any]:
        """The summary as what JSON can hold."""
        plain = asdict(self)
        return plain | {"folder": str(self.folder), "figures": [str(path) for path in self.figures]}


def check_likelihood(model: VAE, target: Target, name: str) -> None:
    """Refuses targets that the likelihood cannot score.

    Args:
        model: The model.
        target: What of the images it is to explain.
        name: The name of the target in the config.

    Raises:
        UsageError: If the values leave the likelihood's support, or binary values are to be scored by a density.
    """
    family = model.likelihood.family
    kind = type(family).__name__
    low, high = target.interval
    if family.support == "unit interval" and (low < 0 or high > 1):
        raise UsageError(
            f"the likelihood {kind} scores values in [0, 1], but data.targets {name} gives [{low:g}, {high:g}]: "
            "set data.targets to binary or grey, or the likelihood to Gaussian"
        )
    if family.density and target.discrete:
        raise UsageError(
            f"the likelihood {kind} is a density of real values, but data.targets {name} gives only {low:g} and "
            f"{high:g}, which it could fit without bound: set data.targets to grey, or the likelihood to Bernoulli"
        )


def train(
    settings: Config,
    config_text: str,
    folder: Path,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    report: Report = log,
    progress: Progress | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Summary:
    """Trains a model as a config says, and leaves everything in a run folder.

    Args:
        settings: The config.
        config_text: The same as YAML, to keep in the folder.
        folder: The run folder. It must not exist unless the run is resumed.
        resume: Whether to go on from the newest checkpoint in the folder.
        observers: Who is shown the run besides those that write the folder.
        report: Is told in one line what is being done.
        progress: Is told how far a download is.
        interrupted: Is asked after every step whether to stop there.

    Raises:
        UsageError: If the config, the data or the folder do not allow it.
        RunError: If training breaks down or the disk is full.
    """
    if folder.exists() and not resume:
        raise UsageError(f"{folder} exists already: give another --out, or go on with --resume {folder}")
    device = settings.trainer.find_device()
    images = settings.data.load(report, progress)
    target = settings.data.target
    state = begin(settings, images, device)
    validation = target.evaluation([images.validation.images])[0]
    latents = state.model.prior().event_shape.numel()
    recorder = Recorder(settings.figures.frames, *followed(settings, images, validation, latents), target)
    written: list[Observer] = [MetricsLog(folder / "metrics.jsonl", settings.trainer.log_every)]
    written += [recorder] if settings.figures.frames else []
    keeper = Checkpointer(folder / "checkpoints", settings.trainer.keep, written)
    if resume:
        check_unfinished(folder)
        found = checkpoint.latest(keeper.folder)
        if found is None:
            raise UsageError(f"{folder} holds no checkpoint to resume from: delete it and start anew")
        keeper.restore(found, state)
        report(f"going on from step {state.step:,} of {state.total:,}")
    else:
        make_folder(folder, config_text)

    try:
        outcome = fit(state, settings.trainer, validation, [*written, keeper, *observers], interrupted)
    except OSError as error:
        raise RunError(
            f"{folder} could not be written to ({error.strerror}); mend that, go on with --resume {folder}"
        ) from error
    return conclude(settings, folder, state, images, validation, recorder, outcome, report)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what torch says of settings that it cannot take into one line."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{what}: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """What an error says, in one line of a bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 200 else text[:200] + " ..."


def check_unfinished(folder: Path) -> None:
    """Refuses to go on with a run that came to its end: its test images have been scored, which is done once.

    Raises:
        UsageError: If it did.
    """
    scored = [line for line in read_lines(folder / "metrics.jsonl") if line["split"] == "test"]
    if scored and (folder / "model.safetensors").exists():
        raise UsageError(f"{folder} is finished: there is nothing to resume")


def begin(settings: Config, images: ImageSet, device: torch.device) -> State:
    """The state before the first step: everything random about it comes from the seed.

    Args:
        settings: The config.
        images: The images.
        device: Where to train.
    """
    torch.manual_seed(stream(settings.seed, "weights"))
    with explained("the model cannot be built"):
        model = settings.model(images.shape)
    check_likelihood(model, settings.data.target, settings.data.targets)
    low, high = settings.data.target.interval
    mean = images.train.images.sum(0, dtype=torch.int64) / len(images.train) / 255
    model.likelihood.start_at(low + (high - low) * mean)
    model.to(device)
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        # convolutions are up to twice as fast with the channel innermost
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = Batches(images.train.images.to(device), settings.data.target, settings.trainer.batch_size, settings.seed)
    trainer = settings.trainer
    with explained("the optimizer cannot be built"):
        player = Player(settings.objective, [model], trainer.optimizer, trainer.schedule, trainer.clip)
    torch.manual_seed(stream(settings.seed, "latents"))
    return State(model, [player], batches, trainer.total(batches.steps_per_epoch))


def followed(settings: Config, images: ImageSet, validation: Tensor, latents: int) -> tuple[Tensor, Tensor]:
    """The values whose latents, and those whose reconstructions, the animations follow.

    Of many latents fewer images are followed, so that the frames, which every checkpoint holds, stay small.
    """
    points = min(settings.figures.points, MOST_FOLLOWED // latents)
    return validation[: max(1, points)], validation[pictures.shown_indices(images)]


def make_folder(folder: Path, config_text: str) -> None:
    """Makes a run folder that holds the config."""
    try:
        folder.mkdir(parents=True)
        with atomic_file(folder / "config.yaml") as temporary:
            temporary.write_text(config_text)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}): give an --out that can be written to") from None


def conclude(
    settings: Config,
    folder: Path,
    state: State,
    images: ImageSet,
    validation: Tensor,
    recorder: Recorder,
    outcome: Outcome,
    report: Report,
) -> Summary:
    """Keeps the best weights, scores them on the test images, and draws."""
    state.model.load_state_dict(state.best_weights)
    write_model(folder, state, images)
    test = None
    if outcome != "interrupted":
        values = settings.data.target.evaluation([images.validation.images, images.test.images])[1]
        test = negative_elbo(state.model, values)
        place = {"step": state.best_step, "epoch": round(state.best_step / state.batches.steps_per_epoch, 4)}
        lines = [line for line in read_lines(folder / "metrics.jsonl") if line["split"] != "test"]
        write_lines(folder / "metrics.jsonl", [*lines, place | {"split": "test"} | asdict(test)])
    frames = recorder.arrays()
    if frames:
        with atomic_file(folder / "frames.npz") as temporary:
            np.savez_compressed(temporary, **frames)  # type: ignore[arg-type]
    report("drawing")
    begun = time.perf_counter()
    scene = make_scene(settings, folder, state.model, images, validation, state.best_step, state.best)
    files = pictures.draw(scene, folder / "figures", read_lines(folder / "metrics.jsonl"), frames)
    summary = Summary(
        outcome=outcome,
        steps=state.step,
        epochs=state.epoch,
        seconds=state.seconds,
        images_per_second=state.step * state.batches.size / state.seconds if state.seconds else 0.0,
        best_step=state.best_step,
        validation=state.best,
        test=test,
        protocol=settings.data.target.protocol,
        drawing_seconds=time.perf_counter() - begun,
        folder=folder,
        figures=tuple(files),
    )
    write_card(summary, settings, state.model, images)
    return summary


def make_scene(
    settings: Config, folder: Path, model: VAE, images: ImageSet, validation: Tensor, step: int, loss: float
) -> pictures.Scene:
    """What the pictures of a run are drawn from."""
    caption = f"run {folder.name} · step {step:,} · validation loss {loss:.1f} nats per image"
    objective = str(settings.objective)
    return pictures.Scene(model, images, validation, settings.data.target, settings.figures, objective, caption)


def write_model(folder: Path, state: State, images: ImageSet) -> None:
    """Writes ``model.safetensors``: the best weights, with what they are for in the header."""
    header = {
        "format": FORMAT,
        "vaescope": __version__,
        "torch": torch.__version__,
        "shape": list(images.shape),
        "classes": list(images.classes),
        "step": state.best_step,
        "loss": state.best,
    }
    checkpoint.save_tensors(folder / "model.safetensors", state.best_weights, {"vaescope": json.dumps(header)})


@dataclass(frozen=True)
class Run:
    """A trained model and what it was trained on.

    Args:
        folder: The run folder.
        config: Its config.
        model: The model with the best weights, in evaluation mode, on the CPU.
        shape: The shape (C, H, W) of an image.
        classes: The names of the classes.
        step: The step whose weights these are.
        loss: Their validation loss, in nats per image.
    """

    folder: Path
    config: Config
    model: VAE
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    step: int
    loss: float

    @staticmethod
    def load(folder: Path) -> "Run":
        """Reads a run folder. Nothing in it is executed.

        Raises:
            UsageError: If it is no run folder, or damaged.
        """
        path = folder / "model.safetensors"
        if not (folder / "config.yaml").is_file():
            raise UsageError(f"{folder} is no run folder: it holds no config.yaml; give one that `vaescope train` made")
        if not path.is_file():
            raise UsageError(f"{folder} holds no weights yet: finish it with `vaescope train --resume {folder}`")
        try:
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {})["vaescope"])
            if header["format"] != FORMAT:
                raise UsageError(f"{path} has format {header['format']}, but this version reads {FORMAT}")
            channels, height, width = (int(side) for side in header["shape"])
            classes = tuple(str(name) for name in header["classes"])
            step, loss = int(header["step"]), float(header["loss"])
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path} cannot be read ({one_line(error)}); it is damaged") from None
        settings = config.read(folder / "config.yaml")
        model = settings.model((channels, height, width))
        try:
            model.load_state_dict(checkpoint.load_tensors(path))
        except RuntimeError as error:
            raise UsageError(f"{path} does not fit {folder / 'config.yaml'} ({one_line(error)})") from None
        return Run(folder, settings, model.eval(), (channels, height, width), classes, step, loss)

    def redraw(self, report: Report = log) -> tuple[Path, ...]:
        """Draws all pictures anew. Returns the files."""
        images = self.config.data.load(report)
        validation = self.config.data.target.evaluation([images.validation.images])[0]
        scene = make_scene(self.config, self.folder, self.model, images, validation, self.step, self.loss)
        frames = read_arrays(self.folder / "frames.npz")
        lines = read_lines(self.folder / "metrics.jsonl")
        return tuple(pictures.draw(scene, self.folder / "figures", lines, frames))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file that a run wrote; none if it is not there."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({one_line(error)}); delete it to draw without animations") from None
    if set(arrays) != {"numbers", "latents", "pictures"}:
        raise UsageError(f"{path} does not hold the frames of a run; delete it to draw without animations")
    return arrays


def write_card(summary: Summary, settings: Config, model: VAE, images: ImageSet) -> None:
    """Writes the model card: what was trained on what, the measured numbers, and how to go on."""
    test = summary.test
    score = (
        "the run was interrupted before the test images were scored"
        if test is None
        else f"{test.negative_elbo:.2f} ± {test.standard_error:.2f} nats per image "
        f"= distortion {test.distortion:.2f} + rate {test.rate:.2f}"
    )
    rows = {
        "data": f"{images.title}, {len(images.train):,} training images, targets {settings.data.targets}",
        "model": f"{type(settings.model).__name__}, {count(model):,} parameters, {len(model.prior().mean)} latents",
        "test −ELBO": score,
        "protocol": summary.protocol,
        "validation loss": f"{summary.validation:.2f} nats per image, at step {summary.best_step:,}",
        "training": f"{summary.steps:,} steps, {summary.epochs:.1f} epochs, {summary.seconds:.1f} s, "
        f"{summary.images_per_second:,.0f} images/s",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPU cores, "
        f"torch {torch.__version__} on {next(model.parameters()).device.type}",
        "seed": str(settings.seed),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    pages = "\n".join(f"![{path.stem}](figures/{path.name})\n" for path in summary.figures)
    text = (
        f"---\nlibrary_name: vaescope\ntags: [vae, image-generation]\n---\n\n# {summary.folder.name}\n\n"
        f"A variational autoencoder trained with vaescope {__version__}.\n\n| | |\n|---|---|\n{table}\n\n"
        f"The weights are those with the best validation loss; ± is the standard error over "
        f"images.\nRepeat it with `vaescope train --config config.yaml`, draw from it with `vaescope sample "
        f"{summary.folder}`.\n\n{pages}"
    )
    with atomic_file(summary.folder / "README.md") as temporary:
        temporary.write_text(text)
