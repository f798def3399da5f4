r"""Anomaly detection: does the model find images of another kind strange?

Test images are compared with outliers: images of another set, or of classes that the model has never seen. The number
that should be higher for outliers is one of

- the negative bound :math:`-\mathrm{ELBO} \ge -\log p(x)`, or the distortion of an autoencoder;
- the mean squared error of the reconstruction;
- the likelihood ratio :math:`\log p_0(x) + (-\mathrm{ELBO})` to a background model :math:`p_0` in which pixels are
  independent, each with its own distribution over the training images;
- the bound less the input complexity, :math:`-\mathrm{ELBO} - L(x)`, with :math:`L` the length of the image when it is
  compressed.

The bound alone is known to fail: simple images get high likelihoods from models that have never seen their like. The
last two ask how likely an image is for what it is.

References:
    | Do Deep Generative Models Know What They Don't Know? (Nalisnick et al., 2019)
    | https://arxiv.org/abs/1810.09136
    | Likelihood Ratios for Out-of-Distribution Detection (Ren et al., 2019)
    | https://arxiv.org/abs/1906.02845
    | Input Complexity and Out-of-distribution Detection with Likelihood-based Generative Models (Serrà et al., 2020)
    | https://arxiv.org/abs/1909.11480
"""

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.rows import Rows
from vaescope.families import Bernoulli
from vaescope.metrics.bound import CHUNK, distortions_and_rates
from vaescope.metrics.ranking import auroc, average_precision, average_precision_error, end_interval
from vaescope.metrics.score import InapplicableError, Score
from vaescope.metrics.subject import Subject
from vaescope.models import SemiVAE, greys

Background = Callable[[Tensor], Tensor]
"""From values with shape (N, C, H, W) to the negative log-probability of each image, in nats, with shape (N,)."""

LEVELS = 256
"""The levels that greys are told apart by in a histogram."""

BELOW_CHANCE = (
    "below chance: outliers are found less strange than test images, as simple images often are (Nalisnick et al., "
    "2019); compare the likelihood ratio and the complexity"
)


@dataclass(frozen=True)
class Strangeness:
    """A number that should be higher for outliers.

    Args:
        name: What programs call it.
        title: What tables call it.
        how: What it is, in words.
        numbers: Those of test images, with shape (N,), and those of outliers, with shape (M,).
        of_data: Whether the model has no part in it.
    """

    name: str
    title: str
    how: str
    numbers: Sequence[Tensor]
    of_data: bool = False


def anomalies(subject: Subject) -> Iterator[Score]:
    """How well several numbers tell outliers from test images, each by AUROC and AUPR."""
    outliers = subject.outliers
    if outliers is None:
        raise InapplicableError("there is nothing to compare with: give other images with --against")
    if subject.model.classes and not isinstance(subject.model, SemiVAE):
        raise InapplicableError("the model is conditioned on labels, which outliers do not have")
    if min(len(outliers.examples), len(subject.test)) < 2:
        raise InapplicableError("it takes two test images and two outliers")
    protocol = (
        f"{len(outliers.examples):,} images of {outliers.title} as outliers against {len(subject.test):,} test images"
    )
    for k, strange in enumerate(strangenesses(subject)):
        yield from told_apart(strange, protocol, subject.seed_for("anomalies", k), outliers.title)


def strangenesses(subject: Subject) -> Iterator[Strangeness]:
    """Every number that should be higher for outliers than for test images."""
    assert subject.outliers is not None
    inside, outside = subject.test.conditioned(None), subject.outliers.examples
    point = subject.model.posterior.family.degenerate
    bounds = [
        distortions_and_rates(subject.model, part, subject.seed_for("strange", k)).sum(0)
        for k, part in enumerate((inside, outside))
    ]  # draws of their own: the error of an area takes the two kinds of cases to be independent
    subject.tick(1, 4)
    name, title = ("distortion", "distortion") if point else ("negative_elbo", "−ELBO")
    draw = "at the code" if point else "at one draw of the latents"
    yield Strangeness(name, title, f"{title} {draw}", bounds)
    sides: tuple[tuple[Examples, Rows], ...]
    sides = ((inside, subject.split("test").images), (outside, subject.outliers.images))
    errors = [squared_errors(subject, *side) for side in sides]
    yield Strangeness("reconstruction", "squared error", "mean squared error of the reconstruction, in greys", errors)
    subject.tick(2, 4)
    background, kind = background_of(subject)
    alone = [_in_parts(background, part) for part in (inside, outside)]
    ratios = [bound - nats for bound, nats in zip(bounds, alone, strict=True)]
    yield Strangeness("ratio", "ratio to independent pixels", f"{title} {draw} less the nats of {kind}", ratios)
    subject.tick(3, 4)
    shorter = [_in_parts(lambda values: complexity(subject, values), part) for part in (inside, outside)]
    less = [bound - nats for bound, nats in zip(bounds, shorter, strict=True)]
    how = "the length of the image as the model is shown it, differences along rows compressed by zlib"
    yield Strangeness("complexity", "less input complexity", f"{title} {draw} less {how}", less)
    yield Strangeness("pixels_alone", "independent pixels alone", f"the nats of {kind}", alone, of_data=True)
    yield Strangeness("complexity_alone", "input complexity alone", how, shorter, of_data=True)


