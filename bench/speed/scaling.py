"""How the time of a step grows with batch, width, latents, image size and number of images.

One thing is varied and the rest is as in ``configs/main.yaml``, but for the batch, so small that all of it fits. Sizes
take turns, block after block. The exponent is the slope of log time against log size over the upper half of the sizes,
where what a step costs whatever its size counts least: least squares in every block, the median over blocks, with an
interval by bootstrap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.measure import ROOT, Asked, Ratio, Table, interleaved, median, middle, settings_of
from vaescope.data.images import ImageSet, Split
from vaescope.experiment import begin
from vaescope.figures import style
from vaescope.training import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = ROOT / "docs" / "images" / "speed-scaling.png"

SPAN = 0.12
"""Seconds of steps, at least, that a size is timed for in each block."""

NETWORK = "--model.init_args.network.init_args"


@dataclass(frozen=True)
class Series:
    """What is varied.

    Args:
        name: What it is called.
        unit: What its sizes count.
        sizes: The sizes, rising.
        expected: The exponent that the arithmetic of a step tends to.
        because: Why, in a few words.
        words: The options that set a size, where it is one of the config's.
        images: The number and the side of the images at a size, where it is one of theirs.
    """

    name: str
    unit: str
    sizes: Sequence[int]
    expected: float
    because: str
    words: Callable[[int], list[str]] = lambda size: []
    images: Callable[[int], tuple[int, int]] = lambda size: (4096, 28)


SERIES = (
    Series("batch", "images a step", (16, 32, 64, 128, 256, 512, 1024, 2048), 1.0,
           "every image costs the same", lambda n: ["--trainer.batch_size", str(n)]),
    Series("width", "units a layer", (64, 128, 256, 512, 1024), 2.0,
           "the products of hidden layers", lambda n: [f"{NETWORK}.width", str(n)]),
    Series("latents", "latents", (2, 8, 32, 128, 512), 0.0,
           "they touch two layers of many", lambda n: ["--model.init_args.latent", str(n)]),
    Series("image side", "pixels a side", (14, 28, 56, 112), 2.0,
           "the first and the last layer, the noise and the loss grow with the pixels", images=lambda n: (4096, n)),
    Series("number of images", "images in memory", (1_000, 10_000, 100_000, 1_000_000), 0.0,
           "a step reads one batch of them", images=lambda n: (n, 28)),
)  # fmt: skip


def measure(asked: Asked) -> list[Table]:
    """The exponents, the times behind them, and the picture."""
    blocks = 3 if asked.quick else max(5, asked.blocks)
    found = {series.name: timed(shortened(series) if asked.quick else series, blocks, asked) for series in SERIES}
    table = Table("How the time of a step grows", ["with", "from", "to", "ms a step", "exponent", "expected"])
    for series in SERIES:
        times = found[series.name]
        sizes = list(times)
        ms = [1000 * median(times[size]) for size in sizes]
        table.rows.append([
            series.name, sizes[0], sizes[-1], " ".join(f"{value:.2f}" for value in ms), str(exponent(times)),
            f"{series.expected:g}: {series.because}",
        ])  # fmt: skip
        table.data[series.name] = {"sizes": sizes, "seconds": [times[size] for size in sizes]}
    table.notes.append(
        "The network, the objective and the batch of `configs/main.yaml`, with generated images; one thing is varied. "
        "The exponent is the slope of log time over the upper half of the sizes, with a 95 % interval over blocks."
    )
    if not (asked.quick or asked.busy):
        picture(PICTURE, found)
        table.pictures.append(PICTURE)
    return [table]


def shortened(series: Series) -> Series:
    """Its smaller sizes, for a quick look."""
    return replace(series, sizes=[size for size in series.sizes[:4] if size <= 100_000])


def timed(series: Series, blocks: int, asked: Asked) -> dict[int, list[float]]:
    """The seconds of a step at every size, in each block."""
    asked.say(f"scaling: {series.name}")
    states = {size: made(series, size) for size in series.sizes}
    steps = {size: enough(state, SPAN / (4 if asked.quick else 1)) for size, state in states.items()}
    ways = {str(size): partial(per_step, states[size], steps[size]) for size in states}
    taken = interleaved(ways, blocks, asked)
    return {size: [seconds / steps[size] for seconds in taken[str(size)]] for size in states}


def made(series: Series, size: int) -> State:
    """The state before the first step at a size."""
    settings = settings_of(["--config", "configs/main.yaml", *series.words(size)])
    state = begin(settings, generated(*series.images(size)), settings.trainer.find_device())
    state.model.train()
    return state


def generated(count: int, side: int) -> ImageSet:
    """Random grey images that are training, validation and test set at once."""
    random = torch.Generator().manual_seed(0)
    split = Split(torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=random))
    return ImageSet("generated", "generated", (), split, split, split)


def per_step(state: State, steps: int) -> float:
    """The seconds of a step, over some of them. The order of the images stands for as many epochs as it takes."""
    begun = time.perf_counter()
    for _ in range(steps):
        state.advance()
    if state.batches.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begun) / steps


def enough(state: State, span: float) -> int:
    """How many steps last about so many seconds, at least two; the first steps, which are slower, are made here."""
    per_step(state, 2)
    return max(2, round(span / per_step(state, 3)))


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent of a power law, by least squares of the logarithms."""
    x = np.log(np.asarray(sizes))
    return float(np.polynomial.Polynomial.fit(x, np.log(seconds), 1).convert().coef[1])


