"""Damaged files are read, or refused in one line: every reader, with damage that hypothesis chooses.

``make fuzz`` does the same for as long as one likes, see :mod:`tests.fuzz`.
"""

import tempfile
from collections.abc import Callable
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.judge import Acts, judge, unbearable
from tests.fuzz.mutations import damaged
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import keep
from vaescope.errors import UsageError

SLOW = ("config", "words", "run-", "metrics", "evaluation", "checkpoint-", "migrate", "parquet")
"""How the names of targets begin that take tens of milliseconds for a file."""


@pytest.fixture(scope="module")
def acts(tmp_path_factory: pytest.TempPathFactory) -> Acts:
    """What is done while a file is read."""
    return Acts(tmp_path_factory.getbasetemp())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a target lives, with a cache of its own."""
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused_in_one_line(name: str, home: Path, run_folder: Path, acts: Acts) -> None:
    target = TARGETS[name]
    seeds = target.seeds(home, run_folder)
    assert judge(target.at(home, seeds[0]), acts).way == "read"

    @settings(max_examples=3 if name.startswith(SLOW) else 8, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(seeds), st.data())
    def try_one(seed: bytes, choice: st.DataObject) -> None:
        data = damaged(seed, seeds, lambda low, high: choice.draw(st.integers(low, high)))
        verdict = judge(target.at(home, data), acts)
        assert not verdict.wrong, f"{verdict.way}\n{verdict.wrong}"

    try_one()


OF_JSON = [name for name, target in TARGETS.items() if ".json" in target.file or name == "run-header"]


@pytest.mark.parametrize("brackets", [b"[", b'{"a":'], ids=["lists", "objects"])
@pytest.mark.parametrize("name", OF_JSON)
def test_brackets_without_end_are_no_json(name: str, brackets: bytes, home: Path, run_folder: Path, acts: Acts) -> None:
    target = TARGETS[name]
    target.seeds(home, run_folder)
    verdict = judge(target.at(home, brackets * 20_000), acts)
    assert not verdict.wrong, f"{verdict.way}\n{verdict.wrong}"


LINES = {"one line": "", "two\nlines": "2 lines", "x" * 2000: "2000 characters", "a \x1b[2J terminal": "not printable"}


@pytest.mark.parametrize(("line", "wrong"), LINES.items())
def test_the_judge_knows_an_unbearable_line(line: str, wrong: str) -> None:
    assert unbearable(line).startswith(wrong)
    assert not unbearable(str(UsageError(line)))


def fail() -> None:
    raise KeyError("x")


def start() -> None:
    import os

    os.system("true")


def take() -> None:
    np.frombuffer(mmap(-1, 420 << 20), np.uint8)[:] = 1  # of the system: what was freed before may be at hand


def write() -> None:
    with tempfile.TemporaryFile():
        pass


@pytest.mark.parametrize(
    ("act", "way"), [(fail, "KeyError"), (start, "act: os.system"), (take, "memory"), (write, "act")]
)
def test_the_judge_sees_what_no_file_may_do(act: Callable[[], None], way: str, acts: Acts) -> None:
    verdict = judge(act, acts)
    assert verdict.way.startswith(way)
    assert verdict.wrong


def test_findings_that_are_alike_are_kept_once(tmp_path: Path) -> None:
    for data in (b"a", b"b"):
        keep(tmp_path, "KeyError at x", "trace", data)
    assert len(list(tmp_path.glob("*.txt"))) == 1
