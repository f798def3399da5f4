"""Training: one loop for every model and objective, and steps that are recorded once and replayed."""

from vaescope.training.back_off import BackOff, retrace, with_back_off
from vaescope.training.breakdown import Breakdown
from vaescope.training.loop import ADAMW, Observer, Outcome, Player, State, Trainer, fit, put
from vaescope.training.recorded import ROWS, Kept, Recorded

__all__ = [
    "ADAMW",
    "ROWS",
    "BackOff",
    "Breakdown",
    "Kept",
    "Observer",
    "Outcome",
    "Player",
    "Recorded",
    "State",
    "Trainer",
    "fit",
    "put",
    "retrace",
    "with_back_off",
]
