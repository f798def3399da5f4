"""Many small pictures as a few large ones: WebP, which every browser reads."""

import io
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from vaescope.explorer.blocks import Blocks

Array = np.ndarray

SIDE = 4096
"""The largest side of a sheet, in pixels: what every browser can draw."""

THUMBNAIL = 64
"""The largest side of a picture on a sheet, in pixels. The model draws in full size."""

QUALITY = 17
"""Of WebP: a picture of 28x28 takes about 100 bytes, a quarter of what it takes without loss."""


def thumbnails(greys: Tensor) -> Array:
    """Images as the bytes of small pictures, each pixel the mean of those that it stands for.

    Args:
        greys: Images in [0, 1], with shape (N, C, H, W).

    Returns:
        Bytes, with shape (N, C, h, w) and h and w of at most 64.
    """
    height, width = greys.shape[-2:]
    larger = max(height, width)
    if larger > THUMBNAIL:
        small = [max(1, round(side * THUMBNAIL / larger)) for side in (height, width)]
        greys = interpolate(greys, small, mode="area")
    return (255 * greys).round().byte().numpy()


def add_sheets(blocks: Blocks, name: str, images: Array) -> dict[str, Any]:
    """Adds pictures, and says where they are.

    Args:
        blocks: The blocks of the page.
        name: What the blocks are called, with a number after it.
        images: Bytes, with shape (N, C, H, W).

    Returns:
        What the page is told: see ``Sheets`` in ``contents.ts``.
    """
    count, _, height, width = images.shape
    columns = min(count, SIDE // width)
    each = columns * (SIDE // height)
    names: list[str] = []
    for start in range(0, count, each):
        names.append(f"{name}{len(names)}")
        blocks.add(names[-1], webp(sheet(images[start : start + each], columns)), "none")
    place = {"height": height, "width": width, "columns": columns, "each": each, "count": count}
    return {"blocks": names, **place, "exact": False}


def sheet(images: Array, columns: int) -> Array:
    """Pictures with shape (N, C, H, W) side by side in rows: bytes with shape (rows * H, columns * W, C)."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    full = np.zeros((rows * columns, channels, height, width), np.uint8)
    full[:count] = images
    grid = full.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * height, columns * width, channels)


def webp(pixels: Array) -> bytes:
    """A WebP file of bytes with shape (H, W, C)."""
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)
    file = io.BytesIO()
    image.convert("RGBA" if "A" in mode else "RGB").save(file, "WEBP", quality=QUALITY, method=5)
    return file.getvalue()
