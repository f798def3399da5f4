r"""Families: from the output of a network to a distribution.

A posterior q(z|x) and a likelihood p(x|z) are both a network followed by a family. The family knows how many numbers it
needs (:attr:`Family.inputs`), turns them into a distribution over events of a given shape, and knows which numbers give
a wanted mean, so that a decoder can start at the mean image of the data instead of learning it.
"""

from vaescope.families.bernoulli import Bernoulli
from vaescope.families.codes import CategoricalCodes
from vaescope.families.continuous_bernoulli import ContinuousBernoulli
from vaescope.families.family import Family
from vaescope.families.flow import InverseAutoregressive
from vaescope.families.full import FullNormal
from vaescope.families.gaussian import Gaussian, OptimalGaussian, PixelGaussian
from vaescope.families.laplace import Laplace
from vaescope.families.normal import DiagonalNormal
from vaescope.families.pixel_levels import Categorical, DiscretisedLogistic, LogisticMixture, PixelLevels
from vaescope.families.point import PointMass
from vaescope.families.sphere import PowerSpherical, VonMisesFisher

__all__ = [
    "Bernoulli",
    "Categorical",
    "CategoricalCodes",
    "ContinuousBernoulli",
    "DiagonalNormal",
    "DiscretisedLogistic",
    "Family",
    "FullNormal",
    "Gaussian",
    "InverseAutoregressive",
    "Laplace",
    "LogisticMixture",
    "OptimalGaussian",
    "PixelGaussian",
    "PixelLevels",
    "PointMass",
    "PowerSpherical",
    "VonMisesFisher",
]
