"""Objectives: what training minimises, in nats per image."""

from vaescope.objectives.adversarial_autoencoder import AdversarialAutoencoder
from vaescope.objectives.beta_tc import BetaTCVAE
from vaescope.objectives.capacity import Capacity
from vaescope.objectives.dip import DIPVAE1, DIPVAE2
from vaescope.objectives.elbo import ELBO
from vaescope.objectives.factor_vae import FactorVAE
from vaescope.objectives.free_bits import FreeBits
from vaescope.objectives.importance import CIWAE, IWAE, MIWAE
from vaescope.objectives.info_vae import InfoVAE
from vaescope.objectives.ms_ssim import MSSSIM
from vaescope.objectives.objective import Adversarial, Objective, Terms
from vaescope.objectives.pathwise import DReG, StickingTheLanding
from vaescope.objectives.piwae import PIWAE
from vaescope.objectives.rae import RAEL2, RAEGradientPenalty
from vaescope.objectives.renyi import Renyi
from vaescope.objectives.schedules import (
    Constant,
    Cyclical,
    Ramp,
    Schedule,
    Sigmoid,
    WarmupDecay,
    arrival,
    schedules_of,
)
from vaescope.objectives.semi import M2
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
from vaescope.objectives.vae_gan import VAEGAN
from vaescope.objectives.wae import WAE

__all__ = [
    "CIWAE",
    "DIPVAE1",
    "DIPVAE2",
    "ELBO",
    "IWAE",
    "M2",
    "MIWAE",
    "MSSSIM",
    "PIWAE",
    "RAEL2",
    "VAEGAN",
    "WAE",
    "Adversarial",
    "AdversarialAutoencoder",
    "BetaTCVAE",
    "Capacity",
    "Constant",
    "Cyclical",
    "DReG",
    "FactorVAE",
    "FreeBits",
    "InfoVAE",
    "Objective",
    "RAEGradientPenalty",
    "Ramp",
    "Renyi",
    "Schedule",
    "Sigmoid",
    "StickingTheLanding",
    "Terms",
    "WarmupDecay",
    "arrival",
    "dimension_rates",
    "distortion",
    "exact_rate",
    "log_mean_exp",
    "log_ratio",
    "log_weight",
    "rate",
    "rates",
    "schedules_of",
]
