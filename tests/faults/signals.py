"""Signals: the three that end training in order, at random moments, alone and after one another, and a second process.

While a run trains, each lets the step in hand end, and the run leaves with its code, a good checkpoint of that step and
the pictures so far. Before and after, SIGINT is answered with 130, SIGTERM ends the process as it ends any other, and
SIGUSR1, which would kill, is kept. Whatever happens, the run goes on to the same end.
"""

import random
import signal
from pathlib import Path

from tests.faults.errors import one_line
from tests.faults.kills import Outcome, Reference, place
from tests.faults.sameness import content, differences
from tests.faults.scenarios import RUN
from tests.faults.sitting import Sitting, fresh, sit
from tests.faults.watch import Call, Fault
from vaescope.checkpoint import all_of, is_good
from vaescope.history import read_history

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 75}


def case(seed: int, reference: Reference, folder: Path) -> Outcome:
    """Sends one signal or two, or starts a second process; and lets the run come to its end."""
    draw = random.Random(seed)
    fresh(folder, reference.before)
    if draw.random() < 0.15:
        outcome, done = _two_processes(draw, Outcome(seed, "two processes"), reference, folder)
    else:
        outcome, done = _signalled(draw, Outcome(seed, "signals"), reference, folder)
    if "Traceback" in done.said:
        outcome.wrong.append(done.said[-700:])
    last = sit(reference.scenario.next(folder), folder)
    if last.code and not (done.code == 0 and "is finished" in last.said):
        outcome.wrong.append(f"gone on with, it leaves with {last.code}: {last.said[-700:]}")
    found = {name: value for name, value in content(folder).items() if not _of_its_own(name, reference)}
    outcome.wrong += differences(reference.content, found)
    return outcome


def _of_its_own(name: str, reference: Reference) -> bool:
    """Whether this is of a checkpoint that an interruption made."""
    return name.startswith(f"{RUN}/checkpoints/step-") and name not in reference.content


def _signalled(draw: random.Random, outcome: Outcome, reference: Reference, folder: Path) -> tuple[Outcome, Sitting]:
    """One signal, or two after one another."""
    count = 2 if draw.random() < 0.3 else 1
    moments = sorted(draw.sample(range(len(reference.sitting.calls)), count))
    sent = dict(zip(moments, draw.choices(list(CODES), k=count), strict=True))

    def verdict(call: Call) -> Fault | None:
        number = sent.get(call.number)
        return Fault(signal=number) if number else None

    done = sit(reference.scenario.work, folder, verdict)
    names = " ".join(number.name for number in sent.values())
    outcome.places.append(f"{names}, {place(done.struck[0])}: {done.code}" if done.struck else names)
    outcome.wrong += _unlawful(done, list(sent.values()), folder)
    return outcome, done


def _unlawful(done: Sitting, sent: list[signal.Signals], folder: Path) -> list[str]:
    """What is wrong about how a process left that got signals."""
    lawful = {0} | {CODES[number] for number in sent} | ({-signal.SIGTERM} if signal.SIGTERM in sent else set())
    if done.code not in lawful:
        return [f"it leaves with {done.code}: {done.said[-700:]}"]
    if "stopping after this step" not in done.said or not done.code or len(sent) > 1:
        return []
    if done.code != CODES[sent[0]]:
        return [f"it leaves with {done.code} after {sent[0].name}: {done.said[-700:]}"]
    newest, ends = max(all_of(folder / RUN / "checkpoints"), default=None), read_history(folder / RUN)[-1]
    if newest is None or not is_good(newest) or int(newest.name[5:]) != ends["step"] or ends["event"] != "interrupted":
        return [f"its checkpoint is {newest}, its history ends with {ends}"]
    return [] if (folder / RUN / "figures" / "training.png").exists() else ["there are no pictures"]


def _two_processes(
    draw: random.Random, outcome: Outcome, reference: Reference, folder: Path
) -> tuple[Outcome, Sitting]:
    """A second process comes while the first one writes, and is refused."""
    first = next(call.number for call in reference.sitting.calls if call.path.endswith("history.jsonl"))
    number, seen = draw.randrange(first, len(reference.sitting.calls)), list[Sitting]()

    def verdict(call: Call) -> Fault | None:
        if call.number == number:
            seen.append(sit(("train", "--resume", str(RUN)), folder))
        return None

    done = sit(reference.scenario.work, folder, verdict)
    for second in seen:
        if second.code != 2 or not one_line(second) or "another process" not in second.said:
            outcome.wrong.append(f"the second process leaves with {second.code}: {second.said[-700:]}")
    if done.code:
        outcome.wrong.append(f"the first process leaves with {done.code}: {done.said[-700:]}")
    outcome.places.append("a second process")
    return outcome, done
