"""The suite in a short form, by its own command: a process with threads, such as this one, should not fork."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["kills", "--kills", "8", "--only", "plain,fetch"], ["errors", "signals", "--errors", "4", "--signals", "4"]],
)
def test_nothing_is_lost(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", *words, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
