r"""The importance weighted bound of a split, with many draws for each image.

.. math:: \log p(x) \ge \mathbb{E} \log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)}, \quad z_k \sim q(z \mid x)

It rises with K towards :math:`\log p(x)`, and no model is the better for it: it is the measure that is tighter.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016)
    | https://arxiv.org/abs/1509.00519
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.models import VAE, Pick, aside, draw
from vaescope.objectives import log_weight

DECODED = 2000
"""Decoder passes at once: as many draws of as many images as keep the activations of a small network in the cache."""


Draws = Callable[[Examples, int, int], Pick]
"""Where the draws of some images come from: how many they are, and how many there have been before."""


def fresh(part: Examples, count: int, before: int) -> Pick:
    """Draws from the stream of random numbers, which depend on all that was drawn before."""
    return draw(count)


def importance_bound(
    model: VAE,
    examples: Examples,
    samples: int = 100,
    images: int = 200,
    seed: int = 0,
    draws: Draws = fresh,
) -> Tensor:
    """The importance weighted bound of every image, in nats. Memory does not grow with the number of samples.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        samples: The number K of draws for each image.
        images: How many images to look at together.
        seed: Decides the draws, if they are fresh.
        draws: Where they come from.

    Returns:
        The bounds as float64, with shape (N,), on the CPU.

    Raises:
        UsageError: For a posterior that is a point mass, which has no weights, or less than one sample.
    """
    if model.posterior.family.degenerate:
        raise UsageError("an autoencoder has no importance weighted bound: its posterior is a point mass")
    if samples < 1:
        raise UsageError(f"samples is {samples}: give at least 1, such as 100")
    device = next(model.parameters()).device
    together = max(1, DECODED // images)
    with aside(model, seed):
        return torch.cat(
            [
                _bound(model, part, (draws(part, min(together, samples - n), n) for n in range(0, samples, together)))
                for part in (part.to(device) for part in examples.split(images))
            ]
        ) - math.log(samples)


def _bound(model: VAE, part: Examples, picks: Iterable[Pick]) -> Tensor:
    """The logarithm of the sum of the weights of some images, with the draws taken a few at a time."""
    sums = [log_weight(model(part.values, part.context, pick), part.values).double().logsumexp(0) for pick in picks]
    return torch.stack(sums).logsumexp(0).cpu()
