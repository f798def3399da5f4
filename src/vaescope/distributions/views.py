r"""Two views of a distribution that torch does not give: at a temperature, and by its quantiles.

A distribution at temperature :math:`t` has its scale, not its density, raised: :math:`\mu + t\,\sigma\,\epsilon` for a
normal, and the same for every component of a mixture, so that :math:`t < 1` draws typical values and :math:`t = 0` the
means.
"""

from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from vaescope.errors import UsageError


@singledispatch
def tempered(distribution: Distribution, temperature: float) -> Distribution:
    """The distribution with its scale multiplied by ``temperature``.

    Args:
        distribution: A normal distribution, or independent ones, or a mixture of such.
        temperature: A factor of at least 0; 1 changes nothing.

    Raises:
        UsageError: For a family without a scale.
    """
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


def quantiles(distribution: Distribution, probabilities: Tensor, draws: int = 100_000) -> Tensor:
    """The quantiles of every latent by itself: exact for a normal, else of ``draws`` samples.

    Args:
        distribution: A distribution of vectors, with event shape (D,) and no batch axes.
        probabilities: Values between 0 and 1, with shape (P,).
        draws: How many samples stand in for a distribution without a known inverse CDF.

    Returns:
        The quantiles, with shape (D, P).
    """
    if isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal):
        return distribution.base_dist.icdf(probabilities[:, None]).T
    return torch.quantile(distribution.sample((draws,)), probabilities.to(torch.float32), dim=0).T
