"""All that a report is written from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vaescope.evaluation import Evaluation, load_kept
from vaescope.facts import test_bound, test_line
from vaescope.metrics import Bound
from vaescope.metrics.score import Score
from vaescope.observers import read_lines
from vaescope.run import Run


@dataclass(frozen=True)
class Known:
    """A run with its curves and what was measured of it.

    Args:
        run: The run.
    """

    run: Run

    @cached_property
    def evaluation(self) -> Evaluation:
        """What was measured of these weights."""
        return load_kept(self.run)

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``."""
        return read_lines(self.run.folder / "metrics.jsonl")

    @cached_property
    def bound(self) -> Bound | None:
        """The bound on the test images at the end of training; nothing of a run that was interrupted."""
        return test_bound(test_line(self.run))

    def curve(self, split: str) -> list[dict[str, Any]]:
        """The lines of one split that have a loss."""
        return [line for line in self.lines if line["split"] == split and isinstance(line.get("loss"), int | float)]

    def at_best(self, name: str) -> Any:
        """What was found of the latents of the weights that were kept, at their validation; None if it was not."""
        return next((line.get(name) for line in self.curve("validation") if line["step"] == self.run.step), None)

    def score(self, *paths: str) -> Score | None:
        """The first score that there is of some, each called ``metric.name`` or ``name``."""
        found = (self.evaluation.find(path) for path in paths)
        return next((score for score in found if score is not None), None)

    def warned(self) -> Iterator[Score]:
        """The scores that warn."""
        return (score for _, score in self.evaluation.scores() if score.warning)
