"""``python -m tests.faults``: the suite as a command."""

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before torch: a fork takes no threads along

from tests.faults import damage, errors, kills, signals
from tests.faults.scenarios import ALL, FULL, SHORT
from tests.faults.sitting import warm
from tests.faults.watch import why_not

NOTHING = 77
"""The exit code where nothing could be tested, as automake has it."""

PARTS = ("kills", "errors", "damage", "signals")


def main() -> int:
    """Runs what is asked for. Returns 1 if anything went wrong."""
    made = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    made.add_argument("parts", nargs="*", choices=[[], *PARTS], help=f"some of {', '.join(PARTS)} (kills)")
    made.add_argument("--kills", type=int, default=200, help="how many cases of kills (200)")
    made.add_argument("--errors", type=int, default=0, help="how many cases of errors (one for every call)")
    made.add_argument("--each", action="store_true", help="every error at every call, not one of them in turn")
    made.add_argument("--damage", type=int, default=0, help="how many cases of damage (all)")
    made.add_argument("--signals", type=int, default=40, help="how many cases of signals (40)")
    made.add_argument("--seed", type=int, default=0, help="the seed of the first; the next ones follow (0)")
    made.add_argument("--only", help="only these scenarios, with commas between them")
    made.add_argument("--workers", type=int, default=2, help="processes at once (2)")
    made.add_argument("--folder", type=Path, help="where to work; by default in the folder for temporary files")
    asked = made.parse_args()
    begun, wrong = time.monotonic(), 0
    if reason := why_not():
        print(f"nothing was tested: {reason}")
        return NOTHING
    warm()
    with TemporaryDirectory(prefix="faults-", dir=asked.folder) as place:
        for part in asked.parts or ["kills"]:
            outcomes = globals()[f"all_{part}"](asked, Path(place))
            wrong += sum(bool(outcome.wrong) for outcome in outcomes)
            for line in kills.told(part, outcomes):
                print(line)
    print(f"{time.monotonic() - begun:.0f} seconds")
    return int(wrong > 0)


def all_kills(asked: argparse.Namespace, folder: Path) -> list[kills.Outcome]:
    """All cases, by several processes."""
    names = asked.only.split(",") if asked.only else None
    seeds = range(asked.seed, asked.seed + asked.kills)
    needed = {kills.chosen(seed, names)[1].name for seed in seeds}
    references = {name: kills.Reference(ALL[name], folder / "references") for name in ALL if name in needed}
    for name, reference in references.items():
        assert reference.content
        print(f"{name}: {len(reference.sitting.calls)} calls, {reference.sitting.seconds:.1f} s", flush=True)
    power = [kills.Outcome(-1, f"{name}, a power cut", [], kills.not_on_disk(found.sitting.calls))
             for name, found in references.items()]  # fmt: skip
    return [*spread([partial(kills.case, seed, references, names=names) for seed in seeds], asked, folder), *power]


def all_errors(asked: argparse.Namespace, folder: Path) -> list[kills.Outcome]:
    """One trouble at every call of a run, and file systems that are full or read-only."""
    reference = kills.Reference(FULL, folder / "references")
    assert reference.content
    pairs = errors.pairs(reference.sitting.calls, asked.seed, asked.each)
    some = random.Random(asked.seed).sample(pairs, asked.errors) if asked.errors else pairs
    outcomes = spread([partial(errors.case, pair, reference) for pair in some], asked, folder)
    real = list(errors.real(asked.seed, max(1, len(some) // 20), len(reference.sitting.calls)))
    try:
        own = [partial(one, reference) for one in real[: max(1, len(some) // 5)]]
        outcomes += spread(own, asked, folder, errors.own_mounts)
    except PermissionError as error:
        print(f"  not on file systems of their own: {error}")
    return outcomes


def all_damage(asked: argparse.Namespace, folder: Path) -> list[kills.Outcome]:
    """Every file of a run damaged in every way."""
    cases = damage.cases(folder / "references", asked.seed)
    some = random.Random(asked.seed).sample(cases, asked.damage) if asked.damage else cases
    return spread(some, asked, folder)


def all_signals(asked: argparse.Namespace, folder: Path) -> list[kills.Outcome]:
    """Signals at random moments."""
    reference = kills.Reference(SHORT, folder / "references")
    assert reference.content
    seeds = range(asked.seed, asked.seed + asked.signals)
    return spread([partial(signals.case, seed, reference) for seed in seeds], asked, folder)


def spread(
    cases: Sequence[Callable[..., kills.Outcome]],
    asked: argparse.Namespace,
    folder: Path,
    first: Callable[[], None] = lambda: None,
) -> list[kills.Outcome]:
    """All cases, by several processes, each of which does something first."""
    if first is errors.own_mounts and os.geteuid():
        raise PermissionError("only root may mount")
    with multiprocessing.get_context("fork").Pool(asked.workers, first) as pool:
        return list(pool.imap(partial(_case, folder), cases))


def _case(folder: Path, case: Callable[..., kills.Outcome]) -> kills.Outcome:
    try:
        outcome = case(folder=folder / f"case-{os.getpid()}")
    except Exception:
        which = [str(part) for part in getattr(case, "args", ()) if isinstance(part, int | float | str | tuple)]
        outcome = kills.Outcome(-1, "the suite itself", which, [traceback.format_exc()])
    if outcome.wrong:
        print(f"{outcome}"[:1500], file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
