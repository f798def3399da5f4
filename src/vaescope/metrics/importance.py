r"""The importance weighted bound of a split, with many draws for each image.

.. math:: \log p(x) \ge \mathbb{E} \log \frac{1}{K} \sum_k w_k, \quad
          w_k = \frac{p(x, z_k)}{q(z_k \mid x)}, \quad z_k \sim q(z \mid x)

It rises with K towards :math:`\log p(x)`, and no model is the better for it: it is the measure that is tighter. How
tight it is, the weights themselves tell: the effective sample size

.. math:: \mathrm{ESS} = \frac{(\sum_k w_k)^2}{\sum_k w_k^2}

is K where all weights are equal, which they are where the posterior is exact, and 1 where one outweighs all others. To
first order the bound is :math:`\frac{1}{2} (1 / \mathrm{ESS} - 1 / K)` nats too low.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016)
    | https://arxiv.org/abs/1509.00519
    | Debiasing Evidence Approximations (Nowozin, 2018), for how far the bound is from what it bounds
    | https://openreview.net/forum?id=HyZoi-WRb
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.metrics.densities import explaining
from vaescope.models import VAE, Pick, aside, draw
from vaescope.models.vae import Visit
from vaescope.objectives.terms import log_ratio

DECODED, PIXELS = 1000, 2**20
"""Decoder passes at once, and the most values of images in them: the activations of a small network for so many stay in
the cache of a CPU."""


Draws = Callable[[Examples, int, int], Pick]
"""Where the draws of some images come from: how many they are, and how many there have been before."""


def fresh(part: Examples, count: int, before: int) -> Pick:
    """Draws from the stream of random numbers, which depend on all that was drawn before."""
    return draw(count)


@dataclass(frozen=True)
class Weights:
    """What is kept of the K weights of each of N images, as float64 on the CPU, each with shape (N,).

    Args:
        bound: The importance weighted bound, the logarithm of the mean weight, in nats.
        elbo: The mean of their logarithms, in nats: an estimate of the ELBO.
        ess: Their effective sample size, from 1 to K.
    """

    bound: Tensor
    elbo: Tensor
    ess: Tensor


def importance_bound(
    model: VAE,
    examples: Examples,
    samples: int = 100,
    images: int = 50,
    seed: int = 0,
    draws: Draws = fresh,
) -> Tensor:
    """The importance weighted bound of every image, in nats. Memory does not grow with the number of samples.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        samples: The number K of draws for each image.
        images: How many images to look at together: they are encoded once, and no more than a few draws of each are
            decoded at a time.
        seed: Decides the draws, if they are fresh.
        draws: Where they come from.

    Returns:
        The bounds as float64, with shape (N,), on the CPU.

    Raises:
        UsageError: For a posterior that is a point mass, which has no weights, or less than one sample.
    """
    return importance_weights(model, examples, samples, images, seed, draws).bound


def importance_weights(
    model: VAE,
    examples: Examples,
    samples: int = 100,
    images: int = 50,
    seed: int = 0,
    draws: Draws = fresh,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Weights:
    """What the importance weights of every image say. Memory does not grow with the number of samples.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        samples: The number K of draws for each image.
        images: How many images to look at together: they are encoded once, and no more than a few draws of each are
            decoded at a time.
        seed: Decides the draws, if they are fresh.
        draws: Where they come from.
        tick: Is told how many of how many images are done.

    Raises:
        UsageError: For a posterior that is a point mass, which has no weights, or less than one sample.
    """
    if model.posterior.family.degenerate:
        raise UsageError("an autoencoder has no importance weighted bound: its posterior is a point mass")
    if samples < 1:
        raise UsageError(f"samples is {samples}: give at least 1, such as 100")
    device = next(model.parameters()).device
    found: list[Tensor] = []
    with aside(model, seed):
        for part in examples.split(images):
            found.append(_summed(model, part.to(device), samples, images, draws).cpu())
            tick(min(len(examples), images * len(found)), len(examples))
    return weighed(torch.cat(found, dim=1), samples)


def weighed(sums: Tensor, samples: int) -> Weights:
    r"""What :math:`\log \sum w`, :math:`\log \sum w^2` and :math:`\sum \log w`, with shape (3, N), say of K weights."""
    first, second, total = sums.double()
    return Weights(first - math.log(samples), total / samples, (2 * first - second).exp())


def sums_of(weights: Tensor) -> Tensor:
    r"""The sums that are kept of K weights: :math:`\log \sum w`, :math:`\log \sum w^2`, :math:`\sum \log w`.

    Args:
        weights: Their logarithms, with shape (K, B).

    Returns:
        Shape (3, B), as float64.
    """
    exact = weights.double()
    return torch.stack((exact.logsumexp(0), (2 * exact).logsumexp(0), exact.sum(0)))


def together(one: Tensor, other: Tensor) -> Tensor:
    """The sums of two sets of weights of the same images, as those of one set."""
    return torch.cat((torch.logaddexp(one[:2], other[:2]), one[2:] + other[2:]))


def _summed(model: VAE, part: Examples, samples: int, images: int, draws: Draws) -> Tensor:
    """The sums of the weights of some images, with shape (3, B). The draws are taken a few at a time, and as many at a
    time however many images there are, so that draws that belong to an image stay the same."""
    x = part.values
    count = max(1, min(DECODED, PIXELS // x[0].numel()) // images)
    weigh = weighing(model, x, part.context)
    turns = range(0, samples, count)
    return reduce(together, (sums_of(weigh(draws(part, min(count, samples - n), n))) for n in turns))


def weighing(model: VAE, x: Tensor, context: Tensor | None = None) -> Callable[[Pick], Tensor]:
    """The log importance weights of images as a function of the draws, with all that is the same for all draws computed
    once: a faster :func:`vaescope.objectives.log_weight`.

    Args:
        model: The model.
        x: Images, with shape (B, C, H, W).
        context: A further condition, with shape (B, K).

    Returns:
        From a pick of latents with shape (*S, B, D) to weights with shape (*S, B).
    """
    visit: Visit = model.visit(x, context)
    explained = explaining(model.likelihood, x)

    def weights(pick: Pick) -> Tensor:
        sites, z, condition = visit(pick)
        return explained(z, condition) - reduce(add, map(log_ratio, sites))

    return weights
