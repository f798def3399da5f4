"""``vaescope train``."""

import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaescope import config
from vaescope.cli.options import report
from vaescope.errors import UsageError
from vaescope.experiment import train as train_run
from vaescope.progress import Download, display
from vaescope.request import expand_data, request
from vaescope.summary import describe
from vaescope.terminal import say
from vaescope.training import Observer, State


def train(words: Sequence[str]) -> int:
    """Runs ``vaescope train``. Returns the exit code."""
    asked = request(*expand_data(words, report), report)
    settings, folder = asked.settings, asked.folder
    if asked.resume is not None:
        settings, folder = resumed(asked.resume, words), asked.resume
    going_on, shown, stop = asked.resume is not None, display(), Interruption()
    try:
        summary = train_run(
            settings, asked.text, folder, going_on, [shown, stop], report, Download(), lambda: bool(stop.signals)
        )
    finally:
        stop.disarm()
        shown.close()
    say(json.dumps(summary.record()) if asked.json else describe(summary))
    return 128 + stop.signals[0] if summary.outcome == "interrupted" else 0


def resumed(folder: Path, words: Sequence[str]) -> config.Config:
    """The config of a run that is to be gone on with; it cannot be changed.

    Raises:
        UsageError: If the folder is none of a run, or further keys are given.
    """
    before = ["", *words[:-1]]
    others = [
        word
        for word, last in zip(words, before, strict=True)
        if last != "--resume" and word not in ("--json", "--resume") and not word.startswith("--resume=")
    ]
    if others:
        raise UsageError(f"--resume goes on with the run's own config, so {others[0]} cannot be given with it")
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml, so there is nothing to resume")
    return config.read(folder / "config.yaml")


class Interruption(Observer):
    """While a run trains, SIGINT and SIGTERM end it after the step in hand. A second signal stops at once.

    Outside of training, while data are fetched or pictures drawn, they do what they always do.
    """

    name = "interruption"

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.handlers: dict[int, Any] = {}

    def started(self, state: State) -> None:
        """Begins to listen."""
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def ended(self, state: State) -> None:
        """Ceases to listen."""
        self.disarm()

    def disarm(self) -> None:
        """Ceases to listen, also after an error."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def _note(self, number: int, frame: object) -> None:
        if self.signals:
            raise KeyboardInterrupt
        self.signals.append(number)
        report("\nstopping after this step: writing a checkpoint and the pictures so far (again to stop at once)")
