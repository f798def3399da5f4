"""Sheets of images: reconstructions, samples, and the latent space decoded.

Every picture here is tiles on white paper, each enlarged by a whole factor. An original stands directly above its
reconstruction, so that the eye compares without searching.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vaescope.figures import style
from vaescope.figures.style import GREY, HEIGHT, INK, PAIRS, PRINT, WIDTH, Array, require

GAP = 4
"""Between tiles, in pixels."""
LARGEST = 320
"""No tile is larger, in pixels, however few there are."""
BAND = 160
"""A band of originals over reconstructions may always be this high, in pixels, however many there are."""
TICK = 10
"""The length of a tick, in pixels."""
LABEL, LINES = 260, 3
"""Row names break into lines at this width, in pixels, and what does not fit into so many lines is cut off."""


def reconstructions(
    path: Path, originals: Array, reconstructions: Array, names: Sequence[str], *, title: str, footer: str
) -> None:
    """Draws a band of originals over their reconstructions for every class.

    Args:
        path: The PNG file to write.
        originals: Images, with shape (R, N, C, H, W): N of each of R classes.
        reconstructions: What the model makes of them, with the same shape.
        names: The R names of the classes.
        title: What is seen, and on which data and split.
        footer: The run, the step and the protocol.
    """
    pairs = _pairs(originals, reconstructions, ndim=5)  # (R, N, 2, H, W, 3)
    require(len(names) == len(pairs), f"{len(pairs)} rows of images need as many names, got {len(names)}")
    bands, columns = pairs.shape[:2]
    height = (max(HEIGHT // bands, BAND) - PRINT.gap) // 2 - GAP
    tiles = style.fit(pairs, min(LARGEST, height), _column_room(columns, _label_room(names)))
    rows = [style.sheet(band.swapaxes(0, 1), GAP) for band in tiles]
    style.save_page(path, _labelled(rows, names, PRINT.gap), title=title, footer=footer, note=PAIRS)


def samples(path: Path, images: Array, *, title: str, footer: str) -> None:
    """Draws images on a grid that is nearly square.

    Args:
        path: The PNG file to write.
        images: Images, with shape (N, C, H, W).
        title: What is seen.
        footer: The run, the step and the protocol.
    """
    tiles = _checked(images, 4)
    columns = _columns(len(tiles), np.sqrt(len(tiles)))
    tiles = style.fit(tiles, _column_room(columns), _column_room(columns))
    body = style.sheet(style.rows_of(tiles, columns), GAP)
    style.save_page(path, Image.fromarray(body), title=title, footer=footer)


def comparison(path: Path, originals: Array, reconstructions: Array, *, title: str, footer: str) -> None:
    """Draws originals over their reconstructions, in alternating rows.

    Args:
        path: The PNG file to write.
        originals: Images, with shape (N, C, H, W).
        reconstructions: What the model makes of them, with the same shape.
        title: What is seen, and on which data and split.
        footer: The run, the step and the protocol.
    """
    pairs = _pairs(originals, reconstructions, ndim=4)  # (N, 2, H, W, 3)
    columns = _columns(len(pairs), np.sqrt(2 * len(pairs)))
    bands = -(-len(pairs) // columns)
    tiles = style.fit(pairs, HEIGHT // (2 * bands) - GAP - PRINT.gap // 2, _column_room(columns))
    rows = [style.sheet(row.swapaxes(0, 1), GAP) for row in style.rows_of(tiles, columns)]
    style.save_page(path, _labelled(rows, [""] * len(rows), PRINT.gap), title=title, footer=footer, note=PAIRS)


def latent_space(
    path: Path,
    images: Array,
    rows_at: Array,
    cols_at: Array,
    *,
    names: tuple[str, str] = ("z1", "z2"),
    title: str,
    footer: str,
) -> None:
    """Draws what the decoder makes of a grid of latent points, without gaps, as one landscape.

    Args:
        path: The PNG file to write.
        images: Decoded images, with shape (rows, cols, C, H, W).
        rows_at: The latent value of every row, from top to bottom, with shape (rows,).
        cols_at: The latent value of every column, from left to right, with shape (cols,).
        names: The names of the horizontal and of the vertical axis, with their scale.
        title: What is seen.
        footer: The run, the step and the protocol.
    """
    tiles = _checked(images, 5)
    rows, cols = tiles.shape[:2]
    require(np.shape(rows_at) == (rows,), f"{rows} rows of images need as many values, got shape {np.shape(rows_at)}")
    require(
        np.shape(cols_at) == (cols,), f"{cols} columns of images need as many values, got shape {np.shape(cols_at)}"
    )
    labels, values = style.numbers(rows_at), style.numbers(cols_at)
    size, line = style.widest([*labels, *values], PRINT.small), style.line_height(PRINT.text)
    left, right, below = size + line + 3 * TICK, size // 2, line + style.line_height(PRINT.small) + 2 * TICK
    tiles = style.fit(tiles, min(LARGEST, HEIGHT // rows), min(LARGEST, (WIDTH - left - right) // cols))
    height, width = tiles.shape[2:4]
    landscape = Image.fromarray(style.sheet(tiles, 0))
    across, up = (style.text_width(name, PRINT.text) for name in names)
    left, right = (max(side, (across - landscape.width) // 2 + 1) for side in (left, right))
    top = max((up - landscape.height) // 2, 0)
    body = Image.new("RGB", (left + landscape.width + right, landscape.height + max(below, top + 1) + top), "white")
    body.paste(landscape, (left, top))
    draw, low = ImageDraw.Draw(body), top + landscape.height
    for column in _ticks(cols, width, size + PRINT.small):
        x = left + column * width + width // 2
        draw.line([(x, low + 2), (x, low + TICK)], fill=GREY, width=2)
        style.write(body, (x, low + 1.5 * TICK), values[column], PRINT.small, GREY, anchor="ma")
    for row in _ticks(rows, height, 2 * PRINT.small) if names[1] else ():  # a single row need not have a value
        y = top + row * height + height // 2
        draw.line([(left - TICK, y), (left - 3, y)], fill=GREY, width=2)
        style.write(body, (left - 1.5 * TICK, y), labels[row], PRINT.small, GREY, anchor="rm")
    style.write(body, (left + landscape.width / 2, low + below), names[0], PRINT.text, INK, anchor="md")
    _write_upright(body, (0, top + landscape.height // 2), names[1])
    style.save_page(path, body, title=title, footer=footer)


def classes(path: Path, images: Array, names: Sequence[str], *, title: str, footer: str) -> None:
    """Draws the same latents in every class, a row for each.

    Args:
        path: The PNG file to write.
        images: Decoded images, with shape (R, N, C, H, W): N latents in each of R classes.
        names: The R names of the classes.
        title: What is seen.
        footer: The run, the step and the protocol.
    """
    tiles = _checked(images, 5)
    require(len(names) == len(tiles), f"{len(tiles)} rows of images need as many names, got {len(names)}")
    body, _ = _named_rows(tiles, names, max(HEIGHT // len(tiles), BAND // 2))
    style.save_page(path, body, title=title, footer=footer)


def nearest(path: Path, samples: Array, found: Array, *, title: str, footer: str, note: str) -> None:
    """Draws samples, each over the training images that are most like it.

    Args:
        path: The PNG file to write.
        samples: Images, with shape (N, C, H, W).
        found: The images below them, from the nearest on, with shape (R, N, C, H, W).
        title: What is seen, and on which data.
        footer: The run, the step and the protocol.
        note: What is meant by near.
    """
    tiles = np.concatenate([_checked(samples, 4)[None], _checked(found, 5)])
    names = ["sample", "nearest training images"]
    tiles = style.fit(tiles, min(LARGEST, HEIGHT // len(tiles) - GAP), _column_room(tiles.shape[1], _label_room(names)))
    body = _labelled([style.sheet(tiles[:1], GAP), style.sheet(tiles[1:], GAP)], names, PRINT.gap)
    style.save_page(path, body, title=title, footer=footer, note=note)


def traversals(path: Path, images: Array, values: Array, names: Sequence[str], *, title: str, footer: str) -> None:
    """Draws what the decoder makes of one latent moved at a time, a row for each.

    Args:
        path: The PNG file to write.
        images: Decoded images, with shape (L, S, C, H, W): S steps along each of L latents.
        values: The values that the latents take, with shape (L, S).
        names: The names of the L latents.
        title: What is seen.
        footer: The run, the step and the protocol.
    """
    tiles = _checked(images, 5)
    latents, steps = tiles.shape[:2]
    values = np.asarray(values)
    require(values.shape == (latents, steps), f"the values need the shape {(latents, steps)}, got {values.shape}")
    require(len(names) == latents, f"{latents} rows of images need as many names, got {len(names)}")
    shared = bool(np.allclose(values, values[0]))
    if not shared:
        ends = [style.numbers(row[[0, -1]]) for row in values]
        names = [f"{name} from {first} to {last}" for name, (first, last) in zip(names, ends, strict=True)]
    body, width = _named_rows(tiles, names, HEIGHT // latents)
    if shared:
        body = _with_values(body, values[0], width)
    style.save_page(path, body, title=title, footer=footer)


def _checked(images: Array, ndim: int) -> Array:
    """The images as bytes (..., H, W, 3), when they have as many dimensions as they should."""
    shape = ("R, N, C, H, W" if ndim == 5 else "N, C, H, W", np.shape(images))
    require(np.ndim(images) == ndim, f"images need the shape ({shape[0]}), got {shape[1]}")
    return style.as_bytes(images)


def _pairs(originals: Array, reconstructions: Array, ndim: int) -> Array:
    """Originals and reconstructions as bytes, side by side in an axis before the pixels: (..., 2, H, W, 3)."""
    same = np.shape(originals) == np.shape(reconstructions)
    require(
        same,
        f"originals and reconstructions need one shape, got {np.shape(originals)} and {np.shape(reconstructions)}",
    )
    return np.stack([_checked(originals, ndim), _checked(reconstructions, ndim)], axis=-4)


def _column_room(columns: int, left: int = 0) -> int:
    """The width that a tile may have, in pixels, where ``columns`` of them stand beside labels ``left`` pixels wide."""
    return min(LARGEST, (WIDTH - 2 * PRINT.margin - left) // columns - GAP)


def _label_lines(name: str) -> list[str]:
    lines = style.wrapped(name, PRINT.text, LABEL)
    rest = " ".join(lines[LINES - 1 :])
    return [*lines[: LINES - 1], style.shortened(rest, PRINT.text, LABEL)] if len(lines) > LINES else lines


def _label_room(names: Sequence[str]) -> int:
    """The width of the row names and the white beside them, in pixels; none where no row has a name."""
    width = style.widest([line for name in names for line in _label_lines(name)], PRINT.text)
    return width + PRINT.gap if width else 0


def _named_rows(tiles: Array, names: Sequence[str], height: int) -> tuple[Image.Image, int]:
    """Rows of tiles (R, N, H, W, 3), each with its name and at most ``height`` pixels high, and the width of a tile."""
    tiles = style.fit(tiles, min(LARGEST, height - GAP), _column_room(tiles.shape[1], _label_room(names)))
    return _labelled([style.sheet(row[None], GAP) for row in tiles], names, GAP), tiles.shape[3]


def _labelled(rows: Sequence[Array], names: Sequence[str], gap: int) -> Image.Image:
    """Sheets (h, w, 3) under each other, ``gap`` pixels apart, each with its name at the left."""
    left = _label_room(names)
    words = [_label_lines(name) for name in names]
    heights = [
        max(len(row), style.line_height(PRINT.text) * len(lines)) for row, lines in zip(rows, words, strict=True)
    ]
    height = sum(heights) + gap * (len(rows) - 1)
    body = Image.new("RGB", (left + rows[0].shape[1], height), "white")
    y = 0
    for row, lines, high in zip(rows, words, heights, strict=True):
        body.paste(Image.fromarray(row), (left, y + (high - len(row)) // 2))
        top = y + high / 2 - style.line_height(PRINT.text) * (len(lines) - 1) / 2
        for i, line in enumerate(lines):
            at = (left - PRINT.gap, top + i * style.line_height(PRINT.text))
            style.write(body, at, line, PRINT.text, INK, anchor="rm")
        y += high + gap
    return body


def _columns(count: int, target: float) -> int:
    """The number of columns nearest to a target that leaves no row unfinished, or the target where none is near."""
    near = [n for n in range(1, count + 1) if count % n == 0 and 0.6 * target <= n <= 1.6 * target]
    return min(near, key=lambda n: abs(n - target), default=min(int(np.ceil(target)), count))


def _ticks(count: int, spacing: int, room: int) -> range:
    """Which of ``count`` rows or columns to label: evenly spread, nine at most, labels ``room`` pixels apart."""
    step = max(-(-room // spacing), -(-(count - 1) // 8), 1)
    return range((count - 1) % step // 2, count, step)


def _write_upright(body: Image.Image, at: tuple[int, int], text: str) -> None:
    """Writes text from bottom to top, its left edge and middle at a place."""
    strip = Image.new("RGB", (style.text_width(text, PRINT.text), style.line_height(PRINT.text)), "white")
    style.write(strip, (0, strip.height / 2), text, PRINT.text, INK, anchor="lm")
    turned = strip.rotate(90, expand=True)
    body.paste(turned, (at[0], max(at[1] - turned.height // 2, 0)))


def _with_values(body: Image.Image, values: Array, width: int) -> Image.Image:
    """Adds the values of the columns under them; the columns end at the body's right edge."""
    texts = style.numbers(values)
    beyond = max(style.widest(texts, PRINT.small) - width, 0) // 2 + 1  # the last value may be wider than its column
    below = TICK + style.line_height(PRINT.small)
    taller = Image.new("RGB", (body.width + beyond, body.height + below), "white")
    taller.paste(body)
    left = body.width - len(values) * (width + GAP) + GAP
    for column in _ticks(len(values), width + GAP, style.widest(texts, PRINT.small) + PRINT.small):
        x = left + column * (width + GAP) + width / 2
        style.write(taller, (x, body.height + TICK), texts[column], PRINT.small, GREY, anchor="ma")
    return taller
