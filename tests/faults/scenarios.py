"""What is disturbed: commands of every kind, each small enough to take a second or two."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.sitting import Work, fresh, sit
from vaescope.errors import RunError, UsageError

RUN = Path("run")
SMALL = (
    "--trainer.batch_size", "20", "--trainer.device", "cpu", "--model.network.width", "16", "--engine.precision",
    "float32", "--figures.frames", "5", "--figures.grid", "4", "--figures.samples", "4", "--figures.points", "40",
    "--figures.explorer", "false", "--trainer.epochs", "2", "--trainer.checkpoint_every", "4", "--trainer.log_every",
    "3",
)  # fmt: skip
"""Twenty steps with five checkpoints. No bfloat16: its speed is measured, and so it may be chosen or not."""


def no_more(folder: Path) -> None:
    """Prepares nothing."""


@dataclass(frozen=True)
class Scenario:
    """A command, what it needs, and how to go on with it.

    Args:
        name: What it is called.
        work: The command, or a function.
        prepare: Puts what it needs into its folder.
        share: How often it is chosen, compared with others.
        resumed: Whether it is gone on with by ``--resume`` once there is a run folder; else it is begun again.
    """

    name: str
    work: Work
    prepare: Callable[[Path], None] = no_more
    share: int = 1
    resumed: bool = False
    extra: tuple[str, ...] = field(default=())

    def next(self, folder: Path) -> Work:
        """The command that a user would give now."""
        begun = self.resumed and (folder / RUN / "config.yaml").exists()
        return ("train", "--resume", str(RUN), *self.extra) if begun else self.work


def training(name: str, *words: str, data: str = "sample", share: int = 1) -> Scenario:
    """A run of its own."""
    longer = () if data == "sample" else ("--trainer.epochs", "8")
    command = ("train", "--data", data, *SMALL, *longer, *words, "--out", str(RUN))
    return Scenario(name, command, photos if data == "photos" else no_more, share, True)


def photos(folder: Path) -> None:
    """Sixty pictures in three classes, the same ones every time."""
    random = np.random.default_rng(0)
    for k in range(60):
        path = folder / "photos" / "abc"[k % 3] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).save(path)


def trained(folder: Path) -> None:
    """A run that came to its end."""
    done = sit(ALL["plain"].work, folder)
    assert done.code == 0, done.said


def exported(folder: Path) -> None:
    """A run that was exported before, in another format."""
    trained(folder)
    done = sit(("export", str(RUN), "--format", "torch"), folder)
    assert done.code == 0, done.said


def decoded(folder: Path) -> None:
    """Pictures that are in the cache already."""
    photos(folder)
    done = sit(("train", "--data", "photos", *SMALL, "--trainer.steps", "1", "--out", "other"), folder)
    assert done.code == 0, done.said
    fresh(folder / "other").rmdir()


def archives(folder: Path) -> None:
    """The four gzipped files of a set that is not in its place yet."""
    (folder / "data").mkdir()
    for name, content in idx_files().items():
        (folder / "data" / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))


def idx_files() -> dict[str, bytes]:
    """The files of a set of 40,000 and 10,000 images of 5x4 pixels."""
    from vaescope.data.idx import format_idx
    from vaescope.data.sources import FILE_NAMES

    random = np.random.default_rng(0)
    sizes = {"train_images": (40_000, 5, 4), "train_labels": (40_000,), "test_images": (10_000, 5, 4)}
    sizes |= {"test_labels": (10_000,)}
    return {name: format_idx(random.integers(0, 3, sizes[role], dtype=np.uint8)) for role, name in FILE_NAMES.items()}


def fetching() -> int:
    """Fetches that set from the folder above."""
    from vaescope.cli import fail
    from vaescope.data.fetch import fetch
    from vaescope.data.sources import FILE_NAMES, IdxFile, NamedSet

    found = idx_files()
    known = {role: IdxFile(name, hashlib.sha256(found[name]).hexdigest()) for role, name in FILE_NAMES.items()}
    facts = ("tiny", "Tiny", ("a", "b", "c"), known, (1, 5, 4), (40_000, 10_000), "MIT", "https://example.org")
    try:
        fetch(NamedSet(*facts), Path("data"))
    except (UsageError, RunError) as error:
        return fail(str(error), error.exit_code)
    return 0


CONVOLUTIONS = (
    "--model.network", "Conv", "--model.network.channels", "4", "--model.network.hidden", "16",
    "--model.network.norm", "batch",
)  # fmt: skip
LISTED = [
    training("plain", share=4),
    training("patience", "--trainer.optimizer", "SGD", "--trainer.optimizer.lr", "0.0", "--trainer.epochs", "10",
             "--trainer.patience", "2", "--trainer.validate_every", "2", share=2),
    training("batch norm", *CONVOLUTIONS, "--model.labels", "true", share=2),
    training("few labels", "--model", "SemiSupervised", "--objective", "M2", "--data.labelled", "0.5", share=2),
    training("two players", "--objective", "FactorVAE", "--objective.width", "16", share=3),
    training("adversarial", "--objective", "AdversarialAutoencoder", "--model.posterior", "PointMass", share=2),
    training("vampprior", "--model.prior", "VampPrior", "--model.prior.components", "5", share=2),
    training("decoding", share=3, data="photos"),
    replace(training("streamed", "--data.memory", "0", data="photos", share=3), prepare=decoded),
    Scenario("extension", ("train", "--resume", str(RUN), "--trainer.epochs", "3"), trained, 3, True,
             ("--trainer.epochs", "3")),
    Scenario("figures", ("figures", str(RUN)), trained),
    Scenario("evaluate", ("evaluate", str(RUN), "--quick", "--metrics", "elbo,reconstruction,latents"), trained, 2),
    Scenario("report", ("report", str(RUN)), trained),
    Scenario("export", ("export", str(RUN)), exported),
    Scenario("explore", ("explore", str(RUN)), trained),
    Scenario("fetch", fetching, archives, 2),
]  # fmt: skip
ALL = {scenario.name: scenario for scenario in LISTED}

FULL = training("full", "--trainer.checkpoint_every", "10", "--trainer.log_every", "10", "--figures.frames", "2")
"""A run in which every single call is refused in turn."""

SHORT = training("short", "--trainer.epochs", "6", "--trainer.checkpoint_every", "7", "--trainer.keep", "100")
"""A run with sixty steps that keeps all its checkpoints."""

DAMAGED = training("damaged", "--trainer.checkpoint_every", "6")
"""A run with three checkpoints before its last one."""
