"""GIF files: frames of palette indices, captions below them, and a size that is kept to.

A GIF's pixel is an index into a palette of at most 256 colours. Frames that are drawn in indices from the start need no
guess at the best colours afterwards, are written in milliseconds, and have the same colours from the first to the last.

The first frame is held for a moment and the last one for two seconds, and the animation loops. A thin bar above the
caption shows how far it is; as it grows from frame to frame no two frames are equal, and none is merged away.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vaescope.figures import style
from vaescope.figures.style import INK, RGB, SCREEN, Array, require
from vaescope.files import atomic_file

logger = logging.getLogger(__name__)

FIRST, BETWEEN, LAST = 700, 80, 2000
"""How long the first, every other and the last frame are shown, in milliseconds."""
LIMIT = 4_000_000
"""No file is larger, in bytes."""


@dataclass(frozen=True)
class Ink:
    """A palette, and where its greys are.

    Args:
        palette: Red, green and blue bytes, with shape (n, 3), where n is at most 256.
        greys: For every grey from 0, black, to 255, white, the index of the nearest one in the palette, shape (256,).
    """

    palette: Array
    greys: Array

    def __call__(self, picture: Image.Image) -> Array:
        """A grey picture as indices, with shape (h, w)."""
        return np.asarray(self.greys[np.asarray(picture)])


COLOURS = 16
"""The index of the first colour after the greys."""


def coloured(colours: Sequence[RGB] | Array) -> Ink:
    """Sixteen greys for words and lines, from white, which is 0, to black, and colours after them."""
    greys = np.repeat(255 - 17 * np.arange(COLOURS)[:, None], 3, axis=1)
    nearest = (255 - np.arange(256) + 8) // 17
    palette = np.concatenate([greys, np.reshape(colours, (-1, 3))])
    require(len(palette) <= 256, f"a palette holds 256 colours, got {len(palette)}")
    return Ink(palette.astype(np.uint8), nearest.astype(np.uint8))


def grey() -> Ink:
    """All 256 greys, every one at its own index."""
    levels = np.arange(256, dtype=np.uint8)
    return Ink(np.repeat(levels[:, None], 3, axis=1), levels)


def check(frames: int, captions: Sequence[str], width: int) -> None:
    """Raises a ``ValueError`` unless there is a caption for every frame and the width suits a page."""
    require(frames > 0, "there are no frames to draw")
    require(len(captions) == frames, f"{frames} frames need as many captions, got {len(captions)}")
    require(480 <= width <= 640, f"animations are from 480 to 640 px wide, got {width}")


def strips(captions: Sequence[str], width: int) -> list[Image.Image]:
    """The captions as grey pictures of one size, under a bar that grows from frame to frame."""
    fitting = (s for s in range(SCREEN.text, 11, -1) if style.widest(captions, s) <= width)
    size = next(fitting, SCREEN.small)
    texts = [style.wrapped(caption, size, width) for caption in captions]
    height = SCREEN.gap + 4 + max(1, *(len(lines) for lines in texts)) * style.line_height(size)
    pictures = []
    for shown, lines in enumerate(texts, start=1):
        picture = Image.new("L", (width, height), "white")
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 1, width - 1, 2), fill=0xEE)
        draw.rectangle((0, 1, max(shown * width // len(texts) - 1, 0), 2), fill=0x66)
        for i, line in enumerate(lines):
            style.write(picture, (0, SCREEN.gap + 2 + i * style.line_height(size)), line, size, INK)
        pictures.append(picture)
    return pictures


def encoded(frames: Sequence[Array], ink: Ink) -> bytes:
    """Frames of indices, each with shape (h, w), as the bytes of a GIF file."""
    images = []
    for frame in frames:
        image = Image.fromarray(frame)
        image.putpalette(ink.palette.tobytes())
        images.append(image)
    times = [FIRST, *[BETWEEN] * (len(images) - 2), LAST][-len(images) :]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0, optimize=False)
    return file.getvalue()


def thinned(frames: int) -> Iterator[list[int]]:
    """All frames, every second one, every fourth one, ..., and at the end the last one, which is always among them."""
    step = 1
    while step < 2 * frames:
        yield sorted({*range(0, frames, step), frames - 1}) if step < frames else [frames - 1]
        step *= 2


def save(path: Path, versions: Iterator[Callable[[], bytes]]) -> None:
    """Writes the first version that is not larger than the limit; every one should be smaller than the one before."""
    for number, version in enumerate(versions):
        data = version()
        if len(data) <= LIMIT:
            if number:
                logger.info("%s was larger than 4 MB and is written with less in it", Path(path).name)
            with atomic_file(Path(path)) as temporary:
                temporary.write_bytes(data)
            return
    raise ValueError(f"{Path(path).name} does not fit into 4 MB; give fewer or smaller frames")
