"""What the axes and the values of an array of images mean: every rule for both is here.

- Axes: (N, H, W), (N, H, W, C), (N, C, H, W) with 1 to 4 channels, or (H, W) for one image.
- Values: bool (off, on), uint8, uint16; other integers within 0 ... 255 (8 bits) or 0 ... 65535 (16 bits); floats in
  [0, 1], which become 8 bits by rounding 255 x.

What fits two rules, or none, is refused.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vaescope.data.idx import Array
from vaescope.data.own.remembered import remembering
from vaescope.data.own.stored import Stored
from vaescope.data.pixels import MOST_PIXELS
from vaescope.errors import UsageError

AXES = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 to 4 channels"
CHANNELS = range(1, 5)

Order = Literal["HW", "NHW", "NHWC", "NCHW"]


@dataclass(frozen=True, eq=False)
class Images:
    """Images in an array, read block by block.

    Args:
        stored: The array.
        order: What its axes are.
        convert: From its values to uint8 or uint16.
        bits: 8 or 16.
    """

    stored: Stored
    order: Order
    convert: Callable[[Array], Array]
    bits: int

    def __len__(self) -> int:
        return 1 if self.order == "HW" else self.stored.shape[0]

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        axes = dict(zip(self.order, self.stored.shape, strict=True))
        return axes["H"], axes["W"], axes.get("C", 1)

    def blocks(self) -> Iterator[Array]:
        """The images in their order, each block with shape (rows, H, W, C), uint8 or uint16, in C order."""
        if self.order == "HW":
            whole = np.concatenate([self.convert(rows) for rows in self.stored.blocks()])
            yield np.ascontiguousarray(whole)[None, :, :, None]
            return
        for rows in self.stored.blocks():
            yield np.ascontiguousarray(_channels_last(self.convert(rows), self.order))

    def each(self) -> Iterator[Array]:
        """The images one by one, each with shape (H, W, C)."""
        for block in self.blocks():
            yield from block


def understand(stored: Stored, path: Path | None = None) -> Images:
    """Finds out what an array of images means.

    Args:
        stored: The array.
        path: The file that it is in, of which is remembered what its smallest and largest values are.

    Raises:
        UsageError: For axes and values that are none of those above.
    """
    order = _order(stored)
    axes = dict(zip(order, stored.shape, strict=True))
    if axes["H"] * axes["W"] > MOST_PIXELS:  # a small archive may promise any number of zeros
        raise UsageError(
            f"{stored.name} promises images of {axes['H']} x {axes['W']} pixels: at most {MOST_PIXELS:,} are decoded"
        )
    convert, bits = _values(stored, path)
    return Images(stored, order, convert, bits)


def _channels_last(rows: Array, order: Order) -> Array:
    if order == "NHW":
        return rows[..., None]
    return rows.transpose(0, 2, 3, 1) if order == "NCHW" else rows


def _order(stored: Stored) -> Order:
    shape, name = stored.shape, stored.name
    if math.prod(shape) == 0:
        raise UsageError(f"{name} holds no images: its shape is {shape}")
    if len(shape) == 2:
        return "HW"
    if len(shape) == 3:
        return _grey(shape, name)
    if len(shape) != 4:
        raise UsageError(f"{name} has {len(shape)} dimension{'s'[: len(shape) != 1]}, shape {shape}: expected {AXES}")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise UsageError(
            f"{name} has shape {shape}: channels may come first or last; pad the images to more than 4 pixels, or "
            "give a folder of PNG files"
        )
    if not first and not last:
        raise UsageError(f"{name} has shape {shape}, with {shape[1]} or {shape[3]} channels: expected {AXES}")
    return "NCHW" if first else "NHWC"


def _grey(shape: tuple[int, ...], name: str) -> Order:
    if shape[2] in CHANNELS:
        raise UsageError(
            f"{name} has shape {shape}: one image with {shape[2]} channels, or {shape[0]} of width {shape[2]}? "
            "add the axis of the images, array[None], or that of the channels, array[..., None]"
        )
    return "NHW"


def _values(stored: Stored, path: Path | None) -> tuple[Callable[[Array], Array], int]:
    """How values become bytes or 16-bit numbers, and how many bits they then have."""
    kind, name = stored.dtype.kind, stored.name
    if kind == "b":
        return lambda rows: rows.astype(np.uint8) * np.uint8(255), 8
    if kind == "u" and stored.dtype.itemsize <= 2:
        native = np.dtype(f"u{stored.dtype.itemsize}")
        return lambda rows: rows.astype(native, copy=False), 8 * native.itemsize
    if kind not in "iuf":
        what = "Python objects" if kind == "O" else f"values of type {stored.dtype}"
        raise UsageError(f"{name} holds {what}: expected uint8, uint16, bool, or floats in [0, 1]; save it as uint8")
    with remembering(path, "arrays") as facts:
        low, high = map(float, facts.recall(f"values {name}", lambda: _extremes(stored)).split())
    if kind == "f":
        _check_floats(low, high, name)
        return _round, 8
    if low < 0 or high > 65535:
        raise UsageError(f"{name} holds integers from {low:.0f} to {high:.0f}: expected 0 to 255, or to 65535")
    return (lambda rows: rows.astype(np.uint8), 8) if high <= 255 else (lambda rows: rows.astype(np.uint16), 16)


def _round(rows: Array) -> Array:
    return np.rint(rows * 255).astype(np.uint8)


def _extremes(stored: Stored) -> str:
    """The smallest and the largest value; NaN if there is one."""
    low, high = math.inf, -math.inf
    for rows in stored.blocks():
        low, high = min(float(rows.min()), low), max(float(rows.max()), high)
        if not math.isfinite(low - high):
            break
    return f"{low!r} {high!r}"


def _check_floats(low: float, high: float, name: str) -> None:
    if not math.isfinite(low - high):
        raise UsageError(f"{name} holds values that are not finite (NaN or infinity): expected floats in [0, 1]")
    if low < 0 or high > 1:
        coded = low >= 0 and 128 <= high <= 255
        most = f"divide them by the largest value there can be{f', {high:g}?' if high == round(high) else ''}"
        hint = "divide them by 255, or save them as uint8" if coded else "rescale them to [0, 1]" if low < 0 else most
        raise UsageError(f"{name} holds floats from {low:g} to {high:g}: expected [0, 1]; {hint}")
