"""The model as it is: a diagram of a variational autoencoder with the sizes of everything in it.

It reads clockwise. The image x goes to the right through the encoder to the posterior q(z|x), down through a sample
to z, and back to the left through the decoder to the likelihood p(x|z), which stands below the x that it has to
explain. So the two terms of the -ELBO have their places: the distortion at the left, between x and p(x|z), and the rate
at the right, between the posterior and the prior.

What belongs to q and the rate is orange, what belongs to p(x|z) and the distortion is blue, z is purple.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaescope.figures import style
from vaescope.figures.style import DISTORTION, GREY, INK, LATENT, LINE, PAPER, RATE, Array, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WIDTH = 1500
"""The width of the drawing, in pixels."""
LEFT, RIGHT = 250, 410
"""The widths of the columns of x and of z, in pixels."""
PICTURE = 196
"""The side of the images at both ends, at most, in pixels."""
LOW, HIGH = 60, 230
"""The heights of the smallest and of the largest stage, in pixels."""
DEPTH = 16
"""How far the slab of a feature map reaches back, in pixels."""
TEXT = 30
"""The size of text, where there is room, in pixels."""
NOTE = "below each stage: what it is, the shape of its output, the number of its parameters"


@dataclass(frozen=True)
class Stage:
    """A step of the encoder or the decoder, and what comes out of it.

    Args:
        name: What it is called, such as ``conv`` or ``linear``.
        shape: The shape of what comes out for one image: (C, H, W) for feature maps, (D,) for a vector.
        parameters: How many numbers are learned in it.
        detail: What else there is to know, such as ``4×4, stride 2``; shown where there is room.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int = 0
    detail: str = ""

    @property
    def size(self) -> int:
        """How many numbers come out of it for one image."""
        return math.prod(self.shape)

    @property
    def sides(self) -> str:
        """The shape as it is written: ``64×7×7``."""
        return "×".join(map(str, self.shape))


def architecture(
    path: Path,
    encoder: Sequence[Stage],
    latent: Stage,
    decoder: Sequence[Stage],
    *,
    data: Stage,
    output: Stage,
    prior: str,
    posterior: str,
    likelihood: str,
    objective: str,
    title: str,
    footer: str,
    example: Array | None = None,
    decoded: Array | None = None,
    labels: str = "",
    classifier: bool = False,
    point: bool = False,
) -> None:
    """Draws the encoder, the latent variable and the decoder with the sizes of all stages, and the objective.

    Args:
        path: The PNG file to write.
        encoder: The stages from the image to the parameters of the posterior.
        latent: The latent variable, with the parameters, if any, that are neither the encoder's nor the decoder's.
        decoder: The stages from z to the parameters of the likelihood.
        data: The image.
        output: The parameters of the likelihood.
        prior: The prior's name, such as ``N(0, I)``.
        posterior: The posterior's name, such as ``N(μ(x), σ²(x))``.
        likelihood: The likelihood's name, such as ``Bernoulli``.
        objective: What is minimised, in words, such as ``−ELBO`` or ``β-VAE, β = 4``.
        title: Which model is seen.
        footer: The run and the configuration.
        example: An image to show as x, with shape (C, H, W).
        decoded: What the model makes of it, with shape (C, H, W).
        labels: What the labels y are that both networks see beside their inputs, if they do.
        classifier: Whether the labels are latent, with a classifier q(y|x) for their posterior.
        point: Whether the posterior is a point mass, so that there is no rate.
    """
    require(len(encoder) > 0 and len(decoder) > 0, "the encoder and the decoder need at least one stage each")
    every = [data, *encoder, latent, *decoder, output]
    require(all(stage.size > 0 for stage in every), "every stage needs a shape of positive sizes")
    signs = _Signs(",y" if labels else "", labels, classifier, point)
    plan = _Plan.of(encoder, decoder, likelihood, [stage.size for stage in every], 2 if labels else 1)

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(plan.height, 0)
        axes.set_axis_off()
        _heading(axes, plan.encoder_y, "encoder", RATE, encoder)
        _heading(axes, plan.decoder_y, "decoder", DISTORTION, decoder)
        _row(axes, plan, encoder, plan.encoder_y, RATE, forward=True)
        _row(axes, plan, decoder, plan.decoder_y, DISTORTION, forward=False)
        _ends(axes, plan, signs, data, output, likelihood, example, decoded)
        _latent(axes, plan, signs, latent, prior, posterior)
        _objective(axes, plan, signs, objective, sum(stage.parameters for stage in every))

    body = style.drawn(draw, WIDTH, plan.height)
    style.save_page(path, body, title=title, footer=footer, note=NOTE)


