"""Kills: a process is ended at a random moment, gone on with, and must come to what it would have come to."""

import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.faults.sameness import content, differences
from tests.faults.scenarios import ALL, LISTED, Scenario
from tests.faults.sitting import Sitting, fresh, sit
from tests.faults.watch import Call, Fault, Verdict

AGAIN = 0.3
"""How often the process that goes on is killed, too."""

CLOCK = 0.2
"""How often a kill comes by the clock, and not at a call."""

MOST = 20
"""Kinds of places that are listed."""

TORN = 0.5
"""How often a write is half done."""


class Reference:
    """A scenario that nobody disturbs: what there is before it, and what it comes to.

    Args:
        scenario: The scenario.
        folder: Where to keep both.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder / scenario.name.replace(" ", "-")

    @cached_property
    def before(self) -> Path:
        """A folder with what the scenario needs."""
        made = fresh(self.folder / "before")
        self.scenario.prepare(made)
        return made

    @cached_property
    def sitting(self) -> Sitting:
        """The sitting that nobody disturbs."""
        done = sit(self.scenario.work, fresh(self.folder / "after", self.before))
        if done.code:
            raise AssertionError(f"{self.scenario.name} fails undisturbed: {done.said}")
        return done

    @cached_property
    def content(self) -> dict[str, Any]:
        """What it comes to."""
        assert self.sitting.code == 0
        return content(self.folder / "after")


@dataclass
class Outcome:
    """What came of a case.

    Args:
        seed: What repeats it.
        scenario: The name of the scenario.
        places: Where each of the kills hit.
        wrong: In what it differs from what nobody disturbed, a line each; nothing if in nothing.
    """

    seed: int
    scenario: str
    places: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def place(call: Call) -> str:
    """What was being done in a call, in a word or two."""
    path, removed = call.path, call.name in ("unlink", "unlinkat", "rmdir")
    kinds = {
        "step-": "rotation" if removed and ".tmp" not in path else "checkpoint",
        "metrics": "metrics", "figures": "figures", "history": "history", "frames": "frames", "model": "model",
        "README": "card", "evaluation": "evaluation", "report": "report", "explorer": "explorer", "export": "export",
        "cache": "cache", "data": "data", "config": "run folder", ".lock": "lock", "checkpoints": "checkpoint",
    }  # fmt: skip
    return next((kind for part, kind in kinds.items() if part in path), "run folder")


def not_on_disk(calls: Sequence[Call]) -> list[str]:
    """What a power cut could take back, in lines: files that got their name before they were waited for, and names
    that were not waited for at all. (Lines that are added to metrics and history are not waited for.)"""
    waiting, names, said = set[str](), set[str](), list[str]()
    for call in calls:
        if call.name in ("write", "pwrite", "ftruncate"):
            waiting.add(call.path)
        elif call.name == "fsync":
            waiting.discard(call.path)
            names = {name for name in names if str(Path(name).parent) != (call.path or ".")}
        elif call.source:
            moved = {path for path in waiting if f"{path}/".startswith(f"{call.source}/")}
            if ".tmp" not in call.path:
                said += [f"{path} got its name, {call.path}, before it was on the disk" for path in moved]
                names |= {call.path}
            waiting = (waiting - moved) | {path.replace(call.source, call.path, 1) for path in moved}
    return said + [f"the name {name} is not on the disk" for name in names]


def at(number: int, torn: bool) -> Verdict:
    """Kills at a call; of a write, if so wanted, after half of it."""

    def verdict(call: Call) -> Fault | None:
        if call.number != number:
            return None
        return Fault(signal=signal.SIGKILL, torn=torn and call.name == "write" and call.size > 1)

    return verdict


def chosen(seed: int, names: list[str] | None = None) -> tuple[random.Random, Scenario]:
    """The scenario of a case, and the random numbers for the rest of it."""
    draw = random.Random(seed)
    some = [ALL[name] for name in names] if names else LISTED
    return draw, draw.choices(some, [scenario.share for scenario in some])[0]


def case(seed: int, references: dict[str, Reference], folder: Path, names: list[str] | None = None) -> Outcome:
    """Kills a scenario once or more, and lets it come to its end.

    Args:
        seed: Decides everything.
        references: The scenarios that nobody disturbs.
        folder: Where to do it.
        names: The scenarios to choose from; by default all.
    """
    draw, scenario = chosen(seed, names)
    reference, outcome = references[scenario.name], Outcome(seed, scenario.name)
    whole = reference.sitting
    fresh(folder, reference.before)
    for turn in range(4):
        words = scenario.work if turn == 0 else scenario.next(folder)
        if turn and (turn == 3 or draw.random() > AGAIN):
            last = sit(words, folder)
            break
        if draw.random() < CLOCK:
            done = sit(words, folder, moments=[(draw.uniform(0, whole.seconds), signal.SIGKILL)])
            outcome.places.append("by the clock")
        else:
            number = draw.randrange(len(whole.calls))
            done = sit(words, folder, at(number, draw.random() < TORN))
            outcome.places += [place(call) for call in done.struck]
        if done.code != -signal.SIGKILL:  # the last turns are shorter: it came to its end
            last = done
            break
    finished = "is finished" in last.said and content(folder) == reference.content
    if last.code and not finished:
        outcome.wrong.append(f"it leaves with {last.code}: {last.said[-600:]}")
    outcome.wrong += differences(reference.content, content(folder))
    return outcome


def told(part: str, outcomes: list[Outcome]) -> Iterator[str]:
    """What came of all cases of a part of the suite, in lines."""
    good = sum(not outcome.wrong for outcome in outcomes)
    kills = sum(len(outcome.places) for outcome in outcomes)
    yield f"{part}: {good} of {len(outcomes)} ended as if nobody had disturbed them, after {kills} faults"
    for title, counts in (
        ("scenario", Counter(outcome.scenario for outcome in outcomes)),
        ("where", Counter(where for outcome in outcomes for where in outcome.places)),
    ):
        more = f" and {len(counts) - MOST} more" if len(counts) > MOST else ""
        yield f"  {title:<10} " + ", ".join(f"{name} {count}" for name, count in counts.most_common(MOST)) + more
    torn = sum("torn" in line or "entries instead" in line for outcome in outcomes for line in outcome.wrong)
    yield f"  lines of metrics lost, doubled or torn: {torn}"
    for outcome in outcomes:
        if outcome.wrong:
            where = ", then ".join(outcome.places)
            yield f"  WRONG seed {outcome.seed}, {outcome.scenario}, {where}: {'; '.join(outcome.wrong[:6])}"
