"""What reading a hostile file may do, and what it may not.

It may succeed, or end in a :class:`UsageError` or :class:`RunError` whose message is one bearable line. Everything else
is a finding: another exception, a long or unprintable line, more memory than the file can be worth, a process that is
started, a connection, a file that is written outside of its folder, a pickle that is read.
"""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaescope.errors import RunError, UsageError

LONGEST = 1200
"""Characters that a line may have."""

MEMORY = 400 << 20
"""Bytes that reading a small file may take at its peak."""

ACTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "pickle.find_class",
        "os.symlink", "os.link")  # fmt: skip
"""Events of the interpreter that no file may bring about."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Verdict:
    """What came of a file.

    Args:
        way: How it ended, the same for files that ended alike.
        wrong: What is wrong with that, over several lines; empty if nothing is.
    """

    way: str
    wrong: str = ""


class Acts:
    """What the interpreter is asked to do while a file is read."""

    def __init__(self, home: Path) -> None:
        self.home, self.watching, self.seen = str(home.resolve()), False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching or event == "import":
            return
        if event in ACTS:
            self.seen.append(f"{event} {arguments!r:.300}")
        elif event == "open" and isinstance(arguments[0], str | bytes) and (arguments[2] or 0) & WRITING:
            place = os.path.realpath(os.fsdecode(arguments[0]))
            if not place.startswith((self.home, "/dev/null")):
                self.seen.append(f"open {place} to write")

    @contextmanager
    def watched(self) -> Iterator[list[str]]:
        """What it is asked to do inside of the block that is forbidden."""
        self.seen, self.watching = [], True
        try:
            yield self.seen
        finally:
            self.watching = False


def judge(read: Callable[[], object], acts: Acts) -> Verdict:
    """Reads a file and says what is wrong with how that went."""
    reset_peak()
    before = peak()
    with acts.watched() as seen:
        verdict = _ended(read)
    if seen:
        return Verdict(f"act: {seen[0]}", "\n".join(seen))
    taken = peak() - before
    if not verdict.wrong and taken > MEMORY:
        return Verdict(f"memory after {verdict.way}", f"{taken >> 20} MiB were taken; it ended in {verdict.way}")
    return verdict


def _ended(read: Callable[[], object]) -> Verdict:
    try:
        read()
    except (UsageError, RunError) as error:
        way = f"{type(error).__name__} at {_place(error)}"
        return Verdict(way, unbearable(str(error)))
    except MemoryError as error:
        return Verdict(f"MemoryError at {_place(error)}", "".join(traceback.format_exception(error)))
    except Exception as error:
        return Verdict(f"{type(error).__name__} at {_place(error)}", "".join(traceback.format_exception(error)))
    return Verdict("read")


def unbearable(line: str) -> str:
    """What is wrong with a message."""
    if len(line.splitlines()) != 1:
        return f"{len(line.splitlines())} lines: {line!r:.2000}"
    if len(line) > LONGEST:
        return f"{len(line)} characters: {line!r:.2000}"
    return "" if line.isprintable() else f"not printable: {line!r:.2000}"


def _place(error: BaseException) -> str:
    """The innermost function of ours in a traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/vaescope/" in frame.filename]
    frames = frames or traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "nowhere"


def peak() -> int:
    """The most memory that this process has had since the last reset, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    except (OSError, IndexError):
        return 0


def reset_peak() -> None:
    """Gives back what is free, for training keeps it (:mod:`vaescope.engine.memory`), and forgets the most memory that
    this process has had."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
