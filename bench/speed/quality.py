"""Test -ELBO against seconds of training: our recipes for a number of seconds, and what others reach in their own loop.

All are scored by one function and one protocol: test images binarised once, with the fixed draw; the encoder sees the
binary image; one sample, KL weight 1. So all train on pixels that are drawn as 0 or 1 anew in every epoch, the
competitors too. A recipe of ours has a schedule of the learning rate, which belongs to its length: each of its points
is a whole run. The competitors have a constant one, so that a single run gives all points of theirs.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.measure import RESULTS, ROOT, Asked, Table, machine, quietly
from bench.recipes import train
from bench.speed.competitors import Peer, as_ours, deep, plain
from bench.speed.contests import CONTESTS
from bench.speed.throughput import kept_images, pythae_worker, unmeasured
from bench.worker import Worker, WorkerError
from vaescope.data.examples import Examples
from vaescope.data.images import load
from vaescope.data.targets import Binary
from vaescope.figures import style
from vaescope.metrics import negative_elbo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = ROOT / "docs" / "images" / "speed-quality.png"
KINDS = {"seconds": "vaescope, flat", "plane": "vaescope, 2 latents"}
"""What the files of our recipes begin with, before the seconds that they were made for; and what they are called."""

IMAGES = 50_000
"""Training images."""

Point = tuple[float, float]
"""Seconds of training, and the test -ELBO after them in nats per image."""

NOTES = (
    "−ELBO of the 10,000 test images in nats per image: binarised once with the fixed draw, the encoder sees the "
    "binary image, one sample, KL weight 1. All were trained on the same 50,000 images, their pixels drawn anew for "
    "every epoch or batch.",
    "Ours: whole runs of `vaescope train --config configs/NAME.yaml`. Their seconds are those of the loop from before "
    "the first step to after the last one: steps, validations, frames and checkpoints.",
    "Theirs: seconds of the steps alone. A constant learning rate of 0.001, so that every point is also a whole run.",
)


@dataclass(frozen=True)
class Rival:
    """Somebody else's network in somebody else's loop.

    Args:
        build: The network as one of ours to be scored.
        batch: Images a step.
        epochs: After how many it is scored.
        ways: How its process is asked for; the fastest one is trained.
        names: What its weights are called there, where that is something else, by what they are called here.
    """

    build: Callable[[], Peer]
    batch: int
    epochs: Sequence[float]
    ways: Sequence[Sequence[str]]
    names: Mapping[str, str] | None = None


PYTHAE = {
    "encoder.1": "encoder.layers.0.0", "mean": "encoder.embedding", "log_variance": "encoder.log_var",
    "decoder.0": "decoder.layers.0.0", "decoder.2": "decoder.layers.1.0",
}  # fmt: skip

RIVALS = {
    "loop of the PyTorch example, 20 latents": Rival(
        plain, 128, (1, 2, 3, 5, 10), [[*words, "--binary"] for words in CONTESTS["784-400-20"].theirs]
    ),
    "same loop, five convolutions, 3 latents": Rival(
        deep, 512, (0.25, 0.5, 1), [["deep", "512", "--binary"]]
    ),
    "pythae, its default network, 16 latents": Rival(
        partial(plain, 512, 16), 100, (1, 2, 5, 10),
        [[*words, "--binary"] for words in CONTESTS["pythae, default"].theirs], PYTHAE,
    ),
}  # fmt: skip
"""Every competitor by its name."""


def measure(asked: Asked) -> list[Table]:
    """Every recipe and every competitor."""
    table = Table("Time to quality", ("what", "training, s", "test −ELBO, nats"), notes=list(NOTES))
    root = Path(asked.root or "data").resolve()
    ours = {kind: list(_ours(kind, str(root), asked)) for kind in KINDS}
    theirs = _theirs(root, asked, table)
    for kind, runs in ours.items():
        table.rows += [_row(f"`{kind}-{budget}.yaml`", point) for budget, point in runs]
    for name, points in theirs.items():
        table.rows += [_row(name, point) for point in points]
    curves = {KINDS[kind]: [point for _, point in runs] for kind, runs in ours.items() if runs} | theirs
    table.data = {"curves": curves, "theirs": list(theirs)}
    if not (asked.quick or asked.busy):
        draw(PICTURE, curves, f"{machine()['processor']}, torch {torch.__version__}")
        table.pictures.append(PICTURE)
    return [table]


def _row(name: str, point: Point) -> list[str]:
    return [name, f"{point[0]:.1f}", f"{point[1]:.2f}"]


def _ours(kind: str, root: str, asked: Asked) -> Iterator[tuple[int, Point]]:
    """Trains the recipes of one kind, as a user would. Yields what each was made for, in seconds, and its point."""
    budgets = sorted(int(path.stem.removeprefix(f"{kind}-")) for path in (ROOT / "configs").glob(f"{kind}-*.yaml"))
    words = ["--trainer.steps", "30", "--figures.frames", "0"] if asked.quick else []
    for budget in budgets:
        asked.say(f"quality: {kind}-{budget}.yaml")
        outcome = quietly(partial(_run, ROOT / "configs" / f"{kind}-{budget}.yaml", root, words), asked)
        yield budget, (outcome["seconds"], outcome["test"]["negative_elbo"])


def _run(recipe: Path, root: str, words: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return train(recipe, Path(folder) / "run", root, None, words)


def _theirs(root: Path, asked: Asked, table: Table) -> dict[str, list[Point]]:
    """The curves of all competitors: those that were measured before on this machine, with this torch, are kept."""
    before = {} if asked.quick else earlier(RESULTS / "quality.json")
    if before:
        table.notes.append("The competitors were measured in an earlier run on the same machine; to do so again, "
                           "delete bench/results/quality.json.")  # fmt: skip
    curves = dict(before)
    with tempfile.TemporaryDirectory() as folder:
        images = kept_images(str(root), Path(folder))
        for name, rival in RIVALS.items():
            if name in before:
                continue
            asked.say(f"quality: {name}")
            try:
                curves[name] = quietly(partial(trained, rival, root, images, asked), asked)
            except WorkerError as error:
                table.notes += unmeasured(name, error, bool(rival.names), table.notes)
    return curves


def earlier(path: Path) -> dict[str, list[Point]]:
    """The curves of competitors in a file of results, if it was written on this machine with this torch."""
    if not path.exists():
        return {}
    kept, here = json.loads(path.read_text()), machine()
    same = all(kept["machine"][key] == here[key] for key in ("processor", "threads", "gpu"))
    if not same or kept["machine"]["versions"]["torch"] != here["versions"]["torch"]:
        return {}
    data = kept["tables"][0]["data"]
    return {name: [(x, y) for x, y in data["curves"][name]] for name in data["theirs"] if name in RIVALS}


def trained(rival: Rival, root: Path, images: Path, asked: Asked) -> list[Point]:
    """Trains a competitor and scores it on the way; the clock stands still meanwhile.

    Args:
        rival: Who.
        root: Where image sets are kept.
        images: The training images in a file.
        asked: How long.
    """
    test = shown(root)
    seconds, done, points = 0.0, 0, []
    with _fastest(rival, root, images) as worker:
        for epochs in rival.epochs[:2] if asked.quick else rival.epochs:
            steps = math.ceil((0.01 if asked.quick else 1) * epochs * IMAGES / rival.batch)
            seconds, done = seconds + worker.seconds(steps - done), steps
            points.append((seconds, score(rival, worker.save(images.with_name("weights.pt")), test)))
    return points


def _fastest(rival: Rival, root: Path, images: Path) -> Worker:
    """The process of a competitor, before its first step, in the way that is fastest for a second or two."""

    def started(words: Sequence[str]) -> Worker:
        if rival.names:
            return pythae_worker(images, *words)
        return Worker(["-m", "bench.speed.competitors", *words, "--root", root])

    def tried(words: Sequence[str]) -> float:
        with started(words) as worker:
            worker.seconds(10)
            return worker.seconds(100)

    return started(min(rival.ways, key=tried) if len(rival.ways) > 1 else rival.ways[0])


def shown(root: Path) -> Examples:
    """The test images as every model is shown them."""
    images = load("fashion-mnist", root)
    return Binary().evaluation([images.validation.images, images.test.images])[1]


def score(rival: Rival, weights: Path, test: Examples) -> float:
    """The test -ELBO of a competitor with the weights in a file, in nats per image."""
    peer, found = rival.build(), torch.load(weights, "cpu", weights_only=True)
    if rival.names:
        found = {
            f"{n}.{part}": found[f"{there}.{part}"] for n, there in rival.names.items() for part in ("weight", "bias")
        }
    peer.load_state_dict(found)
    bound = negative_elbo(as_ours(peer), test).negative_elbo
    assert bound is not None
    return bound


def draw(path: Path, curves: Mapping[str, Sequence[Point]], where: str) -> None:
    """Draws every curve; points far above the others leave the picture at the top.

    Args:
        path: The PNG file to write.
        curves: The points by what the curve is called; ours begin with our name.
        where: The machine, in words.
    """
    body = style.drawn(partial(_draw, curves=curves), style.WIDTH, 900)
    title = "Test −ELBO against seconds of training, Fashion-MNIST"
    footer = f"{where}. Test images binarised once, encoder sees the binary image, one sample, KL weight 1."
    style.save_page(path, body, title=title, note="lower and further left is better", footer=footer)


def _draw(figure: "Figure", curves: Mapping[str, Sequence[Point]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    axes = figure.subplots()
    for k, (name, points) in enumerate(curves.items()):
        mine = name.startswith("vaescope")
        look: dict[str, Any] = {"linewidth": 6, "markersize": 16} if mine else {"linewidth": 3, "markersize": 11}
        axes.plot(
            *zip(*sorted(points), strict=True),
            color=style.colour(k, len(curves)),
            marker="o" if mine else "s",
            label=name,
            **look,
        )
    values = [value for points in curves.values() for _, value in points]
    axes.set_ylim(min(values) - 2, min(max(values) + 2, min(values) + 50))
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("test −ELBO, nats per image")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
