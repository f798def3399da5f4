"""Schedules: values that change as training goes on.

A schedule is a function of the share of the run that is done, from 0 at the first step to 1 at the end. Counted in
shares it always finishes inside the run, however short the run is made: a warm-up that outlasts its training, a known
trap of schedules counted in steps or epochs, cannot be written down.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from vaescope.errors import UsageError


class Schedule(ABC):
    """A value as a function of the share of the run that is done."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""


def _check_share(owner: str, name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise UsageError(f"{owner} got {name} {share}: give a share of the run between 0 and 1, such as 0.2")


def _check_values(owner: str, *values: float) -> None:
    for value in values:
        if not 0 <= value < math.inf:
            raise UsageError(f"{owner} got {value}: give a number of at least 0")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout.

    Args:
        value: The value.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        _check_values("Constant", self.value)

    def __call__(self, progress: float) -> float:
        """The value, whatever ``progress`` is."""
        return self.value


@dataclass(frozen=True)
class Ramp(Schedule):
    """A straight line from one value to another, then constant: the usual KL warm-up.

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016)
        | https://arxiv.org/abs/1511.06349

    Args:
        start: The value at the first step.
        end: The value after the ramp.
        share: The share of the run that the ramp takes.
    """

    start: float = 0.0
    end: float = 1.0
    share: float = 0.2

    def __post_init__(self) -> None:
        _check_share("Ramp", "share", self.share)
        _check_values("Ramp", self.start, self.end)

    def __call__(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""
        done = min(1.0, progress / self.share) if self.share else 1.0
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True)
class WarmupDecay(Schedule):
    """A factor that rises from 0 to 1, then falls in a straight line: the usual course of a learning rate.

    Args:
        share: The share of the run in which the factor rises.
        final: The factor at the end of the run.
    """

    share: float = 0.05
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_share("WarmupDecay", "share", self.share)
        _check_values("WarmupDecay", self.final)

    def __call__(self, progress: float) -> float:
        """The factor at ``progress``, a share between 0 and 1."""
        if progress < self.share:
            return progress / self.share
        left = (1 - progress) / (1 - self.share) if self.share < 1 else 1.0
        return self.final + (1 - self.final) * left
