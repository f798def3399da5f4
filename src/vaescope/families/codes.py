"""Posteriors over a grid of codes."""

from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope.distributions import Levels
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.nets import Shape


class CategoricalCodes(Family):
    r"""The posterior over codes: each of D latents is one of K evenly spaced levels in [-1, 1].

    .. math:: q(z \mid x) = \prod_d \pi_{d, z_d}, \quad \pi_d = \mathrm{softmax}(a_d)

    A code is a point of a grid, as in finite scalar quantisation, but drawn from a distribution instead of rounded, so
    that there is a rate. A draw has the straight-through gradient, that of the mean, which is biased.

    References:
        | Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2023)
        | https://arxiv.org/abs/2309.15505
        | Estimating or Propagating Gradients Through Stochastic Neurons (Bengio et al., 2013)
        | https://arxiv.org/abs/1308.3432

    Args:
        shape: The shape of one event, (D,).
        codes: The number of levels K of each latent.

    Raises:
        UsageError: For less than two levels, or for images.
    """

    density = False
    pathwise = False
    values: Tensor

    def __init__(self, shape: Shape, codes: int = 8) -> None:
        super().__init__(shape)
        if codes < 2:
            raise UsageError(f"CategoricalCodes got codes {codes}: give at least 2 levels, such as 8")
        if len(self.shape) != 1:
            raise UsageError(
                f"CategoricalCodes is for latents, not for images of shape {self.shape}: use Bernoulli or Gaussian"
            )
        self.codes, self.support = codes, f"{codes} codes"
        self.register_buffer("values", torch.linspace(-1, 1, codes), persistent=False)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (K D,)."""
        return (self.codes * self.shape[0],)

    def forward(self, h: Tensor) -> Distribution:
        """Takes logits with shape (*B, D K), returns a distribution with batch shape B and event shape (D,)."""
        logits = cast(Tensor, h.unflatten(-1, (self.shape[0], self.codes)))
        return Independent(Levels(logits, self.values), 1, validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The logits of the two levels next to each mean, with the weights that give it."""
        steps = (mean[:, None] - self.values).abs() * (self.codes - 1) / 2  # (D, K), in units of a step
        return (1 - steps).clamp(min=1e-4).log().flatten()
