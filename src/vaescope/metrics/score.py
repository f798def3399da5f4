"""Scores: measured numbers with all that is needed to cite them, and pictures that go with them.

A number without its unit, its protocol, the number of cases it comes from and its error says little. Here they travel
together, so that tables, model cards, reports and comparisons all say the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Better = Literal["lower", "higher"]

NORMAL = 1.959964
"""Standard errors to either side of a mean that is normal which hold 95 % of its draws."""

STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The same of a mean whose error is found from only 2, 3, ... 10 numbers."""


class InapplicableError(Exception):
    """A metric that has no meaning for the model or the data at hand. Its message says why, in one clause."""


@dataclass(frozen=True, eq=False)
class Score:
    """A measured number.

    Args:
        name: What programs call it: lower case, digits and underscores. Within its metric no other has the name.
        title: What tables call it, such as "−ELBO".
        value: The number.
        unit: Its unit, such as "nats per image" or "dB"; empty for a plain number.
        protocol: How it was measured, in words that need no context: the split, the draws, the settings.
        count: The number of cases that it comes from.
        cases: What they are.
        error: Its standard error, where there is one.
        interval: Its 95 % confidence interval, where that is not the value ± 1.96 standard errors.
        over: What the error is over: "images" (other images from the same source), "draws", "resamples" ...
        better: Whether a model is better the lower or the higher the number is, where it is one of the two.
        of_data: Whether it is a number of the data alone, to compare those of the model with: a floor, a baseline.
        warning: What keeps it from being trusted, and what to try.
        parts: The numbers it is made of, such as one for each latent.
        each: The number of each case, in the order of the test images, to compare two models case by case. It is kept
            beside the others, see :mod:`vaescope.evaluation`.
    """

    name: str
    title: str
    value: float
    unit: str
    protocol: str
    count: int
    cases: str = "test images"
    error: float | None = None
    interval: tuple[float, float] | None = None
    over: str = "images"
    better: Better | None = None
    of_data: bool = False
    warning: str = ""
    parts: tuple[float, ...] = ()
    each: np.ndarray | None = None

    def record(self) -> dict[str, Any]:
        """The score as what JSON can hold; what is not finite is written as null."""
        return {key.name: _finite(getattr(self, key.name)) for key in fields(self) if key.name != "each"}

    @staticmethod
    def parse(record: dict[str, Any], each: np.ndarray | None = None) -> "Score":
        """What :meth:`record` wrote.

        Raises:
            TypeError: If a key is missing or is none of a score's, or a value is of the wrong kind.
            ValueError: If a value is none that a score can have.
        """
        if unknown := record.keys() - {field.name for field in fields(Score)}:
            raise ValueError(f"a score has no {sorted(unknown)[0]}")
        value = _number(record["value"])
        interval = record.get("interval")
        ends = None if interval is None else tuple(float(end) for end in interval)
        if ends is not None and len(ends) != 2:
            raise ValueError("an interval has two ends")
        words = ("name", "title", "unit", "protocol", "cases", "over", "warning")
        if not all(isinstance(record.get(name, ""), str) for name in words):
            raise TypeError("a word of a score is no text")
        if record.get("better") not in (None, "lower", "higher"):
            raise ValueError("better is lower, higher or null")
        parts = tuple(math.nan if part is None else float(part) for part in record.get("parts", ()))
        numbers: dict[str, Any] = {"value": math.nan if value is None else value, "error": _number(record.get("error"))}
        count = int(record["count"])
        if count < 0 or (numbers["error"] or 0) < 0 or not isinstance(record.get("of_data", False), bool):
            raise ValueError("count, error or of_data is none that a score can have")
        if each is not None and (each.shape != (count,) or each.dtype.kind not in "biuf"):
            raise ValueError(
                f"{record['name']} has {count:,} cases, but its numbers of them are {each.dtype} {each.shape}"
            )
        return Score(**(record | numbers | {"count": count, "interval": ends, "parts": parts, "each": each}))

    def ends(self) -> tuple[float, float] | None:
        """The ends of its 95 % confidence interval, where it has an error."""
        if self.interval is not None or self.error is None:
            return self.interval
        return self.value - NORMAL * self.error, self.value + NORMAL * self.error


@dataclass(frozen=True)
class Picture:
    """A picture that goes with the scores of a metric.

    Args:
        name: The name of its file, without the ending.
        draw: Draws it as a PNG at a path; it is given what to write into the footer, too.
        caption: What it shows, in words that a student understands.
    """

    name: str
    draw: Callable[[Path, str], None]
    caption: str


def mean_score(
    name: str, title: str, each: Tensor | np.ndarray, unit: str, protocol: str, *, better: Better | None = None
) -> Score:
    """The mean over test images, with its standard error over them.

    Args:
        name: See :class:`Score`, as for the others.
        title: What tables call it.
        each: The number of each image, with shape (N,).
        unit: The unit.
        protocol: How it was measured.
        better: Whether lower or higher is better.
    """
    numbers = torch.as_tensor(each).double().numpy()
    error = float(numbers.std(ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else None
    value = float(numbers.mean())
    return Score(name, title, value, unit, protocol, len(numbers), error=error, better=better, each=numbers)


def student(freedom: int) -> float:
    """Standard errors to either side of a mean which hold 95 % of its draws, where the error has to be found, too.

    Args:
        freedom: The degrees of freedom of the error: one less than the numbers that it is found from.
    """
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL  # the expansion of Cornish and Fisher in 1 / freedom, exact to three decimals from here on
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def of_few(score: Score, numbers: int) -> Score:
    """A score with Student's interval, because its error is found from a few numbers.

    Args:
        score: The score, with its error, if it has one.
        numbers: How many numbers the error is found from.
    """
    if score.error is None or numbers < 2:
        return score
    half = score.error * student(numbers - 1)
    return replace(score, interval=(score.value - half, score.value + half))


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise TypeError(f"{value!r} is no number")
