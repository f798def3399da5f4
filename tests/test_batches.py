"""Batches from disk are those from memory: the same numbers, the same losses, in flat memory."""

import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaescope import checkpoint
from vaescope.config import Config
from vaescope.data import rows
from vaescope.data.batches import Batches
from vaescope.data.dataset import OWN, ImageData
from vaescope.data.rows import Mapped, chunks, in_memory
from vaescope.data.targets import TARGETS, Target, TargetName
from vaescope.experiment import begin
from vaescope.families import OptimalGaussian
from vaescope.metrics import negative_elbo
from vaescope.models import Flat
from vaescope.nets import MLP
from vaescope.objectives import Terms
from vaescope.run import validation_examples
from vaescope.training import Observer, State, Trainer, fit

RANDOM = np.random.default_rng(0)
CPU = torch.device("cpu")


@pytest.fixture(params=[8, 16])
def array(request: pytest.FixtureRequest) -> np.ndarray:
    """A hundred images."""
    top, kind = 2**request.param, np.uint8 if request.param == 8 else np.uint16
    return np.random.default_rng(1).integers(0, top, (100, 2, 3, 5), dtype=kind)


def saved(array: np.ndarray, folder: Path) -> Mapped:
    """The same on disk."""
    np.save(folder / "rows.npy", array)
    return Mapped(folder / "rows.npy")


# Rows

