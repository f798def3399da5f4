r"""Levels: a categorical distribution over points of the real line instead of over indices.

Quantised latents and pixels with 256 greys have numbers for values, with a mean, a variance and neighbours. What torch
calls ``Categorical`` has only labels.
"""

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, kl_divergence
from torch.distributions.kl import register_kl

from vaescope.distributions.views import centre, chosen, draw_at, nearest


class Levels(Distribution):
    r"""The categorical distribution over K points of the real line, :math:`P(x = v_k) = \mathrm{softmax}(a)_k`.

    A draw by :meth:`rsample` is a level, with the gradient of the mean: :math:`v_k + \mu - \mathrm{stop}(\mu)`. That is
    the straight-through gradient, which is biased but for functions that are linear between the levels.

    References:
        | Estimating or Propagating Gradients Through Stochastic Neurons (Bengio et al., 2013)
        | https://arxiv.org/abs/1308.3432

    Args:
        logits: The unnormalised log-probabilities :math:`a`, with shape (*B, K).
        values: The levels :math:`v`, in ascending order, with shape (K,).
        validate_args: Whether torch checks values. It has no constraint for them, so leave it off.
    """

    has_rsample = True

    def __init__(self, logits: Tensor, values: Tensor, validate_args: bool | None = False) -> None:
        self.indices = Categorical(logits=logits, validate_args=False)
        self.values = values
        super().__init__(self.indices.batch_shape, validate_args=validate_args)

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities, with shape (*B, K)."""
        return self.indices.logits

    @property
    def probs(self) -> Tensor:
        """The probabilities, with shape (*B, K)."""
        return self.indices.probs

    @property
    def mean(self) -> Tensor:
        """The mean, which usually lies between levels, with shape (*B,)."""
        return (self.probs * self.values).sum(-1)

    @property
    def variance(self) -> Tensor:
        """The variance, with shape (*B,)."""
        return (self.probs * (self.values - self.mean[..., None]).square()).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable level, with shape (*B,)."""
        return self.values[self.probs.argmax(-1)]

    def index(self, value: Tensor) -> Tensor:
        """The index of the level that is nearest to each value.

        Args:
            value: Real numbers, with any shape.
        """
        return torch.bucketize(value.detach().contiguous(), (self.values[1:] + self.values[:-1]) / 2)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of the nearest level, with shape (*S, *B)."""
        return self.indices.log_prob(self.index(value))

    def entropy(self) -> Tensor:
        """The entropy in nats, with shape (*B,)."""
        return self.indices.entropy()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Levels drawn at random, with shape (*S, *B)."""
        return self.values[self.indices.sample(Size(sample_shape))]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Levels drawn at random, with the straight-through gradient, with shape (*S, *B)."""
        mean = self.mean
        return self.sample(sample_shape) + (mean - mean.detach())

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Levels":
        """The same distribution with a larger batch."""
        return Levels(self.logits.expand(*batch_shape, -1), self.values)


@centre.register
def _(distribution: Levels) -> Tensor:
    return distribution.mode


@nearest.register
def _(distribution: Levels, z: Tensor) -> Tensor:
    return distribution.values[distribution.index(z)]


@draw_at.register
def _(distribution: Levels, uniform: Tensor) -> Tensor:
    return distribution.values[chosen(distribution.probs, uniform)]


@register_kl(Levels, Levels)  # type: ignore[untyped-decorator]
def _(p: Levels, q: Levels) -> Tensor:
    """Both must have the same levels; elsewhere the divergence is infinite."""
    if p.values is not q.values and not torch.equal(p.values, q.values):
        raise ValueError(f"a divergence of {len(p.values)} levels from {len(q.values)} others is infinite")
    return kl_divergence(p.indices, q.indices)
