"""The suite in a short form, by its own command: a process with threads, such as this one, should not fork."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


SHORT = "kills errors signals --kills 6 --errors 2 --signals 2 --only plain,fetch"


@pytest.mark.slow
def test_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", *SHORT.split(), "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
