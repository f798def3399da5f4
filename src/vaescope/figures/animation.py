"""Training as it happened: the latent representation and the reconstructions, a frame for every snapshot, as GIF.

Frames are drawn in palette indices at once (:mod:`vaescope.figures.gif`): a point is a handful of indices written into
an array, later points over earlier ones, stronger where more points share a pixel. No frame goes through matplotlib,
which makes a frame of 5,000 points a matter of milliseconds. All frames have the same axes, colours and size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vaescope.figures import gif, style, views
from vaescope.figures.gif import Ink
from vaescope.figures.style import GREY, INK, PAIRS, PAPER, SCREEN, Array, require
from vaescope.figures.views import SIGMAS, View, Window

TURN = 2.5
"""How far the view of three dimensions turns from frame to frame, in degrees."""
AZIMUTH = -60.0
"""Where the turning view begins, in degrees."""
LEGEND = 18
"""A legend names at most so many classes."""
STRENGTHS = (0.5, 0.25, 0.1, 0.0)
"""How much white is in a class's colour, from the weakest to the strongest."""
DENSITIES = ("few points", "", "", "", "", "many points")
"""The legend where there are no classes."""
NAME = 130
"""Longer names are cut in the legend, in pixels."""
TICK = 4
"""The length of a tick, in pixels."""
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
    Should the file be larger than 4 MB, every second point is left out, again down to 500, then every second frame.

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

    colours = _strengths(None if labels is None else len(names))  # (classes, strengths, 3)
    ink = gif.coloured(colours)
    legend = list(DENSITIES) if labels is None else list(names)
    strips = gif.strips(captions, width - 2 * SCREEN.margin)
    drawing, panels = _drawing(width - 2 * SCREEN.margin, window, axes[:d], legend, sigma_circles)
    note = "circles: 1σ and 2σ of the prior" if d == 3 and sigma_circles else ""
    paper, (x, y) = style.page(
        (drawing.width, drawing.height + strips[0].height), title=title, note=note, type=SCREEN, mode="L"
    )
    paper.paste(drawing, (x, y))
    empty = ink(paper)
    _draw_legend(empty, x + drawing.width - _legend_width(legend), y, legend, colours, ink)
    panels = [replace(panel, left=panel.left + x, top=panel.top + y) for panel in panels]
    first = (gif.COLOURS + classes % len(colours) * colours.shape[1]).astype(np.uint8)  # (N,)

    def picture(t: int, points: int) -> Array:
        seen = np.flatnonzero(window.holds(z[t, :points]))
        drawn = empty.copy()
        for panel in (panel.at(t) for panel in panels):
            if panel.oblique:
                _draw_cube(drawn, panel, axes, ink)
            _draw_points(drawn, panel, z[t, seen], first[seen], colours.shape[1], labels is not None)
            if d == 2 and sigma_circles:
                _label_circles(drawn, panel, ink)
        drawn[y + drawing.height :, x : x + drawing.width][: strips[t].height] = ink(strips[t])
        return drawn

    def version(points: int, times: list[int]) -> Callable[[], bytes]:
        return lambda: gif.encoded([picture(t, points) for t in times], ink)

    gif.save(path, (version(points, times) for points, times in _economies(N, T)))


def _economies(N: int, T: int) -> Iterator[tuple[int, list[int]]]:
    """How many points and which frames to draw: all of them, then half the points and so on, then fewer frames."""
    points = N
    while points > 1000:
        yield points, list(range(T))
        points //= 2
    for times in gif.thinned(T):
        yield points, times


def _strengths(classes: int | None) -> Array:
    """The colours of the classes in every strength, (classes, strengths, 3); of densities, for none, (1, 6, 3)."""
    if classes is None:
        from matplotlib import colormaps

        return np.asarray(colormaps["viridis"](np.linspace(0, 1, len(DENSITIES)), bytes=True))[None, :, :3]
    pure = [style.colour(k, classes) for k in range(min(classes, 30))]  # from 30 on colours come back
    return np.array([[style.rgb(style.mixed(colour, PAPER, white)) for white in STRENGTHS] for colour in pure])


