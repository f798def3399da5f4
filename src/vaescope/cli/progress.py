"""Progress: one calm line on a terminal, plain lines where output is piped."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vaescope.objectives import Terms
from vaescope.train import Observer, State

SECONDS = 0.25
"""Between two updates of the bar."""
LINE_SECONDS = 5.0
"""Between two plain lines at least."""


def split(terms: dict[str, float]) -> str:
    """A loss and its two parts in words."""
    d, r = terms["distortion"], terms["rate"]
    return f"−ELBO {d + r:.1f} = {d:.1f} + {r:.1f} nats"


class Display(Observer):
    """What both kinds of progress need: when to speak, and how fast training goes."""

    name = "display"

    def __init__(self, interval: float) -> None:
        self.interval, self.spoken = interval, 0.0
        self.begun, self.first = 0.0, 0

    def started(self, state: State) -> None:
        """Starts the clock."""
        self.begun, self.first = time.perf_counter(), state.step

    def stepped(self, state: State, terms: Terms) -> None:
        """Speaks if it is time to."""
        now = time.perf_counter()
        if now - self.spoken >= self.interval or state.step == state.total:
            self.spoken = now
            self.speak(state, {name: value.item() for name, value in terms.items()})

    def speak(self, state: State, terms: dict[str, float]) -> None:
        """Shows where the run stands."""
        raise AssertionError("a display must say how it speaks")

    def speed(self, state: State) -> float:
        """Training images a second since this process began training."""
        elapsed = time.perf_counter() - self.begun
        return (state.step - self.first) * state.batches.size / elapsed if elapsed else 0.0


class Lines(Display):
    """Plain lines on standard error: the validations, at most one every few seconds, and the last."""

    def __init__(self) -> None:
        super().__init__(LINE_SECONDS)
        self.said = 0.0

    def speak(self, state: State, terms: dict[str, float]) -> None:
        """Says nothing between validations."""

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """One line."""
        now = time.perf_counter()
        if now - self.said < self.interval and 0 < state.step < state.total:
            return
        self.said = now
        left = (state.total - state.step) * state.batches.size / self.speed(state) if state.step > self.first else 0.0
        pace = f", {self.speed(state):,.0f} images/s, {left:.0f} s left" if state.step > self.first else ""
        where = f"epoch {state.epoch:.1f}, step {state.step:,}/{state.total:,}"
        print(f"{where}: validation {split(terms)}{pace}", file=sys.stderr, flush=True)


class Bar(Display):
    """A progress bar on standard error, which must be a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(SECONDS)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]:.1f}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[speed]:,.0f} images/s"),
            TimeRemainingColumn(compact=True),
            console=console,
            refresh_per_second=4,
            transient=False,
        )
        self.task = TaskID(0)
        self.mean: dict[str, float] = {}

    def started(self, state: State) -> None:
        """Shows the bar."""
        super().started(state)
        self.task = self.progress.add_task("", total=state.total, completed=state.step, epoch=0.0, loss="", speed=0.0)
        self.progress.start()

    def speak(self, state: State, terms: dict[str, float]) -> None:
        """Moves the bar, with a smoothed loss."""
        self.mean = {k: 0.8 * self.mean.get(k, v) + 0.2 * v for k, v in terms.items()}
        self.progress.update(
            self.task, completed=state.step, epoch=state.epoch, loss=split(self.mean), speed=self.speed(state)
        )

    def ended(self, state: State) -> None:
        """Leaves the bar as it is."""
        self.close()

    def close(self) -> None:
        """Stops drawing the bar, also after an error."""
        self.progress.stop()


def display() -> Display:
    """A bar on a terminal, else plain lines."""
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()


class Download:
    """Shows how far a download is, on a terminal only: ``(file, bytes done, bytes in all or None)``."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.spoken = 0.0

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Rewrites the line, a few times a second."""
        now = time.perf_counter()
        if not self.terminal or (now - self.spoken < SECONDS and done != total):
            return
        self.spoken = now
        share = f" of {total / 1e6:.1f}" if total else ""
        end = "\n" if done == total else ""
        print(f"\r{name}: {done / 1e6:.1f}{share} MB", end=end, file=sys.stderr, flush=True)