INDICES: dict[str, Any] = {
    "all": slice(None),
    "slice": slice(3, 17),
    "steps": slice(90, 10, -7),
    "backwards": slice(None, None, -1),
    "beyond": slice(95, 300),
    "none": slice(5, 5),
    "list": [4, 2, 99, 0],
    "tuple": (4, 2),
    "range": range(7, 3, -1),
    "empty list": [],
    "duplicates": [7, 7, 3, 7, 3],
    "negative": [-1, 0, -100],
    "tensor": torch.tensor([5, 1, 5]),
    "int32": torch.tensor([5, 1, 5], dtype=torch.int32),
    "array": np.array([5, 1, 5]),
    "mask": torch.arange(100) % 3 == 0,
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_rows_on_disk_are_indexed_like_those_in_memory(array: np.ndarray, tmp_path: Path, index: Any) -> None:
    found = saved(array, tmp_path)[index]
    expected = array[index if isinstance(index, slice) else np.asarray(index, None if len(index) else int)]
    assert found.numpy().dtype == array.dtype
    assert found.shape == expected.shape
    assert (found.numpy() == expected).all()
    found.fill_(0)  # memory of its own
    assert (saved(array, tmp_path)[:].numpy() == array).all()


@pytest.mark.parametrize("index", [100, [100], [-101], [1.5], [[1, 2]], torch.ones(99, dtype=torch.bool), "1"])
def test_other_indices_are_refused(array: np.ndarray, tmp_path: Path, index: Any) -> None:
    with pytest.raises((IndexError, TypeError)):
        saved(array, tmp_path)[index]


def test_what_is_known_of_rows_without_reading_them(array: np.ndarray, tmp_path: Path) -> None:
    there = saved(array, tmp_path)
    assert len(there) == 100
    assert there.shape == array.shape
    assert there.nbytes == array.nbytes
    assert there.bits == 8 * array.itemsize


@pytest.mark.parametrize("most", [1, 100, 10**9])
def test_chunks_and_copies_hold_every_row_once(
    array: np.ndarray, tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", most)
    there, here = saved(array, tmp_path), torch.from_numpy(array)
    for images in (there, here):
        parts = list(chunks(images))
        assert (torch.cat(parts).numpy() == array).all()
        assert max(part.nbytes for part in parts) <= max(most, array[0].nbytes)
        assert torch.equal(in_memory(images, CPU), here)


def test_giving_pages_back_changes_nothing(array: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RELEASE", 0)
    there = saved(array, tmp_path)
    for start in range(0, 100, 10):
        assert (there[start : start + 10].numpy() == array[start : start + 10]).all()
        assert (there[[start, 1]].numpy() == array[[start, 1]]).all()


# Batches


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("size", [7, 40, 100])
def test_streamed_batches_are_those_from_memory(array: np.ndarray, tmp_path: Path, name: TargetName, size: int) -> None:
    target: Target = TARGETS[name](8 * array.itemsize)
    context = torch.arange(200.0).view(100, 2)
    places = torch.from_numpy(array), saved(array, tmp_path)
    here, there = (Batches(images, target, size, 3, context) for images in places)
    assert here.steps_per_epoch == there.steps_per_epoch == 100 // size
    for step in [*range(35), 100, 101, 7, 8, 0]:
        one, other = here(step), there(step)
        assert torch.equal(one.values, other.values)
        assert one.context is not None
        assert other.context is not None
        assert torch.equal(one.context, other.context)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_order_is_a_permutation_of_all_images(tmp_path: Path, streamed: bool) -> None:
    array = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    images = saved(array, tmp_path) if streamed else torch.from_numpy(array)
    batches = Batches(images, TARGETS["grey"](), 10, seed=0)
    for epoch in range(3):
        seen = torch.cat([batches(10 * epoch + step).values for step in range(10)]).mul(255).round().flatten()
        assert sorted(seen.tolist()) == list(range(100))
        assert batches.order(epoch).tolist() == seen.tolist()


def test_a_batch_is_read_once_and_ahead_of_time(array: np.ndarray, tmp_path: Path) -> None:
    images, read = saved(array, tmp_path), list[list[int]]()

    class Counted(Mapped):
        def __getitem__(self, index: Any) -> torch.Tensor:
            read.append(index.tolist())
            return super().__getitem__(index)

    batches = Batches(Counted(images.path), TARGETS["grey"](8 * array.itemsize), 30, seed=0)
    for step in range(9):
        batches(step)
    batches._reader.shutdown()
    assert read == [batches.indices(step).tolist() for step in range(9 + 4)]


def test_what_goes_wrong_while_reading_ahead_is_raised(array: np.ndarray, tmp_path: Path) -> None:
    class Torn(Mapped):
        def __getitem__(self, index: Any) -> torch.Tensor:
            raise OSError(5, "unplugged")

    batches = Batches(Torn(saved(array, tmp_path).path), TARGETS["grey"](), 30, seed=0)
    for step in range(2):
        with pytest.raises(OSError, match="unplugged"):
            batches(step)


# Training


class Losses(Observer):
    """Remembers every loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, state: State, terms: Terms) -> None:
        self.losses.append(terms["loss"].item())


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., tuple[list[float], State]]:
    """Trains on images of one's own, held in so much memory, and gives all losses."""
    np.savez(
        tmp_path / "own.npz",
        images=RANDOM.integers(0, 256, (90, 6, 6), dtype=np.uint8) // 128 * 255,
        labels=np.arange(90) % 3,
    )

    def made(
        memory: int, targets: TargetName = "binary", labels: bool = False, steps: int = 20, resume: Path | None = None
    ) -> tuple[list[float], State]:
        data = ImageData(OWN, tmp_path / "own.npz", targets, memory=memory)
        model = Flat(network=MLP(width=8), labels=labels)
        if targets != "binary":
            model = replace(model, likelihood=OptimalGaussian)
        adam = partial(torch.optim.AdamW, lr=3e-3)
        settings = Config(data, model, trainer=Trainer(batch_size=20, epochs=7, steps=20, optimizer=adam))
        images, losses = data.load(), Losses()
        state = begin(settings, images, CPU)
        assert isinstance(state.batches.images, Mapped) == (memory == 0)
        if resume:
            checkpoint.restore(resume, state)
        validation = validation_examples(state.model, data.target, images)
        fit(state, settings.trainer, validation, [losses], lambda: state.step == steps)
        return losses.losses, state

    return made


KINDS: Sequence[tuple[TargetName, bool]] = [("binary", False), ("grey", False), ("centred", False), ("binary", True)]


@pytest.mark.parametrize(("targets", "labels"), KINDS)
def test_a_streamed_training_is_that_from_memory(
    train: Callable[..., tuple[list[float], State]], tmp_path: Path, targets: TargetName, labels: bool
) -> None:
    (expected, one), (found, other) = (train(memory, targets, labels) for memory in (2048, 0))
    assert found == expected
    assert len(found) == 20 > 4 * one.batches.steps_per_epoch  # over borders of epochs
    assert one.best == other.best
    first, state = train(0, targets, labels, steps=10)
    assert first == expected[:10]
    saved = checkpoint.save(tmp_path / "checkpoints", state)
    assert train(0, targets, labels, resume=saved)[0] == expected[10:]
    assert train(2048, targets, labels, resume=saved)[0] == expected[10:]


def test_scores_of_a_split_on_disk_are_those_from_memory(train: Callable[..., tuple[list[float], State]]) -> None:
    state = train(0, steps=1)[1]
    images = state.batches.images
    target = TARGETS["grey"]()
    scores = [negative_elbo(state.model, target.alone(held)) for held in (images, in_memory(images, CPU))]
    assert scores[0] == scores[1]
    assert math.isfinite(scores[0].distortion)


# Memory

MEASURED = """
import sys
from vaescope.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":") for line in open("/proc/self/status"))
print(f"{code} {status['VmHWM']}")
"""


def peak_memory(root: Path, count: int) -> int:
    """The most memory in MB that training on so many images of 64x64x3, and scoring on them, ever takes."""
    images = np.lib.format.open_memmap(root / "x.npy", "w+", np.uint8, (count, 64, 64, 3))
    number = np.arange(count, dtype="<u8").view(np.uint8).reshape(count, 8)
    images[:, 0, :8, 0] = number  # the rest is zero, which takes no room on the disk
    images[:, 32, 8:16, 1] = number * np.uint8(97)
    images.flush()
    del images
    words = [
        "train", "--data", root / "x.npy", "--data.cache", root / "cache", "--out", root / "run", "--data.memory", 256,
        "--data.targets", "centred", "--data.validation", 0.01, "--data.test", 0.01, "--model.network", "MLP",
        "--model.network.width", 8, "--trainer.steps", 30, "--trainer.device", "cpu", "--figures.frames", 0,
        "--figures.points", 100, "--figures.explorer", "false",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *map(str, words)], capture_output=True, text=True, timeout=300
        )
    finally:
        for path in ("cache", "run"):
            shutil.rmtree(root / path, ignore_errors=True)
        (root / "x.npy").unlink()
    code, kilobytes, _ = done.stdout.split()[-3:]
    assert code == "0", done.stderr
    assert "test −ELBO" in done.stdout
    return int(kilobytes) // 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process's memory")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = (peak_memory(tmp_path, count) for count in (21_250, 85_000))  # 0.3 GB and 1.1 GB
    assert many < few + 250, (few, many)  # of 0.8 GB that there are more to read; heaps differ by a fifth of that
    assert many < 1500
