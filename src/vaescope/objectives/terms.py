r"""Terms of a trace: one value for each example, in nats, with shape (*S, B).

.. math:: -\mathrm{ELBO} = \underbrace{-\log p(x \mid z)}_{\text{distortion}}
          + \underbrace{\mathrm{KL}(q(z \mid x) \,\|\, p(z))}_{\text{rate}}

References:
    | Fixing a Broken ELBO (Alemi et al., 2018), for the names
    | https://arxiv.org/abs/1711.00464
"""

import math
from functools import reduce
from operator import add

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vaescope.distributions import diagonal
from vaescope.engine import normal_kl, working
from vaescope.models import Site, Trace


def distortion(trace: Trace, x: Tensor) -> Tensor:
    r"""The distortion :math:`-\log p(x \mid z)` at the latents of the trace.

    Args:
        trace: One pass over ``x``.
        x: Images, with shape (B, C, H, W).
    """
    return -trace.likelihood.log_prob(x)


def exact_rate(site: Site) -> Tensor | None:
    """The KL divergence of a site in closed form, or nothing where torch knows none."""
    if site.q is None:
        raise ValueError("a site without a posterior has no rate; pass images to the model")
    return _closed_form(site.q, site.p)


def _closed_form(q: Distribution, p: Distribution) -> Tensor | None:
    """The KL divergence, or nothing for a pair that torch has no rule for: it says so by this error and no other."""
    if working().kernels and diagonal(q) and diagonal(p):
        return normal_kl(q.base_dist.loc, q.base_dist.scale, p.base_dist.loc, p.base_dist.scale)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def dimension_rates(site: Site) -> Tensor | None:
    r"""The KL divergence of every latent by itself, in closed form, or nothing where the rate is no such sum.

    It is the sum of :math:`\mathrm{KL}(q(z_j \mid x) \,\|\, p(z_j))` where both distributions are independent ones.

    Args:
        site: A site with a posterior.

    Returns:
        One value for each latent, with shape (*S, B, D); their sum over D is :func:`exact_rate`.
    """
    q, p = site.q, site.p
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    ndims = q.reinterpreted_batch_ndims
    if ndims != p.reinterpreted_batch_ndims or ndims == 0:
        return None
    single = _closed_form(q.base_dist, p.base_dist)
    return None if single is None else single.flatten(-ndims)


def rates(trace: Trace) -> tuple[Tensor, ...]:
    """The rate of every site, see :func:`site_rate`.

    Args:
        trace: One pass over images.
    """
    return tuple(map(site_rate, trace.sites))


def site_rate(site: Site) -> Tensor:
    r"""The rate of a site, :math:`\mathrm{KL}(q \| p)`: exact where it can be, else the unbiased estimate
    :math:`\log q(z) - \log p(z)` at the value drawn.

    Args:
        site: A site with a posterior.
    """
    exact = exact_rate(site)
    return log_ratio(site) if exact is None else exact


def rate(trace: Trace) -> Tensor:
    """The rate of all sites together.

    Args:
        trace: One pass over images.
    """
    return reduce(add, rates(trace))


def log_ratio(site: Site) -> Tensor:
    r"""The log-ratio :math:`\log q(z \mid x) - \log p(z)` at the value drawn.

    Args:
        site: A site with a posterior.
    """
    if site.q is None:
        raise ValueError("a site without a posterior has no log-ratio; pass images to the model")
    return site.q.log_prob(site.z) - site.p.log_prob(site.z)


def log_weight(trace: Trace, x: Tensor) -> Tensor:
    r"""The log importance weight :math:`\log p(x, z) - \log q(z \mid x)` at the latents of the trace.

    Args:
        trace: One pass over ``x``.
        x: Images, with shape (B, C, H, W).
    """
    return -distortion(trace, x) - reduce(add, map(log_ratio, trace.sites))


def log_mean_exp(weights: Tensor, axis: int = 0) -> Tensor:
    r"""The logarithm of the mean of weights that are given as logarithms, :math:`\log \frac{1}{K} \sum_k e^{w_k}`.

    Args:
        weights: The logarithms, with shape (K, B) where ``axis`` is 0.
        axis: The axis to take the mean over.
    """
    return weights.logsumexp(axis) - math.log(weights.shape[axis])
