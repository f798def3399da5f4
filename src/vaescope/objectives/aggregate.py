r"""The aggregate posterior :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)`, and what the rate is made of.

.. math:: \frac{1}{N} \sum_n \mathrm{KL}(q(z \mid x_n) \,\|\, p(z))
          = \underbrace{\mathbb{E} \log \frac{q(z \mid x)}{q(z)}}_{\text{mutual information}}
          + \underbrace{\mathbb{E} \log \frac{q(z)}{\prod_j q(z_j)}}_{\text{total correlation}}
          + \underbrace{\mathbb{E} \log \frac{\prod_j q(z_j)}{p(z)}}_{\text{dimension-wise KL}}

With all images at hand the sum is exact. From a batch it has to be estimated, and a batch is not a random sample of
images for its own codes: the image that a code came from is always in it. The weights of the sum have to make up for
that. With those of a plain average the total correlation of independent latents is not zero.

References:
    | Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018)
    | https://arxiv.org/abs/1802.04942
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope.errors import UsageError
from vaescope.models import Site

Estimator = Literal["mss", "mws"]


@dataclass(frozen=True)
class Split:
    """The parts of the rate, one value for each code, in nats. They sum to log q(z|x) - log p(z) at the code.

    Args:
        mutual_information: log q(z|x) - log q(z).
        total_correlation: log q(z) - sum_j log q(z_j).
        dimension_wise: sum_j log q(z_j) - log p(z).
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise: Tensor


def split(site: Site, q: Distribution | None = None, log_weights: Tensor | None = None) -> Split:
    """The parts of the rate at the codes of a site.

    Every code is compared with every posterior, latent by latent, which takes memory for B N D numbers. Codes do not
    depend on one another: where that is too much, take them a part at a time.

    Args:
        site: B codes with shape (*S, B, D), their posteriors, and the prior.
        q: The N posteriors of the sum, with batch shape (N,) and event shape (D,). By default those of the site.
        log_weights: The logarithms of the weights of the sum, with shape (N,) or (B, N). By default -log N: the N
            images are all that there are.

    Returns:
        Its parts, with shape (*S, B) each.
    """
    if site.q is None:
        raise ValueError("a site without a posterior has no rate; pass images to the model")
    joint, marginals = log_aggregate(site.z, site.q if q is None else q, log_weights)
    return Split(site.q.log_prob(site.z) - joint, joint - marginals, marginals - site.p.log_prob(site.z))


def log_aggregate(z: Tensor, q: Distribution, log_weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""The log-density of codes under the aggregate posterior, and under the product of its marginals.

    Args:
        z: Codes, with shape (*S, B, D).
        q: N posteriors, with batch shape (N,) and event shape (D,).
        log_weights: The logarithms of the weights of the sum, with shape (N,) or (B, N); by default -log N.

    Returns:
        :math:`\log q(z)` and :math:`\sum_j \log q(z_j)`, with shape (*S, B) each.
    """
    single = entries(q).log_prob(z.unsqueeze(-2))  # (*S, B, N, D)
    weights = z.new_full((single.shape[-2],), -math.log(single.shape[-2])) if log_weights is None else log_weights
    joint = (single.sum(-1) + weights).logsumexp(-1)
    marginals = (single + weights[..., None]).logsumexp(-2).sum(-1)
    return joint, marginals


def entries(q: Distribution) -> Distribution:
    """The distribution of every latent by itself, with batch shape (*B, D).

    Args:
        q: A distribution with batch shape B and event shape (D,), whose latents are independent.

    Raises:
        UsageError: If it does not say that they are.
    """
    if not isinstance(q, Independent) or len(q.event_shape) != 1:
        raise UsageError(
            f"the latents of {type(q).__name__} cannot be looked at one by one: use the posterior DiagonalNormal"
        )
    return q.base_dist


def log_weights(estimator: Estimator, batch: int, images: int, like: Tensor) -> Tensor:
    r"""The logarithms of the weights with which a batch stands for all images.

    - ``mss``, minibatch stratified sampling: :math:`1/N` for the image that the code came from, and for each of the
      others an equal part of the rest, :math:`(N - 1) / (N (B - 1))`. The estimate of q(z) has no bias. (The paper
      gives one of the others a smaller weight, for batches that are drawn in order; the mean over that order is this.)
    - ``mws``, minibatch weighted sampling: :math:`1 / (N B)` for every image, which gives a lower bound of q(z).

    Args:
        estimator: Which.
        batch: The number of images in the batch, B.
        images: The number of all images, N.
        like: A tensor whose type and device the weights get.

    Returns:
        Shape (B, B): the codes, then the images.
    """
    if estimator == "mws":
        return like.new_full((batch, batch), -math.log(images * batch))
    others = math.log((images - 1) / images / max(batch - 1, 1))
    return like.new_full((batch, batch), others).masked_fill(
        torch.eye(batch, dtype=torch.bool, device=like.device), -math.log(images)
    )
