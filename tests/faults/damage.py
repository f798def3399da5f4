"""Damage: files that were whole and are not any more, by a broken disk, a bad copy or a hand that slipped.

Of a run that goes on, whatever is damaged is known and passed over, and the end is the same. Of what is looked at, the
damage is told in one line, or does no harm: what comes out is the same. Where there is nothing to know it by, in text
that people may edit, it may go unnoticed (``free``), but is never a traceback.
"""

import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.errors import one_line
from tests.faults.kills import Outcome, Reference
from tests.faults.sameness import content, differences
from tests.faults.scenarios import ALL, DAMAGED, RUN, SMALL
from tests.faults.sitting import Work, fresh, sit
from tests.faults.watch import Call, Fault

Harm = Callable[[Path, random.Random], None]


def cut(path: Path, draw: random.Random) -> None:
    """Cuts a file off."""
    whole = path.read_bytes()
    path.write_bytes(whole[: draw.randrange(len(whole))])


def flipped(path: Path, draw: random.Random) -> None:
    """Turns one bit of a file over."""
    whole = bytearray(path.read_bytes())
    whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    path.write_bytes(whole)


def emptied(path: Path, draw: random.Random) -> None:
    """Leaves an empty file."""
    path.write_bytes(b"")


def zeroed(path: Path, draw: random.Random) -> None:
    """Leaves zeros in the place of the last part of a file, as some file systems do after a power cut."""
    whole = path.read_bytes()
    start = draw.randrange(len(whole))
    path.write_bytes(whole[:start] + bytes(len(whole) - start))


def taken(path: Path, draw: random.Random) -> None:
    """Takes a file away."""
    path.unlink()