@dataclass(frozen=True)
class _Panel:
    """A square of the picture, and how latents come to its pixels.

    Args:
        view: The direction to look from.
        window: What is to be seen.
        left: Its left edge in the picture, in pixels.
        top: Its upper edge in the picture, in pixels.
        side: Its width and height, in pixels.
        zoom: The side of the window's square, as a share of the panel's side.
        turns: Whether it turns from frame to frame.
    """

    view: View
    window: Window
    left: int
    top: int
    side: int
    zoom: float = 1.0
    turns: bool = False

    def at(self, frame: int) -> _Panel:
        """The panel at a frame."""
        return replace(self, view=views.oblique(AZIMUTH + TURN * frame)) if self.turns else self

    def pixels(self, projected: Array) -> Array:
        """From projected latents (..., 2), right and up, to pixels (..., 2), right and down."""
        unit = self.side * self.zoom / (2 * self.window.half)
        middle = np.array([self.left, self.top]) + self.side / 2
        return np.asarray(middle + (projected - self.view(self.window.centre)) * unit * (1, -1))

    @property
    def oblique(self) -> bool:
        """Whether the view is none of the planes."""
        return not self.view.right


def _drawing(
    width: int, window: Window, axes: tuple[str, ...], legend: list[str], circles: bool
) -> tuple[Image.Image, list[_Panel]]:
    """The panels, and all that does not move: axes, circles and the words of the legend, as a grey picture."""
    room = width - _legend_width(legend) - SCREEN.gap
    left, above, below = 3 * SCREEN.small, SCREEN.small + TICK, 3 * SCREEN.small
    if len(axes) == 2:
        panels = [_Panel(views.planes(axes)[0], window, left, above, room - left)]
        height = above + room - left + below
    else:
        step, top = width // 4, room + SCREEN.gap
        side = step - left - SCREEN.gap
        panels = [_Panel(views.oblique(AZIMUTH), window, 0, 0, room, zoom=0.63, turns=True)]
        panels += [
            _Panel(view, window, i * step + left, top + above, side) for i, view in enumerate(views.planes(axes))
        ]
        panels += [_Panel(views.oblique(-50), window, 3 * step, top, step, zoom=0.57)]
        height = top + above + side + below
    picture = Image.new("L", (width, height), "white")
    for panel in panels:
        if circles:
            _draw_circles(picture, panel)
        if not panel.oblique:
            _draw_axes(picture, panel)
    return picture, panels


def _draw_axes(picture: Image.Image, panel: _Panel) -> None:
    """The left and the lower edge of a panel with round numbers and names."""
    draw = ImageDraw.Draw(picture)
    left, low, right = panel.left - 1, panel.top + panel.side, panel.left + panel.side
    draw.line([(left, panel.top), (left, low), (right, low)], fill=style.rgb(GREY)[0])
    half, count = panel.window.half, 6 if panel.side > 200 else 4
    for axis, middle in enumerate(panel.view(panel.window.centre)):
        values = views.ticks(middle - half, middle + half, count)
        for value, text in zip(values, style.numbers(values), strict=True):
            place = panel.view(panel.window.centre)
            place[axis] = value
            x, y = panel.pixels(place).round()
            if axis == 0:
                draw.line([(x, low), (x, low + TICK)], fill=style.rgb(GREY)[0])
                style.write(picture, (x, low + TICK + 2), text, SCREEN.small, GREY, anchor="ma")
            else:
                draw.line([(left - TICK, y), (left, y)], fill=style.rgb(GREY)[0])
                style.write(picture, (left - TICK - 3, y), text, SCREEN.small, GREY, anchor="rm")
    style.write(picture, (right, low + 3 * SCREEN.small), panel.view.right, SCREEN.small, INK, anchor="rd")
    style.write(picture, (left, panel.top - TICK), panel.view.up, SCREEN.small, INK, anchor="ms")


