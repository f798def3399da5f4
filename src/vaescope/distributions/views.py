r"""Views of a distribution that torch does not give: its centre, at a temperature, its nearest value, its quantiles,
and the draw that given random numbers stand for.

A distribution at temperature :math:`t` has its scale multiplied, not its density raised to a power:
:math:`\mu + t\,\sigma\,\epsilon` for a normal, and the same for every component of a mixture, so that :math:`t < 1`
draws typical values and :math:`t = 0` the means.
"""

from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
)
from torch.nn.functional import one_hot

from vaescope.errors import UsageError

DRAWS = (1000,) * 5
"""How many draws stand for a distribution whose quantiles have no formula, a few at a time: some take much memory."""


@singledispatch
def centre(distribution: Distribution) -> Tensor:
    """The one value that stands for a distribution where nothing may be random: its mean, unless a mean would lie
    where the distribution has no values, or is not known.

    Args:
        distribution: Any distribution, with batch shape B.

    Returns:
        A value of it, with shape (*B, *event).
    """
    return distribution.mean


@centre.register
def _(distribution: Independent) -> Tensor:
    return centre(distribution.base_dist)


@centre.register
def _(distribution: OneHotCategorical) -> Tensor:
    return distribution.mode  # the most probable label: a mean of labels is none


@centre.register
def _(distribution: MixtureSameFamily) -> Tensor:
    """The mean of the centres, which is the mean where these are means; of a flow only the centre is known."""
    centres = centre(distribution.component_distribution)  # (*B, K, *event)
    weights = distribution.mixture_distribution.probs
    return (weights.view(*weights.shape, *[1] * len(distribution.event_shape)) * centres).sum(
        -1 - len(distribution.event_shape)
    )


@singledispatch
def tempered(distribution: Distribution, temperature: float) -> Distribution:
    """The distribution with its scale multiplied by ``temperature``.

    Args:
        distribution: A normal distribution, or independent ones, or a mixture of such.
        temperature: A factor of at least 0; 1 changes nothing.

    Raises:
        UsageError: For a family without a scale, unless the temperature is 1.
    """
    if temperature == 1:
        return distribution
    raise UsageError(f"{type(distribution).__name__} has no scale to multiply by a temperature; use temperature 1")


@tempered.register
def _(distribution: Normal, temperature: float) -> Normal:
    return Normal(distribution.loc, distribution.scale * temperature, validate_args=False)


@tempered.register
def _(distribution: Independent, temperature: float) -> Independent:
    base = tempered(distribution.base_dist, temperature)
    return Independent(base, distribution.reinterpreted_batch_ndims, validate_args=False)


@tempered.register
def _(distribution: MixtureSameFamily, temperature: float) -> MixtureSameFamily:
    components = tempered(distribution.component_distribution, temperature)
    return MixtureSameFamily(distribution.mixture_distribution, components, validate_args=False)


@singledispatch
def nearest(distribution: Distribution, z: Tensor) -> Tensor:
    """The values of the distribution that are nearest to some vectors: for grids and paths that are drawn as if all
    vectors were latents.

    Args:
        distribution: A distribution over all of space, or on the sphere, or over levels.
        z: Vectors with shape (*S, *event).

    Returns:
        Vectors with the shape of ``z``, which are ``z`` itself unless the distribution is confined.
    """
    return z


@nearest.register
def _(distribution: Independent, z: Tensor) -> Tensor:
    return nearest(distribution.base_dist, z)


@singledispatch
def draw_at(distribution: Distribution, uniform: Tensor) -> Tensor:
    """The draw that given random numbers stand for, so that it depends on nothing else that is drawn.

    Args:
        distribution: A distribution with batch shape B.
        uniform: Numbers between 0 and 1, both excluded, uniform and independent, in double precision, with shape
            (*S, *B, *event).

    Returns:
        Draws with shape (*S, *B, *event), without a gradient where torch has none.
    """
    raise NotImplementedError(f"{type(distribution).__name__} has no draw at given random numbers")


@draw_at.register
def _(distribution: Independent, uniform: Tensor) -> Tensor:
    return draw_at(distribution.base_dist, uniform)


@draw_at.register
def _(distribution: Normal, uniform: Tensor) -> Tensor:
    return distribution.loc + distribution.scale * torch.special.ndtri(uniform).to(distribution.loc)


@draw_at.register
def _(distribution: MultivariateNormal, uniform: Tensor) -> Tensor:
    normal = torch.special.ndtri(uniform).to(distribution.loc)
    return distribution.loc + (distribution.scale_tril @ normal[..., None])[..., 0]


@draw_at.register
def _(distribution: OneHotCategorical, uniform: Tensor) -> Tensor:
    drawn = chosen(distribution.probs, uniform[..., 0])  # one number is enough for a label
    return one_hot(drawn, distribution.event_shape[0]).to(distribution.probs)


@draw_at.register
def _(distribution: TransformedDistribution, uniform: Tensor) -> Tensor:
    value = draw_at(distribution.base_dist, uniform)
    for transform in distribution.transforms:
        value = transform(value)
    return value


def chosen(probs: Tensor, uniform: Tensor) -> Tensor:
    """Which of K cases random numbers choose: the first whose cumulative probability they do not exceed.

    Args:
        probs: The probabilities, with shape (*B, K).
        uniform: Numbers between 0 and 1, with shape (*S, *B).

    Returns:
        Indices, with shape (*S, *B).
    """
    return (uniform[..., None] > probs.double().cumsum(-1)[..., :-1]).sum(-1)


def quantiles(distribution: Distribution, probabilities: Tensor) -> Tensor:
    """The quantiles of every latent by itself.

    Args:
        distribution: A distribution with event shape (D,) and no batch axes. Of independent normals and mixtures of
            them the quantiles are exact, of others they are those of many draws.
        probabilities: Values between 0 and 1, with shape (P,).

    Returns:
        The quantiles, with shape (D, P).
    """
    if _normals(distribution):
        loc, scale = distribution.mean, distribution.stddev
        return loc[:, None] + scale[:, None] * torch.special.ndtri(probabilities)
    if isinstance(distribution, MixtureSameFamily) and _normals(distribution.component_distribution):
        return _mixture_quantiles(distribution, probabilities)
    return torch.quantile(torch.cat([distribution.sample((n,)) for n in DRAWS]), probabilities, dim=0).T


def _normals(distribution: Distribution) -> bool:
    """Whether every latent by itself is normal."""
    independent = isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)
    return independent or isinstance(distribution, MultivariateNormal)


def _mixture_quantiles(distribution: MixtureSameFamily, probabilities: Tensor, halvings: int = 50) -> Tensor:
    """By halving an interval that holds the solution of sum_k w_k Phi((z - mu_k) / sigma_k) = p."""
    weights = distribution.mixture_distribution.probs[:, None, None]  # (K, 1, 1)
    loc = distribution.component_distribution.mean[..., None]  # (K, D, 1)
    scale = distribution.component_distribution.stddev[..., None]
    shape = (loc.shape[1], len(probabilities))
    low = (loc - 10 * scale).amin(0).expand(shape)
    high = (loc + 10 * scale).amax(0).expand(shape)
    for _ in range(halvings):
        middle = (low + high) / 2
        below = (weights * torch.special.ndtr((middle - loc) / scale)).sum(0) < probabilities
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
