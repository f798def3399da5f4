"""One hand for every picture: colours, type, the page, and pixels that stay pixels.

A picture is a *body* on a *page*. The page carries the title above and the footer below and is always drawn here, so
all pictures look alike; the body is either a sheet of image tiles (numpy) or a drawing (matplotlib, on its Agg canvas
and without pyplot, at 72 dots an inch so that a font size in points is a size in pixels).

Images come as arrays with shape (..., C, H, W), in [0, 1] or as bytes, and leave as RGB bytes with shape
(..., H, W, 3). They are enlarged by whole factors: a pixel becomes a square, and nothing is smoothed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vaescope.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
RGB = tuple[int, int, int]

# fmt: off
CLASSES = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)
"""Ten colours told apart with and without colour-vision deficiency (Petroff, 2021, https://arxiv.org/abs/2107.02270)."""
# fmt: on

INK, GREY, LINE, PAPER = "#222222", "#666666", "#cccccc", "#ffffff"
DISTORTION, RATE, LATENT = CLASSES[0], CLASSES[6], CLASSES[4]
"""The two halves of the -ELBO and the latent variable, in every picture that shows them."""


@dataclass(frozen=True)
class Type:
    """Sizes of type and white space, in pixels."""

    title: int
    text: int
    small: int
    margin: int
    gap: int


PRINT = Type(title=38, text=32, small=28, margin=40, gap=24)
"""For pictures from 1,000 to 1,600 px wide, which are also shown 400 px wide."""
SCREEN = Type(title=17, text=14, small=12, margin=10, gap=8)
"""For animations, which are shown at their own size."""

WIDTH = 1400
"""The width that the body of a picture keeps to, in pixels. No page is wider than 1,600."""
HEIGHT = 2400
"""The height that the body of a picture keeps to where its tiles can be made smaller, in pixels."""

LEVEL = 3
"""How hard a PNG is compressed: it takes two thirds of the time that 6 takes, and a tenth more bytes."""

PAIRS = "each pair: original above, reconstruction below"
"""How to read every picture of originals and reconstructions."""


def require(condition: bool, message: str) -> None:
    """Raises a ``ValueError`` with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


# Colours


def rgb(colour: str) -> RGB:
    """The red, green and blue bytes of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mixed(colour: str, other: str, share: float) -> str:
    """The colour with a share of another one in it."""
    parts = (round((1 - share) * a + share * b) for a, b in zip(rgb(colour), rgb(other), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*parts)


def colour(k: int, classes: int) -> str:
    """The colour of class ``k`` of ``classes``, as ``#rrggbb``.

    The first ten classes have the ten colours, the next ten darker ones and the ten after these paler ones; from 30 on
    colours come back.
    """
    require(0 <= k < classes, f"there is no class {k} among {classes} classes; count from 0")
    base, cycle = CLASSES[k % 10], k // 10 % 3
    return [base, mixed(base, "#000000", 0.5), mixed(base, PAPER, 0.55)][cycle]


def cycle_note(classes: int) -> str:
    """What a legend's title says about colours that come back, or nothing."""
    if classes <= 10:
        return ""
    return (
        "darker: 11-20" if classes <= 20 else "darker: 11-20, paler: 21-30" + (", then again" if classes > 30 else "")
    )


# Words


def numbers(values: Sequence[float] | Array) -> list[str]:
    """Short numbers for an axis, all with as many decimals, at most two, and a true minus sign: ``−1.64``, ``0.50``."""
    values = np.asarray(values, dtype=float)
    decimals = next((d for d in (0, 1) if np.allclose(values, values.round(d), rtol=0, atol=1e-6)), 2)
    texts = [f"{value + 0.0:.{decimals}f}" for value in values.round(decimals)]
    return [text.replace("-", "−") for text in texts]


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, as it ships with matplotlib, ``size`` pixels high."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(10_000)
def text_width(text: str, size: int, bold: bool = False) -> int:
    """How wide a line of text is, in pixels."""
    return int(np.ceil(font(size, bold).getlength(text)))


def wrapped(text: str, size: int, width: int, bold: bool = False) -> list[str]:
    """Breaks text into lines at most ``width`` pixels wide: between words, and within a word only where it must."""
    lines: list[str] = []
    for word in text.split():
        for piece in _pieces(word, size, width, bold):
            longer = f"{lines[-1]} {piece}" if lines else piece
            if lines and text_width(longer, size, bold) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return lines


def _pieces(word: str, size: int, width: int, bold: bool) -> list[str]:
    """A word, cut where it is wider than a whole line."""
    pieces = []
    while word:
        cut = max(1, _fitting(word, size, width, bold))
        pieces.append(word[:cut])
        word = word[cut:]
    return pieces


def shortened(name: str, size: int, width: int, bold: bool = False) -> str:
    """A name that is at most ``width`` pixels wide, cut where it is longer."""
    if len(name) <= width and text_width(name, size, bold) <= width:
        return name
    room = width - text_width("…", size, bold)
    return name[: _fitting(name, size, room, bold)].rstrip() + "…"


def _fitting(text: str, size: int, width: int, bold: bool) -> int:
    """How many letters of a text are at most ``width`` pixels wide. What a pixel is too narrow for is not measured, so
    a name of any length takes no longer than one that fills the line."""
    counts = range(1, min(len(text), max(0, width)) + 1)
    return bisect_right(counts, width, key=lambda count: text_width(text[:count], size, bold))


@cache
def _glyphs() -> frozenset[int]:
    """The characters that the font has."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font(10).path)).get_charmap())


def drawable(text: str) -> str:
    """Text on one line with a box for every character that the font lacks; nothing where it lacks all of them."""
    text = " ".join(text.split())
    kept = "".join(letter if ord(letter) in _glyphs() else "□" for letter in text)
    return kept if kept.strip("□ ") else ""


def line_height(size: int) -> int:
    """From one baseline to the next, in pixels."""
    return round(1.3 * size)


def write(
    image: Image.Image,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: str = INK,
    *,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Writes one line of text on an RGB or grey image; ``anchor`` is Pillow's, ``la`` for left and top."""
    fill = rgb(colour) if image.mode == "RGB" else rgb(colour)[1]
    ImageDraw.Draw(image).text(at, text, fill=fill, font=font(size, bold), anchor=anchor)


# The page


def page(
    body: tuple[int, int], *, title: str, note: str = "", footer: str = "", type: Type = PRINT, mode: str = "RGB"
) -> tuple[Image.Image, tuple[int, int]]:
    """An empty page for a body of a width and height in pixels, and where the body's upper left corner goes.

    Args:
        body: The width and the height of the body, in pixels.
        title: What is seen and on which data, above the body.
        note: How to read the picture, a smaller line under the title.
        footer: The run, the step and the protocol, a small line at the bottom.
        type: The sizes of type.
        mode: ``RGB`` or ``L``.
    """
    room = max(body[0], 24 * type.margin)  # so that a small body does not break the title into many lines
    texts = [(title, type.title, INK, True), (note, type.text, GREY, False), (footer, type.small, GREY, False)]
    blocks = [
        [(line, size, colour, bold) for line in wrapped(text, size, room, bold)] for text, size, colour, bold in texts
    ]
    heights = [sum(line_height(size) for _, size, *_ in block) for block in blocks]
    above = type.margin * 3 // 4 + heights[0] + heights[1] + (type.gap * 3 // 4 if heights[0] + heights[1] else 0)
    below = heights[2] + (type.gap if heights[2] else 0) + type.margin * 3 // 4
    paper = Image.new(mode, (room + 2 * type.margin, above + body[1] + below), "white")
    y = type.margin * 3 // 4
    for line, size, colour, bold in [*blocks[0], *blocks[1]]:
        write(paper, (type.margin, y), line, size, colour, bold=bold)
        y += line_height(size)
    y = above + body[1] + type.gap
    for line, size, colour, bold in blocks[2]:
        write(paper, (type.margin, y), line, size, colour, bold=bold)
        y += line_height(size)
    return paper, (type.margin + (room - body[0]) // 2, above)


def save_page(path: Path, body: Image.Image, *, title: str, footer: str, note: str = "") -> None:
    """Puts the body on a page and writes it as PNG, whole or not at all."""
    paper, corner = page(body.size, title=title, note=note, footer=footer)
    paper.paste(body, corner)
    require(paper.width <= 1600, f"the picture would be {paper.width} px wide, more than 1,600; show fewer columns")
    with atomic_file(Path(path)) as temporary:
        paper.save(temporary, format="PNG", compress_level=LEVEL)


# Drawings with matplotlib


@contextmanager
def _matplotlib_style() -> Iterator[None]:
    """Matplotlib's own defaults and our type, whatever the user's configuration, and only inside the block."""
    import matplotlib.style

    ours = {
        "font.family": "DejaVu Sans",
        "mathtext.fontset": "dejavusans",
        "font.size": PRINT.text,
        "axes.titlesize": PRINT.text,
        "axes.labelsize": PRINT.text,
        "xtick.labelsize": PRINT.small,
        "ytick.labelsize": PRINT.small,
        "legend.fontsize": PRINT.small,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 1.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.useoffset": False,
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.major.size": 8,
        "ytick.major.size": 8,
        "xtick.major.width": 1.5,
        "ytick.major.width": 1.5,
        "axes.grid": True,
        "grid.color": "#e8e8e8",
        "grid.linewidth": 1.5,
        "axes.axisbelow": True,
        "lines.solid_capstyle": "round",
    }
    with matplotlib.style.context(["default", ours]):
        yield


def drawn(draw: Callable[[Figure], None], width: int, height: int) -> Image.Image:
    """What ``draw`` puts on an empty figure, as an RGB image ``width`` by ``height`` pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _matplotlib_style():
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor=PAPER)
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


# Tiles


def as_bytes(images: Array) -> Bytes:
    """Images as bytes: (..., C, H, W) in [0, 1] or uint8 become (..., H, W, 3) uint8, grey repeated, alpha on white.

    Raises:
        ValueError: If the channels are not 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA), or a value is not in [0, 1].
    """
    images = np.asarray(images)
    require(
        images.ndim >= 3 and 1 <= images.shape[-3] <= 4 and images.size > 0,
        f"images need the shape (..., C, H, W) with 1 to 4 channels and at least one pixel, got {images.shape}",
    )
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        require(
            low >= -1e-3 and high <= 1 + 1e-3, f"images are in [0, 1] or uint8, got values in [{low:.4g}, {high:.4g}]"
        )
        images = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    images = np.moveaxis(images, -3, -1)
    channels = images.shape[-1]
    if channels in (2, 4):
        shown, alpha = images[..., :-1].astype(np.float32), images[..., -1:].astype(np.float32) / 255
        images = np.rint(shown * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.repeat(images, 3, axis=-1) if channels <= 2 else images


def enlarge(tiles: Array, factor: int) -> Array:
    """Makes every pixel of (..., H, W, C) a square of ``factor`` by ``factor`` pixels."""
    return tiles.repeat(factor, axis=-3).repeat(factor, axis=-2)


def fit(tiles: Array, height: int, width: int) -> Array:
    """Enlarges tiles (..., H, W, C) by the largest whole factor that keeps them within a height and a width.

    Tiles that are larger already show every second, third, ... pixel: nothing is smoothed here either.
    """
    factor = min(height // tiles.shape[-3], width // tiles.shape[-2])
    if factor >= 1:
        return enlarge(tiles, factor)
    step = max(-(-tiles.shape[-3] // max(height, 1)), -(-tiles.shape[-2] // max(width, 1)))
    return tiles[..., ::step, ::step, :]


def sheet(tiles: Array, gap: int, paper: int = 255) -> Array:
    """Lays tiles (R, N, H, W, C) out in R rows and N columns, ``gap`` pixels of ``paper`` between them: (h, w, C)."""
    R, N, H, W, C = tiles.shape
    cells = np.full((R, H + gap, N, W + gap, C), paper, dtype=tiles.dtype)
    cells[:, :H, :, :W] = tiles.transpose(0, 2, 1, 3, 4)
    joined = cells.reshape(R * (H + gap), N * (W + gap), C)
    return joined[: joined.shape[0] - gap, : joined.shape[1] - gap]


def rows_of(tiles: Array, columns: int, paper: int = 255) -> Array:
    """Breaks tiles (N, ...) into rows of ``columns``, the last one filled up with paper: (R, columns, ...)."""
    missing = -len(tiles) % columns
    filler = np.full((missing, *tiles.shape[1:]), paper, dtype=tiles.dtype)
    return np.concatenate([tiles, filler]).reshape(-1, columns, *tiles.shape[1:])


def widest(texts: Sequence[str], size: int) -> int:
    """The width of the widest text, in pixels."""
    return max((text_width(text, size) for text in texts), default=0)
