"""Where the encoder puts the images: the latent representation as points, coloured by class.

Points are small, more transparent where they are dense, and drawn in a random order that is always the same, so that no
class hides another. Thin circles are the prior's standard deviations. One latent is drawn as a strip for every class,
two as a plane, three as their three planes and one oblique view.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaescope.figures import style, views
from vaescope.figures.style import GREY, INK, LINE, PAPER, PRINT, Array, require
from vaescope.figures.views import SIGMAS, View, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = {1: 840, 2: 880, 3: 400}
"""The width of a panel for one, two and three latents, in pixels."""
LEFT, BELOW, ABOVE = 150, 105, 15
"""Around a panel for the numbers and names of its axes, in pixels."""
LEGEND = 16
"""A legend names at most so many classes."""
NAME = 300
"""Longer names are cut, in pixels."""
STRIPS = 30
"""Of one latent so many classes at most are drawn in strips of their own."""
MARK = 16
"""The diameter of a class's disc in the legend, in pixels."""


def latent_representation(
    path: Path,
    z: Array,
    labels: Array | None,
    names: Sequence[str],
    *,
    title: str,
    footer: str,
    axes: tuple[str, ...] = ("z1", "z2", "z3"),
    sigma_circles: bool = True,
) -> None:
    """Draws latents as points, coloured by class.

    Args:
        path: The PNG file to write.
        z: Latents, with shape (N, d), where d is 1, 2 or 3.
        labels: The class of every point, with shape (N,), or ``None`` to colour by the local density of points.
        names: The names of the classes.
        title: What is seen, and on which data and split.
        footer: The run, the step and the protocol.
        axes: The names of the d axes.
        sigma_circles: Whether to draw the prior's 1 and 2 sigma circles.
    """
    require(np.ndim(z) == 2, f"latents need the shape (N, d), got {np.shape(z)}")
    z, labels = views.checked(z, labels, list(names), (1, 2, 3))
    d = z.shape[1]
    crowded = d == 1 and labels is not None and len(names) > STRIPS
    labels = None if crowded else labels
    require(len(axes) >= d, f"{d} latents need as many axis names, got {len(axes)}")
    order = views.shuffled(len(z))
    z, labels = z[order], None if labels is None else labels[order]
    names = [style.shortened(name, PRINT.small, NAME) for name in names]

    def draw(figure: Figure) -> None:
        {1: _strips, 2: _plane, 3: _four_views}[d](figure, z, labels, names, axes[:d], sigma_circles)
        if labels is None:
            _density_legend(figure)
        elif d > 1:
            _class_legend(figure, names)

    note = "circles: 1σ and 2σ of the prior" if d == 3 and sigma_circles else ""
    note = f"all {len(names)} classes together, too many for a strip each" if crowded else note
    body = style.drawn(draw, *_size(d, None if labels is None else names))
    style.save_page(path, body, title=title, footer=footer, note=note)


def _size(d: int, names: list[str] | None) -> tuple[int, int]:
    """The width and the height of the drawing, in pixels."""
    across, down = (2, 2) if d == 3 else (1, 1)
    height = 72 * max(len(names or []), 4) if d == 1 else SIDE[d]
    legend = 240 if names is None else _legend_width(names) if d > 1 else 10
    left = _names_width(names) if d == 1 else LEFT
    return across * (left + SIDE[d]) + legend, down * (ABOVE + height + BELOW)


def _names_width(names: list[str] | None) -> int:
    """The room for class names beside strips, in pixels."""
    return 40 + style.widest(names or [], PRINT.small)


def _legend_width(names: list[str]) -> int:
    lines = [*names[:LEGEND], *_legend_title(names), _more(names)]
    return 3 * MARK + PRINT.gap + style.widest(lines, PRINT.text)


def _legend_title(names: list[str]) -> list[str]:
    return ["class", *filter(None, style.cycle_note(len(names)).split(", "))]


def _more(names: list[str]) -> str:
    return f"and {len(names) - LEGEND} more" if len(names) > LEGEND else ""


