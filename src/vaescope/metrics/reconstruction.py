r"""How near reconstructions come to the images: squared error, peak signal-to-noise ratio, structural similarity.

.. math:: \mathrm{MSE} = \frac{1}{C H W} \sum_i (x_i - \hat{x}_i)^2, \quad
          \mathrm{PSNR} = -10 \log_{10} \mathrm{MSE} \; \mathrm{dB}

of greys in [0, 1]. Every number is of one image, and the score is their mean: the mean PSNR is not the PSNR of the mean
error. Structural similarity is that of :mod:`vaescope.nets.ssim`.

None of them is a likelihood, and a small error alone makes no good model: a model that copies has none.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vaescope.metrics.embeddings import pixels, principal_axes
from vaescope.metrics.score import Picture, Score, mean_score
from vaescope.metrics.subject import Subject
from vaescope.nets import ms_ssim, ssim
from vaescope.nets.ssim import SIDE, SIGMA, WEIGHTS, scales

CHUNK = 500
"""Pairs of images at a time."""

FINEST = 1e-10
"""The least squared error in a PSNR: reconstructions that are this near count as 100 dB."""

GREYS = "test images as greys in [0, 1] against"

SHOWN = 10
"""So many of the best and of the worst are shown, at most."""


def squared_errors(x: Tensor, y: Tensor) -> Tensor:
    """The mean squared error of every image, with shape (N,).

    Args:
        x: Images, with shape (N, C, H, W).
        y: Their reconstructions, of the same shape.
    """
    return (x - y).square().flatten(1).mean(1)


def psnr(errors: Tensor) -> Tensor:
    """The peak signal-to-noise ratio of mean squared errors of values in [0, 1], in dB, at most 100.

    Args:
        errors: The mean squared error of every image, with shape (N,).
    """
    return -10 * errors.clamp(min=FINEST).log10()


def in_chunks(measure: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """What a measure of pairs gives of every pair, a few at a time.

    Args:
        measure: From two batches of images to one number for each pair.
        x: Images, with shape (N, C, H, W).
        y: Images to compare them with, of the same shape.
    """
    return torch.cat([measure(*pair) for pair in zip(x.split(CHUNK), y.split(CHUNK), strict=True)])


def similarities(measure: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """A structural similarity of every pair, which is above 1 by rounding alone.

    Args:
        measure: The similarity, one number for each pair.
        x: Images, with shape (N, C, H, W).
        y: Images to compare them with, of the same shape.
    """
    return in_chunks(measure, x, y).clamp(max=1)


def extremes(errors: Tensor, count: int = SHOWN) -> tuple[Tensor, Tensor]:
    """The images with the largest and those with the smallest errors, the most extreme first; no image is in both.

    Args:
        errors: One number for each image, with shape (N,).
        count: How many of each, at most: N // 2 where there are fewer.

    Returns:
        Their indices, with shape (K,) each.
    """
    count, order = min(count, len(errors) // 2), errors.argsort(stable=True)
    return order.flip(0)[:count], order[:count]


def reconstruction(subject: Subject) -> Iterator[Score | Picture]:
    """MSE, PSNR, SSIM and MS-SSIM of the reconstructions of test images, and the best and the worst of them."""
    x, y = subject.greys("test"), subject.reconstructions
    seen, window = protocol(subject), similarity_protocol(subject)
    errors = in_chunks(squared_errors, x, y)
    yield mean_score("mse", "mean squared error", errors, "", seen, better="lower")
    yield from baselines(subject, x)
    noted = f"{seen}; mean of the ratios of single images, at most 100 dB each"
    yield mean_score("psnr", "PSNR", psnr(errors), "dB", noted, better="higher")
    yield mean_score("ssim", "SSIM", similarities(ssim, x, y), "", f"{seen}; {window}", better="higher")
    if (count := scales(*x.shape[-2:])) > 1:
        title = "MS-SSIM" if count == len(WEIGHTS) else f"MS-SSIM, {count} scales"
        noted = f"{seen}; {window}; {of_scales(count)}"
        yield mean_score("ms_ssim", title, similarities(ms_ssim, x, y), "", noted, better="higher")
    if len(x) > 1:
        yield best_and_worst(subject, errors)


def baselines(subject: Subject, x: Tensor) -> Iterator[Score]:
    """The squared errors of what needs no model: the mean training image, and principal components."""
    axes = principal_axes(pixels(subject.split("train")), subject.codes("test").shape[1])
    of = f"of the greys of {axes.images:,} training images"

    def errors(view: Callable[[Tensor], Tensor]) -> Tensor:
        return in_chunks(lambda a, b: squared_errors(a, view(b.flatten(1)).view_as(b).clamp(0, 1)), x, x)

    nothing, linear = errors(lambda rows: axes.mean.expand_as(rows)), errors(lambda rows: axes.back(axes(rows)))
    yield baseline("mse_mean_image", "MSE of the mean training image", nothing, f"{GREYS} the mean {of}")
    words = f"{GREYS} the first {axes.axes.shape[1]} principal components {of}, clipped to [0, 1]"
    yield baseline("mse_pca", f"MSE, {axes.words}", linear, words)


def baseline(name: str, title: str, errors: Tensor, seen: str) -> Score:
    """The squared error of what needs no model."""
    return replace(mean_score(name, title, errors, "", seen, better="lower"), of_data=True)


def protocol(subject: Subject) -> str:
    """What is compared with what."""
    words = f"{GREYS} the mean of p(x|z) at the centre of q(z|x)"
    words += ", of which the encoder sees the fixed binary draw" if subject.target.discrete else ""
    return words + (", the label of each image given" if subject.model.classes else "")


def similarity_protocol(subject: Subject) -> str:
    """The settings of structural similarity."""
    height, width = (min(SIDE, side) for side in subject.images.shape[1:])
    window = f"Gaussian window of {height} × {width} pixels with σ {SIGMA:g} wherever it fits in"
    return f"{window}, K1 0.01, K2 0.03, mean over channels"


def of_scales(count: int) -> str:
    """The scales of a multi-scale similarity, and their weights."""
    share = sum(WEIGHTS) / sum(WEIGHTS[:count])
    weights = ", ".join(f"{weight * share:.4f}" for weight in WEIGHTS[:count])
    fewer = "" if count == len(WEIGHTS) else f" (the first of five, as many as the window of {SIDE} pixels fits into)"
    return f"{count} scales{fewer} with weights {weights}"


def best_and_worst(subject: Subject, errors: Tensor) -> Picture:
    """The test images with the largest and the smallest errors, over their reconstructions."""
    worst, best = extremes(errors)
    rows = torch.stack((worst, best))
    names = [f"{word}: MSE {span(errors[row])}" for word, row in zip(("worst", "best"), rows, strict=True)]
    originals = subject.split("test").greys(rows.flatten())
    made = subject.reconstructions[rows.flatten()].numpy()
    shape = (*rows.shape, *originals.shape[1:])

    def draw(path: Path, footer: str) -> None:
        from vaescope.figures.style import drawable
        from vaescope.figures.tiles import reconstructions

        title = (
            f"The worst and the best reconstructions of {len(errors):,} {drawable(subject.images.title)} test images"
        )
        footer += " · the encoder sees the images binarised" if subject.target.discrete else ""
        reconstructions(path, originals.reshape(shape), made.reshape(shape), names, title=title, footer=footer)

    caption = (
        f"The {len(worst)} test images with the largest mean squared error and the {len(best)} with the smallest, each "
        "over its reconstruction. Busy, bright images come out worst whatever the model: an error counts every pixel, "
        "and dark ones are easy."
    )
    return Picture("best_and_worst", draw, caption)


def span(errors: Tensor) -> str:
    """The first and the last of sorted errors, with two digits that count."""
    first, last = (
        f"{error:.{max(0, 1 - math.floor(math.log10(error)))}f}" if error > 0 else "0"
        for error in (errors[0].item(), errors[-1].item())
    )
    return first if first == last else f"{first}–{last}"
