"""Priors p(z): modules without an input whose ``forward`` returns a distribution over latents."""

from vaescope.priors.normal import NormalMixture, StandardNormal
from vaescope.priors.prior import Prior

__all__ = ["NormalMixture", "Prior", "StandardNormal"]
