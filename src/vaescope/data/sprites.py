"""Sprites: small white shapes on black that are drawn here, every combination of five factors once.

They are laid out as dSprites is, in one ``.npz`` file, so that what reads one reads the other::

    imgs              (36864, 32, 32) uint8, 0 or 1
    latents_classes   (36864, 6) int64: colour (always 0), shape, scale, orientation, posX, posY
    latents_values    (36864, 6) float64: the same as sizes, radians and shares of the way
    latents_names     (6,) text

The last column changes fastest. Unlike in dSprites, whose square looks the same after a quarter of a turn and whose
ellipse after half of one, no shape here has a rotational symmetry: every picture has one cause. Nor are 0 and a whole
turn two classes.

Every number on the way is an integer, so the pictures are the same bits on every machine. A pixel is white if at least
half of 4x4 points in it lie in the shape. Positions are whole pixels: moved shapes are moved, not redrawn.

References:
    | dSprites: Disentanglement testing Sprites dataset (Matthey et al., 2017)
    | https://github.com/google-deepmind/dsprites-dataset
"""

import hashlib
import math
from pathlib import Path

import numpy as np

from vaescope.data.idx import Array
from vaescope.data.own.stored import open_npz
from vaescope.errors import UsageError
from vaescope.files import atomic_file

FILE = "sprites.npz"

SIDE, STAMP = 32, 17
"""The pixels a side of an image, and of the square in which a shape turns."""

HEART = ((0, -51), (43, -4), (48, 10), (45, 24), (35, 34), (22, 34), (10, 28), (0, 16))
SHAPES = {
    "heart": (*HEART, *((-x, y) for x, y in HEART[-2:0:-1])),
    "wedge": ((0, 70), (-38, -35), (38, -35)),
    "hook": ((-26, 59), (-26, -41), (44, -41), (44, -9), (6, -9), (6, 59)),
}
"""The corners of each shape around the centre of its area, y upwards; 64 is a length of one."""

SCALES = (30, 40, 50, 60)
"""The lengths of one, in eighths of a pixel."""

COSINES = (4096, 3547, 2048, 0, -2048, -3547, -4096, -3547, -2048, 0, 2048, 3547)
"""Those of twelfths of a turn, times 4096."""

STEPS = SIDE - STAMP + 1
"""The places that a shape can have in each direction."""

NAMES = ("colour", "shape", "scale", "orientation", "posX", "posY")
SIZES = (1, len(SHAPES), len(SCALES), len(COSINES), STEPS, STEPS)


def draw() -> dict[str, Array]:
    """All images with their factors, by the names above."""
    stamps = np.stack([stamp(shape, scale, turn) for shape in SHAPES for scale in SCALES for turn in range(12)])
    images = np.zeros((len(stamps), STEPS, STEPS, SIDE, SIDE), np.uint8)
    for x in range(STEPS):
        for y in range(STEPS):
            images[:, x, y, y : y + STAMP, x : x + STAMP] = stamps
    classes = np.indices(SIZES).reshape(len(SIZES), -1).T.astype(np.int64)
    return {
        "imgs": images.reshape(-1, SIDE, SIDE),
        "latents_classes": np.ascontiguousarray(classes),
        "latents_values": np.stack([each[column] for each, column in zip(_values(), classes.T, strict=True)], axis=1),
        "latents_names": np.array(NAMES),
    }


def stamp(shape: str, scale: int, turn: int) -> Array:
    """One shape in its middle, 0 or 1, with shape (17, 17).

    Args:
        shape: Its name.
        scale: The length of one, in eighths of a pixel.
        turn: The twelfths of a turn, counter-clockwise.
    """
    points = (np.arange(STAMP)[:, None] - STAMP // 2) * 8 + np.array([-3, -1, 1, 3])
    x, y = np.meshgrid(points.flatten(), -points.flatten())
    cosine, sine = COSINES[turn], COSINES[(turn + 9) % 12]
    corners = np.array(SHAPES[shape], np.int64) * scale * 4096
    hit = _inside(corners, 64 * (cosine * x + sine * y), 64 * (cosine * y - sine * x))
    white = hit.reshape(STAMP, 4, STAMP, 4).sum((1, 3)) >= 8
    return white.astype(np.uint8)


def _inside(corners: Array, x: Array, y: Array) -> Array:
    """Whether points lie in a polygon: whether a ray from them to the right crosses an odd number of its sides."""
    odd = np.zeros(x.shape, bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        left = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1) > 0
        odd ^= ((y1 > y) != (y2 > y)) & (left == (y2 > y1))
    return odd


def _values() -> tuple[Array, ...]:
    """What the classes of each factor stand for."""
    turns, steps = np.arange(len(COSINES)), np.arange(STEPS) / (STEPS - 1)
    shapes, scales = np.arange(1.0, len(SHAPES) + 1), np.array(SCALES) / SCALES[-1]
    return np.ones(1), shapes, scales, turns * 2 * math.pi / len(turns), steps, steps


def keep(path: Path) -> None:
    """Draws all images into a file."""
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, **draw())  # type: ignore[arg-type]


def read(path: Path) -> tuple[Array, Array, str]:
    """What is in such a file.

    Returns:
        The images, 0 or 1, with shape (N, 32, 32); the classes of the factors with shape (N, 6); and the SHA-256 of
        both.

    Raises:
        UsageError: If it is damaged.
    """
    stored = open_npz(path)
    if missing := {"imgs", "latents_classes"} - set(stored):
        raise UsageError(f"{path} holds no {min(missing)}: delete it and run `vaescope data fetch sprites`")
    images, classes = stored["imgs"].whole(), stored["latents_classes"].whole()
    return images, classes, digest(images, classes)


def digest(images: Array, classes: Array) -> str:
    """The SHA-256 of the images and of their factors, which does not depend on how a file is compressed."""
    total = hashlib.sha256(repr((images.shape, classes.shape)).encode())
    for array, kind in ((images, "u1"), (classes, "<i8")):
        total.update(np.ascontiguousarray(array, kind).data)
    return total.hexdigest()


def places(images: int) -> dict[str, Array]:
    """The places of the images of each split: all of them in a random order that is always the same, of which the first
    eighth is for the test and the next one for validation.

    Args:
        images: The number of all images.
    """
    mixed = np.random.RandomState(0).permutation(images)  # this generator of numpy is frozen for ever
    test, validation, train = np.split(mixed, [images // 8, images // 4])
    return {"train": train, "validation": validation, "test": test}
