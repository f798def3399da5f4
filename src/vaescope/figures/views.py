"""How points of the latent space come onto paper: a window on it, and the directions it is looked at from.

A view is a 2 x d matrix whose rows say which way right and up point in latent space: for the plane of z1 and z3 they
are unit vectors, for an oblique view two rows of a rotation. Projection is then one matrix product, orthographic, so a
sphere around the prior's mean is a circle of the same radius in every view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaescope.figures.style import Array, require

SIGMAS = (1, 2)
"""The prior's circles, in standard deviations."""


@dataclass(frozen=True)
class View:
    """A direction to look from.

    Args:
        matrix: The latent directions of right and up, with shape (2, d).
        right: The name of the horizontal axis, or nothing where it is none of the latents.
        up: The name of the vertical axis, or nothing.
    """

    matrix: Array
    right: str = ""
    up: str = ""

    def __call__(self, z: Array) -> Array:
        """Projects latents with shape (..., d) to coordinates (..., 2), to the right and up."""
        return np.asarray(z @ self.matrix.T)


@dataclass(frozen=True)
class Window:
    """A square (cube) of latent space, with its centre of shape (d,) and half its side."""

    centre: Array
    half: float

    def holds(self, z: Array) -> Array:
        """Which of the latents (N, d) lie inside: booleans (N,)."""
        return np.asarray((np.abs(z - self.centre) <= self.half).all(axis=-1))


def window(final: Array, frames: Array, circles: bool) -> Window:
    """The square window that shows all of the last frame, and of the others what does not stretch it much.

    Early frames may be far away, and one far point must not make all others small: of all frames the window takes the
    range without the outermost half percent, and at most half as much again as the last frame needs. Points outside
    are left out of the picture.

    Args:
        final: The last latents, with shape (N, d).
        frames: All latents, with shape (..., d).
        circles: Whether the prior's circles are to be seen.
    """
    low, high = final.min(axis=0), final.max(axis=0)
    reach = 0.5 * float((high - low).max())
    bulk = np.quantile(frames.reshape(-1, frames.shape[-1])[:: max(1, frames.size // 400_000)], (0.005, 0.995), axis=0)
    low, high = np.minimum(low, np.maximum(bulk[0], low - reach)), np.maximum(high, np.minimum(bulk[1], high + reach))
    if circles:
        low, high = np.minimum(low, -1.1 * SIGMAS[-1]), np.maximum(high, 1.1 * SIGMAS[-1])
    return Window((low + high) / 2, max(0.52 * float((high - low).max()), 1e-6))


def planes(names: tuple[str, ...]) -> list[View]:
    """The planes of every two of the latents called ``names``."""
    d = len(names)
    pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
    return [View(np.eye(d)[[i, j]], names[i], names[j]) for i, j in pairs]


def oblique(azimuth: float, elevation: float = 20.0) -> View:
    """A view of three dimensions from an azimuth and an elevation, in degrees, with the third one upwards."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    right = (-np.sin(a), np.cos(a), 0.0)
    up = (-np.cos(a) * np.sin(e), -np.sin(a) * np.sin(e), np.cos(e))
    return View(np.array([right, up]))


def depth(view: View, z: Array) -> Array:
    """How near to the viewer the latents (N, 3) are: larger is nearer, with shape (N,)."""
    return np.asarray(z @ np.cross(view.matrix[0], view.matrix[1]))


CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
"""The corners of the cube, with shape (8, 3)."""
EDGES = [(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(CORNERS[i] - CORNERS[j]).sum() == 2]
"""The twelve pairs of corners that differ in one coordinate."""


def cube_edges(view: View) -> list[tuple[Array, Array]]:
    """The nine edges of the unit cube that the points in it do not hide: those without its nearest corner.

    Returns:
        Projected ends, two arrays with shape (2,) an edge.
    """
    nearest = int(np.argmax(depth(view, CORNERS)))
    corners = view(CORNERS)
    return [(corners[i], corners[j]) for i, j in EDGES if nearest not in (i, j)]


def cube_labels(view: View) -> list[tuple[Array, Array]]:
    """Where the names of the three axes go: beside the middle of an edge on the cube's outline, away from the middle.

    Of the four edges along an axis it is the lowest one of the outline, for the upright axis the leftmost one.

    Returns:
        For every axis the middle of the edge and the direction outwards, a unit vector, both with shape (2,).
    """
    labels = []
    for axis in range(3):
        middles = view(
            np.array([(CORNERS[i] + CORNERS[j]) / 2 for i, j in EDGES if CORNERS[i][axis] != CORNERS[j][axis]])
        )
        middle = middles[np.argmin(middles[:, 0] if axis == 2 else middles[:, 1])]
        labels.append((middle, middle / max(float(np.linalg.norm(middle)), 1e-9)))
    return labels


def ticks(low: float, high: float, count: int) -> Array:
    """About ``count`` round numbers from ``low`` to ``high``, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


CELLS = 80
"""Density is counted in so many cells along each side of the window."""


def crowd(points: Array, middle: Array, half: float) -> Array:
    """How many points there are in the cell of each of the points (N, 2), mean over three by three cells: (N,)."""
    cells = np.clip((points - middle + half) / (2 * half) * CELLS, 0, CELLS - 1).astype(int)  # (N, 2)
    counts = np.bincount(cells @ (CELLS, 1), minlength=CELLS**2).reshape(CELLS, CELLS)
    padded = np.pad(counts, 1)
    around = np.sum([padded[i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3)], axis=0) / 9
    return np.asarray(around[cells[:, 0], cells[:, 1]])


def density(crowd: Array) -> Array:
    """Counts (N,) on a logarithmic scale from 0, the sparsest, to 1, the densest."""
    logs = np.log(crowd)
    return np.asarray((logs - logs.min()) / max(float(np.ptp(logs)), 1e-9))


def shuffled(points: int) -> Array:
    """The order in which points are drawn: random, so that no class hides another, and always the same."""
    return np.random.default_rng(0).permutation(points)


def checked(
    z: Array, labels: Array | None, names: list[str], dimensions: tuple[int, ...]
) -> tuple[Array, Array | None]:
    """Latents (..., N, d) as float32 and labels (N,) as integers, where they fit together."""
    z = np.asarray(z, dtype=np.float32)
    allowed = " or ".join(str(d) for d in dimensions)
    require(
        z.shape[-1] in dimensions,
        f"latents can be drawn in {allowed} dimensions, got {z.shape[-1]}; project them first",
    )
    require(z.size > 0, f"there are no points to draw, the latents have shape {z.shape}")
    require(bool(np.isfinite(z).all()), "the latents are not finite; look at the run before drawing it")
    if labels is None:
        return z, None
    labels = np.asarray(labels)
    require(labels.shape == z.shape[-2:-1], f"{z.shape[-2]} points need as many labels, got shape {labels.shape}")
    require(labels.dtype.kind in "iu", f"labels are integers, got {labels.dtype}")
    known = int(labels.min()) >= 0 and int(labels.max()) < len(names)
    require(known, f"labels go from {labels.min()} to {labels.max()}, but there are {len(names)} class names")
    return z, labels
