r"""Times training steps of a recipe in this tree against those in another tree of vaescope, interleaved.

::

    git worktree add ../before COMMIT
    python -m bench.against ../before --config configs/main.yaml

The other tree must be of a version that has ``bench``'s way to step, ``State.advance``. Each tree runs in a process of
its own, on the same data with the same seed. They take turns in blocks of steps, so that
whatever else the machine does falls on both. Printed are the steps per second of both, and the ratio of this tree to
the other: the median over pairs of neighbouring blocks, with their quartiles. Above 1 this tree is the faster one.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import worker

ROOT = Path(__file__).parent.parent


def work(words: Sequence[str]) -> None:
    """The process of one tree: for every number of steps on standard input it prints the seconds they took."""
    from bench.measure import state

    _, begun = state(words)
    worker.train(begun)


class Worker(worker.Worker):
    """The process of one tree that trains.

    Args:
        tree: The root of the tree.
        words: Options of ``vaescope train``, such as ``--config configs/main.yaml``.
    """

    def __init__(self, tree: Path, words: Sequence[str]) -> None:
        paths = {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{ROOT}"}
        super().__init__(["-m", "bench.against", "--work", *words], environment=paths, folder=tree)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the root of the other tree")
    parser.add_argument("--config", default=str(ROOT / "configs" / "main.yaml"), help="a config both trees can read")
    parser.add_argument("--data-root", help="where the image sets are (as the config says)")
    parser.add_argument("--blocks", type=int, default=40, help="blocks of each tree (40)")
    parser.add_argument("--steps", type=int, default=50, help="steps in a block (50)")
    asked = parser.parse_args()
    words = ["--config", str(Path(asked.config).resolve())]
    words += ["--data.root", str(Path(asked.data_root).resolve())] if asked.data_root else []
    here, there = (Worker(tree, words) for tree in (ROOT, asked.other.resolve()))
    for tree in (here, there):
        tree.seconds(asked.steps)  # the first steps allocate memory
    pairs = []
    for block in range(asked.blocks):
        order = (here, there) if block % 2 == 0 else (there, here)
        took = {tree: tree.seconds(asked.steps) for tree in order}
        pairs.append((took[here], took[there]))
    ratios = [other / this for this, other in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    speeds = [asked.steps / statistics.median(column) for column in zip(*pairs, strict=True)]
    print(
        f"this tree {speeds[0]:.1f} steps/s, the other {speeds[1]:.1f} steps/s, {asked.blocks} blocks of {asked.steps}"
    )
    print(f"ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    work(sys.argv[2:]) if sys.argv[1:2] == ["--work"] else main()