@dataclass(frozen=True)
class _Signs:
    """How the distributions are written.

    Args:
        y: What stands beside a condition: ``,y`` where there are labels.
        labels: What the labels are.
        classifier: Whether they are latent.
        point: Whether the posterior is a point mass.
    """

    y: str
    labels: str
    classifier: bool
    point: bool

    @property
    def q(self) -> str:
        """The posterior."""
        return rf"q\,(z\,|\,x{self.y})"

    @property
    def whole(self) -> tuple[str, str]:
        """The posterior of everything latent, and its prior."""
        return (r"q\,(y, z\,|\,x)", r"p\,(y)\,p\,(z)") if self.classifier else (self.q, r"p\,(z)")

    @property
    def p(self) -> str:
        """The likelihood."""
        return rf"p\,(x\,|\,z{self.y})"


@dataclass(frozen=True)
class _Plan:
    """Where things are.

    Args:
        text: The size of the labels below the stages, in pixels.
        detailed: Whether labels have the details.
        upright: Whether labels are turned, because they have no room to lie.
        label: The height of the labels, in pixels.
        ends: The height of the lines below p(x|z), in pixels.
        sizes: The smallest and the largest size of a stage.
        foot: How many lines stand below the objective.
    """

    text: int
    detailed: bool
    upright: bool
    label: int
    ends: int
    sizes: tuple[int, int]
    foot: int

    @staticmethod
    def of(encoder: Sequence[Stage], decoder: Sequence[Stage], likelihood: str, sizes: list[int], foot: int) -> _Plan:
        """Tries labels from large to small: lying with details, lying without, and then upright."""
        rows = [(_slot(len(row)), stage) for row in (encoder, decoder) for stage in row]
        ends = (2 + len(_named(likelihood))) * style.line_height(TEXT)
        range_of_sizes = (min(sizes), max(sizes))
        for detailed, text in itertools.product((True, False), range(TEXT, 21, -1)):
            labels = [(slot, _labels(stage, detailed)) for slot, stage in rows]
            if all(style.widest(label, text) <= slot - 20 for slot, label in labels):
                high = max(len(label) for _, label in labels) * style.line_height(text)
                return _Plan(text, detailed, False, high, ends, range_of_sizes, foot)
        text = int(np.clip(min(slot for slot, _ in rows) / 4.4, 15, 26))
        high = max(style.widest(_labels(stage, False), text) for _, stage in rows)
        return _Plan(text, False, True, high, ends, range_of_sizes, foot)

    @property
    def encoder_y(self) -> int:
        """The middle of the encoder's stages."""
        return 64 + HIGH // 2

    @property
    def decoder_y(self) -> int:
        """The middle of the decoder's stages."""
        return self.encoder_y + HIGH + max(self.label, 2 * style.line_height(TEXT)) + 140

    @property
    def objective_y(self) -> int:
        """The top of the objective."""
        return self.decoder_y + HIGH // 2 + max(self.label, self.ends) + 50

    @property
    def height(self) -> int:
        """The height of the drawing."""
        return self.objective_y + 190 + (self.foot - 1) * style.line_height(TEXT)

    def tall(self, stage: Stage) -> float:
        """The height of a stage, linear in the logarithm of its size."""
        low, high = (math.log(size) for size in self.sizes)
        share = (math.log(stage.size) - low) / (high - low) if high > low else 1.0
        return LOW + (HIGH - DEPTH - LOW) * share


def _slot(stages: int) -> float:
    """The width that each of the stages in a row has, in pixels."""
    return (WIDTH - LEFT - RIGHT) / stages


