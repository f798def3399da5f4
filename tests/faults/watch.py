"""Asks about every system call of a process that writes, before it is made: seccomp with user notification (Linux 5.5).

The process that is watched gives up, for good, the right to make such calls unasked; then each of its threads waits in
the kernel until a :class:`Watch` has decided. Nothing of the process itself is changed, so it makes no difference
whether a file is written by Python, by Rust (safetensors) or by C (Pillow, zlib).

References:
    | seccomp_unotify(2)
    | https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html
"""

import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CALLS = {
    "x86_64": {
        "write": 1, "pwrite": 18, "writev": 20, "pwritev": 296, "open": 2, "openat": 257, "creat": 85,
        "rename": 82, "renameat": 264, "renameat2": 316, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "unlink": 87,
        "unlinkat": 263, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "fallocate": 285, "chmod": 90,
        "fchmod": 91, "fchmodat": 268, "sendfile": 40, "copy_file_range": 326, "utimensat": 280,
    },
    "aarch64": {
        "write": 64, "pwrite": 68, "writev": 66, "pwritev": 70, "openat": 56, "renameat": 38, "renameat2": 276,
        "mkdirat": 34, "unlinkat": 35, "fsync": 82, "fdatasync": 83, "truncate": 45, "ftruncate": 46, "fallocate": 47,
        "fchmod": 52, "fchmodat": 53, "sendfile": 71, "copy_file_range": 285, "utimensat": 88,
    },
}  # fmt: skip
"""The numbers of the calls that change files, by processor."""

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP = {"x86_64": 317, "aarch64": 277}
PIDFD_GETFD = 438

