"""What can be done once training has broken down: to see at which step, or to go on from before it with more care."""

from collections.abc import Callable
from dataclasses import dataclass

from vaescope.engine import steady
from vaescope.training.breakdown import Breakdown
from vaescope.training.loop import Outcome, State, Trainer


def retrace(state: State, breakdown: Breakdown) -> Breakdown:
    """Sees in which step a run broke down, where that was noticed too late.

    Args:
        state: Where the run stood at a checkpoint before, or at its beginning. From there every step is made anew, the
            same to the last bit, but with its gradients looked at before they change the weights.
        breakdown: What was noticed.

    Returns:
        The breakdown with the step and the tensor with which it began, or the same one if nothing more is seen.
    """
    if breakdown.exact:
        return breakdown
    state.recorded, state.watch = None, "gradients"
    state.model.train()
    try:
        with steady(state.engine):
            while state.step < min(breakdown.step, state.total):
                state.advance()
    except Breakdown as found:
        return found
    return breakdown


@dataclass(frozen=True)
class BackOff:
    """A return to a checkpoint after a breakdown.

    Args:
        step: The step at which the run broke down, counted from 1.
        culprit: The first tensor that was not finite.
        finding: What went wrong, in words.
        back_to: The step of the checkpoint.
        easing: The factor on all learning rates from there on.
        count: How many times the run has gone back by now.
    """

    step: int
    culprit: str
    finding: str
    back_to: int
    easing: float
    count: int

    def __str__(self) -> str:
        return f"{self.finding}; going on from step {self.back_to:,} with learning rates times {self.easing:g}"


def with_back_off(
    run: Callable[[State], Outcome],
    restore: Callable[[], State],
    state: State,
    settings: Trainer,
    told: Callable[[BackOff], None],
) -> tuple[Outcome, State]:
    """Runs, and after a breakdown goes on from the last good checkpoint with lower learning rates.

    The batches and the random numbers are the same again. With the learning rates that the run then has it is a
    function of its config alone: where it is killed and resumed from before the breakdown, it breaks down and goes on
    as it did.

    Args:
        run: Trains from where a state stands.
        restore: Gives the state of the last good checkpoint, or of the beginning where there is none.
        state: Where the run stands.
        settings: With ``back_off`` and ``back_offs``.
        told: Is told of every return.

    Returns:
        What ``run`` returned, and the state after it.

    Raises:
        Breakdown: If it broke down once more than allowed, or of data that are not finite, which no rate can mend.
    """
    while True:
        try:
            return run(state), state
        except Breakdown as error:
            if settings.back_off is None or error.kind == "data" or state.back_offs >= settings.back_offs:
                raise
            easing, count = state.easing * settings.back_off, state.back_offs + 1
            where = error.step, error.culprit, error.finding  # the error itself would keep the old state in memory
        state = restore()
        state.easing, state.back_offs = easing, count
        told(BackOff(*where, state.step, easing, count))