def _labels(stage: Stage, detailed: bool) -> list[str]:
    """The lines below a stage: what it is, what comes out, how many parameters it has, and its details one by one."""
    lines = [stage.name, stage.sides, f"{stage.parameters:,}" if stage.parameters else "–"]
    return [*lines, *stage.detail.split(", ")] if detailed and stage.detail else lines


def _named(likelihood: str) -> list[str]:
    """The likelihood's name, broken into lines."""
    return style.wrapped(likelihood, TEXT, LEFT - 10)


def _heading(axes: Axes, y: float, name: str, colour: str, stages: Sequence[Stage]) -> None:
    """The name of a row, and how many parameters it has."""
    top = y - HIGH / 2 - 36
    _text(axes, LEFT + 8, top, name, color=colour, fontweight="bold", fontsize=TEXT, va="center")
    total = f"{sum(stage.parameters for stage in stages):,} parameters"
    right = LEFT + 8 + style.text_width(name, TEXT, bold=True) + 18
    _text(axes, right, top, total, color=GREY, fontsize=TEXT, va="center")


def _row(axes: Axes, plan: _Plan, stages: Sequence[Stage], y: float, colour: str, *, forward: bool) -> None:
    """The stages of the encoder from left to right, or of the decoder from right to left, and arrows between them."""
    slot = _slot(len(stages))
    left = [LEFT + (i if forward else len(stages) - 1 - i) * slot for i in range(len(stages))]
    for x, stage in zip(left, stages, strict=True):
        deep = len(stage.shape) > 1
        wide = min(0.4 * slot, 80) if deep else min(0.24 * slot, 40)
        _slab(axes, x + slot / 2 - (DEPTH / 2 if deep else 0), y, wide, plan.tall(stage), colour, deep=deep)
        _label(axes, plan, x + slot / 2, y + HIGH / 2 + 14, stage)
    reach = float(np.clip(0.16 * slot, 16, 24))
    inner = [LEFT + i * slot for i in range(1, len(stages))] if slot > 100 else []  # narrow ones stand close enough
    for x in (LEFT - 8, *inner, WIDTH - RIGHT + 6):
        _arrow(axes, (x - reach, y), (x + reach, y), flip=not forward)


def _text(axes: Axes, x: float, y: float, text: str, **look: Any) -> Text:
    """Words, or a formula when they begin with a dollar sign."""
    return axes.text(x, y, text, parse_math=text.startswith("$"), **look)


def _slab(axes: Axes, x: float, y: float, wide: float, tall: float, colour: str, *, deep: bool) -> None:
    """A stage: a bar for a vector, a slab that reaches back for feature maps. It is ``tall`` around ``y``."""
    from matplotlib.patches import FancyBboxPatch, Polygon

    left, right, top, low = x - wide / 2, x + wide / 2, y - tall / 2, y + tall / 2
    edge: dict[str, Any] = {"edgecolor": colour, "linewidth": 2.5, "joinstyle": "round"}
    if deep:
        d = DEPTH
        upper = [(left, top), (left + d, top - d), (right + d, top - d), (right, top)]
        side = [(right, top), (right + d, top - d), (right + d, low - d), (right, low)]
        front = [(left, top), (right, top), (right, low), (left, low)]
        for corners, white in ((upper, 0.85), (side, 0.45), (front, 0.7)):
            axes.add_patch(Polygon(corners, facecolor=style.mixed(colour, PAPER, white), **edge))
    else:
        box = FancyBboxPatch((left, top), wide, tall, boxstyle="round,pad=0,rounding_size=6")
        box.set(facecolor=style.mixed(colour, PAPER, 0.7), **edge)
        axes.add_patch(box)


