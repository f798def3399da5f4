"""How good samples are: generated images against test images in a feature space, and against the training images.

Every number stands beside that of as many training images in place of generated ones: what a model would score whose
samples could not be told from the data. A Fréchet distance of a few hundred images is far from zero even then.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vaescope.figures import tiles
from vaescope.metrics.accuracy import wilson
from vaescope.metrics.resemblance import (
    BLOCKS,
    authentic,
    frechet_distance,
    jackknife_error,
    kernel_distances,
    manifolds,
    nearest,
)
from vaescope.metrics.score import InapplicableError, Picture, Score, mean_score, of_few
from vaescope.metrics.subject import Subject

NEIGHBOURS = 5
"""The number k of neighbours that a ball reaches to, for precision, recall, density and coverage."""

FEWEST = 2 * BLOCKS
"""Test images, generated images and training images that there must be, at least."""

PART = 1000
"""Images that are generated at a time."""

COPIED = (
    "samples are nearer to training images than new images are: nearest_training_images.png shows whether they are "
    "copies or only less varied"
)

SHOWN, ROWS = 10, 6
"""Samples in the picture, and training images below each."""


def samples(subject: Subject) -> Iterator[Score | Picture]:
    """Fréchet and kernel distance, precision, recall, density, coverage and authenticity of generated images."""
    count = min(subject.effort.generated, len(subject.split("train")))
    if min(count, len(subject.split("test"))) < FEWEST:
        raise InapplicableError(f"there are fewer than {FEWEST} training or test images")
    space = subject.features
    images, made = drawn(subject, count)
    real, training = (space.of_split(subject.split(name)) for name in ("test", "train"))
    subject.tick(6, 10)
    what = f"{count:,} generated images (means of the likelihood at draws of the prior, greys)"
    against = f"against {len(real):,} test images, {space}"
    yield from compared(real, made, f"{what} {against}", space.inception)
    subject.tick(7, 10)
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(subject.seed_for("order")))
    instead = f"{count:,} training images in place of generated ones {against}"
    yield from map(as_baseline, compared(real, training[order[:count]], instead, space.inception))
    subject.tick(8, 10)
    yield from authenticity(real, made, training, str(space))
    subject.tick(9, 10)
    yield neighbours(subject, images, made, training)


def drawn(subject: Subject, count: int) -> tuple[Tensor, Tensor]:
    """Generated images and their features, a part at a time.

    Args:
        subject: The model and its images.
        count: The number M of images.

    Returns:
        The images as bytes, with shape (M, C, H, W), and their features, with shape (M, F).
    """
    images, found = list[Tensor](), list[Tensor]()
    for k, start in enumerate(range(0, count, PART)):
        greys = subject.generated(min(PART, count - start), k)
        images.append((greys * 255).round().to(torch.uint8))
        found.append(subject.features.of(greys))
        subject.tick(start, 2 * count)
    return torch.cat(images), torch.cat(found)


def compared(real: Tensor, made: Tensor, protocol: str, inception: bool = False) -> Iterator[Score]:
    """The scores of generated images against real ones.

    Args:
        real: Features of test images, with shape (N, F).
        made: Features of generated images, with shape (M, F).
        protocol: What both are, in words.
        inception: Whether the features are those by which a Fréchet distance is called FID.
    """
    fid, kid = ("FID", "KID") if inception else ("Fréchet distance", "kernel distance")
    distance, error = frechet_distance(real, made), jackknife_error(frechet_distance, real, made)
    both, cases = "both sets, jackknife", "generated images"
    score = Score("frechet", fid, distance, "", protocol, len(made), cases, error, over=both, better="lower")
    yield of_few(score, BLOCKS)
    parts = kernel_distances(real, made)
    how = f"{protocol}, kernel (x·y/{real.shape[1]} + 1)³, unbiased, mean over {len(parts)} parts"
    kernel = mean_score("kernel", kid, parts, "", how, better="lower")
    kernel = replace(kernel, count=len(made), cases=cases, over="parts of both sets", each=None)
    yield of_few(kernel, len(parts))
    there = manifolds(real, made, NEIGHBOURS)
    balls = f"{protocol}, balls to the {NEIGHBOURS}th neighbour"
    for name in ("precision", "recall", "density", "coverage"):
        score = mean_score(name, name, getattr(there, name), "", balls, better="higher")
        score = score if name == "density" else with_wilson(score)
        score = score if name in ("recall", "coverage") else of_samples(score)
        yield replace(score, over=f"{score.cases}, the balls fixed")


def with_wilson(score: Score) -> Score:
    """A share with an interval that is never empty."""
    return replace(score, interval=wilson(score.value, score.count))


def of_samples(score: Score) -> Score:
    """A mean over generated images in place of test images."""
    return replace(score, cases="generated images", over="generated images", each=None)


def as_baseline(score: Score) -> Score:
    """The score of training images in place of generated ones."""
    cases = "training images" if score.cases == "generated images" else score.cases
    name, title = f"train_{score.name}", f"{score.title}, training images"
    return replace(score, name=name, title=title, cases=cases, of_data=True, each=None)


def authenticity(real: Tensor, made: Tensor, training: Tensor, space: str) -> Iterator[Score]:
    """The share of generated images that are no near copies of training images, and that of test images.

    Args:
        real: Features of test images, with shape (N, F).
        made: Features of generated images, with shape (M, F).
        training: Features of training images, with shape (T, F).
        space: The feature space, in words.
    """
    centre = training.mean(0)  # distances are more exact about it
    protocol = (
        f"share at least as far from the nearest of {len(training):,} training images as that one from its nearest "
        f"other, {space}"
    )
    own, others = (authentic(points - centre, training - centre) for points in (made, real))
    score = of_samples(with_wilson(mean_score("authenticity", "authenticity", own, "", protocol)))
    test = with_wilson(mean_score("test_authenticity", "authenticity, test images", others, "", protocol))
    copied = score.value < test.value - 4 * math.hypot(score.error or 0, test.error or 0)
    yield replace(score, warning=COPIED if copied else "")
    yield replace(test, of_data=True, each=None)


def neighbours(subject: Subject, images: Tensor, made: Tensor, training: Tensor) -> Picture:
    """Samples over their nearest training images, from the sample that is nearest to one to the one farthest from all.

    Args:
        subject: The model and its images.
        images: The generated images as bytes, with shape (M, C, H, W).
        made: Their features, with shape (M, F).
        training: Those of the training images, with shape (T, F).
    """
    centre = training.mean(0)
    distances = nearest(made - centre, training - centre)[0][:, 0]
    chosen = distances.argsort()[torch.linspace(0, len(made) - 1, SHOWN).round().long()]
    found = nearest(made[chosen] - centre, training - centre, ROWS)[1]
    split = subject.split("train")
    columns = split.greys(found.flatten())
    title = f"Samples over the nearest training images, {subject.images.title}"
    note = f"nearest in features of {subject.features.name}; left the sample nearest to any, right the farthest"
    shown = columns.reshape(SHOWN, ROWS, *columns.shape[1:]).swapaxes(0, 1)

    def draw(path: Path, footer: str) -> None:
        tiles.nearest(path, images[chosen].numpy(), shown, title=title, footer=footer, note=note)

    caption = (
        f"Ten of {len(made):,} generated images, each over the {ROWS} of {len(training):,} training images that are "
        f"most like it in the features of {subject.features.name}. On the left is the sample that is nearest to a "
        "training image, on the right the one that is farthest from all. A model that memorises shows copies."
    )
    return Picture("nearest_training_images", draw, caption)
