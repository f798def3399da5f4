"""Progress: one calm line on a terminal, plain lines where output is piped."""

import math
import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vaescope.clock import Clock
from vaescope.data.fetch import IMAGES
from vaescope.objectives import Terms
from vaescope.terminal import printable, tell, unheard
from vaescope.training import Observer, State

SECONDS = 0.25
"""Between two updates of the bar."""
LINE_SECONDS = 5.0
"""Between two plain lines at least."""


def split(terms: dict[str, float]) -> str:
    """A loss and its two parts in words; without a rate, as of an autoencoder, the one part that there is."""
    if "rate" not in terms:
        return f"distortion {terms['distortion']:.1f} nats"
    d, r = terms["distortion"], terms["rate"]
    return f"−ELBO {d + r:.1f} = {d:.1f} + {r:.1f} nats"


class Pace:
    """How fast training goes.

    Args:
        state: Where it stands now.
    """

    def __init__(self, state: State) -> None:
        self.clock, self.first = Clock(), state.step

    def images_per_second(self, state: State) -> float:
        """Training images a second since this process began training; 0 as long as no time has passed."""
        seconds = self.clock()
        return (state.step - self.first) * state.batches.size / seconds if seconds else 0.0

    def seconds_left(self, state: State) -> float:
        """The seconds to the end at this speed; infinite before the first step."""
        speed = self.images_per_second(state)
        return (state.total - state.step) * state.batches.size / speed if speed else math.inf


class Lines(Observer):
    """Plain lines on standard error: the first and the last validation, and between them one every few seconds."""

    name = "display"

    def started(self, state: State) -> None:
        """Starts the clock."""
        self.pace, self.clock, self.said = Pace(state), Clock(), -math.inf

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """One line, if it is time for one."""
        now = self.clock()
        if now - self.said < LINE_SECONDS and state.step < state.total:
            return
        self.said = now
        where = f"epoch {state.epoch:.1f}, step {state.step:,}/{state.total:,}: validation {split(terms)}"
        left = self.pace.seconds_left(state)
        pace = "" if math.isinf(left) else f", {self.pace.images_per_second(state):,.0f} images/s, {left:.0f} s left"
        tell(where + pace)

    def close(self) -> None:
        """Leaves what was said."""


class Bar(Observer):
    """A progress bar on standard error, which must be a terminal.

    Args:
        console: The terminal.
    """

    name = "display"

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]:.1f}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[speed]:,.0f} images/s"),
            TimeRemainingColumn(compact=True),
            console=console,
            refresh_per_second=4,
        )
        self.clock, self.spoken, self.mean = Clock(), -math.inf, dict[str, float]()

    def started(self, state: State) -> None:
        """Shows the bar."""
        self.pace = Pace(state)
        for task in self.progress.task_ids:  # of before the run went back to a checkpoint
            self.progress.remove_task(task)
        self.task = self.progress.add_task(
            "", total=state.total, completed=state.step, epoch=state.epoch, loss="", speed=0.0
        )
        self.progress.start()

    def stepped(self, state: State, terms: Terms) -> None:
        """Moves the bar a few times a second, with a smoothed loss."""
        now = self.clock()
        if now - self.spoken < SECONDS and state.step < state.total:
            return
        self.spoken = now
        self.mean = {k: 0.8 * self.mean.get(k, v.item()) + 0.2 * v.item() for k, v in terms.items()}
        speed = self.pace.images_per_second(state)
        self.progress.update(self.task, completed=state.step, epoch=state.epoch, loss=split(self.mean), speed=speed)

    def ended(self, state: State) -> None:
        """Leaves the bar as it is."""
        self.close()

    def close(self) -> None:
        """Stops drawing the bar, also after an error."""
        with unheard(sys.stderr):
            self.progress.stop()


def display() -> Bar | Lines:
    """A bar on a terminal, else plain lines."""
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()


class Download:
    """Shows how far a download is, or a look at all images, on a terminal only."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.clock, self.spoken = Clock(), -math.inf

    def __call__(self, name: str, done: int, total: int) -> None:
        """Rewrites the line, a few times a second."""
        now = self.clock()
        if not self.terminal or (now - self.spoken < SECONDS and done != total):
            return
        self.spoken = now
        end = "\n" if done == total else ""
        if name == IMAGES:
            line = f"{done:,} of {total:,} images"
        else:
            line = f"{name}: {done / 1e6:.1f}" + (f" of {total / 1e6:.1f}" if total else "") + " MB"
        with unheard(sys.stderr):
            print(f"\r{printable(line)}", end=end, file=sys.stderr, flush=True)


class Steps:
    """Shows how far one thing after another is: a bar on a terminal, else a plain line for each."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %"), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self.said = ""

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0)
        return self

    def __call__(self, name: str, share: float) -> None:
        """Moves on.

        Args:
            name: What is being done.
            share: The share of all that is done.
        """
        if self.bar is not None:
            self.bar.update(self.task, description=name, completed=share)
        elif name and name != self.said:
            self.said = name
            tell(name)

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()
