"""Points, axes and circles drawn straight into palette indices, for frames of an animation.

A point is a handful of indices written into an array, later points over earlier ones. A class has its colour in a few
strengths, and a pixel is stronger where more points share it, as if they were transparent; in a view that turns it is
stronger where it is nearer. A frame of 5,000 points takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from vaescope.figures import style, views
from vaescope.figures.gif import Ink
from vaescope.figures.style import GREY, INK, PAPER, SCREEN, Array
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


def strengths_of(classes: int | None) -> Array:
    """The colours of the classes in every strength, (classes, strengths, 3); of densities, for none, (1, 6, 3)."""
    if classes is None:
        from matplotlib import colormaps

        return np.asarray(colormaps["viridis"](np.linspace(0, 1, len(DENSITIES)), bytes=True))[None, :, :3]
    pure = [style.colour(k, classes) for k in range(min(classes, 30))]  # from 30 on colours come back
    return np.array([[style.rgb(style.mixed(colour, PAPER, white)) for white in STRENGTHS] for colour in pure])


@dataclass(frozen=True)
class Panel:
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

    def at(self, frame: int) -> Panel:
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


def stage(
    width: int, window: Window, axes: tuple[str, ...], legend: list[str], circles: bool
) -> tuple[Image.Image, list[Panel]]:
    """The panels, and all that does not move: axes, circles and the words of the legend, as a grey picture."""
    room = width - legend_width(legend) - SCREEN.gap
    left, above, below = 3 * SCREEN.small, SCREEN.small + TICK, 3 * SCREEN.small
    if len(axes) == 2:
        panels = [Panel(views.planes(axes)[0], window, left, above, room - left)]
        height = above + room - left + below
    else:
        step, top = width // 4, room + SCREEN.gap
        side = step - left - SCREEN.gap
        panels = [Panel(views.oblique(AZIMUTH), window, 0, 0, room, zoom=0.63, turns=True)]
        panels += [Panel(view, window, i * step + left, top + above, side) for i, view in enumerate(views.planes(axes))]
        panels += [Panel(views.oblique(-50), window, 3 * step, top, step, zoom=0.57)]
        height = top + above + side + below
    picture = Image.new("L", (width, height), "white")
    for panel in panels:
        if circles:
            draw_circles(picture, panel)
        if not panel.oblique:
            draw_axes(picture, panel)
    return picture, panels


def draw_axes(picture: Image.Image, panel: Panel) -> None:
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
    up = max(left - style.text_width(panel.view.up, SCREEN.small) // 2, 0)
    style.write(picture, (up, panel.top - TICK), panel.view.up, SCREEN.small, INK, anchor="ls")


def draw_circles(picture: Image.Image, panel: Panel) -> None:
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


def label_circles(picture: Array, panel: Panel, ink: Ink) -> None:
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


def draw_cube(picture: Array, panel: Panel, axes: tuple[str, ...], ink: Ink) -> None:
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


def draw_points(picture: Array, panel: Panel, z: Array, first: Array, strengths: int, classes: bool) -> None:
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


def legend_width(names: list[str]) -> int:
    """The room for the legend, in pixels."""
    lines = [*names[:LEGEND], *_legend_foot(names)]
    return 2 * SCREEN.small + min(style.widest(lines, SCREEN.small), NAME)


def _legend_foot(names: list[str]) -> list[str]:
    """What stands below the names: how many there are besides, and what colours that come back mean."""
    more = [f"and {len(names) - LEGEND} more"] if len(names) > LEGEND else []
    return [*more, *filter(None, style.cycle_note(len(names)).split(", "))]


def draw_legend(picture: Array, left: int, top: int, names: list[str], marks: Sequence[int], ink: Ink) -> None:
    """A disc in the palette's colour ``marks[k]`` and a name for every class ``k``, from a corner downwards."""
    line, radius = SCREEN.small + 7, 4
    text = Image.new("L", (picture.shape[1] - left, picture.shape[0] - top), "white")
    for i, name in enumerate([*names[:LEGEND], *_legend_foot(names)]):
        style.write(
            text,
            (2 * SCREEN.small, (i + 0.5) * line),
            style.shortened(name, SCREEN.small, NAME),
            SCREEN.small,
            INK,
            anchor="lm",
        )
    picture[top:, left:] = np.maximum(picture[top:, left:], ink(text))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    for i, mark in enumerate(marks[:LEGEND]):
        middle = top + i * line + line // 2
        part = picture[middle - radius : middle + radius + 1, left + 2 : left + 2 * radius + 3]
        part[x**2 + y**2 <= radius * (radius + 1)] = mark
