"""Training as it happened: the latent representation and the reconstructions, a frame for every snapshot, as GIF.

Frames are drawn in palette indices at once, points by :mod:`vaescope.figures.points`, and written by
:mod:`vaescope.figures.gif`. No frame goes through matplotlib, so one takes milliseconds. All frames of an animation
have the same axes, colours and size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from vaescope.figures import gif, points, style, views
from vaescope.figures.gif import Ink
from vaescope.figures.style import INK, PAIRS, SCREEN, Array, require

GAP = 2
"""Between tiles, in pixels."""
HEIGHT = 520
"""The height that the tiles of a progression keep to, in pixels."""


# The latent representation


def latent_representation(
    path: Path,
    frames: Array,
    labels: Array | None,
    names: Sequence[str],
    captions: Sequence[str],
    *,
    title: str,
    axes: tuple[str, ...] = ("z1", "z2", "z3"),
    width: int = 600,
    sigma_circles: bool = True,
) -> None:
    """Draws how the latents of the same images move during training.

    Two latents are drawn in their plane; three in a view that turns slowly, the nearer points stronger, with their
    three planes and one oblique view below. The window shows the last frame whole; points outside of it are left out.
    Should the file be larger than 4 MB, half of the points are left out, and again while they are more than 1,000, and
    then every second frame, and again.

    Args:
        path: The GIF file to write.
        frames: The latents of N images at T times, with shape (T, N, d), where d is 2 or 3.
        labels: The class of every point, with shape (N,), or ``None`` to colour by the density of points.
        names: The names of the classes.
        captions: What stands below each of the T frames: the step, the epoch, the -ELBO and its two halves.
        title: What is seen, and on which data and split.
        axes: The names of the d axes.
        width: The width of the animation, in pixels, from 480 to 640.
        sigma_circles: Whether to draw the prior's 1 and 2 sigma circles.
    """
    require(np.ndim(frames) == 3, f"latents over time need the shape (T, N, d), got {np.shape(frames)}")
    frames, labels = views.checked(frames, labels, list(names), (2, 3))
    T, N, d = frames.shape
    gif.check(T, captions, width)
    require(len(axes) >= d, f"{d} latents need as many axis names, got {len(axes)}")
    order = views.shuffled(N)
    z, classes = frames[:, order], np.zeros(N, int) if labels is None else labels[order]
    window = views.window(frames[-1], frames, sigma_circles)

    colours = points.strengths_of(None if labels is None else len(names))  # (classes, strengths, 3)
    ink = gif.coloured(colours)
    legend = list(points.DENSITIES) if labels is None else list(names)
    strips = gif.strips(captions, width - 2 * SCREEN.margin)
    drawing, panels = points.stage(width - 2 * SCREEN.margin, window, axes[:d], legend, sigma_circles)
    note = "circles: 1σ and 2σ of the prior" if d == 3 and sigma_circles else ""
    paper, (x, y) = style.page(
        (drawing.width, drawing.height + strips[0].height), title=title, note=note, type=SCREEN, mode="L"
    )
    paper.paste(drawing, (x, y))
    empty = ink(paper)
    strengths = colours.shape[1]
    first = (gif.COLOURS + classes % len(colours) * strengths).astype(np.uint8)  # (N,)
    strongest = [gif.COLOURS + k % len(colours) * strengths + strengths - 1 for k in range(len(legend))]
    marks = range(gif.COLOURS, gif.COLOURS + strengths) if labels is None else strongest
    points.draw_legend(empty, x + drawing.width - points.legend_width(legend), y, legend, marks, ink)
    panels = [replace(panel, left=panel.left + x, top=panel.top + y) for panel in panels]

    def picture(t: int, count: int) -> Array:
        seen = np.flatnonzero(window.holds(z[t, :count]))
        drawn = empty.copy()
        for panel in (panel.at(t) for panel in panels):
            if panel.oblique:
                points.draw_cube(drawn, panel, axes, ink)
            points.draw_points(drawn, panel, z[t, seen], first[seen], strengths, labels is not None)
            if d == 2 and sigma_circles:
                points.label_circles(drawn, panel, ink)
        drawn[y + drawing.height :, x : x + drawing.width][: strips[t].height] = ink(strips[t])
        return drawn

    def version(count: int, times: list[int]) -> Callable[[], bytes]:
        return lambda: gif.encoded([picture(t, count) for t in times], ink)

    gif.save(path, (version(count, times) for count, times in _economies(N, T)))


def _economies(N: int, T: int) -> Iterator[tuple[int, list[int]]]:
    """How many points and which frames to draw: all of them, then half the points and so on, then fewer frames."""
    count = N
    while count > 1000:
        yield count, list(range(T))
        count //= 2
    for times in gif.thinned(T):
        yield count, times


# The reconstructions


def latent_progression(
    path: Path,
    originals: Array,
    frames: Array,
    captions: Sequence[str],
    *,
    title: str,
    names: Sequence[str] | None = None,
    width: int = 600,
) -> None:
    """Draws how the reconstructions of some images become better during training, under their originals.

    Should the file be larger than 4 MB, the images keep 64, 32 and then 16 shades, and then every second frame is left
    out, and again.

    Args:
        path: The GIF file to write.
        originals: Images, with shape (N, C, H, W).
        frames: Their reconstructions at T times, with shape (T, N, C, H, W).
        captions: What stands below each of the T frames: the step, the epoch, the -ELBO and its two halves.
        title: What is seen, and on which data and split.
        names: The names of the N images, written above them where all of them fit, or ``None``.
        width: The width of the animation, in pixels, from 480 to 640.
    """
    require(
        np.ndim(frames) == 5 and np.shape(frames)[1:] == np.shape(originals),
        "reconstructions over time need the shape (T, N, C, H, W) for originals (N, C, H, W), "
        f"got {np.shape(frames)} for {np.shape(originals)}",
    )
    gif.check(len(frames), captions, width)
    require(names is None or len(names) == len(originals), f"{len(originals)} images need as many names")
    strips = gif.strips(captions, width - 2 * SCREEN.margin)
    images = np.concatenate([style.as_bytes(originals)[None], style.as_bytes(frames)])  # (1 + T, N, H, W, 3)
    in_palette = _in_greys if np.shape(originals)[1] <= 2 else _in_colours
    grid = _grid(images.shape[1:4], names, strips[0].width)

    def version(shades: int, times: list[int]) -> Callable[[], bytes]:
        return lambda: gif.encoded(*_progression(*in_palette(images, shades), times, grid, strips, title))

    economies = [(shades, list(range(len(frames)))) for shades in (256, 64, 32)]
    versions = itertools.chain(economies, ((16, times) for times in gif.thinned(len(frames))))
    gif.save(path, (version(shades, times) for shades, times in versions))


@dataclass(frozen=True)
class _Grid:
    """Bands of originals over reconstructions, and the names above them.

    Args:
        columns: How many images stand side by side.
        cell: The height and width that an enlarged image may have, in pixels.
        names: For every band the lines above its images, one list an image; nothing where they do not fit.
    """

    columns: int
    cell: tuple[int, int]
    names: list[list[list[str]]]

    @property
    def above(self) -> int:
        """The height of the names above a band, in pixels."""
        return max((len(lines) for band in self.names for lines in band), default=0) * style.line_height(SCREEN.small)


def _grid(shape: tuple[int, ...], names: Sequence[str] | None, width: int) -> _Grid:
    """The number of columns that makes images of a shape (N, H, W) largest within a width."""
    N, H, W = shape

    def cell(columns: int) -> tuple[int, int]:
        return (HEIGHT // -(-N // columns) - SCREEN.gap) // 2 - GAP, (width + GAP) // columns - GAP

    def size(columns: int) -> tuple[float, int, int]:
        factor = min(cell(columns)[0] / H, cell(columns)[1] / W)
        return (factor // 1 if factor >= 1 else factor), -(-N % columns), columns

    columns = max(range(1, N + 1), key=size)
    room = style.fit(np.empty((H, W, 1), np.uint8), *cell(columns)).shape[1] + GAP  # from one image to the next
    words = [_broken(name, room) for name in names or []]
    fits = all(len(lines) <= 2 and style.widest(lines, SCREEN.small) <= room - SCREEN.small // 2 for lines in words)
    bands = [words[start : start + columns] for start in range(0, len(words), columns)]
    return _Grid(columns, cell(columns), bands if fits else [])


def _progression(
    indices: Array, ink: Ink, times: list[int], grid: _Grid, strips: list[Image.Image], title: str
) -> tuple[list[Array], Ink]:
    """The frames at some times, from images (1 + T, N, H, W) as indices, the originals first."""
    white = int(ink.greys[255])
    tiles = style.fit(indices[[0, *(1 + t for t in times)], ..., None], *grid.cell)
    bands = style.rows_of(tiles.swapaxes(0, 1), grid.columns, white).swapaxes(1, 2)  # (bands, 1 + T, columns, h, w, 1)
    sheets = [[style.sheet(row[None], GAP, white)[..., 0] for row in band] for band in bands]
    h, w = sheets[0][0].shape
    band_height = grid.above + 2 * h + GAP + SCREEN.gap
    body = len(bands) * band_height
    paper, (x, y) = style.page(
        (strips[0].width, body + strips[0].height), title=title, note=PAIRS, type=SCREEN, mode="L"
    )
    left = x + (strips[0].width - w) // 2
    tops = [y + band * band_height + grid.above for band in range(len(bands))]
    for top, names in zip(tops, grid.names, strict=False):
        _write_names(paper, (left, top), names, tiles.shape[3] + GAP)
    empty, pictures = ink(paper), []
    for i, t in enumerate(times):
        picture = empty.copy()
        for top, (original, *now) in zip(tops, sheets, strict=True):
            picture[top : top + h, left : left + w] = original
            picture[top + h + GAP : top + 2 * h + GAP, left : left + w] = now[i]
        picture[y + body : y + body + strips[t].height, x : x + strips[t].width] = ink(strips[t])
        pictures.append(picture)
    return pictures, ink


def _broken(name: str, room: int) -> list[str]:
    """A name on one line where it fits, else broken at spaces and after slashes."""
    if style.text_width(name, SCREEN.small) <= room:
        return [name]
    return name.replace("/", "/ ").split()


def _write_names(paper: Image.Image, at: tuple[int, int], names: list[list[str]], step: int) -> None:
    """Names of one or two lines above the tiles of a band, standing on it."""
    for column, lines in enumerate(names):
        for i, line in enumerate(reversed(lines)):
            middle = at[0] + column * step + (step - GAP) / 2
            low = at[1] - SCREEN.small // 3 - i * style.line_height(SCREEN.small)
            style.write(paper, (middle, low), line, SCREEN.small, INK, anchor="ms")


def _in_greys(images: Array, shades: int) -> tuple[Array, Ink]:
    """Grey images (..., H, W, 3) as indices (..., H, W), in so many shades from black to white."""
    levels = np.rint(np.rint(np.arange(256) / 255 * (shades - 1)) / (shades - 1) * 255).astype(np.uint8)
    return levels[images[..., 0]], gif.grey()


def _in_colours(images: Array, shades: int) -> tuple[Array, Ink]:
    """Images (..., H, W, 3) as indices (..., H, W) of a palette made for the first, the middle and the last of them."""
    some = images[[0, len(images) // 2, -1]]
    palette = Image.fromarray(some.reshape(-1, some.shape[-2], 3)).quantize(min(shades, 256 - gif.COLOURS))
    everything = Image.fromarray(images.reshape(-1, images.shape[-2], 3))
    indices = np.asarray(everything.quantize(palette=palette, dither=Image.Dither.NONE)).reshape(images.shape[:-1])
    return indices + np.uint8(gif.COLOURS), gif.coloured(np.reshape(palette.getpalette() or [], (-1, 3)))
