"""The share of a run that is done, where a step is recorded once to be replayed at other shares."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor


class Share:
    """The share of the run that is done, as an objective sees it while a step is recorded.

    Args:
        value: The share at the step at which the recording is made.
        values: From a schedule that has not arrived to its value on the device, with no axes.
    """

    def __init__(self, value: float, values: Callable[[Any], Tensor]) -> None:
        self.value, self.values, self.until = value, values, math.inf

    def of(self, schedule: Any) -> Any:
        """The value of a schedule: on the device as long as it changes, a number once it has arrived."""
        return schedule.at(self.value) if self.value >= schedule.arrival else self.values(schedule)

    def __lt__(self, other: float) -> bool:
        return self._below(other)

    def __le__(self, other: float) -> bool:
        return self._below(math.nextafter(other, math.inf))

    def __gt__(self, other: float) -> bool:
        return not self <= other

    def __ge__(self, other: float) -> bool:
        return not self._below(other)

    def _below(self, other: float) -> bool:
        """Whether the share is below a number; if so, the recording holds up to there."""
        if self.value < other:
            self.until = min(self.until, other)
        return self.value < other
