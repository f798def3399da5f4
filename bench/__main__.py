"""Runs the benchmarks of speed: all of them, or some by name.

::

    python -m bench                      # everything, which takes about an hour on 2 cores
    python -m bench throughput startup   # some of it
    python -m bench --quick --busy       # whether they work; the figures do not count

Each writes ``bench/results/NAME.json`` with the machine it was measured on, and prints its tables as Markdown;
``python -m bench --tables`` writes those of all results to ``docs/speed.md``. One that fails does not keep the others
from being measured. The exit code is 0 if all were measured, 1 if the machine was too busy for one, 2 if one failed.
"""

import argparse
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from importlib import import_module

from bench import measure
from bench.measure import ROOT, Asked, BusyError, load, machine, save
from bench.recipes import put_table
from bench.worker import WorkerError
from vaescope.errors import RunError, UsageError

EXPLAINED = (UsageError, RunError, WorkerError, OSError, subprocess.SubprocessError, SystemExit)
"""Failures that a line says enough of; of any other one the traceback is shown."""

NAMES = {
    "throughput": "images/s of training against other code, with the same network, batch and math",
    "ablation": "what each trick of the engine buys",
    "quality": "test -ELBO against seconds of training",
    "startup": "from the command to its help and to the first step",
    "pictures": "seconds a frame, and the share of training time",
    "keeping": "what metrics, frames and checkpoints cost, as shares of training time",
    "evaluation": "passes/s of the importance weighted bound, images/s of encoding",
    "explorer": "seconds to write explorer.html",
    "memory": "peaks of memory",
    "scaling": "how the time of a step grows with batch, width, latents, image size and number of images",
    "gpu": "on a GPU: whether replayed steps are the plain ones, images/s, seconds to -ELBO 236",
}
"""The benchmarks, each the function ``measure(asked) -> list[Table]`` of the module ``bench.speed.NAME``."""


def write_tables(names: Iterable[str]) -> None:
    """Writes what was measured to the places that ``docs/speed.md`` has for it."""
    for name in names:
        if (found := load(name)) is not None:
            put_table(ROOT / "docs" / "speed.md", found, name)


def keeps() -> str | None:
    """Why nothing can be kept, before an hour is spent on it; nothing if it can."""
    try:
        measure.RESULTS.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=measure.RESULTS).close()
    except OSError as error:
        return f"{measure.RESULTS} cannot be written to ({error.strerror}): make it a folder that can, or give --quick"
    return None


def explained(error: Exception | SystemExit) -> str:
    """A failure in a line, where one is enough; of a command the last line that it wrote."""
    if not isinstance(error, EXPLAINED):
        return "".join(traceback.format_exception(error)).strip()
    said = getattr(error, "stderr", None) or b""
    lines = (said if isinstance(said, str) else said.decode(errors="replace")).strip().splitlines()
    return lines[-1] if lines else " ".join(str(error).splitlines())


def one(name: str, asked: Asked) -> int:
    """Measures by one benchmark, prints its tables and keeps them if they count. Returns the exit code."""
    where = machine()
    try:
        tables = import_module(f"bench.speed.{name}").measure(asked)
    except (Exception, SystemExit) as error:
        print(f"{name}: {explained(error) if not isinstance(error, BusyError) else error}", file=sys.stderr)
        return 1 if isinstance(error, BusyError) else 2
    if asked.quick or asked.busy:
        option = "--quick" if asked.quick else "--busy"
        print(f"{name}: with {option} these figures do not count, and are not kept.\n")
    print("\n\n".join(table.markdown() for table in tables), end="\n\n", flush=True)
    if tables and not (asked.quick or asked.busy):
        save(name, tables, where, asked)
    return 0


def main() -> int:
    """Runs the command. Returns the exit code: 1 if the machine was too busy, 2 if a benchmark failed."""
    looks = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m bench", description=__doc__, formatter_class=looks)
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
    if given.tables:
        write_tables(given.names or NAMES)
        return 0
    if not (given.quick or given.busy) and (why := keeps()) is not None:
        parser.error(why)
    codes = [one(name, Asked(given.data_root, given.blocks, given.quick, given.busy)) for name in given.names or NAMES]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
