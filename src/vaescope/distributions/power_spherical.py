"""The power spherical distribution."""

import math

import torch
from torch import Tensor
from torch.distributions.kl import register_kl

from vaescope.distributions.sphere import HypersphericalUniform
from vaescope.distributions.zonal import Zonal, half_angles


class PowerSpherical(Zonal):
    r"""The power spherical distribution: much like von Mises and Fisher's, with draws that need no rejection.

    .. math:: q(z) \propto (1 + \mu \cdot z)^\kappa, \quad T = \log \frac{1 + \cos\theta}{2}, \quad
              \frac{1 + \cos\theta}{2} \sim \mathrm{Beta}\Big(\frac{D - 1}{2} + \kappa, \frac{D - 1}{2}\Big)

    References:
        | The Power Spherical distribution (De Cao and Aziz, 2020)
        | https://arxiv.org/abs/2006.04437

    Args:
        loc: The mean direction :math:`\mu`, unit vectors with shape (*B, D), where D is at least 2.
        concentration: Numbers :math:`\kappa \ge 0`, with shape (*B,). Zero gives the uniform distribution.
    """

    @staticmethod
    def statistic(share: Tensor) -> Tensor:
        r""":math:`\log \cos^2(\theta / 2)`, which stays finite opposite to the axis."""
        return torch.log1p(-share.clamp(max=1 - torch.finfo(share.dtype).eps))

    def cumulants(self) -> tuple[Tensor, Tensor]:
        r""":math:`L(\kappa)` and :math:`L'(\kappa)`, of a ratio of two Beta functions."""
        half, k = (self.dim - 1) / 2, self.concentration.double()
        value = (half + k).lgamma() - (2 * half + k).lgamma() + math.lgamma(2 * half) - math.lgamma(half)
        return value, (half + k).digamma() - (2 * half + k).digamma()

    def cosine(self) -> tuple[Tensor, Tensor]:
        """The mean and the variance of 2 b - 1, where b has the Beta distribution."""
        n, k = self.dim - 1, self.concentration.double()
        return k / (n + k), n * (n + 2 * k) / ((n + k).square() * (n + k + 1))

    def angles(self, concentration: Tensor) -> Tensor:
        """The Beta distribution as a ratio of two Gamma distributions."""
        half = torch.full_like(concentration, (self.dim - 1) / 2)
        return half_angles(half, half + concentration)


@register_kl(PowerSpherical, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _(p: PowerSpherical, q: HypersphericalUniform) -> Tensor:
    return p.divergence()
