"""Distributions, and what torch lacks of them: a centre, temperature and quantiles; and some that it has not.

Argument validation is off in everything made here: it costs time in every step and breaks graph capture. It is never
switched globally, so that a user's own distributions behave as torch documents them.
"""

from vaescope.distributions.continuous_bernoulli import ContinuousBernoulli
from vaescope.distributions.discretised_logistic import DiscretisedLogistic, LogisticMixture, logistic_at
from vaescope.distributions.flow import Flow
from vaescope.distributions.full import FullNormal
from vaescope.distributions.levels import Levels
from vaescope.distributions.normal import diagonal, diagonal_normal, mixture
from vaescope.distributions.point import PointMass
from vaescope.distributions.power_spherical import PowerSpherical
from vaescope.distributions.sphere import HypersphericalUniform, unit
from vaescope.distributions.views import centre, draw_at, nearest, quantiles, tempered
from vaescope.distributions.von_mises_fisher import VonMisesFisher

__all__ = [
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Flow",
    "FullNormal",
    "HypersphericalUniform",
    "Levels",
    "LogisticMixture",
    "PointMass",
    "PowerSpherical",
    "VonMisesFisher",
    "centre",
    "diagonal",
    "diagonal_normal",
    "draw_at",
    "logistic_at",
    "mixture",
    "nearest",
    "quantiles",
    "tempered",
    "unit",
]
