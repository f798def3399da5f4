"""Runs the benchmarks of speed: all of them, or some by name.

::

    python -m bench                      # everything, which takes about an hour on 2 cores
    python -m bench throughput startup   # some of it
    python -m bench --quick --busy       # whether they work; the figures do not count

Each writes ``bench/results/NAME.json`` with the machine it was measured on, and prints its tables as Markdown;
``python -m bench --tables`` writes those of all results to ``docs/speed.md``.
"""

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module

from bench.measure import ROOT, Asked, BusyError, load, save
from bench.recipes import put_table

NAMES = {
    "throughput": "images/s of training against other code, with the same network, batch and math",
    "ablation": "what each trick of the engine buys",
    "quality": "test -ELBO against seconds of training",
    "startup": "from the command to its help and to the first step",
    "pictures": "seconds a frame, and the share of training time",
    "evaluation": "passes/s of the importance weighted bound, images/s of encoding",
    "explorer": "seconds to write explorer.html",
    "memory": "peaks of memory",
    "scaling": "how the time of a step grows with batch, width, latents, image size and number of images",
}
"""The benchmarks, each the function ``measure(asked) -> list[Table]`` of the module ``bench.speed.NAME``."""


def write_tables(names: Iterable[str]) -> None:
    """Writes what was measured to the places that ``docs/speed.md`` has for it."""
    for name in names:
        if (found := load(name)) is not None:
            put_table(ROOT / "docs" / "speed.md", found, name)


def main() -> int:
    """Runs the command. Returns the exit code: 1 if the machine was too busy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = "; ".join(f"{name}: {words}" for name, words in NAMES.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ({listed})")
    parser.add_argument("--data-root", help="where image sets are kept (as the recipes say)")
    parser.add_argument("--blocks", type=int, default=7, help="turns of ways that are compared (7)")
    parser.add_argument("--quick", action="store_true", help="the least that shows that it works; nothing is kept")
    parser.add_argument("--tables", action="store_true", help="only write the tables to docs/speed.md")
    parser.add_argument("--busy", action="store_true", help="measure although the machine is busy; nothing is kept")
    given = parser.parse_args()
    if wrong := [name for name in given.names if name not in NAMES]:
        parser.error(f"there is no benchmark {wrong[0]}: {', '.join(NAMES)}")
    if given.blocks < 5:
        parser.error(f"--blocks is {given.blocks}: give at least 5, for a median with an interval")
    asked = Asked(given.data_root, given.blocks, given.quick, given.busy)
    if given.tables:
        write_tables(given.names or NAMES)
        return 0
    refused = 0
    for name in given.names or NAMES:
        try:
            tables = import_module(f"bench.speed.{name}").measure(asked)
        except BusyError as error:
            print(f"{name}: {error}", file=sys.stderr)
            refused = 1
            continue
        print("\n\n".join(table.markdown() for table in tables), end="\n\n", flush=True)
        if not (given.quick or given.busy):
            save(name, tables)
    return refused


if __name__ == "__main__":
    sys.exit(main())
