"""The continuous Bernoulli likelihood."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope import distributions
from vaescope.families.family import Family
from vaescope.nets import Shape


class ContinuousBernoulli(Family):
    r"""The continuous Bernoulli likelihood of greys, :math:`\prod_i C(a_i)\, e^{a_i x_i}` for :math:`x_i \in [0, 1]`.

    The formula of the Bernoulli likelihood with the constant that makes it a density of greys. It has no scale: how
    sure it is of a pixel follows from where its mean is, and it is never sure of a middle grey.

    References:
        | The continuous Bernoulli: fixing a pervasive error in VAEs (Loaiza-Ganem and Cunningham, 2019)
        | https://arxiv.org/abs/1907.06845

    Args:
        shape: The shape of an image, (C, H, W).
    """

    support = "unit interval"
    density = True

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the logits of every pixel."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes logits with shape (*B, C, H, W)."""
        return Independent(distributions.ContinuousBernoulli(h), len(self.shape), validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The logits of the mean image, by halving. It is kept from 0.01 to 0.99, which are logits of about ±100: one
        pixel that differs from all images seen so far then costs 100 nats, not thousands."""
        wanted = mean.double().clamp(0.01, 0.99)
        low, high = torch.full_like(wanted, -128), torch.full_like(wanted, 128)
        for _ in range(50):
            middle = (low + high) / 2
            below = distributions.ContinuousBernoulli(middle).mean < wanted
            low, high = middle.where(below, low), high.where(below, middle)
        return low.to(mean.dtype)