HELD = {"write", "pwrite", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate", "fchmod", "sendfile"}
"""Calls whose first argument is an open file. That of ``copy_file_range`` stands third; of all others it is a path, or
a folder and a path."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
"""The requests of ioctl by which a call is taken and answered."""

LISTEN, ALLOW, NOTIFY = 8, 0x7FFF0000, 0x7FC00000
LIMIT = 120.0
"""Seconds after which a process hangs, of those in which its watch ran."""

STILL = 20.0
"""Seconds without a turn of the watch, which waits a second at most, after which it has itself been stopped."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Call:
    """A system call that a watched process is about to make in its folder.

    Args:
        number: Its place among all such calls of the process, from 0.
        name: What is called.
        path: Where, relative to the folder; of a renaming the new name.
        size: Bytes to be written, or 0.
        source: Of a renaming the old name.
    """

    number: int
    name: str
    path: str
    size: int = 0
    source: str = ""

    def __str__(self) -> str:
        return f"call {self.number}, {self.name} {self.path}"


@dataclass(frozen=True)
class Fault:
    """What becomes of a call instead of what was asked for.

    Args:
        error: The number of the error that it gives, 0 for none.
        signal: A signal that the process gets before it. SIGKILL ends it there.
        torn: Of a write, whether half of it is made: before the end, or as the whole of what is made.
    """

    error: int = 0
    signal: int = 0
    torn: bool = False


Verdict = Callable[[Call], Fault | None]


def innocent(call: Call) -> Fault | None:
    """Nothing becomes of any call."""
    return None


def forked(work: Callable[[], int]) -> tuple[int, int]:
    """Forks a child that is asked about its calls.

    Args:
        work: What it does; it leaves with the code that this returns.

    Returns:
        Its id, and the file on which it asks.

    Raises:
        OSError: If the kernel does not know how.
    """
    here, there = socket.socketpair()
    pid = os.fork()
    if not pid:
        here.close()
        with suppress(OSError):
            notices = _ask()
            socket.send_fds(there, [b"."], [notices])
            os.close(notices)
            there.close()
            os._exit(work())
        os._exit(1)
    there.close()
    with here:
        _, files, *_ = socket.recv_fds(here, 1, 1)
    if not files:
        os.waitpid(pid, 0)
        raise OSError("the kernel lets no process watch the system calls of another (seccomp, on x86_64 or aarch64)")
    return pid, files[0]


def why_not() -> str:
    """Why no process can be watched here; nothing if one can."""
    try:
        pid, notices = forked(lambda: 0)
    except OSError as error:
        return str(error)
    Watch(pid, notices, Path("/nowhere")).until_end()
    return ""


def _ask() -> int:
    """From now on this process asks before its calls. Returns the file on which it does so."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in CALLS:
        raise OSError(f"{platform.system()} on {machine}")
    code = ctypes.create_string_buffer(_program(sorted(CALLS[machine].values()), ARCHITECTURE[machine]))
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(code))
    if _libc.prctl(38, 1, 0, 0, 0) < 0:  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl")
    notices: int = _libc.syscall(SECCOMP[machine], 1, LISTEN, program)
    if notices < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return notices


def _program(numbers: Sequence[int], architecture: int) -> bytes:
    """The filter as a program of the kernel's small machine: asks about these calls, lets all others pass."""
    load, equal, leave = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 4), (equal, 1, 0, architecture), (leave, 0, 0, ALLOW), (load, 0, 0, 0)]
    code += [(equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    code += [(leave, 0, 0, ALLOW), (leave, 0, 0, NOTIFY)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


class Watch:
    """Answers what a process asks, until it ends.

    Args:
        pid: The process, a child of this one.
        notices: The file on which it asks, which is closed at the end.
        folder: Calls that change nothing below it are let pass, and not counted.
        verdict: Decides about all others.
    """

    def __init__(self, pid: int, notices: int, folder: Path, verdict: Verdict = innocent) -> None:
        self.pid, self.notices, self.folder, self.verdict = pid, notices, f"{folder.resolve()}/", verdict
        self.names = {number: name for name, number in CALLS[platform.machine()].items()}
        self.calls: list[Call] = []
        self.struck: list[Call] = []
        self.gaps: list[float] = []

    def until_end(self, moments: Sequence[tuple[float, int]] = ()) -> int:
        """Answers until the process has ended.

        Args:
            moments: Signals to send, each after so many seconds.

        Returns:
            Its exit code, negative for a signal.

        Raises:
            TimeoutError: If it does not end.
        """
        waiting, ran, last = [*sorted(moments), (LIMIT, 0)], 0.0, time.monotonic()
        end, poll = os.pidfd_open(self.pid), select.poll()
        poll.register(end, select.POLLIN)
        poll.register(self.notices, select.POLLIN)
        try:
            while True:
                ready = dict(poll.poll(1000 * min(1.0, max(0.0, waiting[0][0] - ran))))
                if ready.get(self.notices, 0) & select.POLLIN:
                    self._answer()
                elif end in ready:
                    return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                gap, last = time.monotonic() - last, time.monotonic()
                if gap > STILL:
                    self.gaps.append(gap)
                ran += min(gap, STILL)
                if waiting[0][0] <= ran:
                    self._send(waiting.pop(0)[1])
        finally:
            os.close(end)
            os.close(self.notices)

    def _send(self, number: int) -> None:
        stuck = "" if number else self._stuck()
        os.kill(self.pid, number or signal.SIGKILL)
        if not number:
            os.waitpid(self.pid, 0)
            raise TimeoutError(f"it did not end within {LIMIT:.0f} s; the last it did was {self.calls[-1:]}; {stuck}")

    def _stuck(self) -> str:
        """What every thread of a process that hangs waits for, as far as the kernel tells."""
        said = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            facts = []
            for name in ("wchan", "syscall", "stat"):
                with suppress(OSError):
                    facts.append((task / name).read_text().strip()[:120])
            said.append(" ".join(facts))
        return "; ".join(said)

    def _answer(self) -> None:
        """Takes one call, and says what becomes of it. A process that is killed in the meantime needs no answer."""
        notice, value, error = bytearray(80), 0, 0
        with suppress(FileNotFoundError, ProcessLookupError):
            fcntl.ioctl(self.notices, RECEIVE, notice, True)
            id, task, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", notice)
            fault = self._judged(task, self.names[number], arguments)
            if fault and fault.torn:
                value = self._half(task, arguments)
            if fault and fault.signal:
                os.kill(self.pid, fault.signal)
            if fault and not fault.torn:
                error = fault.error
            let = 0 if value or error else 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
            fcntl.ioctl(self.notices, ANSWER, struct.pack("QqiI", id, value, -error, let))

    def _judged(self, task: int, name: str, arguments: Sequence[int]) -> Fault | None:
        """What becomes of a call, if it is one that counts."""
        call = self._understood(task, name, arguments)
        if call is None:
            return None
        self.calls.append(call)
        fault = self.verdict(call)
        if fault:
            self.struck.append(call)
        return fault

    def _understood(self, task: int, name: str, arguments: Sequence[int]) -> Call | None:
        """A call in words, or nothing if it changes nothing below the folder."""
        if name in HELD or name == "copy_file_range":
            path = _linked(f"/proc/{task}/fd/{arguments[2 if name == 'copy_file_range' else 0]}")
            size = arguments[2] if name in ("write", "pwrite") else 0
            return self._below(name, path, size)
        if name in ("open", "openat") and not arguments[1 if name == "open" else 2] & WRITING:
            return None
        at = name.endswith("at") or name == "renameat2"
        source = ""
        if name.startswith("rename"):
            source = self._path(task, arguments, 0, at)
            arguments = arguments[1 + at :]
        return self._below(name, self._path(task, arguments, 0, at), 0, source.removeprefix(self.folder))

    def _below(self, name: str, path: str, size: int, source: str = "") -> Call | None:
        if not f"{path}/".startswith(self.folder):
            return None
        return Call(len(self.calls), name, path[len(self.folder) :], size, source)

    def _path(self, task: int, arguments: Sequence[int], first: int, at: bool) -> str:
        """The path among the arguments of a call, absolute."""
        text = _memory(task, arguments[first + at], 4096).split(b"\0")[0].decode(errors="surrogateescape")
        given = at and arguments[first] & 0xFFFFFFFF != 0xFFFFFF9C  # AT_FDCWD
        folder = _linked(f"/proc/{task}/{f'fd/{arguments[first] & 0xFFFFFFFF}' if given else 'cwd'}")
        return os.path.normpath(os.path.join(folder, text))  # noqa: PTH118 of another process

    def _half(self, task: int, arguments: Sequence[int]) -> int:
        """Makes half of a write in place of the process. Returns how many bytes."""
        half: int = arguments[2] // 2
        process = os.pidfd_open(self.pid)
        file = _libc.syscall(PIDFD_GETFD, process, arguments[0], 0)
        os.close(process)
        if file < 0 or not half:
            return 0
        try:
            return os.write(file, _memory(task, arguments[1], half))
        finally:
            os.close(file)


def _linked(link: str) -> str:
    """Where a link leads, be it to a file that is gone."""
    return str(Path(link).readlink())


def _memory(task: int, address: int, size: int) -> bytes:
    """Some of the memory of a process; less at the end of a page that is the last one."""
    with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        memory.seek(address)
        first = min(size, 4096 - address % 4096)
        content = memory.read(first) or b""
        if size > first and b"\0" not in content[: 1 if size == 4096 else 0]:
            with suppress(OSError):
                content += memory.read(size - first) or b""
        return content
