r"""The unit sphere :math:`S^{D-1}` in :math:`\mathbb{R}^D`, and the uniform distribution on it."""

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vaescope.distributions.views import centre, nearest

TINY = 1e-6
"""The length below which a vector has no direction."""


def unit(vector: Tensor) -> Tensor:
    """The vector scaled to length one. Vectors shorter than 1e-6 become the first unit vector, with the gradient of
    one that they are added to, so that a network whose output is zero can still learn to turn.

    Args:
        vector: Vectors with shape (*B, D).
    """
    size = vector.detach().abs().amax(-1, keepdim=True)
    first = torch.zeros_like(vector)
    first[..., 0] = 1
    # Divided by its largest entry first, whose square neither vanishes nor overflows.
    vector = torch.where(size > TINY, vector / size.clamp(min=TINY), first + vector)
    return vector / vector.square().sum(-1, keepdim=True).sqrt()


def log_surface(dim: int) -> float:
    r"""The logarithm of the surface of the unit sphere, :math:`\log (2 \pi^{D/2} / \Gamma(D/2))`.

    Args:
        dim: The dimension D of the space around the sphere.
    """
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


class HypersphericalUniform(Distribution):
    """The uniform distribution on the unit sphere, with event shape (D,) and no batch axes.

    Args:
        dim: The dimension D of the space around the sphere.
        dtype: Of the draws.
        device: Of the draws.
    """

    has_rsample = True

    def __init__(self, dim: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> None:
        self.zero = torch.zeros(dim, dtype=dtype, device=device)
        super().__init__(Size(), self.zero.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "HypersphericalUniform":
        """The same distribution with a batch."""
        wide = HypersphericalUniform(len(self.zero), self.zero.dtype, self.zero.device)
        Distribution.__init__(wide, Size(batch_shape), self.event_shape, validate_args=False)
        return wide

    @property
    def mean(self) -> Tensor:
        """The origin, which is not on the sphere."""
        return self.zero.expand(self._extended_shape())

    @property
    def variance(self) -> Tensor:
        """The variance of every coordinate, 1 / D."""
        return torch.full_like(self.mean, 1 / len(self.zero))

    def log_prob(self, value: Tensor) -> Tensor:
        """The same for every point of the sphere, with shape (*S,)."""
        return value.new_full(value.shape[:-1], -log_surface(len(self.zero)))

    def entropy(self) -> Tensor:
        """The logarithm of the surface, in nats."""
        return self.zero.new_tensor(log_surface(len(self.zero)))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Points with shape (*S, D)."""
        return unit(torch.randn_like(self.zero.expand(self._extended_shape(Size(sample_shape)))))


@centre.register
def _(distribution: HypersphericalUniform) -> Tensor:
    """The first unit vector, for all points are alike and the mean is none of them."""
    return unit(distribution.zero)


@nearest.register
def _(distribution: HypersphericalUniform, z: Tensor) -> Tensor:
    return unit(z)
