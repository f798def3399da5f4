r"""Distributions on the unit sphere that depend on the angle :math:`\theta` to one axis only.

Both von Mises and Fisher's distribution and the power spherical one are of the form

.. math:: q(z) = \exp(\kappa\,T(\theta) - L(\kappa)) / |S^{D-1}|, \quad
          L(\kappa) = \log \mathbb{E}_{\mathrm{uniform}}\, e^{\kappa T(\theta)}

with :math:`T = 0` at the axis. All else follows from :math:`T` and :math:`L`: the divergence from the uniform
distribution is :math:`\kappa L'(\kappa) - L(\kappa)`, the entropy what is left of :math:`\log |S^{D-1}|`.

Draws have exact gradients. The angle has that of its distribution function F at a fixed quantile,
:math:`\mathrm{d}\theta / \mathrm{d}\kappa = -\partial_\kappa F / \partial_\theta F`, which is an integral over one
tail; the axis turns and takes the whole sphere with it. Reparameterised rejection (Davidson et al., 2018) would need a
correction by the score of what was accepted, and its Householder reflection a direction that is singular.

What depends on the concentration alone is computed in double precision: it is a small difference of large numbers.
"""

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, Gamma
from torch.nn.functional import normalize

from vaescope.distributions.point import PointMass
from vaescope.distributions.sphere import log_surface, unit
from vaescope.distributions.views import centre, draw_at, nearest, tempered

NODES = 64
"""The number of nodes of the quadrature over a tail."""


class Zonal(Distribution, ABC):
    r"""A density on the sphere that depends on the angle :math:`\theta` to one axis only.

    Args:
        loc: The axis, unit vectors with shape (*B, D), where D is at least 2.
        concentration: Numbers :math:`\kappa \ge 0`, with shape (*B,). Zero gives the uniform distribution.
    """

    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        batch = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        self.dim = loc.shape[-1]
        self.loc, self.concentration = loc.expand(*batch, self.dim), concentration.expand(batch)
        super().__init__(batch, loc.shape[-1:], validate_args=False)

    @staticmethod
    @abstractmethod
    def statistic(share: Tensor) -> Tensor:
        r"""The statistic T, which falls from 0 at the axis.

        Args:
            share: :math:`\sin^2(\theta / 2)`, from 0 at the axis to 1 at its opposite.
        """

    @abstractmethod
    def cumulants(self) -> tuple[Tensor, Tensor]:
        r""":math:`L(\kappa)` and :math:`L'(\kappa) = \mathbb{E}\,T`, in double precision, with shape (*B,)."""

    @abstractmethod
    def cosine(self) -> tuple[Tensor, Tensor]:
        r"""The mean and the variance of :math:`\cos\theta`, in double precision, with shape (*B,)."""

    @abstractmethod
    def angles(self, concentration: Tensor) -> Tensor:
        r"""Draws of :math:`\theta`, one for each concentration, which is in double precision."""

    @property
    def mean(self) -> Tensor:
        """The mean, which lies inside the sphere, with shape (*B, D)."""
        return self.cosine()[0].to(self.loc)[..., None] * self.loc

    @property
    def variance(self) -> Tensor:
        """The variance of every coordinate, with shape (*B, D)."""
        mean, along = self.cosine()
        across = (1 - along - mean.square()) / (self.dim - 1)
        return across.to(self.loc)[..., None] + (along - across).to(self.loc)[..., None] * self.loc.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density in nats, with shape (*S, *B).

        Args:
            value: Points of the sphere, with shape (*S, *B, D).
        """
        share = (value - self.loc).square().sum(-1) / 4  # a difference keeps the digits that the cosine loses
        log_normaliser = (self.cumulants()[0] + log_surface(self.dim)).to(self.loc)
        return self.concentration * self.statistic(share) - log_normaliser

    def divergence(self) -> Tensor:
        r"""The KL divergence from the uniform distribution, :math:`\kappa L' - L`, in nats, with shape (*B,)."""
        value, slope = self.cumulants()
        return (self.concentration.double() * slope - value).to(self.loc)

    def entropy(self) -> Tensor:
        """The entropy in nats, with shape (*B,)."""
        return log_surface(self.dim) - self.divergence()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with exact gradients for the axis and the concentration, with shape (*S, *B, D)."""
        shape = self._extended_shape(Size(sample_shape))
        concentration, axis = self.concentration.double().expand(shape[:-1]), self.loc.detach()
        with torch.no_grad():
            angle = self.angles(concentration)
            aside = _perpendicular(axis.expand(shape))
        angle = _Reparameterised.apply(concentration, angle, self).to(self.loc)[..., None]
        z = angle.cos() * axis + angle.sin() * aside
        turn = self.loc - axis  # zero, with a gradient: the rotation that takes the axis along
        return z + (axis * z).sum(-1, keepdim=True) * turn - (turn * z).sum(-1, keepdim=True) * axis

    def slope(self, angle: Tensor, concentration: Tensor) -> Tensor:
        r"""How an angle at a fixed quantile falls as the concentration grows.

        .. math:: \frac{\mathrm{d}\theta}{\mathrm{d}\kappa}
                  = -\frac{1}{q(\theta)} \int |T(t) - \mathbb{E}\,T|\,q(t)\,\mathrm{d}t, \quad
                  q(\theta) \propto \sin^{D-2}\theta\;e^{\kappa T(\theta)}

        over the tail that begins at the angle and leads away from where :math:`T` is its mean. There the integrand has
        one sign and decays at least as fast as a normal density whose scale is known. Above :math:`\kappa = 10^8`,
        :math:`\theta \sqrt\kappa` has a distribution that no longer changes.

        Args:
            angle: Angles in double precision, with shape (*S, *B).
            concentration: In double precision, with the same shape.
        """
        nodes, weights = _tail_nodes(angle.device)
        angle, concentration = angle.clamp(1e-12, math.pi - 1e-12)[..., None], concentration[..., None]
        here, mean = self._at(angle), self.cumulants()[1][..., None]
        scale = (concentration / 2 + self.dim - 2).clamp(min=1e-3).rsqrt()
        beyond = here < mean
        room = torch.where(beyond, math.pi - angle, angle).minimum(12 * scale)
        t = angle + torch.where(beyond, room, -room) * nodes  # (*S, *B, N)
        there = self._at(t)
        log_ratio = (self.dim - 2) * (t.sin() / angle.sin()).log() + concentration * (there - here)
        integral = ((there - mean).abs() * log_ratio.exp() * weights * room).sum(-1)
        return torch.where(concentration < 1e8, -integral[..., None], -angle / (2 * concentration)).squeeze(-1)

    def _at(self, angle: Tensor) -> Tensor:
        return self.statistic((angle / 2).sin().square())

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with a larger batch."""
        batch = Size(batch_shape)
        return type(self)(self.loc.expand(*batch, self.dim), self.concentration.expand(batch))


def half_angles(above: Tensor, below: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    r"""Draws of :math:`\theta` with :math:`\tan^2(\theta/2) = b\,G_1 / G_2`, where both G have Gamma distributions."""
    one = torch.ones_like(above)
    g = [Gamma(shape, one, validate_args=False).sample() for shape in (above, below)]
    return 2 * torch.atan2((factor * g[0]).sqrt(), g[1].sqrt())


def _perpendicular(axis: Tensor) -> Tensor:
    """Random unit vectors at right angles to others. One projection leaves some of the axis by rounding, two do not."""
    vector = torch.randn_like(axis)
    for _ in range(2):
        vector = normalize(vector - (vector * axis).sum(-1, keepdim=True) * axis, dim=-1)
    return vector


@lru_cache(maxsize=4)
def _tail_nodes(device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1]: Gauss and Legendre's, drawn by a cube to the far end, where a logarithm may be."""
    x, weights = np.polynomial.legendre.leggauss(NODES)
    rest = (1 - x) / 2
    nodes, weights = 1 - rest**3, 1.5 * rest**2 * weights
    return torch.as_tensor(nodes, device=device), torch.as_tensor(weights, device=device)


