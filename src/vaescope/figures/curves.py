"""How training went: the -ELBO and its two halves against the step.

.. math:: -\\mathrm{ELBO} = \\underbrace{E_q[-\\log p(x \\mid z)]}_{\\text{distortion}}
          + \\underbrace{KL(q(z \\mid x) \\,\\|\\, p(z))}_{\\text{rate}}

The sum alone hides what happens: at first the rate is zero and the distortion falls, then the latents begin to carry
something and the rate rises. So the picture has the sum large and its halves beside it. Where there is no rate, as of
an autoencoder, the distortion stands alone; where something else is minimised than the large curve, it is shown too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaescope.figures import style
from vaescope.figures.style import DISTORTION, GREY, INK, PRINT, RATE, WIDTH, Array, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NAMES = {"bound": "−ELBO", "loss": "minimised"}
"""What the panels are called, where it is not as the values."""
COLOURS = {"distortion": DISTORTION, "rate": RATE, "loss": INK}


@dataclass(frozen=True)
class Curve:
    """What was measured along a run; every array has the shape (T,).

    Args:
        step: The optimiser steps, increasing.
        loss: What is minimised.
        distortion: The expected negative log likelihood.
        rate: The KL divergence of the posterior from the prior; not a number where there is none.
    """

    step: Array
    loss: Array
    distortion: Array
    rate: Array

    def __post_init__(self) -> None:
        shapes = {np.shape(values) for values in (self.step, self.loss, self.distortion, self.rate)}
        require(
            len(shapes) == 1 and len(next(iter(shapes))) == 1,
            f"step, loss, distortion and rate need one shape (T,), got {sorted(shapes)}",
        )

    @property
    def bound(self) -> Array:
        """The -ELBO, distortion + rate."""
        return np.asarray(self.distortion) + np.asarray(self.rate)


@dataclass(frozen=True)
class Course:
    """How one of several runs went; every array has the shape (T,).

    Args:
        name: What the run is called.
        step: The optimiser steps, increasing.
        seconds: The seconds until then; not a number where they are not known.
        value: What was measured there.
    """

    name: str
    step: Array
    seconds: Array
    value: Array

    def __post_init__(self) -> None:
        shapes = {np.shape(values) for values in (self.step, self.seconds, self.value)}
        require(
            len(shapes) == 1 and len(next(iter(shapes))) == 1,
            f"step, seconds and value need one shape (T,), got {sorted(shapes)}",
        )


MANY = 10_000
"""Numbers from here on are written without decimals, and without powers of ten."""


def training_curves(
    path: Path,
    train: Curve,
    validation: Curve,
    *,
    title: str,
    footer: str,
    floor: float | None = None,
    unit: str = "nats per image",
) -> None:
    """Draws the -ELBO, the distortion and the rate against the step: train thin, validation thick.

    Without a rate the distortion is drawn alone. A loss that ends elsewhere than what is drawn large has a panel too.

    The steps are on a logarithmic scale where they span more than a factor of 30, so that the start can be seen. The
    first values are often several times the last ones and may leave the picture at the top.

    Args:
        path: The PNG file to write.
        train: What was measured on the training batches.
        validation: What was measured on the validation set; it may be empty.
        title: What is seen, and on which data and split.
        footer: The run, the step and the protocol.
        floor: The irreducible entropy, which no model's -ELBO can fall below on average.
        unit: The unit of all three curves.
    """
    require(len(train.step) + len(validation.step) > 0, "there is nothing to draw: both curves are empty")
    measured = validation if len(validation.step) else train
    large = "bound" if np.isfinite(measured.bound).any() else "distortion"
    beside = ["distortion", "rate"] if large == "bound" else []
    beside += [] if _ends_alike(measured.loss, getattr(measured, large)) else ["loss"]

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
        grid = figure.add_gridspec(1, 2, width_ratios=(1.5, 1)) if beside else figure.add_gridspec(1, 1)
        parts = [figure.add_subfigure(grid[column]) for column in range(2 if beside else 1)]
        whole = parts[0].subplots()
        _panel(whole, train, validation, large, INK if large == "bound" else DISTORTION, floor)
        if beside:
            panels = np.atleast_1d(parts[1].subplots(len(beside), sharex=True))
            for axes, key in zip(panels, beside, strict=True):
                _panel(axes, train, validation, key, COLOURS[key], zero=key == "rate")
        for part in parts:
            part.supxlabel("step", fontsize=PRINT.text)
            part.supylabel(unit, fontsize=PRINT.text)
        figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)

    body = style.drawn(draw, WIDTH, 800)
    style.save_page(path, body, title=title, footer=footer)


def _panel(
    axes: Axes,
    train: Curve,
    validation: Curve,
    key: str,
    colour: str,
    floor: float | None = None,
    zero: bool = False,
) -> None:
    """The quantity ``key``: its name and its last value above, the curves below, with ``floor`` or zero in sight."""
    curves = [(np.asarray(curve.step, float), np.asarray(getattr(curve, key), float)) for curve in (train, validation)]
    for (step, value), label, width, alpha in zip(curves, ("train", "validation"), (1.5, 5), (0.55, 1), strict=True):
        if len(step):
            marker = "o" if len(step) == 1 else None
            axes.plot(
                step, value, color=colour, linewidth=width, alpha=alpha, label=label, marker=marker, markersize=12
            )
    if floor is not None:
        axes.axhline(floor, color=GREY, linestyle=":", linewidth=4, label=f"irreducible entropy {floor:,.1f}")
    scale_steps(axes, np.concatenate([step for step, _ in curves]))
    scale_values(axes, _limits(curves, [floor] if floor is not None else [0.0] if zero else []))
    last = next(value for _, value in reversed(curves) if len(value))[-1]
    axes.set_title(NAMES.get(key, key), loc="left", color=colour, fontweight="bold")
    axes.set_title(amount(last), loc="right", color=colour)


def overlaid(
    path: Path,
    courses: Sequence[Course],
    *,
    quantity: str = "−ELBO",
    title: str,
    footer: str,
    floor: float | None = None,
    unit: str = "nats per image",
) -> None:
    """Draws the same quantity of several runs over each other: against the steps, and against the seconds.

    Seconds are left out where those of a run are not known. As in :func:`training_curves`, what spans much is on a
    logarithmic scale, and the first values may leave the picture at the top.

    Args:
        path: The PNG file to write.
        courses: The runs, each in a colour of its own.
        quantity: What was measured.
        title: What is seen, and on which data and split.
        footer: The protocol.
        floor: What no run can fall below on average, such as the irreducible entropy.
        unit: The unit of the quantity.
    """
    courses = [course for course in courses if np.isfinite(course.value).any()]
    require(bool(courses), "there is nothing to draw: all curves are empty")
    timed = all(np.isfinite(course.seconds).all() for course in courses)
    against = ["step", "seconds"] if timed and max(course.seconds[-1] for course in courses) > 0 else ["step"]

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
        panels = np.atleast_1d(figure.subplots(1, len(against), sharey=True))
        for axes, key in zip(panels, against, strict=True):
            _overlay(axes, courses, key, floor)
            axes.set_xlabel(key)
        panels[0].set_ylabel(f"{quantity}, {unit}")
        handles, labels = panels[0].get_legend_handles_labels()
        widest = max(style.text_width(label, PRINT.small) for label in labels)
        columns = max(1, min(3, (WIDTH - 60) // (widest + 110)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)

    rows = -(-(len(courses) + (floor is not None)) // 2)
    body = style.drawn(draw, WIDTH, 640 + 48 * rows)
    style.save_page(path, body, title=title, footer=footer)


def _overlay(axes: Axes, courses: Sequence[Course], key: str, floor: float | None) -> None:
    """The courses against their steps or seconds, with their last values in the legend."""
    curves = [(np.asarray(getattr(course, key), float), np.asarray(course.value, float)) for course in courses]
    for k, (course, (place, value)) in enumerate(zip(courses, curves, strict=True)):
        last = amount(value[np.isfinite(value)][-1])
        name = style.shortened(style.drawable(course.name) or "run", PRINT.small, WIDTH // 2)
        colour, marker = style.colour(k, len(courses)), "o" if len(value) == 1 else None
        axes.plot(place, value, color=colour, linewidth=5, alpha=0.9, marker=marker, markersize=12)
        axes.lines[-1].set_label(f" {name}  {last}")  # a name that begins with an underscore would be left out
    if floor is not None:
        axes.axhline(floor, color=GREY, linestyle=":", linewidth=4, label=f" irreducible entropy  {floor:,.1f}")
    scale_steps(axes, np.concatenate([place for place, _ in curves]))
    scale_values(axes, _limits(curves, [] if floor is None else [floor]))


def scale_values(axes: Axes, limits: tuple[float, float]) -> None:
    """Sets the range of values; many thousands are written as such."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylim(*limits)
    if max(np.abs(limits)) >= MANY:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:,.7g}k"))


