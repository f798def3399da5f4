"""Normal distributions over vectors and images, alone and mixed."""

import math
from typing import TypeGuard

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal


def diagonal_normal(loc: Tensor, scale: Tensor, ndims: int = 1) -> Independent:
    r"""The normal distribution with a diagonal covariance, :math:`N(\mu, \mathrm{diag}(\sigma^2))`.

    Args:
        loc: The means, with shape (*B, *event).
        scale: The standard deviations, with the shape of ``loc`` or one that broadcasts to it.
        ndims: How many of the last axes are the event.
    """
    return Independent(Normal(loc, scale, validate_args=False), ndims, validate_args=False)


def mixture(logits: Tensor, components: Distribution) -> MixtureSameFamily:
    r"""The mixture :math:`\sum_k \pi_k\, p_k(z)` with weights that sum to one, :math:`\pi = \mathrm{softmax}(a)`.

    Args:
        logits: The unnormalised log-weights :math:`a`, with shape (K,).
        components: A distribution whose last batch axis is the component, with batch shape (*B, K).
    """
    kind = NormalMixture if diagonal(components) and len(components.batch_shape) == 1 else MixtureSameFamily
    return kind(Categorical(logits=logits, validate_args=False), components, validate_args=False)


class NormalMixture(MixtureSameFamily):
    """A mixture of diagonal normals over vectors, whose density takes a product of matrices.

    The base class lays out a term for every value, component and entry, which is most of a step of training where there
    are hundreds of components. Draws and moments are its own.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Takes shape (*S, D), returns the log-density with shape S, computed in double precision."""
        assert isinstance(self.component_distribution, Independent)
        components = self.component_distribution.base_dist
        z = value.reshape(-1, value.shape[-1]).double()
        pairs = normal_pairs(z, components.loc.double(), components.scale.double())  # (S, K)
        weights = self.mixture_distribution.logits.double().log_softmax(-1)
        return (pairs + weights).logsumexp(-1).view(value.shape[:-1]).to(value.dtype)


def normal_pairs(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """The log-densities of M vectors under N diagonal normals, as one product of matrices instead of M N D terms.

    The squares are multiplied out, which cancels digits where scales are small: it needs double precision.

    Args:
        z: Shape (M, D).
        loc: The means, with shape (N, D).
        scale: The standard deviations, with shape (N, D).

    Returns:
        Shape (M, N).
    """
    weight = scale.square().reciprocal()
    constant = (loc.square() * weight).sum(1) + 2 * scale.log().sum(1) + loc.shape[1] * math.log(2 * math.pi)
    powers, factors = torch.cat((z.square(), z), dim=1), torch.cat((-0.5 * weight, loc * weight), dim=1)
    return torch.addmm(-0.5 * constant, powers, factors.T)


def diagonal(distribution: Distribution) -> TypeGuard[Independent]:
    """Whether a distribution is made of independent normals over vectors."""
    if not isinstance(distribution, Independent) or distribution.reinterpreted_batch_ndims != 1:
        return False
    return isinstance(distribution.base_dist, Normal)
