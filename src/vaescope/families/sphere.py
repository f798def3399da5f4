r"""Posteriors on the unit sphere.

The network gives :math:`(m, s)`, a vector and a number, and

.. math:: \mu = m / |m|, \quad \kappa = \epsilon + b \tanh(D\,\mathrm{softplus}(s) / b)

with :math:`\epsilon = 10^{-3}`. What a concentration means depends on the dimension, since the uniform distribution is
the more concentrated around every equator the more dimensions there are; so it is given per dimension.
"""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaescope.distributions import PowerSpherical as PowerSphericalDistribution
from vaescope.distributions import VonMisesFisher as VonMisesFisherDistribution
from vaescope.distributions import unit
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.nets import Shape


class Zonal(Family):
    """A family on the sphere whose members have a mean direction and a concentration.

    Args:
        shape: The shape of one event, (D,).
        largest: The largest concentration, at most 1e6.

    Raises:
        UsageError: For less than two dimensions, or a bound out of range.
    """

    support = "sphere"
    density = True
    factorised = False
    smallest = 1e-3

    def __init__(self, shape: Shape, largest: float = 1e4) -> None:
        super().__init__(shape)
        name = type(self).__name__
        if len(self.shape) != 1:
            raise UsageError(f"{name} is for latents, not for images of shape {self.shape}: use Bernoulli or Gaussian")
        if self.shape[0] < 2:
            raise UsageError(f"a sphere needs at least 2 dimensions: set model.latent to 2 or more for {name}")
        if not 1 <= largest <= 1e6:
            raise UsageError(f"{name} got largest {largest}: give a concentration from 1 to 1e6, such as 1e4")
        self.largest = largest

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (D + 1,)."""
        return (self.shape[0] + 1,)

    @abstractmethod
    def member(self, loc: Tensor, concentration: Tensor) -> Distribution:
        """The distribution with these parameters."""

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, D + 1), returns a distribution with batch shape B and event shape (D,)."""
        concentration = self.shape[0] * softplus(h[..., -1])
        bounded = self.smallest + self.largest * (concentration / self.largest).tanh()
        return self.member(unit(h[..., :-1]), bounded)

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a distribution in the direction of ``mean``."""
        return torch.cat((mean, mean.new_zeros(1)))


class VonMisesFisher(Zonal):
    r"""The posterior of von Mises and Fisher on the sphere, :math:`q(z) \propto e^{\kappa\,\mu \cdot z}`.

    With the prior HypersphericalUniform it needs no bounds to keep the posterior near the prior, and the rate, which
    depends on :math:`\kappa` alone, has a closed form.

    References:
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018)
        | https://arxiv.org/abs/1804.00891

    Args:
        shape: The shape of one event, (D,).
        largest: The largest concentration :math:`b`, at most 1e6.

    Raises:
        UsageError: For less than two dimensions, or a bound out of range.
    """

    def member(self, loc: Tensor, concentration: Tensor) -> Distribution:
        """The distribution with these parameters."""
        return VonMisesFisherDistribution(loc, concentration)


class PowerSpherical(Zonal):
    r"""The power spherical posterior, :math:`q(z) \propto (1 + \mu \cdot z)^\kappa`.

    It does what VonMisesFisher does, with draws without rejection and formulas without Bessel functions, in less time.

    References:
        | The Power Spherical distribution (De Cao and Aziz, 2020)
        | https://arxiv.org/abs/2006.04437

    Args:
        shape: The shape of one event, (D,).
        largest: The largest concentration :math:`b`, at most 1e6.

    Raises:
        UsageError: For less than two dimensions, or a bound out of range.
    """

    def member(self, loc: Tensor, concentration: Tensor) -> Distribution:
        """The distribution with these parameters."""
        return PowerSphericalDistribution(loc, concentration)
