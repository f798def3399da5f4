"""Walks through the latent space: which points of it the pictures decode, and what to call them.

A picture goes along a latent through quantiles of the prior, so that all steps are equally probable, or through the
levels of one that has levels. An autoencoder's codes need not be where any prior is: there it goes through quantiles of
the codes. On a sphere the latents cannot move one by one: there it goes by angles, and every point is on the sphere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope.distributions import HypersphericalUniform, Levels, centre, nearest, quantiles, unit


@dataclass(frozen=True)
class Landscape:
    """A grid of latents.

    Args:
        z: The latents, with shape (rows, columns, D).
        down: The value of every row, with shape (rows,).
        across: The value of every column, with shape (columns,).
        names: What the values of columns and of rows are.
        rest: Where the other latents are, in words, if there are any.
    """

    z: Tensor
    down: Tensor
    across: Tensor
    names: tuple[str, str]
    rest: str = ""


@dataclass(frozen=True)
class Paths:
    """Paths that each move one of the latents.

    Args:
        z: The latents, with shape (L, S, D).
        values: The values of the one that moves, with shape (L, S).
        through: What it moves through, in words.
        others: What the others do, in words.
    """

    z: Tensor
    values: Tensor
    through: str
    others: str


@singledispatch
def landscape(p: Distribution, order: Sequence[int], count: int, codes: Tensor | None = None) -> Landscape:
    """The grid over the plane of two latents.

    Args:
        p: The prior, with event shape (D,).
        order: All latents, those to look at first.
        count: How many points there are a side.
        codes: The codes of an autoencoder, with shape (N, D), to go by instead of the prior.
    """
    values, through = _steps(p, count, 0.5 / count, codes)
    dims, plane = len(values), sorted(order[:2])
    across, down = values[plane[0]], values[plane[1]].flip(0) if dims > 1 else torch.zeros(1)
    middle = centre(p).cpu() if codes is None else codes.mean(0)
    z = middle.expand(len(down), len(across), -1).clone()
    z[..., plane[0]] = across
    if dims > 1:
        z[..., plane[1]] = down[:, None]
    names = [f"z{i + 1}, at {through}" for i in plane] + [""]
    where = "the prior's centre" if codes is None else "their mean"
    rest = f"the other {dims - 2} latents at {where}" if dims > 3 else f"the third at {where}" if dims == 3 else ""
    return Landscape(z, down, across, (names[0], names[1]), rest)


@landscape.register
def _(p: HypersphericalUniform, order: Sequence[int], count: int, codes: Tensor | None = None) -> Landscape:
    """The circle as one row, and the sphere of three latents by longitude and sine of the latitude: all tiles of such
    a grid are equally probable, as the area of a sphere is that of the cylinder around it."""
    dims = p.event_shape[0]
    count = min(count, 12) if dims == 2 else count  # a row of many is too small to be seen
    even = (2 * torch.arange(count) + 1) / count - 1  # (count,), the middles of equal parts of [-1, 1]
    axes = sorted(order[: min(3, dims)])
    up = even.flip(0)[:, None] if dims > 2 else torch.zeros(1, 1)
    z = torch.zeros(len(up), count, dims)
    z[..., axes[0]] = (1 - up.square()).sqrt() * (math.pi * even).cos()
    z[..., axes[1]] = (1 - up.square()).sqrt() * (math.pi * even).sin()
    if dims > 2:
        z[..., axes[2]] = up
    names = (f"angle of (z{axes[0] + 1}, z{axes[1] + 1}), in degrees", f"z{axes[2] + 1}" if dims > 2 else "")
    return Landscape(
        z, up[:, 0], (180 * even).round(decimals=1), names, f"the other {dims - 3} latents at zero" if dims > 3 else ""
    )


@singledispatch
def paths(p: Distribution, start: Tensor, latents: Sequence[int], count: int, codes: Tensor | None = None) -> Paths:
    """Paths from one end of each latent to the other.

    Args:
        p: The prior, with event shape (D,).
        start: Where the other latents stay, with shape (D,).
        latents: The indices of the L latents that move.
        count: How many steps there are.
        codes: The codes of an autoencoder, with shape (N, D), to go by instead of the prior.
    """
    values, through = _steps(p, count, 0.02, codes)
    values = values[list(latents)]
    z = start.expand(*values.shape, -1).clone()
    for row, latent in enumerate(latents):
        z[row, :, latent] = values[row]
    return Paths(z, values, through, "as one validation image has them")


@paths.register
def _(
    p: HypersphericalUniform, start: Tensor, latents: Sequence[int], count: int, codes: Tensor | None = None
) -> Paths:
    """Meridians: while one latent moves, the others keep their proportions."""
    values, through = _steps(p, count, 0.02, None)
    value = (values[0] - values[0].flip(0)) / 2  # (S,), the same for all latents, and symmetric
    z = start.expand(len(latents), count, -1).clone()
    for row, latent in enumerate(latents):
        z[row, :, latent] = 0
        z[row] = unit(z[row]) * (1 - value.square()).sqrt()[:, None]
        z[row, :, latent] = value
    others = "in the proportions that one validation image has them in, on the sphere"
    return Paths(nearest(p, z), value.expand(len(latents), -1), through, others)


def _steps(p: Distribution, count: int, edge: float, codes: Tensor | None) -> tuple[Tensor, str]:
    """The values that each latent goes through, with shape (D, S), and what they are, in words."""
    probabilities = torch.linspace(edge, 1 - edge, count)
    if codes is not None:
        return torch.quantile(codes, probabilities, dim=0).T, "quantiles of the codes"
    levels = getattr(p, "base_dist", None)
    if isinstance(levels, Levels):
        chosen = torch.linspace(0, len(levels.values) - 1, min(count, len(levels.values))).round().long()
        return levels.values.cpu()[chosen].expand(*p.event_shape, -1), "levels of the prior"
    return quantiles(p, probabilities.to(centre(p).device)).cpu(), "quantiles of the prior"
