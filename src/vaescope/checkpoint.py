"""Checkpoints: everything that a run needs to go on, as safetensors and JSON.

::

    checkpoints/step-002000/
      model.safetensors      the weights at this step
      best.safetensors       the weights of the best validation so far
      critic.safetensors     the weights of the model's opponent, where it has one
      optimizer-0.safetensors   what the optimizer of each player remembers
      random.safetensors     the state of every stream of random numbers
      metrics.safetensors    the metrics so far; and a file each of what other observers remember
      state.json             counters, and the settings of the optimizers
      SHA256SUMS             the hash of every file, as sha256sum writes them and `sha256sum -c SHA256SUMS` checks them

A checkpoint is written to a temporary folder and renamed when it is whole and on the disk, so a full disk or a power
cut leaves the one before it as it was. One that was damaged later is known by its hashes, and passed over for the one
before. Nothing is pickled, and reading one runs no code.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from vaescope.data.batches import Batches
from vaescope.data.fetch import Report, log
from vaescope.engine import Precision
from vaescope.errors import RunError, UsageError, one_line
from vaescope.files import atomic_file, atomic_folder
from vaescope.foreign import explained, from_json
from vaescope.training import State

FORMAT = 2
"""Of a checkpoint. Those of format 1 have no hashes and no metrics: see :mod:`vaescope.migration`."""


COUNTERS = ("step", "best", "best_step", "stale", "seconds", "first_loss", "easing", "back_offs")
SUMS = "SHA256SUMS"
STATE = "state.json"


class FormatError(UsageError):
    """A checkpoint is whole, for all that is known, but of an older or a newer version."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes tensors as a safetensors file, whole or not at all.

    Args:
        path: The file to write.
        tensors: Tensors of any shape, by name.
        metadata: Strings to keep in its header.

    Raises:
        RunError: If the disk is full or cannot be written to.
    """
    try:
        with atomic_file(path) as temporary:
            _write(temporary, tensors, metadata)
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, error) from error


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, path, metadata)


def fingerprint(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """A hash of tensors and of what a header says of them, by which damage is known.

    Args:
        tensors: Tensors of any shape, by name.
        header: What JSON can hold.
    """
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Raises:
        UsageError: If it is not there or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} cannot be read ({error}); the file is missing or damaged") from None


def save(folder: Path, state: State, extras: Mapping[str, Mapping[str, Tensor]] | None = None) -> Path:
    """Writes a checkpoint of where a run stands.

    Args:
        folder: The folder of all checkpoints of the run.
        state: Where it stands.
        extras: Further files of tensors to keep with it, by name, such as the frames of an animation.

    Returns:
        The folder of the new checkpoint. If there is a good one of this step and length already, nothing is written.

    Raises:
        RunError: If the disk is full or cannot be written to. The checkpoints before this one stay as they are.
    """
    path = folder / f"step-{state.step:06d}"
    if path.exists() and is_good(path) and read_state(path)["total"] == state.total:
        return path
    try:
        with atomic_folder(path, replace=True) as temporary:
            _write(temporary / "model.safetensors", state.model.state_dict())
            _write(temporary / "best.safetensors", state.best_weights)
            _write(temporary / "random.safetensors", _random_streams(state))
            if state.critic is not None:
                _write(temporary / "critic.safetensors", state.critic.state_dict())
            for name, tensors in (extras or {}).items():
                _write(temporary / f"{name}.safetensors", tensors)
            optimizers = []
            for i, player in enumerate(state.players):
                memory, groups = _split_optimizer(player.optimizer)
                _write(temporary / f"optimizer-{i}.safetensors", memory)
                optimizers.append(groups)
            counters = {name: getattr(state, name) for name in COUNTERS} | {"precision": state.engine.precision}
            place = {"total": state.total, "images": len(state.batches.images), "data": state.batches.fingerprint}
            record = {"format": FORMAT, **counters, **place, "optimizers": optimizers}
            (temporary / STATE).write_text(json.dumps(record, indent=1) + "\n")
            seal(temporary)
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, error) from error
    return path


def seal(folder: Path) -> None:
    """Writes the hashes of all files of a checkpoint beside them."""
    lines = (f"{file_hash(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS)
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path) -> None:
    """Looks whether a checkpoint is as it was written.

    Args:
        path: The folder of the checkpoint.

    Raises:
        FormatError: If it is of another format.
        UsageError: If a file is missing or damaged, or one is there that was not.
    """
    try:
        if (form := read_state(path)["format"]) != FORMAT:
            raise FormatError(
                f"{path} has checkpoint format {form}, but this version reads {FORMAT}: {other(path, form)}"
            )
        lines = (line.partition("  ") for line in (path / SUMS).read_text("utf-8").splitlines())
        sums = {name: found for found, _, name in lines}
        wrong = {file.name for file in path.iterdir() if file.is_file()} ^ {*sums, SUMS}
        wrong |= {name for name in sums if name not in wrong and file_hash(path / name) != sums[name]}
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError | PermissionError):
            raise
        raise UsageError(f"{path} is damaged ({one_line(error)})") from None
    if wrong:
        raise UsageError(f"{path} is damaged ({', '.join(sorted(wrong))[:200]} is not as it was written)")


def other(path: Path, form: object) -> str:
    """What to do about a checkpoint of another format."""
    if isinstance(form, int) and form < FORMAT:
        return f"bring its run up to date with `vaescope migrate {path.parent.parent}`"
    return "it was written by a newer vaescope: upgrade (pip install -U vaescope)"


def is_good(path: Path) -> bool:
    """Whether a checkpoint is as it was written."""
    try:
        verify(path)
    except UsageError:
        return False
    return True


def good(folder: Path, report: Report = log) -> Path | None:
    """The newest checkpoint that is as it was written.

    Args:
        folder: The folder of all checkpoints of a run.
        report: Is told of those that are passed over, in one line each.

    Returns:
        Its folder, or nothing if there is no checkpoint at all.

    Raises:
        FormatError: If the newest that is whole is of another format.
        UsageError: If there are checkpoints, but none is good.
    """
    found = sorted(all_of(folder), key=step_of, reverse=True)
    for path in found:
        try:
            verify(path)
        except FormatError:
            raise
        except UsageError as error:
            report(f"warning: {error}: it is passed over")
        else:
            return path
    if found:
        raise UsageError(f"none of the {len(found)} checkpoints in {folder} is good: delete that folder to begin anew")
    return None


def read_state(path: Path) -> dict[str, Any]:
    """The counters of a checkpoint and all else that is no tensor.

    Raises:
        UsageError: If they are not there or damaged.
    """
    try:
        if not (path / STATE).is_file():  # such as a pipe, for which reading would wait
            raise FileNotFoundError("it is missing")
        record = from_json((path / STATE).read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "format" not in record:
            raise ValueError("it has no format")
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise
        raise UsageError(f"{path} is damaged ({STATE}: {one_line(error)})") from None
    return record


def restore(path: Path, state: State) -> None:
    """Brings a freshly built state to where a checkpoint stands.

    Args:
        path: The folder of the checkpoint.
        state: A state built from the same config.

    Raises:
        UsageError: If the checkpoint is damaged, or of another model or other images, or of a longer run.
    """
    verify(path)
    with explained(f"{path} cannot be resumed from", "delete it to use the one before"):
        record = read_state(path)
        check_images(path, record, state.batches)
        state.model.load_state_dict(load_tensors(path / "model.safetensors"))
        state.best_weights = load_tensors(path / "best.safetensors")
        check_shapes("best.safetensors", state.best_weights, state.model.state_dict())
        if state.critic is not None:
            state.critic.load_state_dict(load_tensors(path / "critic.safetensors"))
        for i, (player, groups) in enumerate(zip(state.players, record["optimizers"], strict=True)):
            _join_optimizer(player.optimizer, load_tensors(path / f"optimizer-{i}.safetensors"), groups)
        for name in COUNTERS:
            setattr(state, name, _number(name, record[name]))
        if (precision := record.get("precision", "float32")) not in get_args(Precision):
            raise ValueError(f"precision is {precision}")
        state.engine = replace(state.engine, precision=precision)
        if state.step > state.total:
            raise UsageError(
                f"{path} is at step {state.step:,}, but the run is to end at step {state.total:,}: train longer "
                "(trainer.epochs, trainer.steps)"
            )
        _restore_random_streams(state, load_tensors(path / "random.safetensors"))
        if state.recorded is not None:
            state.recorded.forget()


def check_images(path: Path, record: Mapping[str, Any], batches: Batches) -> None:
    """Refuses to go on with other images than before."""
    now = len(batches.images)
    then = record.get("images", now)
    if then != now:
        raise UsageError(
            f"{path} was trained on {then:,} images, but now there are {now:,}: put them back as they were"
        )
    if record["data"] not in (None, batches.fingerprint):  # nothing was noted of them in format 1
        raise UsageError(f"{path} was trained on {then:,} other images than there are now: put them back as they were")


def remove_after(folder: Path, step: int) -> None:
    """Deletes the checkpoints after a step: a run that goes on from there, as they are damaged, makes them anew."""
    for path in [path for path in all_of(folder) if step_of(path) > step]:
        shutil.rmtree(path)


def rotate(folder: Path, keep: int) -> None:
    """Deletes all checkpoints but the newest ``keep``."""
    for old in sorted(all_of(folder), key=step_of)[:-keep]:
        shutil.rmtree(old)


def all_of(folder: Path) -> Iterator[Path]:
    """The folders of all checkpoints of a run, in no order.

    Raises:
        OSError: If there may be some that cannot be listed: a run whose checkpoints are out of reach has not lost them.
    """
    try:
        found = list(folder.iterdir())  # glob takes a folder that it may not read for an empty one
    except FileNotFoundError:
        return iter(())
    return (path for path in found if path.name.startswith("step-") and path.name[5:].isdecimal())


def step_of(path: Path) -> int:
    """The step of a checkpoint."""
    return int(path.name[5:])


def _unwritable(path: Path, error: Exception) -> RunError:
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    reason, mend = ("the disk is full", "free some space") if full else (one_line(error), "mend that")
    return RunError(f"{path} was not written: {reason}; {mend}, then go on with --resume")


def check_shapes(name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuses tensors that are not those of the model."""
    if {k: v.shape for k, v in found.items()} != {k: v.shape for k, v in expected.items()}:
        raise ValueError(f"{name} holds other weights than those of the model")


