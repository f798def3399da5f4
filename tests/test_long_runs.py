"""Runs of many steps: memory, open files and threads are those of short ones, and every line is there.

A run of 20,000 steps with everything that a real one writes is watched from inside, at steps that are far apart. A leak
of a hundred bytes a step is 2 MB by then; what is allowed is less than a kilobyte a step.
"""

import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vaescope.data.fetch import Report
from vaescope.data.images import ImageSet
from vaescope.experiment import train
from vaescope.observers import frame_steps, read_lines
from vaescope.request import expand_data, request
from vaescope.training import Observer, State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MIB_ALLOWED = 20
WARM = 1000
"""Steps after which everything that is kept for good has been allocated."""

SMALL = [
    "--trainer.device", "cpu", "--trainer.batch_size", "2", "--model.network.width", "4", "--figures.points", "20",
    "--figures.grid", "3", "--figures.samples", "4", "--figures.explorer", "false", "--trainer.epochs", "1000000",
    "--model.network.encoder_blocks", "0", "--model.network.decoder_blocks", "0",
]  # fmt: skip


@dataclass(frozen=True)
class Held:
    """What a process holds: MiB of memory, open files, threads."""

    memory: float
    files: int
    threads: int

    @staticmethod
    def now() -> "Held":
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":\t") for line in lines if ":\t" in line)
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as few handles as possible while they are counted
        return Held(
            int(status["VmRSS"].split()[0]) / 1024, files, max(int(status["Threads"]), threading.active_count())
        )


class Watch(Observer):
    """Takes down what the process holds, every so many steps once it is warm."""

    name = "watch"

    def __init__(self, every: int) -> None:
        self.every, self.held = every, dict[int, Held]()

    def stepped(self, state: State, terms: object) -> None:
        """Looks."""
        if state.step >= WARM and state.step % self.every == 0:
            self.held[state.step] = Held.now()


def watched(words: list[str], folder: Path, every: int) -> dict[int, Held]:
    """What a process holds while it trains, by steps."""
    silent: Report = lambda line: None  # noqa: E731
    asked, watch = request(*expand_data([*words, *SMALL, "--out", str(folder)], silent), silent), Watch(every)
    assert train(asked.settings, asked.text, folder, observers=[watch], report=silent).outcome == "finished"
    return watch.held


def check_flat(held: dict[int, Held], last: int) -> None:
    """Whether as much is held at the end as at the beginning."""
    first, end = held[WARM], held[last]
    course = ", ".join(f"{step:,}: {now.memory:.0f} MiB" for step, now in held.items())
    assert max(now.memory for now in held.values()) - first.memory < MIB_ALLOWED, course
    assert (end.files, end.threads) == (first.files, first.threads)


def test_twenty_thousand_steps_hold_no_more_than_one_thousand(tmp_path: Path) -> None:
    steps, validate = 20_000, 2000
    every = ["--trainer.steps", f"{steps}", "--trainer.validate_every", f"{validate}", "--trainer.log_every", "10"]
    words = ["--data", "sample", *every, "--trainer.checkpoint_every", "1000"]
    check_flat(watched(words, tmp_path / "run", WARM), steps)
    lines = read_lines(tmp_path / "run" / "metrics.jsonl")
    assert Counter(line["split"] for line in lines) == {
        "train": steps // 10,
        "validation": 1 + steps // validate,
        "test": 1,
    }
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(10, steps + 1, 10))
    assert len(np.load(tmp_path / "run" / "frames.npz")["numbers"]) == len(frame_steps(steps, 72))
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 3


def test_images_on_disk_are_streamed_without_holding_more(tmp_path: Path, images: ImageSet) -> None:
    steps = 3000
    np.save(tmp_path / "images.npy", images.train.images.numpy().repeat(10, 0))
    words = ["--data", str(tmp_path / "images.npy"), "--data.memory", "0", "--data.cache", str(tmp_path / "cache")]
    held = watched([*words, "--trainer.steps", f"{steps}", "--trainer.validate_every", "1000"], tmp_path / "run", WARM)
    check_flat(held, steps)
