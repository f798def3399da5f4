r"""How well a number tells two kinds of cases apart, whatever threshold is chosen.

With :math:`s` the number of an outlier and :math:`t` that of a case from within,

.. math:: \mathrm{AUROC} = P(s > t) + \tfrac{1}{2} P(s = t),

the Mann-Whitney statistic: 0.5 is chance. AUPR is the mean over outliers of the share of outliers among the cases that
have a number as high as theirs, known as average precision: chance is the share of outliers in all cases.

References:
    | Comparing the Areas under Two or More Correlated Receiver Operating Characteristic Curves (DeLong et al., 1988)
    | https://doi.org/10.2307/2531595
    | Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney Statistic. Part 2: Asymptotic Methods
      and Evaluation (Newcombe, 2006)
    | https://doi.org/10.1002/sim.2324
"""

import math

import numpy as np
import torch
from torch import Tensor

from vaescope.metrics.score import NORMAL


def placements(asked: Tensor, others: Tensor) -> Tensor:
    """Of each asked number the share of the others that are lower; equal ones count half.

    Args:
        asked: Numbers, with shape (N,).
        others: Numbers, with shape (M,).

    Returns:
        Shares, with shape (N,), as float64.
    """
    known, asked = others.double().sort().values, asked.double().contiguous()
    low, high = (torch.searchsorted(known, asked, right=right) for right in (False, True))
    return (low + high).double() / (2 * len(known))


def auroc(inside: Tensor, outside: Tensor) -> tuple[float, float]:
    """The area under the receiver operating characteristic, and its standard error after DeLong.

    Args:
        inside: The numbers of cases from within, with shape (N,).
        outside: Those of outliers, which should be higher, with shape (M,).

    Returns:
        The area and its error, which is NaN for a single case of a kind.
    """
    above, below = placements(outside, inside), 1 - placements(inside, outside)
    parts = [float(each.var()) / len(each) if len(each) > 1 else math.nan for each in (above, below)]
    return float(above.mean()), math.sqrt(sum(parts))


def end_interval(area: float, inside: int, outside: int) -> tuple[float, float]:
    r"""The 95 % interval of Newcombe (2006) for an area of 0 or 1, for which DeLong finds no error.

    As in Wilson's interval of a share, the error is that of the area :math:`a` at the other end,

    .. math:: 1 - a = 1.96 \sqrt{V(a)}, \quad
              V(a) = \frac{a (1 - a)}{N M} \left( 1 + \left( \tfrac{N + M}{2} - 1 \right)
              \left( \tfrac{1 - a}{2 - a} + \tfrac{a}{1 + a} \right) \right)

    Args:
        area: The area, 0 or 1.
        inside: The number N of cases from within.
        outside: The number M of outliers.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        a = (low + high) / 2
        more = ((inside + outside) / 2 - 1) * ((1 - a) / (2 - a) + a / (1 + a))
        variance = a * (1 - a) * (1 + more) / (inside * outside)
        low, high = (a, high) if 1 - a > NORMAL * math.sqrt(variance) else (low, a)
    return (low, 1.0) if area > 0.5 else (0.0, 1 - low)


def average_precision(inside: Tensor, outside: Tensor) -> float:
    """The area under the curve of precision over recall, as average precision.

    Args:
        inside: The numbers of cases from within, with shape (N,).
        outside: Those of outliers, which should be higher, with shape (M,).
    """
    ones = np.ones((1, len(inside) + len(outside)))
    return float(_average_precisions(inside, outside, ones)[0])


def average_precision_error(inside: Tensor, outside: Tensor, seed: int, resamples: int = 200) -> float:
    """The standard error of average precision, by the bootstrap: both kinds of cases drawn anew, each for itself.

    Args:
        inside: The numbers of cases from within, with shape (N,).
        outside: Those of outliers, with shape (M,).
        seed: Decides the draws.
        resamples: How often.
    """
    source = np.random.default_rng(seed)
    counts = [source.multinomial(n, np.full(n, 1 / n), resamples) for n in (len(inside), len(outside))]
    return float(_average_precisions(inside, outside, np.concatenate(counts, 1)).std(ddof=1))


def _average_precisions(inside: Tensor, outside: Tensor, counts: np.ndarray) -> np.ndarray:
    """Average precisions with every case as often as counts say, which have shape (R, N + M): shape (R,)."""
    numbers = torch.cat([inside, outside]).double().numpy()
    order = np.argsort(-numbers, kind="stable")
    last = np.append(np.diff(numbers[order]) != 0, True)  # of equal numbers all are above a threshold, or none
    strange = (np.arange(len(numbers)) >= len(inside))[order]
    counts = counts[:, order]
    found = (counts * strange).cumsum(1)[:, last]
    every = counts.cumsum(1)[:, last]
    gained = np.diff(found, axis=1, prepend=0)
    return (gained * found / np.maximum(every, 1)).sum(1) / len(outside)