def told_apart(strange: Strangeness, protocol: str, seed: int, title: str) -> Iterator[Score]:
    """AUROC and AUPR of one number.

    Args:
        strange: The number.
        protocol: What is told apart.
        seed: Decides the resamples.
        title: What the outliers are.
    """
    inside, outside = strange.numbers
    area, error = auroc(inside, outside)
    words, count = f"{protocol}, by {strange.how}", len(inside) + len(outside)
    warning = BELOW_CHANCE if area + 2 * error < 0.5 and not strange.of_data else ""
    score = partial(Score, unit="", count=count, cases=f"test images and those of {title}")
    told = area in (0, 1)
    yield score(
        name=f"{strange.name}_auroc",
        title=f"AUROC, {strange.title}",
        value=area,
        protocol=f"{words}; {'interval after Newcombe' if told else 'error after DeLong'}",
        error=None if told else error,
        interval=end_interval(area, len(inside), len(outside)) if told else None,
        better=None if strange.of_data else "higher",
        of_data=strange.of_data,
        warning=warning,
    )
    if not strange.of_data:
        yield score(
            name=f"{strange.name}_aupr",
            title=f"AUPR, {strange.title}",
            value=average_precision(inside, outside),
            protocol=f"{words}; outliers are the positives, chance is {len(outside) / count:.3f}",
            error=average_precision_error(inside, outside, seed) or None,
            over="resamples",
            better="higher",
        )


def squared_errors(subject: Subject, examples: Examples, images: Rows) -> Tensor:
    """The mean squared error of the reconstruction of each image, in greys.

    Args:
        subject: The model.
        examples: N images as the model is shown them.
        images: Their levels, with shape (N, C, H, W).

    Returns:
        Errors, with shape (N,), as float64.
    """
    found = []
    for start in range(0, len(examples), CHUNK):
        part = slice(start, start + CHUNK)
        made = greys.reconstruct(subject.model, subject.target, examples[part])
        found.append((made - images[part].float() / subject.target.top).double().square().flatten(1).mean(1))
    return torch.cat(found)


def background_of(subject: Subject) -> tuple[Background, str]:
    """The background model of the training images, and what it is, in words."""
    train = subject.train
    if subject.target.discrete or isinstance(subject.model.likelihood.family, Bernoulli):
        return independent_bernoulli(train), f"independent Bernoulli pixels of {len(train):,} training images"
    low, high = subject.target.interval

    def level(values: Tensor) -> Tensor:
        return ((values - low) / (high - low) * (LEVELS - 1)).round().long()

    known = independent_levels((level(part.values) for part in train.split(CHUNK)), LEVELS)
    return lambda values: known(level(values)), f"independent pixel histograms of {len(train):,} training images"


def independent_bernoulli(examples: Examples) -> Background:
    """Pixels that are independent, each with the mean that it has, smoothed by one image of ones and one of zeros.

    Args:
        examples: N images with values in [0, 1].
    """
    total = torch.stack([part.values.double().sum(0) for part in examples.split(CHUNK)]).sum(0)
    p = (total + 1) / (len(examples) + 2)  # (C, H, W)
    on, off = p.log(), torch.log1p(-p)
    return lambda values: -(values.double() * (on - off) + off).flatten(1).sum(1)


def independent_levels(parts: Iterator[Tensor], levels: int) -> Background:
    """Pixels that are independent, each with its histogram over some images, smoothed by one count of every level.

    Args:
        parts: Levels, each with shape (n, C, H, W), int64.
        levels: The number of levels.
    """
    counts = torch.ones(0)
    for part in parts:
        pixels = part.flatten(1).T  # (P, n)
        counts = counts if len(counts) else torch.ones(len(pixels), levels)
        counts.scatter_add_(1, pixels, torch.ones_like(pixels, dtype=counts.dtype))
    logs = (counts / counts.sum(1, keepdim=True)).log()  # (P, levels)
    return lambda values: -logs.gather(1, values.flatten(1).T).double().sum(0)


def complexity(subject: Subject, values: Tensor) -> Tensor:
    """The compressed length of images as the model is shown them, in nats, with shape (N,).

    Args:
        subject: Whose target says what values are.
        values: Images, with shape (N, C, H, W).
    """
    top = 1 if subject.target.discrete else subject.target.top
    levels = (subject.target.pixels(values) * top).round().numpy().astype(np.uint16 if top > 255 else np.uint8)
    return compressed(levels)


def compressed(levels: np.ndarray) -> Tensor:
    """The nats that images take when differences along their rows are compressed by zlib at its best.

    Args:
        levels: Images, with shape (N, C, H, W), unsigned integers.

    Returns:
        Lengths, with shape (N,), as float64.
    """
    steps = np.diff(levels, axis=-1, prepend=levels.dtype.type(0))  # modulo the number of levels
    return torch.tensor([8 * math.log(2) * len(zlib.compress(image.tobytes(), 9)) for image in steps]).double()


def _in_parts(look: Callable[[Tensor], Tensor], examples: Examples) -> Tensor:
    """What a look at the values of images gives, a part at a time."""
    return torch.cat([look(part.values) for part in examples.split(CHUNK)])
