"""A way to train that is timed in a process of its own, so that none profits from what another one sets or keeps.

The process says something about itself, a line of JSON. Then it is asked, a line at a time: for a number of steps,
which it makes and answers with the seconds they took; or for its weights, with the path of the file to keep them in.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

ROOT = Path(__file__).parent.parent


class WorkerError(RuntimeError):
    """A process ended without being asked to. The message is the last line that it wrote."""


class Worker:
    """The process that trains, seen from the one that asks.

    Args:
        words: What to give to the Python interpreter, such as ``-m`` and a module that calls :func:`serve`.
        python: The interpreter.
        environment: Variables that differ from those of this process.
        folder: Where it runs.

    Raises:
        WorkerError: If it ends instead of saying that it is ready.
    """

    def __init__(
        self,
        words: Sequence[object],
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ) -> None:
        self.errors = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
        try:
            self.process = subprocess.Popen(
                [python, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                text=True, env=os.environ | (environment or {}), cwd=folder,
            )  # fmt: skip
        except OSError as error:
            self.errors.close()
            raise WorkerError(f"{python} cannot be run ({error.strerror})") from None
        self.about: dict[str, Any] = json.loads(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline().strip():
            return line
        said = self.end()
        raise WorkerError((said.strip().splitlines() or ["it ended without a word"])[-1])

    def _ask(self, request: object) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        return self._line()

    def seconds(self, steps: int) -> float:
        """How long so many further steps take."""
        return float(self._ask(steps))

    def save(self, path: Path) -> Path:
        """Keeps the weights in a file. Returns its path."""
        self._ask(path)
        return path

    def end(self) -> str:
        """Ends the process. Returns what it wrote besides its answers."""
        self.process.communicate()
        with self.errors:
            self.errors.seek(0)
            return self.errors.read()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def steps_for(worker: Worker, seconds: float) -> int:
    """How many steps a worker makes in about so long, at least one."""
    worker.seconds(1)  # the first one allocates memory and shuffles
    steps = 1
    while (took := worker.seconds(steps)) < seconds / 4:
        steps *= 2
    return max(1, round(steps * seconds / took))


def about(model: Any) -> dict[str, Any]:
    """What a process says of a network and of how it computes: ways are compared with the same torch and threads."""
    import torch

    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "torch": torch.__version__, "threads": torch.get_num_threads()}


def serve(
    run: Callable[[int], object],
    save: Callable[[str], object],
    said: Mapping[str, Any],
    answers: TextIO = sys.stdout,
) -> None:
    """Answers what a process is asked, until nobody asks any more.

    Args:
        run: Makes so many steps.
        save: Writes the weights to a file.
        said: What to say first.
        answers: Where to write.
    """
    print(json.dumps(said), file=answers, flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        run(int(line)) if line.strip().isdigit() else save(line.strip())
        print(time.perf_counter() - begun, file=answers, flush=True)


def train(state: Any, **said: Any) -> None:
    """Serves the steps of one of our states, which is before or after its first step.

    Args:
        state: The state.
        said: What to say first.
    """
    import torch

    def run(steps: int) -> None:
        for _ in range(steps):
            state.advance()
        if state.batches.device.type == "cuda":
            torch.cuda.synchronize()

    serve(run, lambda path: torch.save(state.model.state_dict(), path), said)