def _label(axes: Axes, plan: _Plan, x: float, top: float, stage: Stage) -> None:
    """The lines of a stage under each other, or upright side by side."""
    step = style.line_height(plan.text)
    lines = _labels(stage, plan.detailed)
    for i, line in enumerate(lines):
        look: dict[str, Any] = {"color": INK if i == 0 else GREY, "fontsize": plan.text}
        if plan.upright:
            _text(axes, x + (i - (len(lines) - 1) / 2) * step, top, line, rotation=90, ha="center", va="top", **look)
        else:
            _text(axes, x, top + i * step, line, ha="center", va="top", **look)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str = GREY,
    *,
    flip: bool = False,
    both: bool = False,
) -> None:
    """An arrow from start to end, from end to start, or both ways."""
    from matplotlib.patches import FancyArrowPatch

    look = "<|-|>" if both else "<|-" if flip else "-|>"
    arrow = FancyArrowPatch(
        start, end, arrowstyle=look, mutation_scale=26, linewidth=3, color=colour, shrinkA=0, shrinkB=0
    )
    arrow.set(capstyle="butt", joinstyle="miter")
    axes.add_patch(arrow)


def _ends(
    axes: Axes,
    plan: _Plan,
    signs: _Signs,
    data: Stage,
    output: Stage,
    likelihood: str,
    example: Array | None,
    decoded: Array | None,
) -> None:
    """The image above, the likelihood below, and the distortion between them."""
    x = (LEFT - 20) / 2
    _image(axes, x, plan.encoder_y, example, data)
    _image(axes, x, plan.decoder_y, decoded, output)
    step, half = style.line_height(TEXT), PICTURE / 2 + 10
    below = plan.encoder_y + half
    for i, (line, colour) in enumerate([("$x,\\;y$" if signs.y else "$x$", INK), (data.sides, GREY)]):
        _text(axes, x, below + i * step, line, color=colour, fontsize=TEXT, ha="center", va="top")
    low = plan.decoder_y + half
    lines = [(f"${signs.p}$", DISTORTION), *((line, GREY) for line in _named(likelihood))]
    for i, (line, colour) in enumerate([*lines, (output.sides, GREY)]):
        _text(axes, x, low + i * step, line, color=colour, fontsize=TEXT, ha="center", va="top")
    top, bottom = below + 2 * step + 8, plan.decoder_y - half
    _arrow(axes, (x, top), (x, bottom), DISTORTION, both=True)
    free = plan.decoder_y - HIGH / 2 - 90  # between the labels of the encoder and the heading of the decoder
    _text(axes, x + 20, free, "distortion", color=DISTORTION, fontsize=TEXT, va="center", fontweight="bold")


def _image(axes: Axes, x: float, y: float, image: Array | None, stage: Stage) -> None:
    """An image around a place, every pixel a square of whole pixels, or an empty square where there is none."""
    from matplotlib.patches import Rectangle

    if image is None:
        axes.add_patch(Rectangle((x - 70, y - 70), 140, 140, facecolor="#f4f4f4", edgecolor=GREY, linewidth=2.5))
        _text(axes, x, y, stage.name, color=GREY, fontsize=TEXT, ha="center", va="center")
        return
    pixels = style.fit(style.as_bytes(image), PICTURE, PICTURE)
    height, width = pixels.shape[:2]
    left, top = round(x - width / 2), round(y - height / 2)
    axes.imshow(pixels, extent=(left, left + width, top + height, top), interpolation="none", aspect="auto", zorder=3)