def _number(name: str, value: object) -> object:
    whole = name in ("step", "best_step", "stale", "back_offs")
    known = isinstance(value, int if whole else int | float) and not (whole and value < 0)
    if not known and not (value is None and name == "first_loss"):
        raise TypeError(f"{name} is {value!r}")
    return value


def _split_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """What an optimizer remembers, as tensors named `parameter.quantity`, and the settings of its groups."""
    record = optimizer.state_dict()
    memory = {f"{i}.{name}": value for i, slot in record["state"].items() for name, value in slot.items()}
    return memory, record["param_groups"]


def _join_optimizer(optimizer: Optimizer, memory: dict[str, Tensor], groups: list[dict[str, Any]]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    parameters = dict(enumerate(p for group in optimizer.param_groups for p in group["params"]))
    for name, value in memory.items():
        index, quantity = name.split(".", 1)
        parameter = parameters[int(index)]
        # the fused kernel looks neither at sizes nor at strides: both must be those of the parameter
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
        elif value.dim() and optimizer.param_groups[0].get("fused"):
            raise ValueError(f"the optimizer remembers {name} with shape {tuple(value.shape)}")
        slots.setdefault(int(index), {})[quantity] = value
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _random_streams(state: State) -> dict[str, Tensor]:
    streams = {"cpu": torch.get_rng_state(), "targets": state.batches.noise.get_state()}
    if state.batches.device.type == "cuda":
        streams["cuda"] = torch.cuda.get_rng_state(state.batches.device)
    return streams


def _restore_random_streams(state: State, streams: dict[str, Tensor]) -> None:
    torch.set_rng_state(streams["cpu"])
    state.batches.noise.set_state(streams["targets"])
    if "cuda" in streams and state.batches.device.type == "cuda":
        torch.cuda.set_rng_state(streams["cuda"], state.batches.device)
