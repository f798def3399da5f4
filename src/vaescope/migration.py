"""Brings run folders of older versions up to date.

What a run is used by, its config and its weights, has had one format from the beginning. Checkpoints have two:

====== ===========================================================================================================
format what is new
====== ===========================================================================================================
1      tensors and counters
2      the hash of every file (``SHA256SUMS``), the metrics up to there, a hash of the images that are trained on, and
       how often the run went back after a breakdown
====== ===========================================================================================================
"""

import json
import shutil
from pathlib import Path
from typing import Any

from vaescope import checkpoint
from vaescope.data.fetch import Report, log
from vaescope.errors import UsageError
from vaescope.files import alone, atomic_folder, remove_leftovers
from vaescope.foreign import explained
from vaescope.observers import as_bytes, format_lines, read_lines


def migrate(folder: Path, report: Report = log) -> int:
    """Brings a run folder up to date. What is up to date stays as it is.

    Args:
        folder: The run folder.
        report: Is told what is being done, in one line each.

    Returns:
        The number of checkpoints that were brought up to date.

    Raises:
        UsageError: If it is no run folder, or one of a newer version, or damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml, so there is nothing to bring up to date")
    with alone(folder):
        remove_leftovers(folder)
        lines = read_lines(folder / "metrics.jsonl")
        older = [path for path in checkpoint.all_of(folder / "checkpoints") if is_older(path, report)]
        for path in older:
            report(f"bringing {path} to format {checkpoint.FORMAT}")
            with_hashes(path, lines)
    return len(older)


def is_older(path: Path, report: Report) -> bool:
    """Whether a checkpoint is of an older format.

    Args:
        path: The checkpoint.
        report: Is told of one that is damaged, of which nobody can say.

    Raises:
        UsageError: If it is of a newer one.
    """
    try:
        form = checkpoint.read_state(path)["format"]
    except UsageError as error:
        report(f"warning: {error}: it is passed over")
        return False
    if form not in range(1, checkpoint.FORMAT + 1):
        raise UsageError(f"{path} has checkpoint format {form}: {checkpoint.other(path, form)}")
    return form < checkpoint.FORMAT


def with_hashes(path: Path, lines: list[dict[str, Any]]) -> None:
    """Brings a checkpoint from format 1 to 2.

    Args:
        path: The checkpoint.
        lines: The metrics of the run.
    """
    record = checkpoint.read_state(path)
    metrics = path / "metrics.safetensors"
    average = checkpoint.load_tensors(metrics) if metrics.exists() else {}
    with explained(f"{path} is damaged", "delete it to use the one before"):
        before = format_lines(line for line in lines if line["step"] <= record["step"] and line["split"] != "test")
    with atomic_folder(path, replace=True) as new:
        shutil.copytree(path, new, dirs_exist_ok=True)
        checkpoint.save_tensors(new / "metrics.safetensors", average | {"lines": as_bytes(before.encode())})
        text = json.dumps(record | {"format": 2, "data": None, "easing": 1.0, "back_offs": 0}, indent=1) + "\n"
        (new / checkpoint.STATE).write_text(text, encoding="utf-8")
        checkpoint.seal(new)
