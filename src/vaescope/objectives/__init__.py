"""Objectives: what training minimises, in nats per image."""

from vaescope.objectives.elbo import ELBO
from vaescope.objectives.objective import Adversarial, Objective, Terms
from vaescope.objectives.schedules import Constant, Cyclical, Ramp, Schedule, Sigmoid, WarmupDecay
from vaescope.objectives.terms import (
    dimension_rates,
    distortion,
    exact_rate,
    log_mean_exp,
    log_ratio,
    log_weight,
    rate,
    rates,
)

__all__ = [
    "ELBO",
    "Adversarial",
    "Constant",
    "Cyclical",
    "Objective",
    "Ramp",
    "Schedule",
    "Sigmoid",
    "Terms",
    "WarmupDecay",
    "dimension_rates",
    "distortion",
    "exact_rate",
    "log_mean_exp",
    "log_ratio",
    "log_weight",
    "rate",
    "rates",
]
