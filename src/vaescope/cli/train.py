"""``vaescope train``."""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vaescope.cli.options import Parser, report
from vaescope.experiment import train as train_run
from vaescope.migration import migrate as bring_up_to_date
from vaescope.progress import Download, display
from vaescope.request import understood
from vaescope.summary import describe
from vaescope.terminal import say, unheard
from vaescope.training import Observer, State


def train(words: Sequence[str]) -> int:
    """Runs ``vaescope train``. Returns the exit code."""
    shown, stop = display(), Interruption()
    try:
        asked = understood(words, report)
        summary = train_run(
            asked.settings, asked.text, asked.folder, asked.resume, [shown, stop], report, Download(), stop.wanted
        )
    finally:
        stop.disarm()
        shown.close()
    with unheard(sys.stdout):  # the exit code counts, whoever reads
        say(json.dumps(summary.record()) if asked.json else describe(summary))
        sys.stdout.flush()
    return stop.exit_code if summary.outcome == "interrupted" else 0


REQUEUE = 75
"""The exit code of a run that a batch system is to start once more: EX_TEMPFAIL of sysexits.h, "try again"."""

BATCH = getattr(signal, "SIGUSR1", None)
"""The signal by which batch systems say that time is nearly up; Windows has none."""


STOPPING = b"\nstopping after this step: writing a checkpoint and the pictures so far (Ctrl-C to stop at once)\n"


class Interruption(Observer):
    """While a run trains, SIGINT, SIGTERM and SIGUSR1 end it after the step in hand. A second SIGINT stops at once.

    Outside of training, while data are fetched or pictures drawn, SIGINT and SIGTERM do what they always do. SIGUSR1,
    which would kill there, is kept until training begins.
    """

    name = "interruption"

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.handlers: dict[int, Any] = {}
        if BATCH:
            self._listen(BATCH)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {BATCH})  # one that came while modules were imported comes now

    def started(self, state: State) -> None:
        """Begins to listen."""
        self._listen(signal.SIGINT, signal.SIGTERM)

    def ended(self, state: State) -> None:
        """Ceases to listen, but for SIGUSR1: pictures are drawn in seconds."""
        self._restore(signal.SIGINT, signal.SIGTERM)

    def disarm(self) -> None:
        """Ceases to listen, also after an error."""
        self._restore(*self.handlers)

    def wanted(self) -> bool:
        """Whether training is to end."""
        return bool(self.signals)

    @property
    def exit_code(self) -> int:
        """The exit code for the signal that came first."""
        return REQUEUE if self.signals[0] == BATCH else 128 + self.signals[0]

    def _listen(self, *numbers: int) -> None:
        if threading.current_thread() is threading.main_thread():
            fresh = [number for number in numbers if number not in self.handlers]
            self.handlers |= {number: signal.signal(number, self._note) for number in fresh}
            for number in fresh if hasattr(signal, "siginterrupt") else ():
                signal.siginterrupt(number, False)  # native code that writes a file does not always begin again itself

    def _restore(self, *numbers: int) -> None:
        for number in [number for number in numbers if number in self.handlers]:
            signal.signal(number, self.handlers.pop(number))

    def _note(self, number: int, frame: object) -> None:
        if self.signals and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.signals:
            with suppress(OSError):  # nobody may be reading
                os.write(2, STOPPING)  # a handler may come in the middle of a print, and must not print itself
        self.signals.append(number)


def migrate(words: Sequence[str]) -> int:
    """Runs ``vaescope migrate``. Returns the exit code."""
    made = Parser(
        "Bring the checkpoints of a run that an older version wrote up to date, so that it can be gone on with.\n"
        "What is up to date stays as it is.",
        "vaescope migrate runs/main",
        "vaescope migrate",
    )
    made.add_argument("run", type=Path, help="the run folder")
    folder = made.parse_args(words).run
    count = bring_up_to_date(folder, report)
    say(f"{folder}: {count} checkpoints brought up to date" if count else f"{folder} is up to date")
    return 0
