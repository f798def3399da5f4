"""Normal priors: the standard one, and a learned mixture."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.distributions import diagonal_normal, mixture
from vaescope.errors import UsageError
from vaescope.priors.prior import Prior

SMALLEST = 1e-4
"""The smallest scale of a component of a mixture, as that of a posterior."""


class StandardNormal(Prior):
    r"""The standard normal prior, :math:`N(0, I)`.

    Args:
        latent: The number of latents D.
    """

    zero: Tensor
    one: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.register_buffer("zero", torch.zeros(latent), persistent=False)
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        return diagonal_normal(self.zero, self.one)


class NormalMixture(Prior):
    r"""A learned mixture of diagonal normals, :math:`\sum_k \pi_k N(z; \mu_k, \mathrm{diag}(\sigma_k^2))`.

    The weights are a softmax, so that they sum to one. The means start as draws of N(0, I) and the scales at one: the
    mixture begins as broad as the standard prior, and every component overlaps the others, so that none starts dead.
    No scale falls below 0.0001: the codes of an autoencoder may coincide, and the density would grow without bound.

    References:
        | VAE with a VampPrior (Tomczak and Welling, 2018), section 3, as the "mixture of Gaussians" prior
        | https://arxiv.org/abs/1705.07120

    Args:
        latent: The number of latents D.
        components: The number of components K.

    Raises:
        UsageError: For less than one component.
    """

    smallest: Tensor

    def __init__(self, latent: int, components: int = 100) -> None:
        super().__init__(latent)
        if components < 1:
            raise UsageError(f"NormalMixture got components {components}: give at least 1, such as 100")
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, latent))
        self.log_scale = nn.Parameter(torch.zeros(components, latent))
        self.register_buffer("smallest", torch.tensor(SMALLEST), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        return mixture(self.logits, diagonal_normal(self.loc, torch.hypot(self.log_scale.exp(), self.smallest)))
