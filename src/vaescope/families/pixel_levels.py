"""Likelihoods of pixels that have finitely many greys: masses that sum to one over the levels of a file's pixels."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope import distributions
from vaescope.distributions import Levels, logistic_at
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.families.scales import bounded, unbounded
from vaescope.nets import Shape


class PixelLevels(Family):
    """Pixels on the levels 0, 1 / (L - 1), ... 1 of an image file, with L = 2 ** bits.

    Args:
        shape: The shape of an image, (C, H, W).
        bits: The number of bits of a pixel.

    Raises:
        UsageError: For a number of bits that is not from 1 to 16.
    """

    density = False
    pathwise = False
    widest = 2.0
    """The largest scale of a logistic."""

    def __init__(self, shape: Shape, bits: int = 8) -> None:
        super().__init__(shape)
        if not 1 <= bits <= 16:
            kind = type(self).__name__
            raise UsageError(f"{kind} got bits {bits}: give a number from 1 to 16, such as 8 for greys from 0 to 255")
        self.levels = 2**bits
        self.support = f"{self.levels} levels"
        self.narrowest = 1 / (32 * (self.levels - 1))  # a mass of all but 2 e^-16 on one level

    def start_scale(self, wanted: float = 0.1) -> float:
        """A scale at which a logistic of these levels can have any mean: not much below the step between them."""
        return max(wanted, 0.5 / (self.levels - 1))


class DiscretisedLogistic(PixelLevels):
    r"""A discretised logistic for every pixel: the mass that a logistic with location :math:`\mu_i` and scale
    :math:`s_i` has around the level of the pixel, and in its tails for the first and the last level.

    .. math:: P(x_i = v_k) = \sigma\Big(\frac{v_k + w / 2 - \mu_i}{s_i}\Big)
              - \sigma\Big(\frac{v_k - w / 2 - \mu_i}{s_i}\Big), \quad w = \frac{1}{L - 1}

    A true probability of the image as it is in its file, in bits per dimension comparable with compression. Scales are
    from w / 32 to 2.

    References:
        | Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), section 5.2
        | https://arxiv.org/abs/1606.04934

    Args:
        shape: The shape of an image, (C, H, W).
        bits: The number of bits of a pixel, which has 2 ** bits levels in [0, 1].

    Raises:
        UsageError: For a number of bits that is not from 1 to 16.
    """

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters: the locations of all channels, then their scales."""
        return (2 * self.shape[0], *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 C, H, W)."""
        loc, s = h.chunk(2, dim=-len(self.shape))
        pixels = distributions.DiscretisedLogistic(loc, bounded(s, self.narrowest, self.widest), self.levels)
        return Independent(pixels, len(self.shape), validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """Locations that give the mean image at a scale of 0.1."""
        scale = torch.full_like(mean, self.start_scale())
        return torch.cat((logistic_at(mean, scale), unbounded(scale, self.narrowest, self.widest)))


class LogisticMixture(PixelLevels):
    r"""A mixture of K discretised logistics for every pixel, whose channels depend on one another.

    .. math:: P(x) = \prod_{h, w} \sum_k \pi_k \prod_c \mathrm{DL}\Big(x_c;\; \mu_{kc} + \sum_{j < c} A_{kcj}\, x_j,\;
              s_{kc}\Big)

    The coefficients are bounded, :math:`A = \tanh(a)`, and scales are from w / 32 to 2, where w is the step between
    levels. Its mean, which pictures show, is that of every channel where the channels before it are at theirs.

    References:
        | PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood (Salimans et al., 2017)
        | https://arxiv.org/abs/1701.05517

    Args:
        shape: The shape of an image, (C, H, W).
        components: The number of components K.
        bits: The number of bits of a pixel, which has 2 ** bits levels in [0, 1].

    Raises:
        UsageError: For a number of bits that is not from 1 to 16, or less than one component.
    """

    factorised = False

    def __init__(self, shape: Shape, components: int = 5, bits: int = 8) -> None:
        super().__init__(shape, bits)
        if components < 1:
            raise UsageError(f"LogisticMixture got components {components}: give at least 1, such as 5")
        channels = shape[0]
        self.components = components
        self.parts = [1, channels, channels, channels * (channels - 1) // 2]
        """The numbers that each component has for a pixel: a weight, locations, scales and couplings."""

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters: for each component its weight, locations, scales and couplings."""
        return (self.components * sum(self.parts), *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, K (1 + 2 C + C (C - 1) / 2), H, W)."""
        each = h.unflatten(-3, (self.components, sum(self.parts)))
        logits, loc, s, a = each.split(self.parts, dim=-3)
        scale = bounded(s, self.narrowest, self.widest)
        return distributions.LogisticMixture(logits.squeeze(-3), loc, scale, a.tanh(), self.levels)

    def start(self, mean: Tensor) -> Tensor:
        """Components with the mean image for a mean and scales from 0.03 to 0.3, so that no two of them are alike."""
        powers = torch.linspace(-0.5, 0.5, self.components).tolist()
        scales = [torch.full_like(mean, self.start_scale(0.1 * 10**power)) for power in powers]
        weight, coupling = (mean.new_zeros(n, *mean.shape[1:]) for n in (1, self.parts[-1]))
        ends = self.narrowest, self.widest
        each = [(weight, logistic_at(mean, scale), unbounded(scale, *ends), coupling) for scale in scales]
        return torch.cat([part for parts in each for part in parts])


class Categorical(PixelLevels):
    r"""Any distribution over the levels of every pixel, :math:`P(x_i = v_k) = \mathrm{softmax}(a_i)_k`.

    It knows nothing of which levels are neighbours, and a decoder gives :math:`2^{bits}` numbers for every value: with
    8 bits choose a convolutional decoder, or fewer bits.

    References:
        | Pixel Recurrent Neural Networks (van den Oord et al., 2016), section 3.4
        | https://arxiv.org/abs/1601.06759

    Args:
        shape: The shape of an image, (C, H, W).
        bits: The number of bits of a pixel, which has 2 ** bits levels in [0, 1], at most 8.

    Raises:
        UsageError: For a number of bits that is not from 1 to 8.
    """

    values: Tensor

    def __init__(self, shape: Shape, bits: int = 8) -> None:
        super().__init__(shape, bits)
        if bits > 8:
            raise UsageError(
                f"Categorical got bits {bits}, {self.levels:,} numbers for every value of an image: "
                "give at most 8, or choose LogisticMixture"
            )
        self.register_buffer("values", torch.linspace(0, 1, self.levels), persistent=False)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters: for each channel the logits of all levels."""
        return (self.shape[0] * self.levels, *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, C L, H, W)."""
        logits = h.unflatten(-3, (self.shape[0], self.levels)).movedim(-3, -1)  # (*B, C, H, W, L)
        return Independent(Levels(logits, self.values), len(self.shape), validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The log-masses of a discretised logistic with the mean image for a mean and a scale of 0.1."""
        scale = torch.full_like(mean, self.start_scale())
        start = distributions.DiscretisedLogistic(logistic_at(mean, scale), scale, self.levels)
        values = torch.linspace(0, 1, self.levels, dtype=mean.dtype, device=mean.device).view(-1, 1, 1, 1)
        return start.log_prob(values).movedim(0, 1).flatten(0, 1)  # (L, C, H, W) -> (C L, H, W)
