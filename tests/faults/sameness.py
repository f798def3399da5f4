"""Whether a folder is as that of a run which nobody disturbed: every file, byte by byte, but for what is measured time.

Of times are ``seconds`` in metrics and checkpoints (whose hashes differ with them), the row of the model card that says
how fast training was, and the history, which tells of every interruption and so must only be readable.
"""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import safe_open

from vaescope.checkpoint import verify
from vaescope.errors import UsageError
from vaescope.history import read_history

TIMES = {"seconds"}
REMEMBERED = ("cache/known/", "cache/surveys/")
"""What the cache remembers to be faster the next time: with it or without, all comes out the same."""


def content(folder: Path) -> dict[str, Any]:
    """What is in a folder, by path: of every file something that is equal where it should be."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix() + "/" * path.is_dir()
        if name.startswith(REMEMBERED) or path.name in (".lock", "SHA256SUMS"):
            continue
        if path.is_dir():
            found[name] = _checkpoint(path) if re.fullmatch(r"step-\d+", path.name) else ""
        else:
            found[name] = _file(path)
    return found


def _file(path: Path) -> Any:
    if path.name == "metrics.jsonl":
        return lines(path.read_bytes())
    if path.name == "history.jsonl":
        return "readable" if read_history(path.parent) and path.read_bytes().endswith(b"\n") else path.read_bytes()
    if path.suffix == ".json":
        with suppress(ValueError):
            return timeless(json.loads(path.read_bytes()))
    if path.name == "README.md":
        return re.sub(r"\| training \| .* \|", "", path.read_text(encoding="utf-8"))
    if path.name == "report.html":
        return re.sub(r"[\d,.]+ (s|images/s)\b", "", path.read_text(encoding="utf-8"))
    if path.name == "metrics.safetensors":
        return {name: lines(value) if name == "lines" else value for name, value in tensors(path).items()}
    return path.read_bytes()


def _checkpoint(path: Path) -> str:
    try:
        verify(path)
    except UsageError as error:
        return str(error)
    return "whole"


def lines(text: bytes) -> list[Any]:
    """The lines of a ``metrics.jsonl`` without their times; a line that is torn stays as it is."""
    found = []
    for line in text.splitlines(keepends=True):
        try:
            whole = line.endswith(b"\n") and timeless(json.loads(line))
        except ValueError:
            whole = None
        found.append(whole or f"torn: {line!r}")
    return found


def timeless(value: Any) -> Any:
    """A value out of JSON without what is measured time."""
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMES}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def tensors(path: Path) -> dict[str, bytes]:
    """The tensors of a safetensors file as bytes."""
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 it is no mapping


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """In what one folder differs from another, a line each."""
    said = [f"{name} is missing" for name in wanted if name not in found]
    said += [f"{name} is there" for name in found if name not in wanted]
    return said + [
        _told(name, wanted[name], found[name]) for name in wanted if wanted[name] != found.get(name, wanted[name])
    ]


def _told(name: str, wanted: Any, found: Any) -> str:
    if isinstance(wanted, list) and isinstance(found, list):
        other = next((pair for pair in zip(wanted, found, strict=False) if pair[0] != pair[1]), ("the end", "the end"))
        return f"{name} has {len(found)} entries instead of {len(wanted)}; the first other one: {str(other)[:300]}"
    return f"{name} is another: {str(found)[:150] if isinstance(found, str) else ''}"
