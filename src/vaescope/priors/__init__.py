"""Priors p(z): modules without an input whose ``forward`` returns a distribution over latents."""

from vaescope.priors.flow import AutoregressiveFlow, CouplingFlow
from vaescope.priors.normal import NormalMixture, StandardNormal
from vaescope.priors.prior import Prior
from vaescope.priors.uniform import HypersphericalUniform, UniformCodes
from vaescope.priors.vamp import VampPrior

__all__ = [
    "AutoregressiveFlow",
    "CouplingFlow",
    "HypersphericalUniform",
    "NormalMixture",
    "Prior",
    "StandardNormal",
    "UniformCodes",
    "VampPrior",
]
