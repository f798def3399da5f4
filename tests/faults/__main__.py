"""``python -m tests.faults``: the suite as a command."""

import argparse
import multiprocessing
import os
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before torch: a fork takes no threads along

from tests.faults import kills
from tests.faults.scenarios import ALL
from tests.faults.sitting import warm


def main() -> int:
    """Runs what is asked for. Returns 1 if anything went wrong."""
    made = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    made.add_argument("--kills", type=int, default=200, help="how many cases of kills (200)")
    made.add_argument("--seed", type=int, default=0, help="the seed of the first; the next ones follow (0)")
    made.add_argument("--only", help="only these scenarios, with commas between them")
    made.add_argument("--workers", type=int, default=2, help="processes at once (2)")
    made.add_argument("--folder", type=Path, help="where to work; by default in the folder for temporary files")
    asked = made.parse_args()
    begun = time.monotonic()
    warm()
    with TemporaryDirectory(prefix="faults-", dir=asked.folder) as place:
        outcomes = all_kills(asked, Path(place))
    for line in kills.told(outcomes):
        print(line)
    print(f"{time.monotonic() - begun:.0f} seconds")
    return int(any(outcome.wrong for outcome in outcomes))


def all_kills(asked: argparse.Namespace, folder: Path) -> list[kills.Outcome]:
    """All cases, by several processes."""
    names = asked.only.split(",") if asked.only else None
    seeds = range(asked.seed, asked.seed + asked.kills)
    needed = {kills.chosen(seed, names)[1].name for seed in seeds}
    references = {name: kills.Reference(ALL[name], folder / "references") for name in ALL if name in needed}
    for name, reference in references.items():
        assert reference.content
        print(f"{name}: {len(reference.sitting.calls)} calls, {reference.sitting.seconds:.1f} s", flush=True)
    with multiprocessing.get_context("fork").Pool(asked.workers) as pool:
        one = partial(_case, references=references, folder=folder, names=names)
        return list(pool.imap(one, seeds))


def _case(seed: int, references: dict[str, kills.Reference], folder: Path, names: list[str] | None) -> kills.Outcome:
    outcome = kills.case(seed, references, folder / f"case-{os.getpid()}", names)
    if outcome.wrong:
        print(f"seed {seed}: {outcome}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