def amount(value: float) -> str:
    """A number with as many decimals as there is room for: none of many thousands."""
    return f"{value:,.0f}" if abs(value) >= MANY else f"{value:,.1f}"


def _ends_alike(a: Array, b: Array) -> bool:
    """Whether two curves end at the same value, up to rounding, or one is not known. Schedules have arrived there."""
    return bool(np.isclose(a[-1], b[-1], rtol=1e-4, atol=1e-4) or not np.isfinite(a[-1] + b[-1]))


def scale_steps(axes: Axes, steps: Array) -> None:
    """Makes the axis of steps logarithmic where they span much, from a 300th of the last step on at the earliest."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    last, first = steps.max(), steps[steps > 0].min(initial=np.inf)
    if last >= 30 * first:
        axes.set_xscale("log", nonpositive="mask")
        axes.set_xlim(max(first, last / 300), last)
    elif last == steps.min():
        axes.set_xticks([last])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.minorticks_off()


def _limits(curves: list[tuple[Array, Array]], seen: list[float]) -> tuple[float, float]:
    """The range of values from a tenth of the steps on and of those to be seen, and as much again for what came before.

    The first values are often several times the last ones, and a picture that shows them shows nothing else.
    """
    last = max(step[-1] for step, _ in curves if len(step))
    finite = [(step[np.isfinite(value)], value[np.isfinite(value)]) for step, value in curves]
    settled = np.concatenate([*(value[step >= last / 10] for step, value in finite), seen])
    if not len(settled):
        return 0.0, 1.0
    low, high = settled.min(), settled.max()
    span = max(high - low, 1e-3 * abs(high), 1e-6)
    everything = np.concatenate([*(value for _, value in finite), settled])
    low, high = max(low - span, everything.min()), min(high + span, everything.max())
    margin = 0.06 * max(high - low, span)
    return float(low - margin), float(high + margin)