def _draw_circles(picture: Image.Image, panel: _Panel) -> None:
    """The prior's circles: a thin line, darkest where a pixel's middle is nearest to the radius."""
    x, y = panel.pixels(panel.view(np.zeros_like(panel.window.centre)))
    across, down = np.meshgrid(np.arange(picture.width) + 0.5 - x, np.arange(picture.height) + 0.5 - y)
    inside = np.zeros(across.shape, bool)
    inside[panel.top : panel.top + panel.side, panel.left : panel.left + panel.side] = True
    shade = np.array(picture)
    for sigma in SIGMAS:
        radius = sigma * panel.side * panel.zoom / (2 * panel.window.half)
        cover = np.clip(1 - np.abs(np.hypot(across, down) - radius), 0, 1) * inside
        shade = np.minimum(shade, (255 - cover * (255 - 0x88)).astype(np.uint8))
    picture.paste(Image.fromarray(shade))


def _label_circles(picture: Array, panel: _Panel, ink: Ink) -> None:
    """Writes 1σ and 2σ on the circles, where these are large enough, with a white rim in front of the points."""
    for sigma in SIGMAS if panel.window.half < 8 else ():
        x, y = panel.pixels(np.array([sigma * np.cos(0.8), -sigma * np.sin(0.8)])).round().astype(int)
        text, rim = _haloed(f"{sigma}σ")
        part = picture[y - text.height // 2 :, x - text.width // 2 :][: text.height, : text.width]
        part[rim] = ink(text)[rim]


@cache
def _haloed(text: str) -> tuple[Image.Image, Array]:
    """A short text on white, and which of its pixels belong to it or to its rim."""
    size = (style.text_width(text, SCREEN.small) + 6, style.line_height(SCREEN.small) + 4)
    words, rim = Image.new("L", size, "white"), Image.new("L", size)
    style.write(words, (3, 2), text, SCREEN.small, GREY)
    ImageDraw.Draw(rim).text((3, 2), text, fill=255, font=style.font(SCREEN.small), stroke_width=2)
    return words, np.asarray(rim) > 127


def _draw_cube(picture: Array, panel: _Panel, axes: tuple[str, ...], ink: Ink) -> None:
    """The edges of the window's cube behind the points, and the names of its axes."""
    middle, half = panel.view(panel.window.centre), panel.window.half
    for start, end in views.cube_edges(panel.view):
        _draw_line(picture, panel.pixels(middle + half * start), panel.pixels(middle + half * end))
    for name, (at, outwards) in zip(axes, views.cube_labels(panel.view), strict=True):
        x, y = panel.pixels(middle + half * at) + outwards * (1, -1) * 1.2 * SCREEN.small
        text = Image.new("L", (style.text_width(name, SCREEN.small), style.line_height(SCREEN.small)), "white")
        style.write(text, (0, 0), name, SCREEN.small, INK)
        top, left = max(int(y - text.height / 2), 0), max(int(x - text.width / 2), 0)
        part = picture[top : top + text.height, left : left + text.width]
        np.maximum(part, ink(text)[: part.shape[0], : part.shape[1]], out=part)


def _draw_line(picture: Array, start: Array, end: Array, darkness: int = 5) -> None:
    """A thin smooth line: at every step along its longer side two pixels share the darkness (Wu, 1991)."""
    steps = np.linspace(start, end, int(np.abs(end - start).max()) + 2)  # (n, 2)
    longer = int(np.argmax(np.abs(end - start)))
    along, across = np.rint(steps[:, longer]).astype(int), steps[:, 1 - longer]
    low = np.floor(across).astype(int)
    for side, cover in ((low, 1 - (across - low)), (low + 1, across - low)):
        at = (side, along) if longer == 0 else (along, side)
        picture[at] = np.maximum(picture[at], np.rint(darkness * cover))


def _disc(points: int, side: int) -> tuple[Array, Array]:
    """The pixels of a point around its middle, (n, 2), and their weights, (n,), less towards the rim.

    It is the largest disc of which so many still leave paper to be seen.
    """
    room = 0.28 * side**2 / points
    span = np.arange(-2, 3)
    square = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2)
    reach = (square**2).sum(axis=1)
    for radius, weights in ((4, (4, 4, 3, 0, 1)), (2, (4, 3, 1)), (1, (4, 2))):
        disc = reach <= radius
        if disc.sum() <= room:
            return square[disc], np.array(weights)[reach[disc]]
    one = np.array([(0, 0), (0, 1), (1, 0), (1, 1)] if room >= 4 else [(0, 0)])
    return one, np.full(len(one), 4)


