"""What a page is told of a run: see ``Contents`` in ``web/src/contents.ts``, which says what every word means."""

from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution

from vaescope import __version__, pictures
from vaescope.data.images import ImageSet
from vaescope.distributions import HypersphericalUniform, Levels, quantiles
from vaescope.errors import UsageError
from vaescope.explorer.blocks import Blocks, short
from vaescope.explorer.points import WIDE, add_points, look, principal
from vaescope.explorer.stills import add_stills
from vaescope.explorer.travel import curves, travel
from vaescope.facts import name_of, title_of
from vaescope.figures.style import colour, cycle_note
from vaescope.models import SemiVAE, aside
from vaescope.models.trace import temper
from vaescope.outline import count
from vaescope.priors import StandardNormal
from vaescope.run import Run

Array = np.ndarray

TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
DRAWN, MOST_DRAWS = 60_000, 500
"""Numbers in the draws of a prior at each temperature, at most, and draws."""

PROBABILITIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995)


def gather(run: Run, images: ImageSet, blocks: Blocks, points: int, with_images: bool) -> dict[str, Any]:
    """Adds the arrays and pictures of a page, and returns what describes them.

    Args:
        run: The run.
        images: Its images.
        blocks: Where they are added.
        points: How many test images are shown at most.
        with_images: Whether pictures of the image set may be in it.
    """
    found = look(run, images, points)
    shown = add_points(blocks, found, with_images)
    middle, axes = principal(found.codes)
    blocks.add_array("middle", middle, "f32")
    blocks.add_array("axes", axes, "f32")
    return {
        "version": __version__,
        "run": name_of(run),
        "title": title_of(run),
        "caption": f"step {run.step:,} · validation loss {run.loss:,.1f} nats per image",
        "shape": list(run.shape),
        "classes": list(run.classes),
        "colours": [colour(k, len(run.classes)) for k in range(len(run.classes))],
        "cycle": cycle_note(len(run.classes)),
        "model": described(run),
        "prior": drawn(run, blocks),
        **shown,
        "travel": travel(run, images, blocks, (middle, axes), with_images),
        "curves": curves(run, images),
        "pictures": add_stills(blocks, run.folder / "figures", with_images),
    }


def described(run: Run) -> dict[str, Any]:
    """The model in words, and what the page has to know to use it."""
    model, family = run.model, run.model.posterior.family
    return {
        "latents": model.prior.latent,
        "prior": pictures.words(model.prior),
        "posterior": pictures.words(family),
        "likelihood": pictures.words(model.likelihood.family),
        "network": type(getattr(run.config.model, "network", None)).__name__.replace("NoneType", ""),
        "parameters": count(model),
        "point": family.degenerate,
        "normal": type(family).__name__ == "DiagonalNormal",
        "labels": "none" if not model.classes else "found" if isinstance(model, SemiVAE) else "given",
        "support": support(model.prior()),
        "binary": run.target.discrete,
        "missing": "",
        "fit": run.config.data.fit,
    }


def support(prior: Distribution) -> str | int:
    """Where latents may be: anywhere, on the sphere, or each at one of so many even levels from -1 to 1."""
    if isinstance(prior, HypersphericalUniform):
        return "sphere"
    levels = getattr(prior, "base_dist", None)
    return len(levels.values) if isinstance(levels, Levels) else "all"


def drawn(run: Run, blocks: Blocks) -> dict[str, Any]:
    """Adds draws of the prior at the temperatures that it has, and returns these and the quantiles of each latent."""
    prior, latents = run.model.prior(), run.model.prior.latent
    draws = {}
    for temperature in TEMPERATURES:
        with aside(run.model, seed=0):
            try:
                draws[temperature] = temper(temperature, min(MOST_DRAWS, DRAWN // latents))(0, prior, None).numpy()
            except UsageError:  # a distribution that has no scale
                continue
    blocks.add_range("draws", np.stack(list(draws.values())), "u16" if latents <= WIDE else "u8")
    with aside(run.model, seed=0):
        known = quantiles(prior, torch.tensor(PROBABILITIES))
    return {
        "standard": isinstance(run.model.prior, StandardNormal),
        "temperatures": list(draws),
        "probabilities": list(PROBABILITIES),
        "quantiles": short(known.numpy()),
    }
