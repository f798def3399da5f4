"""Schedules: values that change as training goes on.

A schedule is a function of the share of the run that is done, from 0 at the first step to 1 at the end. Counted in
shares it always finishes inside the run, however short the run is made: a warm-up that outlasts its training, a known
trap of schedules counted in steps or epochs, cannot be written down.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

from vaescope.engine import Share
from vaescope.errors import UsageError
from vaescope.objectives.checks import check_amounts, check_counts, check_shares


class Schedule(ABC):
    """A value as a function of the share of the run that is done."""

    @property
    def shortest(self) -> int:
        """The least number of steps in which the schedule can show its course; a run must not be shorter."""
        return 1

    @property
    def arrival(self) -> float:
        """The share of the run after which the value stays as it is."""
        return 1.0

    @abstractmethod
    def at(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""

    def __call__(self, progress: float) -> float:
        """The value at ``progress``; of a step that is being recorded a number on the device, see :class:`Share`."""
        return progress.of(self) if isinstance(progress, Share) else self.at(progress)


def _between(start: float, end: float, done: float) -> float:
    """The value from ``start`` to ``end`` where a share ``done`` of the way is behind; at 1 it is ``end`` itself."""
    return end if done == 1 else start + (end - start) * done


def _risen(progress: float, share: float) -> float:
    """How much of a rise that takes ``share`` of the way is behind after ``progress`` of it."""
    return min(1.0, progress / share) if share else 1.0


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout.

    Args:
        value: The value.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        check_amounts(self, "value")

    @property
    def arrival(self) -> float:
        """It is there from the start."""
        return 0.0

    def at(self, progress: float) -> float:
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
        check_shares(self, "share")
        check_amounts(self, "start", "end")

    @property
    def arrival(self) -> float:
        """The end of the ramp."""
        return self.share

    def at(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""
        return _between(self.start, self.end, _risen(progress, self.share))


@dataclass(frozen=True)
class Cyclical(Schedule):
    r"""A ramp that starts again and again: the true cyclical annealing of the KL weight.

    The run is cut into :math:`M` equal cycles. With :math:`\tau` the share of its cycle that is done,

    .. math:: v = a + (b - a) \min(1, \tau / R)

    so that the value falls back to :math:`a` at the start of every cycle, rises to :math:`b` over the share :math:`R`
    of it and stays there. A latent that one cycle left unused gets another chance in the next. At the end of the run
    the value is :math:`b`.

    References:
        | Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing (Fu et al., 2019)
        | https://arxiv.org/abs/1903.10145

    Args:
        start: The value :math:`a` at the start of every cycle.
        end: The value :math:`b` that every cycle rises to.
        cycles: The number :math:`M` of cycles.
        share: The share :math:`R` of a cycle in which the value rises.

    Raises:
        UsageError: For negative values, a share outside of 0 and 1, or less than one cycle.
    """

    start: float = 0.0
    end: float = 1.0
    cycles: int = 4
    share: float = 0.5

    def __post_init__(self) -> None:
        check_counts(self, "cycles")
        check_shares(self, "share")
        check_amounts(self, "start", "end")

    @property
    def shortest(self) -> int:
        """Two steps a cycle: with fewer there is none that rises and one that has risen."""
        return 2 * self.cycles

    @property
    def arrival(self) -> float:
        """The end of the last rise."""
        return (self.cycles - 1 + self.share) / self.cycles

    def at(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""
        if progress >= 1:
            return self.end
        return _between(self.start, self.end, _risen(progress * self.cycles % 1, self.share))


@dataclass(frozen=True)
class Sigmoid(Schedule):
    r"""An S-shaped rise from one value to another, then constant: slow at both ends, with no corner.

    With :math:`u` the share of the rise that is done,

    .. math:: v = a + (b - a) \frac{S(u) - S(0)}{S(1) - S(0)}, \quad S(u) = \frac{1}{1 + e^{-k (u - m)}}

    A bare logistic never arrives; this one is moved and stretched so that it starts at :math:`a` and ends at
    :math:`b` exactly.

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016)
        | https://arxiv.org/abs/1511.06349

    Args:
        start: The value :math:`a` at the first step.
        end: The value :math:`b` after the rise.
        share: The share of the run that the rise takes.
        middle: The share :math:`m` of the rise at which it is steepest.
        steepness: The slope :math:`k` of the logistic, a positive number; towards 0 the rise is a straight line.

    Raises:
        UsageError: For negative values, shares outside of 0 and 1, or a steepness that is not positive.
    """

    start: float = 0.0
    end: float = 1.0
    share: float = 0.5
    middle: float = 0.5
    steepness: float = 10.0

    def __post_init__(self) -> None:
        check_shares(self, "share", "middle")
        check_amounts(self, "start", "end")
        if not 1e-6 <= self.steepness < math.inf:
            raise UsageError(f"Sigmoid got steepness {self.steepness}: give a positive number, such as 10")

    @property
    def arrival(self) -> float:
        """The end of the rise."""
        return self.share

    def at(self, progress: float) -> float:
        """The value at ``progress``, a share between 0 and 1."""
        done = _risen(progress, self.share)
        low = self._logistic(0.0)
        return _between(self.start, self.end, (self._logistic(done) - low) / (self._logistic(1.0) - low))

    def _logistic(self, done: float) -> float:
        """The logistic times 2 less 1, as a hyperbolic tangent: it has no overflow and differs by a line only."""
        return math.tanh(self.steepness * (done - self.middle) / 2)


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
        check_shares(self, "share")
        check_amounts(self, "final")

    def at(self, progress: float) -> float:
        """The factor at ``progress``, a share between 0 and 1."""
        if progress < self.share:
            return progress / self.share
        left = (1 - progress) / (1 - self.share) if self.share < 1 else 1.0
        return self.final + (1 - self.final) * left


def schedules_of(part: object, name: str) -> Iterator[tuple[str, Schedule]]:
    """Every schedule among the fields of a part of a config, and among the fields of these, with its dotted name.

    Args:
        part: An objective, a trainer, or anything else; what is no dataclass has none.
        name: What the part is called, such as objective.
    """
    if isinstance(part, Schedule):
        yield name, part
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            yield from schedules_of(getattr(part, field.name), f"{name}.{field.name}")


def arrival(objective: object) -> float:
    """The share of the run after which no weight of an objective changes any more.

    Args:
        objective: The objective.
    """
    return max((schedule.arrival for _, schedule in schedules_of(objective, "objective")), default=0.0)