def _latent(axes: Axes, plan: _Plan, signs: _Signs, latent: Stage, prior: str, posterior: str) -> None:
    """The posterior above, a sample of it below and the prior beside it, with the rate between posterior and prior."""
    from matplotlib.patches import Circle

    left = WIDTH - RIGHT + 34
    z, p = left + 68, left + 262
    step, top, low = style.line_height(TEXT), plan.encoder_y, plan.decoder_y
    words = style.wrapped(posterior, TEXT, RIGHT - 64)
    half = (len(words) + 1) * step / 2 + 16
    _box(axes, (left, top - half), (RIGHT - 38, 2 * half), [f"${signs.q}$", *words], RATE)
    words = style.wrapped(prior, TEXT, 196)
    high = (len(words) + 1) * step / 2 + 16
    _box(axes, (p - 108, low - high), (216, 2 * high), [r"$p\,(z)$", *words], RATE)
    axes.add_patch(Circle((z, low), 66, facecolor=style.mixed(LATENT, PAPER, 0.75), edgecolor=LATENT, linewidth=3))
    _text(axes, z, low - 16, "$z$", color=INK, fontsize=1.5 * TEXT, ha="center", va="center")
    _text(
        axes,
        z,
        low + 30,
        latent.sides,
        color=GREY,
        fontsize=TEXT if len(latent.sides) < 6 else 0.75 * TEXT,
        ha="center",
        va="center",
    )
    _arrow(axes, (z, top + half + 6), (z, low - 72), LATENT)
    middle = (top + half + low - 72) / 2
    if signs.point:
        _text(axes, z + 18, middle, "$z = f(x" + signs.y + ")$", color=LATENT, fontsize=TEXT, va="center")
        return
    _arrow(axes, (p, top + half + 6), (p, low - high - 6), RATE, both=True)
    _text(
        axes,
        z + 18,
        middle,
        r"$z \sim q$" if signs.y else rf"$z \sim {signs.q}$",
        color=LATENT,
        fontsize=TEXT,
        va="center",
    )
    _text(axes, p + 18, middle, "rate", color=RATE, fontsize=TEXT, va="center", fontweight="bold")


def _box(axes: Axes, corner: tuple[float, float], size: tuple[float, float], lines: Sequence[str], colour: str) -> None:
    """A distribution: a round box with its symbol and its name."""
    from matplotlib.patches import FancyBboxPatch

    box = FancyBboxPatch(corner, *size, boxstyle="round,pad=0,rounding_size=18")
    box.set(facecolor=style.mixed(colour, PAPER, 0.88), edgecolor=colour, linewidth=3)
    axes.add_patch(box)
    step = style.line_height(TEXT)
    for i, line in enumerate(lines):
        y = corner[1] + size[1] / 2 + (i - (len(lines) - 1) / 2) * step
        _text(axes, corner[0] + size[0] / 2, y, line, color=INK, fontsize=TEXT, ha="center", va="center")


def _objective(axes: Axes, plan: _Plan, signs: _Signs, objective: str, parameters: int) -> None:
    """The -ELBO with its two terms in their colours, or the distortion where there is no rate, what is minimised, and
    the number of all parameters."""
    size, y = 1.35 * TEXT, plan.objective_y + 50
    axes.plot([0, WIDTH], [plan.objective_y - 10] * 2, color=LINE, linewidth=2)
    q, p = signs.whole
    drawn = q.replace(r"\,", "")
    pieces = [
        (r"$-\mathrm{ELBO}\;=\;$", INK, ""),
        (rf"$\mathrm{{E}}_{{{drawn}}}[-\log {signs.p}]$", DISTORTION, "distortion"),
        (r"$\;+\;$", INK, ""),
        (rf"$\mathrm{{KL}}({q}\;\|\;{p})$", RATE, "rate"),
    ]
    if signs.point:
        pieces = [(rf"$-\log {signs.p}$", DISTORTION, "distortion")]
    texts = [_text(axes, 0, y, text, color=colour, fontsize=size, va="center") for text, colour, _ in pieces]
    widths = [text.get_window_extent().width for text in texts]
    x = (WIDTH - sum(widths)) / 2
    for text, width, (_, colour, name) in zip(texts, widths, pieces, strict=True):
        text.set_x(x)
        if name:
            axes.plot([x, x + width], [y + 36] * 2, color=colour, linewidth=3)
            _text(axes, x + width / 2, y + 44, name, color=colour, fontsize=TEXT, ha="center", va="top")
        x += width
    line = f"minimised: {objective}  ·  {parameters:,} parameters in all"
    lines = [f"y: {signs.labels}", line] if signs.labels else [line]
    for above, line in enumerate(reversed(lines)):
        small = min(TEXT, TEXT * (WIDTH - 40) / style.text_width(line, TEXT))
        low = plan.height - 10 - above * style.line_height(TEXT)
        _text(axes, WIDTH / 2, low, line, color=GREY, fontsize=small, ha="center", va="bottom")
