"""What keeping a run costs while it trains: metrics, frames, checkpoints and validations, as shares of training time.

A run is trained as ``vaescope train`` does, with a clock around every call of those who watch it. Everything is written
to the disk of the temporary folder, and waited for until it is there: a slower disk makes checkpoints dearer.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import Asked, Quiet, Table, median, state
from vaescope import checkpoint
from vaescope.collapse import Doctor
from vaescope.data.fetch import log
from vaescope.experiment import followed
from vaescope.observers import Checkpointer, MetricsLog, Recorder
from vaescope.run import validation_examples
from vaescope.training import Observer, fit

CONFIGS = ("main", "latent32")
FEW = 300
"""Steps of a quick look."""

METHODS = ("started", "stepped", "validated", "checkpoint_due", "ended")


def measure(asked: Asked) -> list[Table]:
    """The shares of training time, and the seconds of a checkpoint."""
    table = Table("Keeping a run", ["config", "what", "seconds", "of training time"])
    for name in CONFIGS:
        asked.say(f"keeping: {name}")
        with tempfile.TemporaryDirectory() as scratch, Quiet(asked):
            rows, data = watched(name, Path(scratch), asked)
        table.rows += [[name, *row] for row in rows]
        table.data[name] = data
    table.notes.append(
        "Seconds in the calls of all that watches a run, of one whole run each; training time is that of the loop "
        "less these and the validations. A checkpoint every 2,000 steps, which is the default, and one at the end."
    )
    return [table]


def watched(name: str, folder: Path, asked: Asked) -> tuple[list[list[Any]], dict[str, Any]]:
    """Trains one config, and returns its rows and numbers."""
    words = ["--config", f"configs/{name}.yaml", *(["--trainer.steps", str(FEW)] if asked.quick else [])]
    settings, begun = state(words, asked.root)
    images = settings.data.load(log)
    shown = validation_examples(begun.model, settings.data.target, images)
    doctor = Doctor(shown, log)
    metrics = MetricsLog(folder / "metrics.jsonl", settings.trainer.log_every, doctor.numbers)
    frames = Recorder(
        settings.figures.frames, *followed(settings, images, shown, begun.model.prior.latent), settings.data.target
    )
    keeper = Checkpointer(folder / "checkpoints", settings.trainer.keep, [doctor, metrics, frames])
    times: dict[str, list[float]] = defaultdict(list)
    observers = [timed(one, times) for one in (doctor, metrics, frames, keeper)]
    fit(begun, settings.trainer, shown, observers)
    loop = begun.seconds - sum(map(sum, times.values())) + sum(times["checkpoints"][-1:])  # the last is after the clock
    each = median([one for one in times["checkpoints"] if one > 1e-3])
    newest = checkpoint.good(keeper.folder)
    assert newest is not None
    size = sum(file.stat().st_size for file in newest.iterdir()) / 2**20
    words_of = {"doctor": "looking at the latents", "metrics": "metrics.jsonl", "frames": "frames of the animations"}
    rows: list[list[Any]] = [[f"training, {begun.step:,} steps", loop, None]]
    rows += [[said, sum(times[key]), f"{sum(times[key]) / loop:.2%}"] for key, said in words_of.items()]
    at_default = each / (2000 * loop / begun.step)
    rows.append([f"one checkpoint of {size:.1f} MiB, every 2,000 steps", each, f"{at_default:.2%}"])
    return rows, {"loop": loop, "steps": begun.step, "seconds": dict(times), "MiB": size}


def timed(observer: Observer, times: dict[str, list[float]]) -> Observer:
    """The observer, with a clock around all of its calls."""

    def around(call: Callable[..., None]) -> Callable[..., None]:
        def clocked(*given: object) -> None:
            begun = time.perf_counter()
            call(*given)
            times[observer.name].append(time.perf_counter() - begun)

        return clocked

    for method in METHODS:
        setattr(observer, method, around(getattr(observer, method)))
    return observer
