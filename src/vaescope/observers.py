"""What is kept of a run while it trains: metrics, the frames of the animations, checkpoints."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaescope import checkpoint
from vaescope.data.examples import Examples
from vaescope.data.targets import Target
from vaescope.engine import at_work, bring
from vaescope.files import atomic_file
from vaescope.foreign import explained
from vaescope.models import encoding, looked, reconstruction
from vaescope.objectives import Terms
from vaescope.training import ROWS, Observer, State


class Average:
    """An average of terms. They are kept as they come and added up together: to add one by one takes a GPU longer
    than a step. So the terms of a step must be tensors of their own, by the same names in every step.
    """

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0
        self.kept: list[Mapping[str, Tensor]] = []

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Adds the terms of one step, each a scalar."""
        self.kept.append(terms)
        if len(self.kept) == ROWS // 2:  # before they are written anew
            self._sum()

    def take(self) -> dict[str, float]:
        """The averages since the last time, and starts anew."""
        return self.later()()

    def later(self) -> Callable[[], dict[str, float]]:
        """The same, to be asked for later: nobody waits for a GPU before that."""
        summed, count = self._summed(), self.count + len(self.kept)
        self.sums, self.count, self.kept = {}, 0, []
        return lambda: {name: value / count for name, value in summed().items()}

    def _summed(self) -> Callable[[], dict[str, float]]:
        """The sums with what is kept, in double precision."""
        sums, names = self.sums, tuple(self.kept[0]) if self.kept else ()
        coming = {name: bring(torch.stack([terms[name] for terms in self.kept])) for name in names}
        return lambda: sums | {name: reduce(add, part().tolist(), sums.get(name, 0.0)) for name, part in coming.items()}

    def _sum(self) -> None:
        """Adds what is kept to the sums."""
        self.sums, self.count = self._summed()(), self.count + len(self.kept)
        self.kept = []

    def memory(self) -> dict[str, Tensor]:
        """What :meth:`recall` needs to go on."""
        self._sum()
        sums = {f"sum.{name}": torch.tensor(value, dtype=torch.float64) for name, value in self.sums.items()}
        return sums | {"count": torch.tensor(self.count)} if self.count else {}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`memory` was taken."""
        self.sums = {name[4:]: value.item() for name, value in memory.items() if name.startswith("sum.")}
        self.count, self.kept = int(memory["count"]) if self.sums else 0, []


class MetricsLog(Observer):
    """Writes ``metrics.jsonl``, one JSON object a line.

    Training lines average over the steps since the one before; validation lines are of the whole split. Terms are in
    nats per image, ``seconds`` count from the first step.

    Args:
        path: The file. Of a resumed run it is put back to what the checkpoint holds of it, so that no line that a crash
            cut short, lost or doubled stays.
        every: Steps between two training lines.
        beside: Gives what else is to stand in a validation line, by its names.
    """

    name = "metrics"

    def __init__(self, path: Path, every: int, beside: Callable[[], Mapping[str, Any]] = dict) -> None:
        self.path, self.every, self.beside, self.average = path, every, beside, Average()
        self.before = b""

    def started(self, state: State) -> None:
        """Puts the file back to where the run resumes from."""
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(self.before)
        self.before = b""

    def stepped(self, state: State, terms: Terms) -> None:
        """Adds to the average, and writes it when it is due."""
        self.average.add(terms)
        if state.step % self.every == 0 or state.step == state.total:
            self._write(state, "train", self.average.take())

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """Writes a line."""
        self._write(state, "validation", {**terms, **self.beside()})

    def memory(self) -> dict[str, Tensor]:
        """The average so far, and the ``lines`` of the file, as bytes with shape (n,)."""
        return self.average.memory() | {"lines": as_bytes(self.path.read_bytes())}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Goes on with the average and the lines."""
        self.average.recall(memory)
        self.before = memory["lines"].numpy().tobytes() if memory else b""

    def _write(self, state: State, split: str, terms: Mapping[str, Any]) -> None:
        head = {"step": state.step, "epoch": round(state.epoch, 4), "split": split}
        with self.path.open("a") as file:
            file.write(format_lines([{**head, **terms, "seconds": round(state.seconds, 3)}]))


