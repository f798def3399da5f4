"""Distributions, and what torch lacks of them: a centre, temperature and quantiles.

Argument validation is off in everything made here: it costs time in every step and breaks graph capture. It is never
switched globally, so that a user's own distributions behave as torch documents them.
"""

from vaescope.distributions.continuous_bernoulli import ContinuousBernoulli
from vaescope.distributions.discretised_logistic import DiscretisedLogistic, LogisticMixture, logistic_at
from vaescope.distributions.levels import Levels
from vaescope.distributions.normal import diagonal_normal, mixture
from vaescope.distributions.views import centre, quantiles, tempered

__all__ = [
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Levels",
    "LogisticMixture",
    "centre",
    "diagonal_normal",
    "logistic_at",
    "mixture",
    "quantiles",
    "tempered",
]
