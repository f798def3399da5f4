"""Gaussian likelihoods."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.families.one_scale import OneScale
from vaescope.families.scales import bounded, unbounded
from vaescope.nets import Shape


class Gaussian(OneScale):
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
        UsageError: For a scale that is not positive, or beyond all reason.
    """

    def forward(self, h: Tensor) -> Distribution:
        """Takes means with shape (*B, C, H, W)."""
        return diagonal_normal(h, self.scale_for(h), len(self.shape))


class PixelGaussian(Family):
    r"""The Gaussian likelihood of real-valued pixels with a scale for every pixel, :math:`N(x_i; \mu_i, \sigma_i^2)`.

    The decoder gives :math:`(\mu, s)` and :math:`\sigma = \sigma_0 + (1 - \sigma_0) / (1 + e^{-s})`. The smallest scale
    :math:`\sigma_0` is part of the model: pixels that never change get it, and without it their density would grow
    without bound. Scores with different smallest scales do not compare.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014), appendix C.2
        | https://arxiv.org/abs/1312.6114

    Args:
        shape: The shape of an image, (C, H, W).
        smallest: The smallest standard deviation :math:`\sigma_0`, in the units of the pixels.

    Raises:
        UsageError: For a smallest scale that is not between 0 and 1.
    """

    support = "real line"
    density = True
    largest = 1.0

    def __init__(self, shape: Shape, smallest: float = 0.01) -> None:
        super().__init__(shape)
        if not 1e-6 <= smallest < self.largest:
            raise UsageError(
                f"PixelGaussian got smallest {smallest}: give a standard deviation from 1e-6 to below 1, such as 0.01"
            )
        self.smallest = smallest

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters: the means of all channels, then their scales."""
        return (2 * self.shape[0], *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 C, H, W)."""
        mean, s = h.chunk(2, dim=-len(self.shape))
        return diagonal_normal(mean, bounded(s, self.smallest, self.largest), len(self.shape))

    def start(self, mean: Tensor) -> Tensor:
        """The mean image, and for every pixel a scale midway (in logarithms) between the smallest and the largest."""
        scale = torch.full_like(mean, math.sqrt(self.smallest * self.largest))
        return torch.cat((mean, unbounded(scale, self.smallest, self.largest)))


class OptimalGaussian(Family):
    r"""The Gaussian likelihood whose scale is always the best one, without being learned (sigma-VAE).

    .. math:: \sigma^2 = \frac{1}{N} \sum_i (x_i - \mu_i)^2

    over all pixels, channels and images of a training batch (and all draws of the latents), the scale at which the
    batch is most likely. The gradient takes it as given, which changes nothing: at its optimum the gradient with
    respect to it is zero.

    A formula that looks at the values that it scores is no density of them. So training keeps a running average of
    :math:`\sigma^2` beside the weights, and in evaluation mode, for everything that is reported, the family is
    :math:`N(\mu, \sigma^2 I)` with that fixed number: a normalised density that does not know what it will be shown.

    References:
        | Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2021)
        | https://arxiv.org/abs/2006.13202

    Args:
        shape: The shape of an image, (C, H, W).

    Raises:
        UsageError: For latents: a posterior must know its scale before it is drawn from.
    """

    support = "real line"
    density = True
    smallest = 1e-5
    """The smallest standard deviation, for batches that are reconstructed without an error."""
    share = 0.01
    """What a batch counts for in the running average; the first hundred count alike."""

    variance: Tensor
    seen: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if len(self.shape) != 3:
            raise UsageError(
                f"OptimalGaussian is for images, not for latents of shape {self.shape}: use DiagonalNormal"
            )
        self.register_buffer("variance", torch.tensor(0.01))  # of no batch, a guess for pixels in [0, 1]
        self.register_buffer("seen", torch.tensor(0.0))

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the means of every pixel."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes means with shape (*B, C, H, W)."""
        scale, ndims = self.variance.to(h.dtype).sqrt().expand_as(h), len(self.shape)
        return _BestScale(h, scale, ndims, self._best) if self.training else diagonal_normal(h, scale, ndims)

    def _best(self, errors: Tensor) -> Tensor:
        """The best variance for these errors, which enters the running average where something is being learned."""
        variance = errors.detach().square().mean().clamp(min=self.smallest**2)
        if torch.is_grad_enabled():
            self.seen += 1
            self.variance.lerp_(variance.to(self.variance.dtype), (1 / self.seen).clamp(min=self.share))
        return variance

    def start(self, mean: Tensor) -> Tensor:
        """The mean image itself."""
        return mean


class _BestScale(Independent):
    """Independent normals whose scale is the best for the values that they score."""

    def __init__(self, loc: Tensor, scale: Tensor, ndims: int, best: Callable[[Tensor], Tensor]) -> None:
        self.best = best
        super().__init__(Normal(loc, scale, validate_args=False), ndims, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density at the best scale, with shape (*S, *B)."""
        errors = value - self.mean
        scale = self.best(errors).sqrt().expand_as(errors)
        return diagonal_normal(self.mean, scale, len(self.event_shape)).log_prob(value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_BestScale":
        shape = (*batch_shape, *self.event_shape)
        return _BestScale(self.mean.expand(shape), self.stddev.expand(shape), len(self.event_shape), self.best)
