"""Uniform priors: on the sphere, and over codes."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope.distributions import HypersphericalUniform as HypersphericalUniformDistribution
from vaescope.distributions import Levels
from vaescope.errors import UsageError
from vaescope.priors.prior import Prior


class HypersphericalUniform(Prior):
    """The uniform prior on the unit sphere, for the posteriors VonMisesFisher and PowerSpherical.

    References:
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018)
        | https://arxiv.org/abs/1804.00891

    Args:
        latent: The dimension D of the space around the sphere.

    Raises:
        UsageError: For less than two dimensions.
    """

    support = "sphere"
    zero: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        if latent < 2:
            raise UsageError("a sphere needs at least 2 dimensions: set model.latent to 2 or more")
        self.register_buffer("zero", torch.zeros(latent), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        return HypersphericalUniformDistribution(self.latent, self.zero.dtype, self.zero.device)


class UniformCodes(Prior):
    """The uniform prior over codes, for the posterior CategoricalCodes: each latent has K equally probable levels.

    References:
        | Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2024), for codes on a grid of levels
        | https://arxiv.org/abs/2309.15505

    Args:
        latent: The number of latents D.
        codes: The number of levels K of each latent, the same as that of the posterior.

    Raises:
        UsageError: For less than two levels.
    """

    logits: Tensor
    values: Tensor

    def __init__(self, latent: int, codes: int = 8) -> None:
        super().__init__(latent)
        if codes < 2:
            raise UsageError(f"UniformCodes got codes {codes}: give at least 2 levels, such as 8")
        self.support = f"{codes} codes"
        self.register_buffer("logits", torch.zeros(latent, codes), persistent=False)
        self.register_buffer("values", torch.linspace(-1, 1, codes), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        return Independent(Levels(self.logits, self.values), 1, validate_args=False)
