"""Objectives: what training minimises, in nats per image."""

from vaescope.objectives.capacity import Capacity
from vaescope.objectives.elbo import ELBO
from vaescope.objectives.free_bits import FreeBits
from vaescope.objectives.importance import CIWAE, IWAE, MIWAE
from vaescope.objectives.objective import Adversarial, Objective, Terms
from vaescope.objectives.pathwise import DReG, StickingTheLanding
from vaescope.objectives.piwae import PIWAE
from vaescope.objectives.renyi import Renyi
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
    "CIWAE",
    "ELBO",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "Adversarial",
    "Capacity",
    "Constant",
    "Cyclical",
    "DReG",
    "FreeBits",
    "Objective",
    "Ramp",
    "Renyi",
    "Schedule",
    "Sigmoid",
    "StickingTheLanding",
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
