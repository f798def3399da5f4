"""What training came to: as numbers, and in a few lines for a terminal."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vaescope.metrics import Anatomy, Bound
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
        explorer: The page in which the model runs, if there is one.
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
    explorer: Path | None = None

    def record(self) -> dict[str, Any]:
        """The summary as what JSON can hold."""
        plain = asdict(self)
        explorer = None if self.explorer is None else str(self.explorer)
        figures = [str(path) for path in self.figures]
        return plain | {"folder": str(self.folder), "figures": figures, "explorer": explorer}


def describe(summary: Summary) -> str:
    """The summary in a few lines, the paths last."""
    lines, folder = [""], shlex.quote(str(summary.folder))
    if summary.outcome == "interrupted":
        lines += [f"interrupted at step {summary.steps:,}; go on with: vaescope train --resume {folder}"]
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
        f"go on with   vaescope evaluate {folder}, then vaescope report {folder}",
        f"run folder   {summary.folder}",
    ]
    lines += [f"             {path}" for path in summary.figures]
    if summary.explorer is not None:
        lines += [f"walk in it   {summary.explorer}: open it in a browser"]
    return "\n".join(lines)
