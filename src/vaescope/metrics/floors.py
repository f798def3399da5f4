r"""What no model can go below, and what one does that knows nothing of how pixels depend on one another.

Binary images that were drawn with the greys :math:`g` as probabilities have, given these, the entropy

.. math:: \sum_i -g_i \log g_i - (1 - g_i) \log (1 - g_i)

which no model of the binary images goes below on average over draws. A model of independent pixels takes the mean
greys of the training images as probabilities, or of every pixel the histogram of its levels there.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vaescope.data.rows import Rows, chunks
from vaescope.families import Bernoulli
from vaescope.metrics.bound import NATS
from vaescope.metrics.score import InapplicableError, Score, mean_score
from vaescope.metrics.shown import shown
from vaescope.metrics.subject import Subject

AT_ONCE = 500
"""Images in a part."""

COUNTED = 2**24
"""The most numbers in a histogram of all pixels: 128x128 RGB at 256 levels has 12.6 million."""


def floors(subject: Subject) -> Iterator[Score]:
    """Entropy and baselines of the data alone."""
    if subject.target.discrete or isinstance(subject.model.likelihood.family, Bernoulli):
        found = _of_probabilities(subject)
    else:
        found = _of_levels(subject)
    return (replace(score, of_data=True, better=None) for score in found)


def _of_probabilities(subject: Subject) -> Iterator[Score]:
    test, train = subject.split("test"), subject.split("train")
    expected = "expectation over all binarisations of the test images"
    entropy = torch.cat([cross_entropy(g, g) for g in _greys(test.images, test.top)])
    yield mean_score("entropy", "entropy of the binarisation", entropy, NATS, expected)
    if subject.target.discrete:
        words, wrong = shown(subject)
        oracle = torch.cat([cross_entropy(*pair) for pair in _drawn(subject)])
        yield replace(mean_score("oracle", "−log p(binary|grey)", oracle, NATS, words), warning=wrong)
    p = smoothed_mean(train.images, train.top)
    alone = torch.cat([cross_entropy(g, p) for g in _greys(test.images, test.top)])
    protocol = f"{expected}, Laplace-smoothed means of {len(train):,} training images"
    yield mean_score("independent_pixels", "independent pixels", alone, NATS, protocol)


def _drawn(subject: Subject) -> Iterator[tuple[Tensor, Tensor]]:
    """The binary test images as they are scored, and the greys they were drawn from, a part after another."""
    test = subject.split("test")
    for start in range(0, len(test), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        yield subject.test[part].values.flatten(1).double(), test.images[part].flatten(1).double() / test.top


def _of_levels(subject: Subject) -> Iterator[Score]:
    test, train = subject.split("test"), subject.split("train")
    levels = subject.target.levels
    if levels * math.prod(subject.images.shape) > COUNTED:
        raise InapplicableError(f"a histogram of {levels:,} levels for every pixel is too large")
    logs = smoothed_histogram(train.images, levels).log()
    nats = torch.cat([histogram_scores(part, logs) for part in chunks(test.images)])
    protocol = f"levels of test images, Laplace-smoothed histograms of {len(train):,} training images"
    bits = nats / (math.prod(subject.images.shape) * math.log(2))
    yield mean_score("independent_pixels", "independent pixels", bits, "bits/dim", protocol)


def cross_entropy(x: Tensor, p: Tensor) -> Tensor:
    r"""The cross-entropy :math:`\sum_i -x_i \log p_i - (1 - x_i) \log (1 - p_i)` of images, in nats.

    Args:
        x: Binary values or probabilities, with shape (N, P).
        p: Probabilities, with shape (N, P) or (P,).
    """
    return -(torch.xlogy(x, p) + torch.xlogy(1 - x, 1 - p)).sum(-1)


def smoothed_mean(images: Rows, top: int) -> Tensor:
    """The mean grey of every value of an image with one white and one black image added, with shape (P,), as float64.

    Args:
        images: Levels, with shape (N, C, H, W).
        top: The level of white.
    """
    total = torch.stack([greys.sum(0) for greys in _greys(images, top)]).sum(0)
    return (total + 1) / (len(images) + 2)


def smoothed_histogram(images: Rows, levels: int) -> Tensor:
    """The share of every level in every value of an image, each counted once more than it is there.

    Args:
        images: Levels, with shape (N, C, H, W).
        levels: How many levels there are, L.

    Returns:
        Shape (P, L), as float64, with rows that sum to one.
    """
    pixels = math.prod(images.shape[1:])
    counts = torch.ones(pixels * levels, dtype=torch.float64)
    for part in chunks(images):
        counts += torch.bincount(_places(part, levels).flatten(), minlength=pixels * levels)
    return counts.view(pixels, levels) / (len(images) + levels)


def histogram_scores(images: Tensor, logs: Tensor) -> Tensor:
    """-log p(x) of images under independent pixels, in nats, with shape (N,).

    Args:
        images: Levels, with shape (N, C, H, W).
        logs: The log-probability of every level in every value of an image, with shape (P, L).
    """
    return -logs.flatten()[_places(images, logs.shape[1])].sum(1)


def _places(images: Tensor, levels: int) -> Tensor:
    """Where levels stand in a table with a row for every value of an image, with shape (N, P)."""
    flat = images.flatten(1).long()
    return flat + levels * torch.arange(flat.shape[1])


def _greys(images: Rows, top: int) -> Iterator[Tensor]:
    """The greys in [0, 1] of a part of the images after another, with shape (N, P), as float64."""
    return (part.flatten(1).double() / top for part in chunks(images))
