"""The points of the map: test images, where the model puts them, and how well it does with each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.distributions import centre
from vaescope.encoding import standard_deviation
from vaescope.errors import UsageError
from vaescope.explorer.blocks import Blocks
from vaescope.explorer.sheets import add_sheets, thumbnails
from vaescope.metrics.bound import distortions_and_rates
from vaescope.models import VAE, SemiVAE, aside, greys
from vaescope.run import Run

Array = np.ndarray

TOGETHER = 500
"""Images that are looked at at a time."""

POINTS, MOST_POINTS, MOST_LATENTS = 10_000, 100_000, 1024
"""Test images on a map unless others are asked for; the most of them, and of latents, that a page is made for."""

ROOM = 50_000_000
"""Bytes that latents may take in a page."""

WIDE = 16
"""With more latents than this, each is written in one byte."""

SCORES = {
    "error": {"title": "reconstruction error", "unit": "RMSE of greys in [0, 1]", "worse": "high"},
    "distortion": {"title": "distortion", "unit": "nats", "worse": "high"},
    "rate": {"title": "rate", "unit": "nats", "worse": "high"},
}
"""What is known of every point, with its words and whether what is large or what is small is bad."""

SUM = {"elbo": {"title": "ELBO", "unit": "nats", "worse": "low"}}
"""What the page works out itself, where there are both parts."""


@dataclass(frozen=True)
class Points:
    """Test images and what the model makes of them.

    Args:
        of: How many there are in all.
        labels: Their classes, with shape (N,), -1 where one has none; nothing without classes.
        columns: What is known of each by name: ``mean`` and ``scale`` of its posterior with shape (N, D),
            ``predicted``, ``error``, ``distortion`` and ``rate`` with shape (N,), where there is
            such; and small ``pictures`` of all, bytes.
    """

    of: int
    labels: Array | None
    columns: dict[str, Array]

    @property
    def codes(self) -> Array:
        """Where they are: the centres of the posteriors, with shape (N, D)."""
        return self.columns["mean"]


def look(run: Run, images: ImageSet, most: int) -> Points:
    """Looks at the test images of a run, as it was scored on them.

    A model that classifies is told no label: what it does with these images is what it does with any other.

    Args:
        run: The run.
        images: Its images.
        most: How many are shown at most, at equal distances.
    """
    split, chosen = images.test, evenly(len(images.test), most)
    part = split.part(chosen)
    check_room(run.model.prior.latent, len(part))
    told = None if isinstance(run.model, SemiVAE) else run.model.context(part.labels)
    examples = run.target.evaluation([images.validation.images, split.images])[1][chosen].conditioned(told)
    found = [
        looked(run, part.images[start : start + TOGETHER], examples[start : start + TOGETHER])
        for start in range(0, len(part), TOGETHER)
    ]
    columns = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    columns |= likelihoods(run.model, examples)
    if not all(np.isfinite(columns[name]).all() for name in ("mean", "scale") if name in columns):
        raise UsageError(f"{run.folder} puts some test images nowhere, at latents that are no numbers: train it anew")
    return Points(len(split), None if part.labels is None else part.labels.numpy(), columns)


def evenly(count: int, most: int) -> Tensor:
    """At most so many of some rows, at distances that are as equal as can be, over all of them: images of a folder come
    class after class, so that to stop before the end would leave classes out. The page counts in the same way.

    Args:
        count: How many rows there are.
        most: How many to take.

    Returns:
        Their numbers, with shape (min(count, most),).
    """
    taken = min(count, most)
    return torch.arange(taken) * count // max(1, taken)


def check_room(latents: int, count: int) -> None:
    """Refuses more points than a page has room for.

    Args:
        latents: The number of latents.
        count: The number of points.

    Raises:
        UsageError: If there are too many, with how many there may be.
    """
    each = latents * (3 if latents <= WIDE else 2) * 4 / 3  # a centre and a deviation, as text
    if count * each > ROOM:
        raise UsageError(
            f"{count:,} points with {latents:,} latents would make a page of {count * each / 1e6:,.0f} MB: "
            f"ask for at most {int(ROOM / each):,} points"
        )


def looked(run: Run, levels: torch.Tensor, examples: Examples) -> dict[str, Array]:
    """Some images and what the model makes of them, by the names of ``Points.columns``."""
    seen = levels.float() / (255 if levels.dtype == torch.uint8 else 65_535)
    made = greys.reconstruct(run.model, run.target, examples)
    error = (made - seen).square().flatten(1).mean(1).sqrt().numpy()
    return posteriors(run.model, examples) | {"error": error, "pictures": thumbnails(seen)}


def posteriors(model: VAE, examples: Examples) -> dict[str, Array]:
    """The centre of the posterior of every image, its standard deviation where there is one, and the class that is
    found by a model that classifies, by the names of ``Points.columns``. Nothing is random."""
    with aside(model, seed=0):
        x = examples.values
        q = model.infer(x, examples.context)
        scale = None if model.posterior.family.degenerate else standard_deviation(q)
        found = {"mean": centre(q)} | ({} if scale is None else {"scale": scale})
        if isinstance(model, SemiVAE):
            found["predicted"] = centre(model.classify(x)).argmax(-1)
    return {name: column.numpy() for name, column in found.items()}


def likelihoods(model: VAE, examples: Examples) -> dict[str, Array]:
    """The distortion and the rate of every image, with shape (N,), at one draw of z, as ``vaescope train`` scores them.

    An autoencoder, whose posterior is a point, has no rate.
    """
    distortion, rate = distortions_and_rates(model, examples).numpy()
    known = {"distortion": distortion}
    return known if model.posterior.family.degenerate else known | {"rate": rate}


def add_points(blocks: Blocks, points: Points, with_images: bool) -> dict[str, Any]:
    """Adds them to a page, and says what is there: see ``points``, ``scores`` and ``sheets`` in ``contents.ts``."""
    columns, codes = points.columns, points.codes
    blocks.add_range("codes", codes, "u16" if codes.shape[1] <= WIDE else "u8")
    if "scale" in columns:
        blocks.add_range("scales", columns["scale"], "u8", log=True)
    if points.labels is not None:
        blocks.add_classes("labels", points.labels)
    if "predicted" in columns:
        blocks.add_classes("predicted", columns["predicted"])
    scores = {name: words for name, words in SCORES.items() if name in columns and np.isfinite(columns[name]).all()}
    if "distortion" not in scores:  # of a sum the page shows both parts or none
        scores.pop("rate", None)
    for name in scores:
        blocks.add_range(f"score_{name}", columns[name])
    scores |= SUM if "rate" in scores else {}
    return {
        "points": {"count": len(codes), "of": points.of, "split": "test"},
        "scores": scores,
        "sheets": add_sheets(blocks, "sheet", columns["pictures"]) if with_images else None,
    }


def principal(codes: Array) -> tuple[Array, Array]:
    """The mean of codes with shape (N, D), and their two principal axes, with shape (2, D)."""
    centre = codes.mean(0)
    axes = np.linalg.eigh((codes - centre).T @ (codes - centre))[1].T[::-1][:2]
    axes = axes * np.where(axes.sum(1, keepdims=True) < 0, -1, 1)  # the sign of an axis is arbitrary: fix it
    return centre, np.concatenate([axes, np.zeros((2 - len(axes), codes.shape[1]))])
