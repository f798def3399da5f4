r"""Families: from the output of a network to a distribution.

A posterior q(z|x) and a likelihood p(x|z) are both a network followed by a family. The family knows how many numbers it
needs (:attr:`Family.inputs`), turns them into a distribution over events of a given shape, and knows which numbers give
a wanted mean, so that a decoder can start at the mean image of the data instead of learning it.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent

from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.nets import Shape

Support = Literal["unit interval", "real line"]


class Family(nn.Module, ABC):
    """From parameters to a distribution.

    Args:
        shape: The shape of one event, such as (D,) for latents or (C, H, W) for images.
    """

    support: ClassVar[Support]
    density: ClassVar[bool]
    """Whether values have a density (a continuous family) or a mass (a discrete one)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    @abstractmethod
    def inputs(self) -> Shape:
        """The shape of the parameters of one event."""

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Takes parameters with shape (*B, *inputs), returns a distribution with batch shape B."""

    @abstractmethod
    def start(self, mean: Tensor) -> Tensor:
        """The parameters of the distribution that a decoder starts at.

        Args:
            mean: The mean of the data, with the shape of an event.

        Returns:
            Parameters with shape ``inputs``.
        """


class DiagonalNormal(Family):
    r"""The normal posterior with a diagonal covariance, :math:`N(\mu, \mathrm{diag}(\sigma^2))`.

    The network gives :math:`(m, s)`, and

    .. math:: \mu = b \tanh(m / b), \quad \sigma = \epsilon + (2 - \epsilon) / (1 + e^{-s})

    with :math:`\epsilon = 10^{-4}`. Near zero :math:`\mu` is :math:`m` and :math:`\sigma` is one, the prior's. The
    usual :math:`\sigma = e^s` is unbounded: after minutes of training that look healthy, one unusual image in ten
    thousand gets a scale, and with it a KL divergence, that outweighs all others. A posterior much wider than the prior
    is never of use, so nothing is lost by the bound.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114

    Args:
        shape: The shape of one event, (D,).
        bound: The largest mean :math:`b`, or nothing for none.

    Raises:
        UsageError: For a bound that is not positive.
    """

    support = "real line"
    density = True
    smallest, largest = 1e-4, 2.0

    def __init__(self, shape: Shape, bound: float | None = 8.0) -> None:
        super().__init__(shape)
        if bound is not None and not bound > 0:
            raise UsageError(f"DiagonalNormal got bound {bound}: give a positive number, or null for no bound")
        self.bound = bound

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (2 D,)."""
        return (2 * self.shape[0], *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 D), returns a distribution with batch shape B and event shape (D,)."""
        m, s = h.chunk(2, dim=-len(self.shape))
        loc = m if self.bound is None else self.bound * (m / self.bound).tanh()
        scale = self.smallest + (self.largest - self.smallest) * s.sigmoid()
        return diagonal_normal(loc, scale, len(self.shape))

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a unit normal around ``mean``."""
        return torch.cat((mean, torch.zeros_like(mean)))


class Bernoulli(Family):
    r"""The Bernoulli likelihood of binary pixels, :math:`\prod_i p_i^{x_i} (1 - p_i)^{1 - x_i}`.

    Given grey values in [0, 1] instead of binary ones, the same formula is the *expected* log-likelihood of images
    binarised at random with those greys as probabilities. Together with the KL divergence that is an honest bound for
    binarised images when the encoder sees the grey ones. It is not a density of the grey values.

    Args:
        shape: The shape of an image, (C, H, W).
    """

    support = "unit interval"
    density = False

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the logits of every pixel."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes logits with shape (*B, C, H, W)."""
        return Independent(TorchBernoulli(logits=h, validate_args=False), len(self.shape), validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The logits of the mean image, kept away from 0 and 1 where a pixel never changes in the data."""
        return mean.clamp(1e-3, 1 - 1e-3).logit()


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