def swapped(path: Path, draw: random.Random) -> None:
    """Puts another file of the folder in its place."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other.name != path.name]
    if others:
        shutil.copyfile(draw.choice(others), path)


HARMS: tuple[Harm, ...] = (cut, flipped, emptied, zeroed, taken, swapped)


@dataclass(frozen=True)
class Look:
    """A command that looks at what may be damaged.

    Args:
        work: The command.
        result: What of its folder is its result, by the beginnings of paths.
        files: What may be damaged, as patterns.
        free: Which of it may be wrong unnoticed, as patterns.
    """

    work: Work
    result: tuple[str, ...]
    files: tuple[str, ...]
    free: tuple[str, ...] = ()


NEW = ("train", "--data", "photos", *SMALL, "--trainer.steps", "2", "--figures.frames", "0", "--out", "new")
LOOKS = {
    "sampling": Look(("sample", str(RUN), "-n", "4", "-o", "new.npz"), ("new.npz",), ("run/model.safetensors",)),
    "describing": Look(("sample", str(RUN), "-n", "4", "-o", "new.npz"), ("new.npz",), ("run/config.yaml",),
                       ("run/config.yaml",)),
    "drawing": Look(("figures", str(RUN)), ("run/figures/",), ("run/frames.npz", "run/metrics.jsonl"),
                    ("run/metrics.jsonl",)),
    "reporting": Look(("report", str(RUN)), ("run/report.html",), ("run/evaluation.*", "run/metrics.jsonl"),
                      ("run/evaluation.*", "run/metrics.jsonl")),
    "training": Look(NEW, ("new/model.safetensors", "new/metrics.jsonl"),
                     ("cache/images/*/*.npy", "cache/images/*/*.json", "cache/surveys/*", "cache/known/*",
                      "cache/precision.json"), ("cache/surveys/*", "cache/known/*")),
    "fetching": Look(ALL["fetch"].work, ("data/tiny/",), ("data/tiny/*",)),
}  # fmt: skip


def cases(folder: Path, seed: int) -> list[Callable[..., Outcome]]:
    """Every file in every way, each with a seed of its own."""
    reference = Reference(DAMAGED, folder)
    unfinished, viewed = _unfinished(reference, folder), _viewed(folder)
    found: list[Callable[..., Outcome]] = []
    newest = max((unfinished / RUN / "checkpoints").glob("step-*"))
    own = [*sorted(newest.iterdir()), unfinished / RUN / "metrics.jsonl", unfinished / RUN / "history.jsonl"]
    for path, harm in ((path, harm) for path in own for harm in HARMS):
        name = path.relative_to(unfinished)
        found.append(partial(_gone_on_with, name, harm, seed + len(found), reference, unfinished))
    found += [partial(_all_checkpoints, harm, seed + k, unfinished) for k, harm in enumerate(HARMS)]
    for name, look in LOOKS.items():
        there = sorted(path for pattern in look.files for path in viewed.glob(pattern))
        assert there, name
        results = _result(look, fresh(folder / "look", viewed))
        for path, harm in ((path, harm) for path in there for harm in HARMS):
            place = path.relative_to(viewed)
            found.append(partial(_looked_at, name, place, harm, seed + len(found), viewed, results))
    return found


def _unfinished(reference: Reference, folder: Path) -> Path:
    """A run that was killed before its last checkpoint."""
    assert reference.content
    last = max(path.name for path in (reference.folder / "after" / RUN / "checkpoints").iterdir())
    made = fresh(folder / "unfinished")

    def verdict(call: Call) -> Fault | None:
        return Fault(signal=signal.SIGKILL) if last in call.path else None

    sit(DAMAGED.work, made, verdict)
    return made


def _viewed(folder: Path) -> Path:
    """A run that was evaluated, pictures in the cache, and a set that was fetched."""
    made = fresh(folder / "viewed")
    for scenario in (ALL["evaluate"], ALL["fetch"], ALL["streamed"]):
        scenario.prepare(made)
        done = sit(scenario.work if scenario.name != "streamed" else NEW, made)
        assert done.code == 0, done.said
    shutil.rmtree(made / "new")
    return made


def _result(look: Look, folder: Path) -> dict[str, Any]:
    done = sit(look.work, folder)
    assert done.code == 0, done.said
    return {name: value for name, value in content(folder).items() if name.startswith(look.result)}


def _gone_on_with(name: Path, harm: Harm, seed: int, reference: Reference, unfinished: Path, folder: Path) -> Outcome:
    """A run goes on whatever of it is damaged."""
    fresh(folder, unfinished)
    harm(folder / name, random.Random(seed))
    done = sit(DAMAGED.next(folder), folder)
    outcome = Outcome(seed, "going on", [f"{name.name} {harm.__name__}"])
    if done.code:
        outcome.wrong.append(f"it leaves with {done.code}: {done.said[-700:]}")
    over = done.said.count("it is passed over")
    harmed = (folder / name).read_bytes() != (unfinished / name).read_bytes() if (folder / name).exists() else True
    if "checkpoints" in name.parts and harmed and over != 1:
        outcome.wrong.append(f"{over} lines say what is passed over: {done.said[-700:]}")
    outcome.wrong += differences(reference.content, content(folder))
    return outcome


def _all_checkpoints(harm: Harm, seed: int, unfinished: Path, folder: Path) -> Outcome:
    """Without a good checkpoint a run is refused in one line, and what is there stays."""
    fresh(folder, unfinished)
    for path in (folder / RUN / "checkpoints").glob("step-*"):
        harm(path / "state.json", random.Random(seed))
    before = content(folder)
    done = sit(DAMAGED.next(folder), folder)
    wrong = [] if done.code == 2 and one_line(done) else [f"it leaves with {done.code}: {done.said[-700:]}"]
    return Outcome(seed, "no checkpoint", [harm.__name__], wrong + differences(before, content(folder)))


def _looked_at(
    name: str, place: Path, harm: Harm, seed: int, viewed: Path, results: dict[str, Any], folder: Path
) -> Outcome:
    """What is damaged is told in one line, or does no harm."""
    look = LOOKS[name]
    fresh(folder, viewed)
    harm(folder / place, random.Random(seed))
    done = sit(look.work, folder)
    outcome = Outcome(seed, name, [f"{place.name if 'cache' not in place.parts else 'cache'} {harm.__name__}"])
    if done.code:
        if done.code not in (1, 2) or not one_line(done):
            outcome.wrong.append(f"{place}: it leaves with {done.code}: {done.said[-700:]}")
        return outcome
    found = {name: value for name, value in content(folder).items() if name.startswith(look.result)}
    other = differences(results, found)
    if other and any(place.match(pattern) for pattern in look.free):
        outcome.places.append("unnoticed, as it may be")
    elif other:
        outcome.wrong += [f"{place} {harm.__name__} is not noticed", *other]
    return outcome