def _place(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """A panel at a place in pixels, from the lower left corner of the figure."""
    w, h = figure.get_size_inches() * figure.dpi
    return figure.add_axes((x / w, y / h, width / w, height / h))


def _plane(
    figure: Figure, z: Array, labels: Array | None, names: list[str], axes: tuple[str, ...], circles: bool
) -> None:
    frame = views.window(z, z, circles)
    panel = _place(figure, LEFT, BELOW, SIDE[2], SIDE[2])
    (view,) = views.planes(axes)
    _panel(panel, view, z, labels, names, frame, circles)
    for sigma in SIGMAS if circles and frame.half < 8 else ():
        _haloed(panel, (sigma * np.cos(0.8), -sigma * np.sin(0.8)), f"{sigma}σ", GREY, PRINT.small)
    if labels is not None:
        _name_clusters(panel, z, labels, names)


def _four_views(
    figure: Figure, z: Array, labels: Array | None, names: list[str], axes: tuple[str, ...], circles: bool
) -> None:
    frame, side = views.window(z, z, circles), SIDE[3]
    high = ABOVE + side + BELOW
    corners = [(LEFT, high + BELOW), (2 * LEFT + side, high + BELOW), (LEFT, BELOW)]
    for (x, y), view in zip(corners, views.planes(axes), strict=True):
        _panel(_place(figure, x, y, side, side), view, z, labels, names, frame, circles)
    view = views.oblique(-50)
    near = np.argsort(views.depth(view, z), kind="stable")
    panel = _place(figure, 1.5 * LEFT + side, ABOVE, side + LEFT, high - 2 * ABOVE)
    _panel(panel, view, z[near], None if labels is None else labels[near], names, frame, circles)
    _cube(panel, view, frame, axes)


def _panel(
    panel: Axes, view: View, z: Array, labels: Array | None, names: list[str], frame: Window, circles: bool
) -> None:
    """The points from one direction, in the window, with the prior's circles behind them."""
    from matplotlib.patches import Circle

    points, middle = view(z), view(frame.centre)
    panel.set_aspect("equal")
    panel.set_xlim(middle[0] - frame.half, middle[0] + frame.half)
    panel.set_ylim(middle[1] - frame.half, middle[1] + frame.half)
    panel.grid(False)
    panel.set_xlabel(view.right)
    panel.set_ylabel(view.up)
    _few_ticks(panel, middle, frame.half)
    for sigma in SIGMAS if circles else ():
        panel.add_patch(Circle((0, 0), sigma, fill=False, edgecolor=GREY, linewidth=1.5, zorder=0.5))
    _points(panel, points, labels, names, views.crowd(points, middle, frame.half))


def _points(panel: Axes, points: Array, labels: Array | None, names: list[str], crowd: Array) -> None:
    """Discs in the order given, the more transparent the more of them there are around."""
    from matplotlib import colormaps

    diameter = float(np.clip(11 * (1000 / len(points)) ** 0.3, 3, 14))
    overlap = crowd * (diameter * views.CELLS / panel.get_window_extent().width) ** 2
    shades = (
        colormaps["viridis"](views.density(crowd))[:, :3]
        if labels is None
        else np.array([style.rgb(style.colour(k, len(names))) for k in range(len(names))])[labels] / 255
    )
    colours = np.column_stack([shades, np.clip(overlap**-0.5, 0.3, 0.9)])
    panel.scatter(points[:, 0], points[:, 1], s=diameter**2, c=colours, linewidths=0, zorder=2)


def _haloed(panel: Axes, at: tuple[float, float], text: str, colour: str, size: int, weight: str = "normal") -> None:
    """A short label in front of the points, with a white rim."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=5, foreground=PAPER)]
    panel.text(
        *at, text, color=colour, fontsize=size, fontweight=weight, ha="center", va="center", zorder=4, path_effects=halo
    )


def _name_clusters(panel: Axes, z: Array, labels: Array, names: list[str]) -> None:
    """Writes class names at the medians of their points, the largest classes first, where there is room."""
    scale = np.ptp(panel.get_xlim()) / SIDE[2]  # latent units a pixel
    taken: list[tuple[float, float, float]] = []
    counts = np.bincount(labels, minlength=len(names))
    for k in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        x, y = (float(value) for value in np.median(z[labels == k], axis=0))
        wide, high = style.text_width(names[k], PRINT.small, bold=True) / 2 * scale, 0.65 * PRINT.small * scale
        if abs(x - np.mean(panel.get_xlim())) + wide > SIDE[2] / 2 * scale:
            continue
        if all(abs(x - u) > wide + w or abs(y - v) > 2 * high for u, v, w in taken):
            _haloed(panel, (x, y), names[k], INK, PRINT.small, "bold")
            taken.append((x, y, wide))


def _cube(panel: Axes, view: View, frame: Window, axes: tuple[str, ...]) -> None:
    """The cube of the window in an oblique view, in place of axes, with the names of its three axes."""
    middle = view(frame.centre)
    panel.set_axis_off()
    box = panel.get_window_extent()
    reach = 1.6 * frame.half * np.array([1, box.height / box.width])
    panel.set_xlim(middle[0] - reach[0], middle[0] + reach[0])
    panel.set_ylim(middle[1] - reach[1], middle[1] + reach[1])
    for start, end in views.cube_edges(view):
        ends = middle + frame.half * np.array([start, end])
        panel.plot(ends[:, 0], ends[:, 1], color=LINE, linewidth=2, zorder=0.2)
    for name, (at, outwards) in zip(axes, views.cube_labels(view), strict=True):
        x, y = middle + frame.half * (at + 0.17 * outwards)
        panel.text(x, y, name, ha="center", va="center")


def _strips(
    figure: Figure, z: Array, labels: Array | None, names: list[str], axes: tuple[str, ...], circles: bool
) -> None:
    """One latent: a strip for every class, the points spread upwards at random so that their density is seen."""
    left = _names_width(names if labels is not None else None)
    _, height = figure.get_size_inches() * figure.dpi
    panel = _place(figure, left, BELOW, SIDE[1], height - BELOW - ABOVE)
    rows = np.zeros(len(z), int) if labels is None else labels
    spread = np.random.default_rng(1).uniform(-0.35, 0.35, len(z))
    points = np.column_stack([z[:, 0], rows + spread])
    frame = views.window(z, z, circles)
    panel.set_xlim(frame.centre[0] - frame.half, frame.centre[0] + frame.half)
    panel.set_ylim((len(names) if labels is not None else 1) - 0.5, -0.5)
    panel.set_xlabel(axes[0])
    panel.set_yticks(range(len(names)) if labels is not None else [], names if labels is not None else [])
    for sigma in SIGMAS if circles else ():
        for side in (-sigma, sigma):
            panel.axvline(side, color=GREY, linewidth=1.5, zorder=0.5)
    crowd = views.crowd(points - [[0, points[:, 1].mean()]], np.array([frame.centre[0], 0]), frame.half)
    _points(panel, points, labels, names, np.maximum(crowd, 1e-3))


def _few_ticks(panel: Axes, middle: Array, half: float) -> None:
    """About five round numbers on both axes."""
    for axis, at in ((panel.xaxis, middle[0]), (panel.yaxis, middle[1])):
        values = views.ticks(at - half, at + half, 5)
        axis.set_ticks(values, style.numbers(values))


def _density_legend(figure: Figure) -> None:
    """The scale of densities, to the right of the data."""
    from matplotlib.cm import ScalarMappable

    width, height = figure.get_size_inches() * figure.dpi
    scale = ScalarMappable(cmap="viridis")
    bar = figure.colorbar(
        scale, cax=_place(figure, width - 200, BELOW + (height - BELOW) / 4, 30, height / 3), ticks=[0, 1]
    )
    bar.ax.set_yticklabels(["sparse", "dense"])
    bar.ax.set_title("density", loc="left", pad=PRINT.gap)
    bar.outline.set_visible(False)


def _class_legend(figure: Figure, names: list[str]) -> None:
    """The names of the classes in their colours, to the right of the data."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches() * figure.dpi
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=MARK, color=style.colour(k, len(names)), label=name)
        for k, name in enumerate(names[:LEGEND])
    ]
    handles += [Line2D([], [], linestyle="", label=_more(names))] if _more(names) else []
    figure.legend(
        handles=handles,
        title="\n".join(_legend_title(names)),
        loc="center left",
        bbox_to_anchor=(1 - _legend_width(names) / width, 0.5 + BELOW / height / 2),
        frameon=False,
        handlelength=1,
        handletextpad=0.4,
        borderpad=0.5,
        alignment="left",
    )
