"""What the latents carry: each by itself at the end of training, and all together along the way.

A latent whose bar is all but empty says nothing about the image. That some are is normal where there are more than the
model needs; that all are is a collapse of the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaescope.figures import style
from vaescope.figures.curves import scale_steps
from vaescope.figures.style import CLASSES, GREY, INK, LATENT, LINE, PRINT, WIDTH, Array, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROUND = (1, 2, 5, 10)
"""Between two ticks, times a power of ten."""

NAMED = 12
"""Latents up to which every bar has its name below it."""


@dataclass(frozen=True)
class Course:
    """One number along a run.

    Args:
        name: What it is.
        unit: Its unit.
        step: The steps at which it was measured, increasing, with shape (T,).
        value: Its values, with shape (T,).
        limit: The most that it can be.
        limit_name: The same in words.
        colour: The colour of the curve.
    """

    name: str
    unit: str
    step: Array
    value: Array
    limit: float
    limit_name: str
    colour: str = INK

    def __post_init__(self) -> None:
        require(
            np.shape(self.step) == np.shape(self.value) and np.ndim(self.step) == 1 and np.size(self.step) > 0,
            f"{self.name} needs as many steps as values, at least one, "
            f"got {np.shape(self.step)} and {np.shape(self.value)}",
        )


def active_units(step: Array, value: Array, latents: int) -> Course:
    """The number of active units along a run, out of as many as there are latents."""
    return Course("active latents", "latents", step, value, latents, f"{latents} latents", LATENT)


def mutual_information(step: Array, value: Array, images: int) -> Course:
    """The mutual information of image and latents in nats, which cannot be above the logarithm of the images."""
    limit = float(np.log(images))
    words = f"log {images:,} images = {limit:.2f} nats"
    return Course("mutual information", "nats", step, value, limit, words, CLASSES[0])


def latent_activity(
    path: Path,
    amounts: Array,
    active: Array | None,
    courses: list[Course],
    *,
    unit: str,
    title: str,
    footer: str,
) -> None:
    """Draws a bar for each latent, the largest first, and beside them how numbers of all together changed.

    Args:
        path: The PNG file to write.
        amounts: How much each latent carries, at least 0, with shape (D,).
        active: Whether each is active, with shape (D,); nothing where that has no meaning.
        courses: Up to two numbers along the run.
        unit: What the amounts are, with their unit.
        title: What is seen, and on which data and split.
        footer: The run, the step and the protocol.
    """
    amounts = np.asarray(amounts, float)
    require(amounts.ndim == 1 and amounts.size > 0, f"amounts need the shape (D,), got {amounts.shape}")
    require(active is None or np.shape(active) == amounts.shape, "active needs the shape of the amounts, (D,)")
    require(len(courses) <= 2, f"there is room for two courses beside the bars, got {len(courses)}")

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
        if not courses:
            _bars(figure.subplots(), amounts, active, unit)
            return
        grid = figure.add_gridspec(1, 2, width_ratios=(1.3, 1))
        left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        _bars(left.subplots(), amounts, active, unit)
        panels = np.atleast_1d(right.subplots(len(courses), sharex=True))
        for axes, course in zip(panels, courses, strict=True):
            _panel(axes, course)
        right.supxlabel("step", fontsize=PRINT.text)

    note = f"dotted: the most that there can be, {' and '.join(course.limit_name for course in courses)}"
    style.save_page(path, style.drawn(draw, WIDTH, 800), title=title, note=note if courses else "", footer=footer)


def _bars(axes: Axes, amounts: Array, active: Array | None, unit: str) -> None:
    """The bars, those of active latents in colour, and how many these are."""
    from matplotlib.ticker import MaxNLocator

    order = np.argsort(-amounts, kind="stable")
    on = np.ones(len(amounts), bool) if active is None else np.asarray(active, bool)[order]
    places, height = np.arange(1, len(amounts) + 1), amounts[order]
    axes.bar(places, height, width=0.8, color=[LATENT if used else LINE for used in on])
    if len(amounts) <= NAMED:
        axes.set_xticks(places, [f"z{i + 1}" for i in order])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_xlim(0.4, len(amounts) + 0.6)
    axes.set_ylim(0, max(1.05 * height[0], 0.02))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    axes.set_title(unit, loc="left", color=LATENT, fontweight="bold")
    unused = "" if on.all() else f", {(~on).sum()} unused in grey"
    axes.set_xlabel("latents" if active is None else f"latents: {on.sum()} active{unused}")


def _panel(axes: Axes, course: Course) -> None:
    """One number against the step: its name and its last value above, the most that it can be as a dotted line."""
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(course.step) == 1 else None
    axes.plot(course.step, course.value, color=course.colour, linewidth=5, marker=marker, markersize=12)
    axes.axhline(course.limit, color=GREY, linestyle=":", linewidth=4)
    scale_steps(axes, np.asarray(course.step, float))
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=ROUND, integer=True))
    axes.set_ylim(0, 1.12 * course.limit or 1)  # of a single image the limit is log 1
    axes.set_ylabel(course.unit)
    axes.set_title(course.name, loc="left", color=course.colour, fontweight="bold")
    axes.set_title(style.numbers(course.value[-1:])[0], loc="right", color=course.colour)
