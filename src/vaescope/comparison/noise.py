r"""Whether two scores differ by more than their noise.

Two models that are scored on the same images share what is hard about each image, so the error of the difference is
found from the differences image by image (paired), which is often several times smaller than the two errors suggest:

.. math:: t = \bar d \,/\, (s_d / \sqrt n), \quad d_i = a_i - b_i

Where the scores of single images are not known, it is found from the two errors, as if they were independent.

The best of several runs is chosen by looking at all of them, so to say that another is worse is to have looked at all
pairs: p-values are corrected for that by Holm's method, which keeps the probability of any wrong statement about the
runs in one row at 5 %.

References:
    | The probable error of a mean (Student, 1908)
    | The generalization of 'Student's' problem when several different population variances are involved (Welch, 1947)
    | A simple sequentially rejective multiple test procedure (Holm, 1979)
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from vaescope.metrics.score import NORMAL, Score

LEVEL = 0.05
"""The probability of a wrong statement about the runs in one row."""

K = TypeVar("K", bound=Hashable)

How = Literal["paired", "errors", "seeds"]


@dataclass(frozen=True)
class Difference:
    """How far one score is above another.

    Args:
        value: The difference.
        error: Its standard error.
        p: The probability of so large a difference, to either side, were there none.
        how: Where the error is from: the same images (paired), the two errors, or training seeds.
    """

    value: float
    error: float
    p: float
    how: How


def difference(one: Score, other: Score, seeds: tuple[int, int] = (1, 1)) -> Difference | None:
    """How far one score is above another one of the same protocol; nothing where an error is not known.

    Args:
        one: A score.
        other: The score to compare it with.
        seeds: How many runs each is the mean of. If these are several, its error is that over them.
    """
    value = one.value - other.value
    a, b = spread(one), spread(other)
    if not math.isfinite(value):
        return None
    if min(seeds) > 1 and a is not None and b is not None:
        freedom = welch(a, b, seeds)
        return Difference(value, math.hypot(a, b), tail(value, math.hypot(a, b), freedom), "seeds")
    if max(seeds) > 1:
        return None
    if _pairs(one) and _pairs(other) and one.count == other.count:
        assert one.each is not None
        assert other.each is not None
        d = one.each.astype(np.float64) - other.each
        error = float(d.std(ddof=1)) / math.sqrt(len(d))
        return Difference(value, error, tail(value, error, len(d) - 1), "paired")
    if a is None or b is None:
        return None
    return Difference(value, math.hypot(a, b), tail(value, math.hypot(a, b), math.inf), "errors")


def spread(score: Score) -> float | None:
    """The standard error of a score, from its interval if need be; nothing where there is neither."""
    error = score.error
    if error is None and score.interval is not None:
        error = (score.interval[1] - score.interval[0]) / (2 * NORMAL)
    return error if error is not None and math.isfinite(error) and error >= 0 else None


def _pairs(score: Score) -> bool:
    """Whether a score is the mean of numbers of single images, which are known."""
    each = score.each
    if each is None or len(each) < 2 or not np.isfinite(each).all():
        return False
    return math.isclose(float(each.mean(dtype=np.float64)), score.value, rel_tol=1e-4, abs_tol=1e-6)


def welch(a: float, b: float, counts: tuple[int, int]) -> float:
    """The degrees of freedom of a difference of two means, from their standard errors and how many each is over."""
    if a == b == 0:
        return float(min(counts) - 1)
    return (a**2 + b**2) ** 2 / (a**4 / (counts[0] - 1) + b**4 / (counts[1] - 1))


def tail(value: float, error: float, freedom: float) -> float:
    r"""The probability that Student's t is at least :math:`|value / error|` away from 0.

    With :math:`t = \sqrt\nu \tan\theta` the density is proportional to :math:`\cos^{\nu - 1}\theta`, which is
    integrated from there to :math:`\pi / 2`.

    Args:
        value: The value.
        error: Its standard error.
        freedom: The degrees of freedom; from 10,000 on it is a normal distribution.
    """
    if error == 0:
        return 1.0 if value == 0 else 0.0
    t = abs(value / error)
    if freedom >= 10_000:
        return math.erfc(t / math.sqrt(2))
    angles = np.linspace(math.atan(t / math.sqrt(freedom)), math.pi / 2, 10_001)
    heights = np.cos(angles).clip(min=0) ** (freedom - 1)
    whole = math.sqrt(math.pi) * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    area = float((heights[1:] + heights[:-1]).sum() / 2 * (angles[1] - angles[0]))
    return min(1.0, 2 * area / whole)


def rejected(p: Mapping[K, float], level: float = LEVEL) -> set[K]:
    """The hypotheses that Holm's method rejects, so that the probability to reject any that is true is at most a level.

    Args:
        p: The p-value of each.
        level: The level.
    """
    found: set[K] = set()
    for rank, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        if value > level / (len(p) - rank):
            break
        found.add(key)
    return found