def upper(sizes: Sequence[int]) -> list[int]:
    """The upper half of the sizes, at least two."""
    return list(sizes)[-max(2, -(-len(sizes) // 2)) :]


def exponent(times: dict[int, list[float]]) -> Ratio:
    """The exponent over the upper half, its median over blocks with an interval."""
    sizes = upper(list(times))
    blocks = zip(*(times[size] for size in sizes), strict=True)
    return middle([slope(sizes, block) for block in blocks])


def picture(path: Path, found: dict[str, dict[int, list[float]]]) -> None:
    """A panel for everything that was varied: the time of a step, and the line that was fitted."""

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.2)
        panels = list(figure.subplots(2, 3, sharey=True).flat)
        for axes, series in zip(panels, SERIES, strict=False):
            panel(axes, series, found[series.name])
        legend(panels[-1], panels[0])
        figure.supylabel("milliseconds a step", fontsize=style.PRINT.text)

    body = style.drawn(draw, style.WIDTH, 1100)
    footer = f"configs/main.yaml on generated images, one thing varied · threads: {torch.get_num_threads()}"
    style.save_page(path, body, title="How the time of a training step grows", footer=footer)


def panel(axes: Axes, series: Series, times: dict[int, list[float]]) -> None:
    """One thing that was varied, on logarithmic scales; bars from the fastest to the slowest block."""
    from matplotlib.ticker import LogLocator

    sizes, fitted = list(times), exponent(times).middle
    ms = 1000 * np.array([times[size] for size in sizes])  # (sizes, blocks)
    middles = np.median(ms, axis=1)
    spread = np.abs(np.stack((ms.min(1), ms.max(1))) - middles)
    axes.errorbar(sizes, middles, spread, fmt="o", color=style.CLASSES[0], markersize=10, label="median over blocks")
    ends = np.array(upper(sizes))
    level = np.log(middles[-len(ends) :]).mean() - fitted * np.log(ends).mean()
    axes.plot(ends, np.exp(level) * ends**fitted, color=style.CLASSES[2], linewidth=4, label="fit of the upper half")
    axes.set(xscale="log", yscale="log")
    words = f"exponent {fitted:.2f}, tends to {series.expected:g}".replace("-", "−")
    axes.set_title(words, fontsize=style.PRINT.small, color=style.CLASSES[2])
    axes.set_xlabel(series.unit, fontsize=style.PRINT.small)
    axes.set_xticks([sizes[0], sizes[-1]], [f"{size:,}" for size in (sizes[0], sizes[-1])])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def legend(empty: Axes, filled: Axes) -> None:
    """What the marks mean, in the place of a panel that is not needed."""
    empty.axis("off")
    empty.legend(*filled.get_legend_handles_labels(), loc="center", frameon=False)
