"""Images a second of training: ours against the code of others, with the same network, batch and math.

Each way trains in a process of its own, so that no setting of one, such as memory that stays, is any help to another.
They take turns, and so does a product of two matrices in float32, 2048 by 2048: the most that the machine can do. What
is timed is all of a training step: getting the images, forward, backward, the optimizer.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.measure import Asked, Cell, Table, interleaved, median, ratio
from bench.speed.contests import CONTESTS, Contest
from bench.worker import Worker, WorkerError, steps_for
from vaescope.data.images import load

BLOCK = 1.5
"""Seconds of a block, or one step where that takes longer."""

SIDE = 2048
"""Rows and columns of the matrices whose product is the ceiling."""

TIMES = 5
"""Products in a block, so that it lasts a good part of a second."""

PYTHAE = "PYTHAE_PYTHON"
"""The variable that names an interpreter with pythae, if it is another one."""

COLUMNS = (
    "network", "batch", "parameters, theirs / ours", "theirs, images/s", "ours in float32, images/s", "ratio",
    "ours as chosen, images/s", "ratio", "theirs, % of matmul", "ours in float32, % of matmul",
)  # fmt: skip

NOTES = (
    "Ratio: time of a step of theirs over ours, the median of neighbouring blocks with its 95 % interval; above 1 ours "
    "is faster. Theirs is float32. All train on a GPU if there is one.",
    "As chosen: in the precision that `engine.precision: auto` takes on this machine; – where that is float32.",
    "% of matmul: the operations of all products of a step, counted in ours, over what a product of two matrices of "
    f"{SIDE}x{SIDE} in float32 reached in the same run.",
    "The first four are trained in the loop of the VAE example of PyTorch, with the work that torchvision does for "
    "each image, the others by pythae's own trainer; with no worker for the data or one, whichever was faster.",
    "Theirs have exp(log-variance / 2) as the scale where ours bounds scale and mean. Where layers come before a batch "
    "normalisation theirs have a bias that it takes away; ours have one more offset for each of the 784 pixels.",
)


def measure(asked: Asked) -> list[Table]:
    """The speed of every network in every way."""
    table = Table("Training throughput", COLUMNS, notes=list(NOTES))
    root = str(Path(asked.root or "data").resolve())
    with TemporaryDirectory() as folder:
        images = kept_images(root, Path(folder))
        for name, contest in CONTESTS.items():
            asked.say(f"throughput: {name}")
            try:
                table.rows.append([name, *_row(name, contest, asked, root, images, table.data)])
                table.notes += unlike(name, table.data[name]["about"])
            except WorkerError as error:
                table.notes += unmeasured(name, error, contest.pythae, table.notes)
    return [table]


def kept_images(root: str, folder: Path) -> Path:
    """The training images in a file, for interpreters that know nothing of ours."""
    levels = load("fashion-mnist", Path(root)).train.images
    assert isinstance(levels, Tensor)
    np.save(folder / "images.npy", levels.numpy())
    return folder / "images.npy"


def unmeasured(name: str, error: WorkerError, pythae: bool, known: Sequence[str]) -> list[str]:
    """What notes say of something that was not measured.

    Args:
        name: What.
        error: Why not.
        pythae: Whether it is pythae, of which is said how to install it.
        known: What they say already.
    """
    remedy = (
        "pythae is installed with `pip install --no-deps pythae==0.1.2` and `pip install pydantic cloudpickle imageio "
        f"scikit-learn scipy tqdm`, into this environment or into one whose interpreter the variable {PYTHAE} names."
    )
    return [f"{name} was not measured: {error}.", *([remedy] if pythae and remedy not in known else [])]


def unlike(name: str, about: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What notes say of ways that are not run by the same torch with as many threads."""
    kinds = sorted({f"torch {said['torch']} with {said['threads']} threads" for said in about.values()})
    return [f"{name}: the ways do not run alike, but with {' and '.join(kinds)}."] if len(kinds) > 1 else []


def pythae_worker(images: Path, *words: str) -> Worker:
    """A process in which pythae trains one of its networks."""
    kind, *rest = words
    return Worker(["-m", "bench.speed.through_pythae", kind, images, *rest], os.environ.get(PYTHAE, sys.executable))


@contextmanager
def _workers(name: str, contest: Contest, root: str, images: Path) -> Iterator[dict[str, Worker]]:
    """All processes that train a network: theirs, ours in float32, and ours as chosen where that is something else."""
    with ExitStack() as stack:
        workers = {}
        for k, words in enumerate(contest.theirs):
            other = ["-m", "bench.speed.competitors", *words, "--root", root]
            made = pythae_worker(images, *words) if contest.pythae else Worker(other)
            workers[f"theirs {k}"] = stack.enter_context(made)
        for precision in ("float32", "auto"):
            ours = stack.enter_context(Worker(["-m", "bench.speed.contests", name, precision, root]))
            if precision == "float32" or ours.about["precision"] != "float32":
                workers[precision] = ours
        yield workers


def _row(name: str, contest: Contest, asked: Asked, root: str, images: Path, kept: dict[str, Any]) -> Sequence[Cell]:
    """The cells of a network after its name."""
    long = 0.2 if asked.quick else BLOCK
    with _workers(name, contest, root, images) as workers:
        about = {way: worker.about for way, worker in workers.items()}
        steps = {way: steps_for(worker, long) for way, worker in workers.items()}
        ways = {way: partial(worker.seconds, steps[way]) for way, worker in workers.items()}
        taken = interleaved(ways | {"matmul": ceiling()}, asked.blocks, asked)
    each = {way: [seconds / steps.get(way, TIMES) for seconds in taken[way]] for way in taken}
    kept[name] = {"about": about, "steps in a block": steps, "seconds of a step": each}
    return cells(contest.batch, about, each)


def cells(batch: int, about: Mapping[str, Mapping[str, Any]], each: Mapping[str, Sequence[float]]) -> list[Cell]:
    """The cells of a network after its name.

    Args:
        batch: Images a step.
        about: What the processes say of themselves.
        each: The seconds of a step in every block, by the way, and of a product of matrices.
    """
    theirs = min((way for way in each if way.startswith("theirs")), key=lambda way: median(each[way]))
    operations = about["float32"]["flops"] / (2 * SIDE**3)  # in products of the ceiling

    def speed(way: str) -> Cell:
        return batch / median(each[way]) if way in each else None

    def times(way: str) -> Cell:
        return str(ratio(each[theirs], each[way])) if way in each else None

    def share(way: str) -> Cell:
        return 100 * operations * ratio(each["matmul"], each[way]).middle

    parameters = f"{about[theirs]['parameters']:,} / {about['float32']['parameters']:,}"
    first: list[Cell] = [
        batch,
        parameters,
        speed(theirs),
        speed("float32"),
        times("float32"),
        speed("auto"),
        times("auto"),
    ]
    return [*first, share(theirs), share("float32")]


def ceiling() -> Callable[[], None]:
    """The product whose speed is the ceiling, where training takes place."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    matrix = torch.ones(SIDE, SIDE, device=device)

    def multiply() -> None:
        for _ in range(TIMES):
            torch.mm(matrix, matrix)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return multiply
