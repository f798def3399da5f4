"""Clocks that jump: what is trained does not look at them, and no number of seconds is ever negative or infinite."""

import itertools
import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.conftest import TINY
from vaescope import progress
from vaescope.cli import main
from vaescope.clock import Clock
from vaescope.progress import Bar, Lines, Pace
from vaescope.training import State

JUMPS = (0.0, 0.0, 86_400.0, -90_000.0, 0.001, 1e9, -2e9, 0.0, 5.5)
"""Seconds between two looks at a clock: stopped, suspended for a day, set back, to another century and back."""


def jump(patch: pytest.MonkeyPatch, jumps: tuple[float, ...] = JUMPS) -> None:
    """Lets every clock of Python jump."""
    for name in ("time", "perf_counter"):
        patch.setattr(time, name, itertools.accumulate(itertools.cycle(jumps), initial=1e6).__next__)


@dataclass
class Size:
    size: int = 20


def at(step: int, total: int = 100) -> State:
    """What progress looks at."""
    return cast(State, SimpleNamespace(step=step, total=total, epoch=step / 10, batches=Size()))


@given(st.lists(st.floats(-1e12, 1e12), min_size=3, max_size=8))
@settings(max_examples=50)
def test_a_clock_never_goes_back_and_a_pace_is_a_number(jumps: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        jump(patch, tuple(jumps))
        clock, pace = Clock(5.0), Pace(at(0))
        read = [clock() for _ in range(20)]
        assert read[0] >= 5
        assert read == sorted(read)
        assert math.isfinite(read[-1])
        for step in range(20):
            assert 0 <= pace.images_per_second(at(step)) < math.inf
            assert pace.seconds_left(at(step)) >= 0


@pytest.mark.parametrize("kind", [Lines, Bar])
def test_progress_goes_on_with_clocks_that_jump(
    kind: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jump(monkeypatch)
    shown = kind(*([Console(stderr=True, force_terminal=True, width=120)] if kind is Bar else []))
    shown.started(at(0))
    terms = {"distortion": 300.0, "rate": 4.0}
    for step in range(1, 101):
        shown.stepped(
            at(step), {name: SimpleNamespace(item=lambda value=value: value) for name, value in terms.items()}
        )
        shown.validated(at(step), terms)
    shown.close()
    told = capsys.readouterr().err
    numbers = re.findall(r"(\S+) (?:images/s|s left)", told)
    assert numbers
    assert all(float(number.replace(",", "")) >= 0 for number in numbers)


def trained(folder: Path) -> tuple[list[dict[str, Any]], bytes, list[float]]:
    """The metrics without the seconds, the weights, and the seconds of a run."""
    assert main(["train", *TINY, "--trainer.epochs", "2", "--trainer.log_every", "1", "--out", str(folder)]) == 0
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    seconds = [line.pop("seconds") for line in lines if "seconds" in line]
    return lines, (folder / "model.safetensors").read_bytes(), seconds


@pytest.mark.usefixtures("undrawn")
def test_a_run_does_not_look_at_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = trained(tmp_path / "calm")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        jump(patch)
        found = trained(tmp_path / "jumping")
    assert found[:2] == expected[:2]
    assert len(found[2]) > 20
    assert found[2] == sorted(found[2])
    assert found[2][0] >= 0
    assert math.isfinite(found[2][-1])
    told = "".join(capsys.readouterr())
    assert "images/s" in told
    assert not re.search(r"-[\d.,]+ (s\b|images/s)|\b(nan|inf)\b", told)