class _Reparameterised(torch.autograd.Function):
    """Angles that were drawn, with their gradient for the concentration. It costs nothing where none is asked for."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, angle: Tensor, distribution: Zonal) -> Tensor:
        ctx.save_for_backward(concentration, angle)
        ctx.distribution = distribution
        return angle.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        concentration, angle = ctx.saved_tensors
        return gradient * ctx.distribution.slope(angle, concentration), None, None


@centre.register
def _(distribution: Zonal) -> Tensor:
    """The mean direction: the mean itself lies inside the sphere."""
    return distribution.loc


@tempered.register
def _(distribution: Zonal, temperature: float) -> Distribution:
    """With the concentration divided by the square of the temperature, since angles scale with 1 / sqrt(concentration);
    at temperature 0, the mean direction alone."""
    if temperature == 0:
        return PointMass(distribution.loc)
    return type(distribution)(distribution.loc, distribution.concentration / temperature**2)


@draw_at.register
def _(distribution: Zonal, uniform: Tensor) -> Tensor:
    """Each by itself, as a draw may take any number of proposals: the first of its random numbers is its seed."""
    loc, concentration = distribution.loc.expand(uniform.shape), distribution.concentration.expand(uniform.shape[:-1])
    seeds = (uniform[..., 0] * 2.0**52).long().flatten().tolist()
    rows = zip(seeds, loc.flatten(0, -2).cpu(), concentration.flatten().cpu(), strict=True)
    draws = []
    with torch.random.fork_rng(()):
        for seed, axis, k in rows:
            torch.default_generator.manual_seed(seed)
            draws.append(type(distribution)(axis, k).sample())
    return torch.stack(draws).view(uniform.shape).to(loc)


@nearest.register
def _(distribution: Zonal, z: Tensor) -> Tensor:
    return unit(z)
