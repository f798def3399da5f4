"""How long one waits: for the help, and from the command until the first step of training is done.

Each is a process of its own, with everything in it: the interpreter, all imports, the config, the images from disk and
the check of their hashes, the model, the first validation. The first step is done when its line stands in
``metrics.jsonl``; the file is looked at every few milliseconds, from outside.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import ROOT, Asked, Table, interleaved, median, ratio
from vaescope.errors import RunError

WITHIN = 120.0
"""Seconds after which a command has failed."""

LOOK = 0.002
"""Seconds between two looks at the file."""

TRAIN = ("train", "--config", "configs/main.yaml", "--trainer.log_every", "1", "--figures.explorer", "false")


def measure(asked: Asked) -> list[Table]:
    """The seconds of each, in turn."""
    asked.say("startup: commands, each in a process of its own")
    ways = {
        "`import torch` alone": lambda: run("-c", "import torch"),
        "`vaescope --help`": lambda: run("-m", "vaescope", "--help"),
        "`vaescope train --help`": lambda: run("-m", "vaescope", "train", "--help"),
        "`vaescope train --config configs/main.yaml` to the first step": lambda: first_step(asked.root),
    }
    seconds = interleaved(ways, 2 if asked.quick else asked.blocks, asked)
    found = Table("Start-up, data cached", ["command", "seconds", "least to most", "times `import torch`"])
    for name, times in seconds.items():
        times_torch = str(ratio(times, seconds["`import torch` alone"]))
        found.rows.append([name, median(times), f"{min(times):.2f} to {max(times):.2f}", times_torch])
    found.notes.append(
        "From the start of a process; of training until the first step is done and written down, with the validation "
        "before it. Files are in the system's cache, and the images are gzipped or not as they lie there."
    )
    found.data["seconds"] = seconds
    return [found]


def run(*words: str) -> None:
    """Runs Python with some words to its end."""
    subprocess.run([sys.executable, *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=WITHIN)


def first_step(root: str | None) -> None:
    """Trains as the default config says until the first step is written down, and then no further."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        words = [*TRAIN, "--out", str(folder), *(["--data.root", root] if root else [])]
        with started(words) as process:
            try:
                wait(process, folder / "metrics.jsonl")
            finally:
                process.kill()


def started(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A process of the command line."""
    command = [sys.executable, "-m", "vaescope", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until a log has a line of training."""
    begun = time.perf_counter()
    while not (log.exists() and '"split": "train"' in log.read_text()):
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace").strip().splitlines() if process.stderr else []
            raise RunError(f"vaescope train made no step: {said[-1] if said else 'it ended without a word'}")
        if time.perf_counter() - begun > WITHIN:
            raise RunError(f"vaescope train took more than {WITHIN:.0f} s to its first step")
        time.sleep(LOOK)
