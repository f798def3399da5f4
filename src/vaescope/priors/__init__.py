"""Priors p(z): modules without an input whose ``forward`` returns a distribution over latents."""

from vaescope.priors.normal import NormalMixture, StandardNormal
from vaescope.priors.prior import Prior
from vaescope.priors.uniform import HypersphericalUniform, UniformCodes

__all__ = ["HypersphericalUniform", "NormalMixture", "Prior", "StandardNormal", "UniformCodes"]