def as_bytes(content: bytes) -> Tensor:
    """The content of a file as a tensor, with shape (n,)."""
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a ``metrics.jsonl``. A last line that a crash cut short is left out.

    Raises:
        UsageError: If it holds anything else.
    """
    if not path.exists():
        return []
    with explained(f"{path} is damaged", "repair or delete it"):
        text = path.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        if not all(_whole(line) for line in lines):
            raise ValueError("a line has no step and split, or not its terms")
    return lines


def _whole(line: object) -> bool:
    """Whether a line says where it stands, and its distortion; the rate may be missing, as of an autoencoder."""
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        return False
    each = (part for value in line.values() if isinstance(value, list) for part in value)  # such as one for each latent
    known = (line[name] for name in ("rate", "seconds") if line.get(name) is not None)
    numbers = all(map(_is_number, (line["step"], line.get("distortion"), *known, *each)))
    return numbers and line.get("split") in ("train", "validation", "test")


def _is_number(value: object) -> bool:
    """Whether a value is a number that others can count with: JSON has whole ones of any length."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def format_lines(lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines as the text of a ``metrics.jsonl``."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole ``metrics.jsonl``."""
    with atomic_file(path) as temporary:
        temporary.write_text(format_lines(lines), encoding="utf-8")


def frame_steps(total: int, frames: int) -> list[int]:
    """The steps to take a frame at: the first and the last, and closer together at the fast start.

    Args:
        total: The number of steps of the run.
        frames: The number of frames wanted; a run with fewer steps has one for each step.
    """
    steps = [0]
    for i in range(1, frames):
        steps.append(max(steps[-1] + 1, round(total * (i / (frames - 1)) ** 2.5)))
    return [step for step in steps if step < total] + [total]


class Recorder(Observer):
    """Takes the frames of the animations: where the model puts images, and what it makes of them.

    Args:
        frames: The number of frames.
        encoded: The N images whose latents are followed.
        shown: The K images whose reconstructions are followed.
        target: How to turn values back into greys.
    """

    name = "frames"

    def __init__(self, frames: int, encoded: Examples, shown: Examples, target: Target) -> None:
        self.count, self.encoded, self.shown, self.target = frames, encoded, shown, target
        self.due: set[int] = set()
        self.average = Average()
        self.taken: list[dict[str, Tensor]] = []
        self.coming: list[dict[str, Callable[[], Tensor]]] = []

    def started(self, state: State) -> None:
        """Decides when to take frames, and puts the images where they are encoded."""
        self.due = set(frame_steps(state.total, self.count))
        if state.batches.device.type != "cpu":
            self.encoded, self.shown = self.encoded.to(state.batches.device), self.shown.to(state.batches.device)

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """Takes the frame before training, which has no training loss yet."""
        if state.step == 0:
            self._take(state, lambda: terms)

    def stepped(self, state: State, terms: Terms) -> None:
        """Takes a frame when it is due, with the average loss since the last one."""
        self.average.add({name: terms[name] for name in ("distortion", "rate") if name in terms})
        if state.step in self.due:
            self._take(state, self.average.later())

    def _take(self, state: State, terms: Callable[[], Mapping[str, float]]) -> None:
        encode, reconstruct = encoding(state.model), reconstruction(state.model)
        place = [state.step, state.epoch]

        def numbers() -> Tensor:
            found = terms()
            return torch.tensor([*place, found["distortion"], found.get("rate", math.nan)], dtype=torch.float64)

        def pictures(x: Tensor, context: Tensor | None) -> Tensor:
            return (self.target.pixels(reconstruct(x, context)) * 255).round().to(torch.uint8)

        with at_work(state.engine):  # frames are seen, not scored: they may be as precise as training is
            latents = looked(state.model, lambda x, context: encode(x, context).half(), self.encoded)
            shown = looked(state.model, pictures, self.shown)
        self.coming.append({"numbers": numbers, "latents": latents, "pictures": shown})
        if state.batches.device.type == "cpu":  # else the next steps need not wait for it
            self._arrive()

    def _arrive(self) -> None:
        """Waits for the frames that are on their way."""
        self.taken += [{name: part() for name, part in frame.items()} for frame in self.coming]
        self.coming = []

    def memory(self) -> dict[str, Tensor]:
        """The frames so far: ``numbers`` (T, 4) are step, epoch, distortion and rate, ``latents`` (T, N, D) posterior
        means, ``pictures`` (T, K, C, H, W) bytes."""
        self._arrive()
        if not self.taken:
            return {}
        frames = {name: torch.stack([frame[name] for frame in self.taken]) for name in self.taken[0]}
        return frames | {f"average.{name}": value for name, value in self.average.memory().items()}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Goes on with the frames so far."""
        names = ("numbers", "latents", "pictures") if "numbers" in memory else ()
        count = len(memory["numbers"]) if names else 0
        self.coming = []
        self.taken = [{name: memory[name][i] for name in names} for i in range(count)]
        self.average.recall({name[8:]: value for name, value in memory.items() if name.startswith("average.")})

    def arrays(self) -> dict[str, np.ndarray]:
        """The frames as arrays, as :meth:`memory` names them."""
        return {name: value.numpy() for name, value in self.memory().items() if not name.startswith("average.")}


class Checkpointer(Observer):
    """Writes a checkpoint when one is due, with what the other observers remember.

    Args:
        folder: The folder for all checkpoints of the run.
        keep: How many to keep.
        observers: The other observers.
    """

    name = "checkpoints"

    def __init__(self, folder: Path, keep: int, observers: list[Observer]) -> None:
        self.folder, self.keep, self.observers = folder, keep, observers

    def checkpoint_due(self, state: State) -> None:
        """Writes a checkpoint and deletes the oldest ones."""
        memories = {observer.name: observer.memory() for observer in self.observers}
        checkpoint.save(self.folder, state, {name: memory for name, memory in memories.items() if memory})
        checkpoint.rotate(self.folder, self.keep)

    def begin_anew(self) -> None:
        """Brings the other observers to before the first step."""
        for observer in self.observers:
            observer.recall({})

    def restore(self, path: Path, state: State) -> None:
        """Brings a freshly built state, and the other observers, to where a checkpoint stands. Those after it go."""
        checkpoint.restore(path, state)
        checkpoint.remove_after(self.folder, state.step)
        for observer in self.observers:
            file = path / f"{observer.name}.safetensors"
            with explained(f"{file} is damaged", f"delete {path} to use the one before"):
                observer.recall(checkpoint.load_tensors(file) if file.exists() else {})
