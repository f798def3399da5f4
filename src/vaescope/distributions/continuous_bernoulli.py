r"""The continuous Bernoulli distribution, with a normaliser that is right for all logits.

The one in torch keeps its probabilities away from 0 and 1 by a small number, also within the normaliser. From logits of
about 16 in single precision (36 in double) its normaliser and mean stand still while the rest of the density moves on:
it no longer integrates to one (0.2 nats too little for each pixel at a logit of 20, 1.8 at 100), and the gradient is
wrong. Just outside of its series around 0 single precision loses three digits of the gradient. Images are mostly
black, where the logits of a trained decoder go to exactly these extremes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

NEAR = 0.3
"""Below this size of the logit the series are exact in double precision, and above it nothing cancels."""

SERIES = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)
r"""Coefficients :math:`c_n` of :math:`\log(\sinh(a / 2) / (a / 2)) = \sum_n c_n a^{2n}`, from n = 1."""


class ContinuousBernoulli(Distribution):
    r"""The continuous Bernoulli distribution of values in [0, 1], :math:`p(x) \propto e^{a x}`.

    .. math:: \log p(x) = a (x - \tfrac12) - g(a), \quad g(a) = \log \frac{\sinh(a / 2)}{a / 2}

    Its mean is :math:`\tfrac12 + g'(a)` and its variance :math:`g''(a)`.

    References:
        | The continuous Bernoulli: fixing a pervasive error in VAEs (Loaiza-Ganem and Cunningham, 2019)
        | https://arxiv.org/abs/1907.06845

    Args:
        logits: The logits :math:`a`, with shape (*B,).
        validate_args: Whether torch checks values. It has no constraint for them, so leave it off.
    """

    has_rsample = True

    def __init__(self, logits: Tensor, validate_args: bool | None = False) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ContinuousBernoulli":
        """The same distribution with a larger batch."""
        return ContinuousBernoulli(self.logits.expand(batch_shape))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Which logits are near 0; the logits there; the sizes and the signs of the others.

        Where a part does not apply it is a harmless number, so that its branch has a finite gradient.
        """
        near = self.logits.abs() < NEAR
        return near, self.logits.where(near, 0), self.logits.where(~near, 1).abs(), self.logits > 0

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of values in [0, 1]."""
        near, small, size, positive = self._parts()
        series = self.logits * (value - 0.5) - _polynomial(SERIES, small.square()) * small.square()
        # the nearer end of the interval is split off, so that large numbers are not taken from one another
        tail = self.logits * (value - positive.to(value)) - (-torch.expm1(-size) / size).log()
        return torch.where(near, series, tail)

    @property
    def mean(self) -> Tensor:
        """The mean, with shape (*B,)."""
        near, small, size, positive = self._parts()
        slopes = [2 * n * c for n, c in enumerate(SERIES, 1)]
        series = 0.5 + _polynomial(slopes, small.square()) * small
        low = 1 / size + (-size).exp() / torch.expm1(-size)  # the mean at -|a|
        return torch.where(near, series, torch.where(positive, 1 - low, low))

    @property
    def variance(self) -> Tensor:
        """The variance, with shape (*B,)."""
        near, small, size, _ = self._parts()
        bends = [2 * n * (2 * n - 1) * c for n, c in enumerate(SERIES, 1)]
        tail = 1 / size.square() - (-size).exp() / torch.expm1(-size).square()
        return torch.where(near, _polynomial(bends, small.square()), tail)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Values drawn by the inverse of the distribution function, with shape (*S, *B)."""
        u = torch.rand((*sample_shape, *self.batch_shape), dtype=self.logits.dtype, device=self.logits.device)
        return self.icdf(u)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Values drawn at random, without a gradient, with shape (*S, *B)."""
        with torch.no_grad():
            return self.rsample(Size(sample_shape))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of probabilities from 0 to 1.

        Args:
            value: Probabilities, with a shape that broadcasts to (*B,).
        """
        near, small, size, positive = self._parts()
        # four terms are right to 1e-6, more than a draw needs
        series = value + value * (1 - value) * (
            small / 2
            + small**2 * (1 - 2 * value) / 6
            + small**3 * (1 - 6 * value * (1 - value)) / 24
            + small**4 * (1 - 2 * value) * (1 - 12 * value * (1 - value)) / 120
        )
        u = torch.where(positive, 1 - value, value)
        low = -torch.logaddexp(torch.log1p(-u), u.log() - size) / size  # of an exponential cut off at 1
        return torch.where(near, series, torch.where(positive, 1 - low, low))


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """The sum of c_n x^n, from n = 0."""
    total = torch.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total