def _draw_points(picture: Array, panel: _Panel, z: Array, first: Array, strengths: int, classes: bool) -> None:
    """Points in the order given, each in the colours from its index ``first`` on.

    Of classes, what has more points on the same pixel is stronger, and in the view that turns what is nearer, which is
    then drawn later. Without classes the colour is the density around.
    """
    if not len(z):
        return
    disc, weights = _disc(len(z), panel.side)
    if panel.oblique:
        order = np.argsort(views.depth(panel.view, z), kind="stable")
        z, first = z[order], first[order]
    points = panel.view(z)
    at = np.floor(panel.pixels(points)).astype(int)[:, None] + disc  # (N, n, 2)
    x = at[..., 0].clip(panel.left, panel.left + panel.side - 1)
    y = at[..., 1].clip(panel.top, panel.top + panel.side - 1)
    flat = (y * picture.shape[1] + x).ravel()  # (N n,)
    if not classes:
        crowd = views.crowd(points, panel.view(panel.window.centre), panel.window.half)
        strength = np.repeat(np.rint(views.density(crowd) * (strengths - 1)), len(disc))
    elif panel.turns:
        near = np.arange(len(z)) * strengths // len(z)
        strength = (near[:, None] - (weights < weights.max())).clip(0).ravel()
    else:
        many = np.bincount(flat, np.tile(weights, len(z)), minlength=picture.size)[flat]
        usual = max(2 * weights.sum() * len(z) / panel.side**2, 1)
        strength = np.minimum((many - 1) // usual, strengths - 1)
    # Where a pixel comes back, the last point stays.
    picture.reshape(-1)[flat] = np.repeat(first, len(disc)) + strength.astype(np.uint8)


def _legend_width(names: list[str]) -> int:
    lines = [*names[:LEGEND], *_legend_foot(names)]
    return 2 * SCREEN.small + min(style.widest(lines, SCREEN.small), NAME)


def _legend_foot(names: list[str]) -> list[str]:
    """What stands below the names: how many there are besides, and what colours that come back mean."""
    more = [f"and {len(names) - LEGEND} more"] if len(names) > LEGEND else []
    return [*more, *filter(None, style.cycle_note(len(names)).split(", "))]


def _draw_legend(picture: Array, left: int, top: int, names: list[str], colours: Array, ink: Ink) -> None:
    """A disc and a name for every class, or for every density where all points have one class's colours."""
    line, radius = SCREEN.small + 7, 4
    text = Image.new("L", (picture.shape[1] - left, picture.shape[0] - top), "white")
    rows = [*names[:LEGEND], *_legend_foot(names)]
    for i, name in enumerate(rows):
        style.write(text, (2 * SCREEN.small, (i + 0.5) * line), _shortened(name), SCREEN.small, INK, anchor="lm")
    picture[top:, left:] = np.maximum(picture[top:, left:], ink(text))
    strengths = colours.shape[1]
    for i in range(min(len(names), LEGEND)):
        index = i if len(colours) == 1 and names == list(DENSITIES) else i % len(colours) * strengths + strengths - 1
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        middle = top + (i * line) + line // 2
        part = picture[middle - radius : middle + radius + 1, left + 2 : left + 2 * radius + 3]
        part[x**2 + y**2 <= radius * (radius + 1)] = gif.COLOURS + index


def _shortened(name: str) -> str:
    """A name that fits into the legend, cut where it is longer."""
    if style.text_width(name, SCREEN.small) <= NAME:
        return name
    fits = (name[:n] + "…" for n in range(len(name), 0, -1))
    return next(short for short in fits if style.text_width(short, SCREEN.small) <= NAME)


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
    room = cell(columns)[1]
    words = [_broken(name, room) for name in names or []]
    fits = all(len(lines) <= 2 and style.widest(lines, SCREEN.small) <= room for lines in words)
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
