"""Seconds for people to read. Nothing that decides about a run looks at a clock: schedules, validations and checkpoints
count steps.

Clocks of machines that are suspended or moved, and of virtual ones above all, jump. One that jumps ahead cannot be told
from one in front of which somebody waited, but no time is ever negative: what a clock goes back counts as nothing.
"""

import time


class Clock:
    """Counts seconds, and never backwards.

    Args:
        seconds: What it begins with, such as the seconds of a run before it was resumed.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self._read = seconds, time.perf_counter()

    def __call__(self) -> float:
        """The seconds so far."""
        before, self._read = self._read, time.perf_counter()
        self.seconds += max(0.0, self._read - before)
        return self.seconds
