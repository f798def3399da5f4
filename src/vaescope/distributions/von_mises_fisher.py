"""Von Mises and Fisher's distribution on the sphere."""

import torch
from torch import Tensor
from torch.distributions.kl import register_kl

from vaescope.distributions.bessel import cosine_moments, log_mean_exp
from vaescope.distributions.sphere import HypersphericalUniform
from vaescope.distributions.zonal import Zonal, half_angles


class VonMisesFisher(Zonal):
    r"""Von Mises and Fisher's distribution, a normal distribution that is confined to the sphere.

    .. math:: q(z) \propto e^{\kappa\,\mu \cdot z}, \quad T = \cos\theta - 1

    Draws of the angle are those of Wood's rejection, which accepts more than half of its proposals.

    References:
        | Simulation of the von Mises Fisher distribution (Wood, 1994)
        | https://doi.org/10.1080/03610919408813161
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018)
        | https://arxiv.org/abs/1804.00891
        | Implicit Reparameterization Gradients (Figurnov et al., 2018)
        | https://arxiv.org/abs/1805.08498

    Args:
        loc: The mean direction :math:`\mu`, unit vectors with shape (*B, D), where D is at least 2.
        concentration: Numbers :math:`\kappa \ge 0`, with shape (*B,). Zero gives the uniform distribution.
    """

    @staticmethod
    def statistic(share: Tensor) -> Tensor:
        r""":math:`\cos\theta - 1 = -2 \sin^2(\theta / 2)`."""
        return -2 * share

    def cumulants(self) -> tuple[Tensor, Tensor]:
        r""":math:`L(\kappa)` and :math:`L'(\kappa)`, from the Bessel function :math:`I_{D/2-1}`."""
        concentration = self.concentration.double()
        value, mean = log_mean_exp(concentration, self.dim)
        return value - concentration, mean - 1

    def cosine(self) -> tuple[Tensor, Tensor]:
        r"""The mean :math:`A(\kappa) = I_{D/2} / I_{D/2-1}` and the variance :math:`A'(\kappa)`."""
        return cosine_moments(self.concentration.double(), self.dim)

    def angles(self, concentration: Tensor) -> Tensor:
        """Wood's proposals, until one is accepted for each concentration."""
        remaining, k = torch.arange(concentration.numel(), device=concentration.device), concentration.flatten()
        angle = torch.zeros_like(k)
        while len(remaining):
            proposal, accepted = self._proposals(k[remaining])
            angle[remaining[accepted]] = proposal[accepted]
            remaining = remaining[~accepted]
        return angle.view(concentration.shape)

    def _proposals(self, k: Tensor) -> tuple[Tensor, Tensor]:
        n = self.dim - 1
        b = n / (2 * k + torch.hypot(2 * k, k.new_tensor(n)))
        proposal = half_angles(b.new_full(b.shape, n / 2), b.new_full(b.shape, n / 2), b)
        x = (1 - b) / (1 + b)
        cosine = proposal.cos()
        surplus = k * (cosine - x) + n * ((1 - x * cosine) / (1 - x.square())).log()
        rejected = torch.rand_like(k).log() > surplus
        return proposal, ~rejected  # in this sense, so that a concentration that is not a number ends the loop


@register_kl(VonMisesFisher, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _(p: VonMisesFisher, q: HypersphericalUniform) -> Tensor:
    return p.divergence()
