"""Errors: what a run writes is refused, at every single call, as a full, broken or read-only disk would.

A refusal ends a run with one line on standard error and exit code 1 (2 before there is a run folder), leaves the newest
checkpoint as it was, and when it is over ``--resume`` comes to what it would have come to.
"""

import ctypes
import errno
import os
import random
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults.kills import Outcome, Reference, place
from tests.faults.sameness import content, differences
from tests.faults.scenarios import RUN
from tests.faults.sitting import Sitting, fresh, sit
from tests.faults.watch import Call, Fault, Verdict, innocent
from vaescope.checkpoint import all_of, is_good

NAMING = {
    "open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
    "chmod", "fchmodat",
}  # fmt: skip
GROWING = {
    "write",
    "pwrite",
    "writev",
    "pwritev",
    "open",
    "openat",
    "creat",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "fallocate",
}


@dataclass(frozen=True)
class Trouble:
    """What may be wrong with a disk.

    Args:
        error: The number of the error.
        calls: The calls that give it; by default all.
        lasting: Whether it stays until the process has ended.
    """

    error: int
    calls: frozenset[str] = frozenset()
    lasting: bool = True

    def meets(self, call: Call) -> bool:
        """Whether this call gives the error."""
        return not self.calls or call.name in self.calls

    def since(self, number: int) -> Verdict:
        """From a call on there is this trouble. A full disk takes half of what is written first, as disks do."""

        def verdict(call: Call) -> Fault | None:
            if call.number < number or not self.meets(call) or (call.number > number and not self.lasting):
                return None
            half = self.error == errno.ENOSPC and call.number == number and call.name == "write" and call.size > 1
            return Fault(self.error, torn=half)

        return verdict


TROUBLES = {
    "full": Trouble(errno.ENOSPC, frozenset(GROWING)),
    "read-only": Trouble(errno.EROFS),
    "forbidden": Trouble(errno.EACCES, frozenset(NAMING)),
    "broken once": Trouble(errno.EIO, lasting=False),
}


def pairs(calls: tuple[Call, ...], seed: int, each: bool) -> list[tuple[str, int]]:
    """Troubles and the calls that they begin at: of each call one after the other, or each."""
    found = [[(name, call.number) for name, trouble in TROUBLES.items() if trouble.meets(call)] for call in calls]
    return [pair for k, some in enumerate(found) for pair in (some if each else [some[(k + seed) % len(some)]])]


def case(pair: tuple[str, int], reference: Reference, folder: Path) -> Outcome:
    """Lets one trouble begin at one call, and end with the process.

    Args:
        pair: The name of the trouble, and the number of the call.
        reference: What nobody disturbs.
        folder: Where to do it.
    """
    name, number = pair
    fresh(folder, reference.before)
    done = sit(reference.scenario.work, folder, TROUBLES[name].since(number))
    where = f"{name}, {place(done.struck[0])}" if done.struck else name
    return judged(Outcome(number, reference.scenario.name, [where]), done, reference, folder)


def judged(outcome: Outcome, done: Sitting, reference: Reference, folder: Path) -> Outcome:
    """What is wrong after a sitting in which something was refused, and after one more in which nothing is."""
    begun = (folder / RUN / "config.yaml").exists()
    if done.code and not (done.code in ((1,) if begun else (1, 2)) and one_line(done)):
        outcome.wrong.append(f"it leaves with {done.code}: {done.said[-700:]}")
    kept = sorted(all_of(folder / RUN / "checkpoints"))
    if kept and not is_good(kept[-1]):
        outcome.wrong.append(f"{kept[-1].name} is not good")
    last = sit(reference.scenario.next(folder), folder)
    if last.code and "is finished" not in last.said:  # then the last line of all was all that was refused
        outcome.wrong.append(f"gone on with, it leaves with {last.code}: {last.said[-700:]}")
    outcome.wrong += differences(reference.content, content(folder))
    return outcome


def one_line(done: Sitting) -> bool:
    """Whether a sitting ended with one line of why, and no traceback."""
    return len(done.lines) == 1 and done.said.splitlines()[-1] == done.lines[0] and "Traceback" not in done.said


# File systems that are full or read-only

READ_ONLY, REMOUNT, PRIVATE, NEW_MOUNTS = 1, 32, 1 << 18 | 1 << 14, 0x20000
_libc = ctypes.CDLL(None, use_errno=True)


def own_mounts() -> None:
    """From now on what this process mounts is its own.

    Raises:
        PermissionError: If it may not mount.
    """
    if _libc.unshare(NEW_MOUNTS) < 0:
        raise PermissionError(ctypes.get_errno(), "a mount namespace of its own needs root")
    _mount("none", Path("/"), None, PRIVATE)


def _mount(source: str, target: Path, kind: str | None, flags: int = 0, options: str = "") -> None:
    words = (source.encode(), str(target).encode(), kind and kind.encode(), flags, options.encode())
    if _libc.mount(*words) < 0:
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def mounted(share: float, read_only: int | None, reference: Reference, folder: Path) -> Outcome:
    """A run on a file system of its own, which is too small, or becomes read-only.

    Args:
        share: Its size, as a share of what the run needs.
        read_only: The call at which it becomes read-only, if it does; later if a file is open for writing then.
        reference: What nobody disturbs.
        folder: Where to do it.
    """
    needed = sum(path.stat().st_size + 4096 for path in (reference.folder / "after").rglob("*"))
    place, left = fresh(folder) / "disk", [read_only]
    place.mkdir()
    _mount("none", place, "tmpfs", 0, f"size={int(share * needed) + 8192}")
    try:
        fresh_copy(reference.before, place)
        done = sit(reference.scenario.work, place / "all", partial(_becoming_read_only, place, left))
        _mount("none", place, None, REMOUNT, f"size={8 * needed}")
        what = f"a disk of {share:.0%}" if read_only is None else f"read-only from call {read_only}"
        return judged(Outcome(read_only or 0, reference.scenario.name, [what]), done, reference, place / "all")
    finally:
        _libc.umount2(str(place).encode(), 2)


def fresh_copy(before: Path, place: Path) -> None:
    """What a scenario needs, in a folder of a new file system."""
    fresh(place / "all", before)


def _becoming_read_only(place: Path, left: list[int | None], call: Call) -> None:
    if left[0] is not None and call.number >= left[0]:
        try:
            _mount("none", place, None, REMOUNT | READ_ONLY)
            left[0] = None
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise


def limited(most: int, reference: Reference, folder: Path) -> Outcome:
    """A run whose files may not be longer than some bytes (``ulimit -f``)."""

    def work() -> int:
        from vaescope.cli import main

        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return main(list(words(reference)))

    fresh(folder, reference.before)
    done = sit(work, folder, innocent)
    return judged(Outcome(most, reference.scenario.name, [f"files of {most} bytes"]), done, reference, folder)


def words(reference: Reference) -> tuple[str, ...]:
    """The command of a scenario."""
    assert not callable(reference.scenario.work)
    return tuple(reference.scenario.work)


def real(seed: int, count: int, calls: int) -> Iterator[Callable[[Reference, Path], Outcome]]:
    """Cases on file systems of their own, and with a limit on files."""
    draw = random.Random(seed)
    for k in range(count):
        yield partial(mounted, (k + draw.random()) / count, None)
        yield partial(mounted, 8.0, draw.randrange(calls))
    for most in (50, 600, 5_000, 60_000, 200_000)[:count]:
        yield partial(limited, most)
