"""A sitting: one command of vaescope in a forked process, watched, and what came of it."""

import faulthandler
import importlib
import io
import os
import pkgutil
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.watch import LIMIT, Call, Verdict, Watch, forked, innocent

LAZY = (
    "matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.style", "matplotlib.mathtext",
    "PIL.PngImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.WebPImagePlugin", "zuko.flows", "onnx",
    "onnxscript", "onnxruntime", "torch.onnx", "torch.export", "numpy.lib.npyio", "zipfile",
)  # fmt: skip
"""What commands import when they need it."""


def warm() -> None:
    """Imports all that a command may need, so that no sitting has to; and begins no thread, which would be lost."""
    import torch

    import vaescope

    torch.set_num_threads(1)
    names = [module.name for module in pkgutil.walk_packages(vaescope.__path__, "vaescope.")]
    for name in (*LAZY, *names):
        if name != "vaescope.__main__":
            importlib.import_module(name)


@dataclass(frozen=True)
class Sitting:
    """What came of a sitting.

    Args:
        code: The exit code, negative for the signal that ended it.
        said: What it wrote to standard error.
        calls: The calls with which it changed its folder.
        struck: Those of them that something became of.
        seconds: How long it took.
    """

    code: int
    said: str
    calls: tuple[Call, ...]
    struck: tuple[Call, ...]
    seconds: float

    @property
    def lines(self) -> list[str]:
        """What it said of why it failed."""
        return [line for line in self.said.splitlines() if line.startswith("vaescope: ")]

    @property
    def calm(self) -> bool:
        """Whether nothing that it said is a traceback."""
        return "Traceback" not in self.said and "Error: " not in self.said


Work = Sequence[str] | Callable[[], int]
"""The words after ``vaescope``, or a function that returns an exit code."""


def sit(work: Work, folder: Path, verdict: Verdict = innocent, moments: Sequence[tuple[float, int]] = ()) -> Sitting:
    """Runs a command in a folder.

    Args:
        work: The command.
        folder: Where: its paths are relative to it, and the cache is in it.
        verdict: Decides about every call that changes the folder.
        moments: Signals to send, each after so many seconds.
    """
    log = folder.with_name(f"{folder.name}-{time.monotonic_ns()}.log")
    begun = time.perf_counter()
    pid, notices = forked(lambda: _child(work, folder, log))
    watch = Watch(pid, notices, folder, verdict)
    try:
        code = watch.until_end(moments)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; it said {log.read_text(encoding='utf-8', errors='replace')[-3000:]}") from None
    if watch.gaps:  # a second process is waited for in a verdict, too, but not so long
        print(f"the watch itself stood still for {watch.gaps} s", file=sys.stderr, flush=True)
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    return Sitting(code, said, tuple(watch.calls), tuple(watch.struck), time.perf_counter() - begun)


def _child(work: Work, folder: Path, log: Path) -> int:
    """What the child does, as the interpreter does it: an error that nobody catches is a traceback and exit code 1."""
    os.chdir(folder)
    os.environ["VAESCOPE_CACHE"] = "cache"
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for file, number in ((nowhere, 0), (nowhere, 1), (said, 2)):
        os.dup2(file, number)
    sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(n, "wb", 0), "utf-8", write_through=True) for n in (1, 2))
    faulthandler.dump_traceback_later(LIMIT - 20, file=said)  # of a process that hangs
    try:
        from vaescope.cli import main

        return work() if callable(work) else main(work)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1


def fresh(folder: Path, like: Path | None = None) -> Path:
    """A new folder in the place of one that may be there.

    Args:
        folder: The folder.
        like: What it holds, if it is to hold anything.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if like is None:
        folder.mkdir(parents=True)
    else:
        shutil.copytree(like, folder, symlinks=True)
    return folder
