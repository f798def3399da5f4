"""Bits per dimension: the unit in which scores of images with many greys are compared."""

import math
from collections.abc import Iterator
from dataclasses import replace

from vaescope.families import Bernoulli, Family, PixelLevels
from vaescope.metrics.score import Score
from vaescope.metrics.subject import Subject
from vaescope.nets import Shape


def bits_per_dim(nats: float, family: Family, interval: tuple[float, float], levels: int, shape: Shape) -> float | None:
    r"""Nats per image as bits for each of its D = C H W values, or nothing where they are no such thing.

    .. math:: \frac{\mathrm{nats}}{D \ln 2} \quad \text{for masses,} \quad
              \frac{\mathrm{nats}}{D \ln 2} - \log_2 w \quad \text{for densities}

    with the step :math:`w` between two levels in the units of the density: density times step stands for the mass of a
    level. This is an approximation. It would be a bound had the model been trained and scored with noise that fills the
    steps; without it a density that is narrower than a step scores better than any mass could.

    A Bernoulli likelihood gives bits per binary pixel. Of greys it gives the expectation over binarisations, which is
    no code length of the greys: there is no number.

    Args:
        nats: A score such as -ELBO, in nats per image.
        family: The likelihood.
        interval: The first and the last of the levels, as the likelihood scores them.
        levels: The number of levels of a pixel.
        shape: The shape of an image, (C, H, W).
    """
    bits = nats / (math.prod(shape) * math.log(2))
    if family.density:
        low, high = interval
        return bits + math.log2((levels - 1) / (high - low)) if levels > 2 else None
    of_levels = isinstance(family, PixelLevels) and family.levels == levels
    return bits if of_levels or (isinstance(family, Bernoulli) and levels == 2) else None


def in_bits(subject: Subject, score: Score) -> Iterator[Score]:
    """A score in nats per image as one in bits for each value of an image, where the model is one of greys.

    Args:
        subject: The model and its images.
        score: The score, whose name and title the other one goes by. A mean over images.
    """
    target, family, shape = subject.target, subject.model.likelihood.family, subject.images.shape

    def bits(nats: float) -> float | None:
        return bits_per_dim(nats, family, target.interval, target.levels, shape)

    value, start = bits(score.value), bits(0.0)
    if target.discrete or value is None or start is None:
        return
    unit = 1 / (math.prod(shape) * math.log(2))
    error = None if score.error is None else score.error * unit
    each = None if score.each is None else score.each * unit + start
    how = ", density times the step between levels" if family.density else ""
    named = replace(score, name=f"{score.name}_bits", unit="bits/dim", protocol=f"{score.protocol}{how}")
    yield replace(named, value=value, error=error, each=each, parts=(), interval=None, warning="")
