"""Gaussian likelihoods."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.nets import Shape


class Gaussian(Family):
    r"""The Gaussian likelihood of real-valued pixels, :math:`N(x; \mu, \sigma^2 I)`, with one scale for all pixels.

    With a learned scale the optimum weighs reconstruction against the KL divergence by itself, which a fixed one leaves
    to the user. It is a density of continuous values, so nats may be negative; binarised images have none.

    References:
        | Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2021)
        | https://arxiv.org/abs/2006.13202

    Args:
        shape: The shape of an image, (C, H, W).
        scale: The standard deviation :math:`\sigma` at the start, in the units of the pixels.
        learned: Whether :math:`\sigma` is a parameter that training changes.

    Raises:
        UsageError: For a scale that is not positive.
    """

    support = "real line"
    density = True

    def __init__(self, shape: Shape, scale: float = 0.1, learned: bool = True) -> None:
        super().__init__(shape)
        if not scale > 0:
            raise UsageError(f"Gaussian got scale {scale}: give a positive standard deviation, such as 0.1")
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learned)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the means of every pixel."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes means with shape (*B, C, H, W)."""
        return diagonal_normal(h, self.log_scale.exp().expand_as(h), len(self.shape))

    def start(self, mean: Tensor) -> Tensor:
        """The mean image itself."""
        return mean
