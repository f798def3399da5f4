"""The history of a run, ``history.jsonl``: a line for each time that training began, went on or ended, and with what.

The numbers of a run are repeated bit by bit on the same machine with the same versions and as many threads; elsewhere
sums are taken in another order, and their last digits differ. So every line in which training begins says what it ran
on, and a run that goes on elsewhere says so.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

import torch

from vaescope import __version__
from vaescope.engine import processor
from vaescope.foreign import from_json
from vaescope.training import Outcome, State

FILE = "history.jsonl"
PACKAGES = ("numpy", "safetensors", "pillow", "jsonargparse", "zuko")
"""Packages whose versions are noted beside those of vaescope, torch and Python."""

VARIABLES = ("OMP_", "MKL_", "CUBLAS_")
"""What the names of variables begin with that decide how numbers are computed."""

DECISIVE = ("torch", "processor", "threads", "device", "numpy")
"""What decides the last digits of numbers."""


def environment(state: State) -> dict[str, Any]:
    """What a run trains on and with: versions, machine, threads, precision."""
    device = state.batches.device
    cuda = device.type == "cuda"
    return {
        "vaescope": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: _version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        **({"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()} if cuda else {}),
        "precision": state.engine.precision,
        "variables": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def note(folder: Path, event: str, step: int, total: int, **more: Any) -> None:
    """Adds a line to the history of a run.

    Args:
        folder: The run folder.
        event: What happened: "begun", "resumed", "extended", "backed off", "broke down", or how training ended.
        step: The step at which it did.
        total: The number of steps of the whole run.
        more: What else there is to say of it.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"event": event, "step": step, "total": total, "time": when, "process": os.getpid()}
    torn = (folder / FILE).exists() and not (folder / FILE).read_bytes().endswith(b"\n")
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps({**line, **more}) + "\n")


def note_start(folder: Path, event: str, state: State, seed: int, **more: Any) -> None:
    """Adds a line to the history that says with what training begins."""
    words = {"seed": seed, "command": sys.argv[1:], **more, "environment": environment(state)}
    note(folder, event, state.step, state.total, **words)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The lines of a history. What a crash cut short, or is none, is left out."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = (_parsed(line) for line in text.splitlines())
    return [line for line in lines if line]


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = from_json(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def concluded(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what is told last is how training ended, which is told when all is drawn and written. Of a run without a
    history, of an older version, that is taken for granted."""
    return not lines or lines[-1].get("event") in get_args(Outcome)


def moved(lines: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """What of that which decides the last digits of numbers is another than when training last began, in words."""
    before = next((line["environment"] for line in reversed(lines) if isinstance(line.get("environment"), dict)), now)
    return [f"{name} {before.get(name)}, now {now[name]}" for name in DECISIVE if before.get(name) != now[name]]
