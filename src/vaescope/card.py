"""What an experiment came to: as numbers, and as the model card that stands in its run folder."""

import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vaescope import __version__
from vaescope.config import Config
from vaescope.data.dataset import DECODED, OWN
from vaescope.data.images import ImageSet
from vaescope.families import Family
from vaescope.files import atomic_file
from vaescope.metrics import Anatomy, Bound
from vaescope.models import VAE
from vaescope.outline import count
from vaescope.training import Outcome


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
        bits_per_dim: That bound in bits for each value of an image, where it is a score of greys.
        accuracy: The share of test images whose label is found, by a model with a classifier.
        protocol: How the test images were scored.
        drawing_seconds: The seconds for all pictures after training.
        folder: The run folder.
        figures: The pictures.
        latents: What the latents of these weights carry, in words.
        warnings: What is wrong with them, and what to try.
        anatomy: The numbers behind both, of validation images.
    """

    outcome: Outcome
    steps: int
    epochs: float
    seconds: float
    images_per_second: float
    best_step: int
    validation: float
    test: Bound | None
    bits_per_dim: float | None
    accuracy: float | None
    protocol: str
    drawing_seconds: float
    folder: Path
    figures: tuple[Path, ...]
    latents: str
    warnings: tuple[str, ...]
    anatomy: Anatomy

    def record(self) -> dict[str, Any]:
        """The summary as what JSON can hold."""
        plain = asdict(self)
        return plain | {"folder": str(self.folder), "figures": [str(path) for path in self.figures]}


def in_bits(summary: Summary, likelihood: Family) -> str:
    """The test bound in bits per dimension. Of a density it is not exact, see :func:`vaescope.metrics.bits_per_dim`."""
    how = ", a density times the step between greys for their mass" if likelihood.density else ""
    return f"{summary.bits_per_dim:.3f} bits/dim{how}"


def plain(text: str) -> str:
    """What a user has called something as Markdown that shows just this, also in a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#$&])", r"\\\1", " ".join(text.split()))


def write_card(summary: Summary, settings: Config, model: VAE, images: ImageSet) -> None:
    """Writes the model card: what was trained on what, the measured numbers, and how to go on."""
    test = summary.test
    score = str(test) if test else "the run was interrupted before the test images were scored"
    rows = {
        "data": f"{plain(images.title)}, {len(images.train):,} training images, targets {settings.data.targets}",
        "model": f"{type(settings.model).__name__}, {count(model):,} parameters, {model.prior.latent} latents",
        f"test {test.name if test else '−ELBO'}": score,
        **({} if summary.bits_per_dim is None else {"test bits/dim": in_bits(summary, model.likelihood.family)}),
        **({} if summary.accuracy is None else {"test accuracy": f"{summary.accuracy:.2%} of labels found"}),
        "protocol": summary.protocol,
        "validation loss": f"{summary.validation:.2f} nats per image, at step {summary.best_step:,}",
        "latents": summary.latents,
        **({"warning": "; ".join(summary.warnings)} if summary.warnings else {}),
        "training": f"{summary.steps:,} steps, {summary.epochs:.1f} epochs, {summary.seconds:.1f} s, "
        f"{summary.images_per_second:,.0f} images/s",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPU cores, "
        f"torch {torch.__version__} on {next(model.parameters()).device.type}",
        "seed": str(settings.seed),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    where = " --data PATH_OF_THE_IMAGES" if settings.data.name in (OWN, DECODED) else ""
    pages = "\n".join(f"![{path.stem}](figures/{path.name})\n" for path in summary.figures)
    text = (
        f"---\nlibrary_name: vaescope\ntags: [vae, image-generation]\n---\n\n# {plain(summary.folder.name)}\n\n"
        f"A variational autoencoder trained with vaescope {__version__}.\n\n| | |\n|---|---|\n{table}\n\n"
        "The weights are those with the best validation loss; ± is the standard error over images.\n"
        f"In this folder, repeat it with `vaescope train --config config.yaml{where}` and draw from it with "
        f"`vaescope sample .`\n\n{pages}"
    )
    with atomic_file(summary.folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def describe(summary: Summary) -> str:
    """The summary in a few lines, the paths last."""
    lines = [""]
    if summary.outcome == "interrupted":
        lines += [f"interrupted at step {summary.steps:,}; go on with: vaescope train --resume {summary.folder}"]
    if summary.test is not None:
        lines += [
            f"{'test ' + summary.test.name:<12} {summary.test}",
            f"protocol     {summary.test.images:,} test {summary.protocol}",
        ]
    if summary.bits_per_dim is not None:
        lines += [f"             {summary.bits_per_dim:.3f} bits/dim"]
    if summary.accuracy is not None:
        lines += [f"accuracy     {summary.accuracy:.2%} of the labels of the test images found"]
    lines += [
        f"validation   {summary.validation:.2f} nats per image, at step {summary.best_step:,}: these weights were kept",
        f"latents      {summary.latents}",
        *(f"warning      {text}" for text in summary.warnings),
        f"training     {summary.seconds:.1f} s, {summary.images_per_second:,.0f} images/s, {summary.epochs:.1f} epochs "
        f"({summary.outcome}); drawing {summary.drawing_seconds:.1f} s",
        f"run folder   {summary.folder}",
    ]
    lines += [f"             {path}" for path in summary.figures]
    return "\n".join(lines)
