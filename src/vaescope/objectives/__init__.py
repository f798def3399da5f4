"""Objectives: what training minimises, in nats per image."""

from vaescope.objectives.elbo import ELBO
from vaescope.objectives.objective import Adversarial, Objective, Terms
from vaescope.objectives.schedules import Constant, Ramp, Schedule, WarmupDecay
from vaescope.objectives.semi import M2
from vaescope.objectives.terms import distortion, exact_rate, log_ratio, log_weight, rate, rates

__all__ = [
    "ELBO",
    "M2",
    "Adversarial",
    "Constant",
    "Objective",
    "Ramp",
    "Schedule",
    "Terms",
    "WarmupDecay",
    "distortion",
    "exact_rate",
    "log_ratio",
    "log_weight",
    "rate",
    "rates",
]
