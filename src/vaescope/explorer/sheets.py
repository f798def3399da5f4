"""Many small pictures as a few large ones: WebP, which every browser reads."""

import io
from typing import Any

import numpy as np
from PIL import Image

from vaescope.explorer.blocks import Blocks

Array = np.ndarray

SIDE = 4096
"""The largest side of a sheet, in pixels: what every browser can draw."""

QUALITY = 20
"""Of WebP: a picture of 28x28 takes about 110 bytes, a quarter of what it takes without loss."""


def add_sheets(blocks: Blocks, name: str, images: Array, quality: int | None = QUALITY) -> dict[str, Any]:
    """Adds pictures, and says where they are.

    Args:
        blocks: The blocks of the page.
        name: What the blocks are called, with a number after it.
        images: Bytes, with shape (N, C, H, W).
        quality: Of the compression, from 0 to 100, or nothing for one without loss.

    Returns:
        What the page is told: see ``Sheets`` in ``contents.ts``.
    """
    count, _, height, width = images.shape
    columns = min(count, SIDE // width)
    each = columns * (SIDE // height)
    names = []
    for start in range(0, count, each):
        names.append(f"{name}{len(names)}")
        blocks.add(names[-1], encoded(sheet(images[start : start + each], columns), quality), packed="none")
    return {
        "blocks": names,
        "height": height,
        "width": width,
        "columns": columns,
        "each": each,
        "count": count,
        "exact": quality is None,
    }


def sheet(images: Array, columns: int) -> Array:
    """Pictures with shape (N, C, H, W) side by side in rows: bytes with shape (rows * H, columns * W, C)."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    full = np.zeros((rows * columns, channels, height, width), np.uint8)
    full[:count] = images
    grid = full.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * height, columns * width, channels)


def encoded(pixels: Array, quality: int | None) -> bytes:
    """A WebP file of bytes with shape (H, W, C)."""
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).convert("RGBA" if "A" in mode else "RGB")
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=quality is None, quality=100 if quality is None else quality, method=4)
    return file.getvalue()
