r"""Targets: what of a grey image the model is asked to explain.

The images are kept as levels of 8 or 16 bits. A target turns them into the values that the encoder sees and the
likelihood scores:

- :class:`Binary`: pixels drawn as 0 or 1 with the grey as the probability, *anew for every training batch*, and once
  and for all for validation and test, so that two models are scored on the same pixels. A Bernoulli likelihood then
  gives a true probability, and -ELBO bounds -log p(x) in nats per image.
- :class:`Grey`: the greys themselves, in [0, 1]. A Bernoulli likelihood then gives the expectation over all
  binarisations of each image, an honest bound for binary images when the encoder sees the grey one, but *not* a density
  of greys. A Gaussian likelihood gives such a density.
- :class:`Centred`: the greys in [-1, 1], for likelihoods of real values.

References:
    | On the quantitative analysis of deep belief networks (Salakhutdinov and Murray, 2008), for binary MNIST
    | Importance Weighted Autoencoders (Burda et al., 2016), for binarising anew in training
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.rows import Rows, chunks
from vaescope.streams import uniforms

FIXED_DRAW_SEED = 777
"""The seed with which validation and test images have been binarised since the code of the VampPrior paper."""

ONCE = "one sample, KL weight 1"
"""How images are scored by -ELBO, in the words of a protocol."""

TargetName = Literal["binary", "grey", "centred"]


@dataclass(frozen=True)
class Target(ABC):
    """From the levels of pixels to the values that a model explains.

    Args:
        bits: The bits of a pixel, 8 or 16: its levels are from 0 to ``2 ** bits - 1``.
    """

    bits: int = 8

    interval: ClassVar[tuple[float, float]]
    discrete: ClassVar[bool] = False
    """Whether pixels are either on or off, so that no density can score them."""

    shown: ClassVar[str]
    """What of validation and test images is scored and what the encoder sees of them, in words."""

    @property
    def protocol(self) -> str:
        """How validation and test images are scored, in words."""
        return f"{self.shown}, {ONCE}"

    @property
    def top(self) -> int:
        """The level of white."""
        return int(2**self.bits - 1)

    @property
    def levels(self) -> int:
        """How many values a pixel can have, at equal distances from one end of the interval to the other."""
        return 2**self.bits

    @abstractmethod
    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """The values of a training batch.

        Args:
            images: Levels, with shape (B, C, H, W).
            noise: Where random numbers come from, on the device of ``images``.

        Returns:
            Values as float32, with the same shape.
        """

    @abstractmethod
    def evaluation(self, splits: Sequence[Rows]) -> list[Examples]:
        """What a model is shown of whole splits to be scored, always the same.

        Args:
            splits: Levels, each with shape (N, C, H, W): validation, then test if it is wanted.
        """

    @abstractmethod
    def alone(self, images: Rows) -> Examples:
        """What a model is shown of images that belong to no split: of each the same, whatever others are beside it.

        Args:
            images: Levels, with shape (N, C, H, W).
        """

    def floor(self, images: Rows) -> float | None:
        """The loss in nats per image that no model can go below, where it is known.

        Args:
            images: Levels, with shape (N, C, H, W).
        """
        return None

    def pixels(self, values: Tensor) -> Tensor:
        """The values as greys in [0, 1], for pictures."""
        low, high = self.interval
        return ((values - low) / (high - low)).clamp(0, 1)


class Binary(Target):
    """Pixels drawn as 0 or 1, with the grey as the probability of 1."""

    interval = (0.0, 1.0)
    discrete = True
    shown = "images binarised once, encoder sees the binary image"

    @property
    def levels(self) -> int:
        """Two: off and on."""
        return 2

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Fresh binary values, see :func:`binarise`."""
        return binarise(images, noise)

    def evaluation(self, splits: Sequence[Rows]) -> list[Examples]:
        """The same binary values on every machine: numpy's binomial draws, split after split, from seed 777."""
        source = np.random.RandomState(FIXED_DRAW_SEED)
        return [self._drawn(images, lambda levels: tossed(source, levels, self.top)) for images in splits]

    def alone(self, images: Rows) -> Examples:
        """Of each image a draw from random numbers that are a hash of it."""

        def draw(levels: np.ndarray) -> np.ndarray:
            greys = levels / self.top
            return uniforms(greys, greys.shape[1], "binary") < greys

        return self._drawn(images, draw)

    def _drawn(self, images: Rows, draw: Callable[[np.ndarray], np.ndarray]) -> Examples:
        """Binary values, drawn from rows of levels and kept as single bits."""
        parts = [np.packbits(draw(part.flatten(1).numpy()), axis=1) for part in chunks(images)]
        return Examples(torch.from_numpy(np.concatenate(parts)), view=partial(unpacked, shape=images.shape[1:]))

    def floor(self, images: Rows) -> float:
        """The entropy of the binary images given the grey ones, see :func:`irreducible_entropy`."""
        return irreducible_entropy(images, self.top)


class Whole(Target):
    """The greys themselves: nothing is random, and it does not matter what images are seen for."""

    @abstractmethod
    def values(self, images: Tensor) -> Tensor:
        """From levels to values."""

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """The greys."""
        return self.values(images)

    def evaluation(self, splits: Sequence[Rows]) -> list[Examples]:
        """The greys of every split."""
        return [self.alone(images) for images in splits]

    def alone(self, images: Rows) -> Examples:
        """The greys."""
        return Examples(images, view=self.values)


class Grey(Whole):
    """The greys, in [0, 1]."""

    interval = (0.0, 1.0)
    shown = "grey images, encoder sees the grey image"

    def values(self, images: Tensor) -> Tensor:
        """The greys, in [0, 1]."""
        return images.float() / self.top


class Centred(Whole):
    """The greys, in [-1, 1]."""

    interval = (-1.0, 1.0)
    shown = "grey images in [-1, 1], encoder sees the grey image"

    def values(self, images: Tensor) -> Tensor:
        """The greys, in [-1, 1]."""
        return images.float() / (self.top / 2) - 1


TARGETS: dict[TargetName, type[Target]] = {"binary": Binary, "grey": Grey, "centred": Centred}


def tossed(source: np.random.RandomState, levels: np.ndarray, top: int) -> np.ndarray:
    """``source.binomial(1, levels / top)``, number for number, several times as fast.

    Numpy inverts the distribution, one pixel after the other: it compares a uniform number with the probability of the
    likelier outcome. That stream is frozen for good, and pixels have few levels, so that each probability is computed
    once and all pixels are compared together.

    Args:
        source: Where random numbers come from.
        levels: Whole numbers from 0 to ``top``, with any shape.
        top: The level of white.

    References:
        | Random Number Generator Policy (NEP 19)
        | https://numpy.org/neps/nep-0019-rng-policy.html
    """
    likelier, white = _outcomes(top)
    return (source.random_sample(levels.shape) > likelier[levels]) ^ white[levels]


@cache
def _outcomes(top: int) -> tuple[np.ndarray, np.ndarray]:
    """For every level the probability of the likelier outcome, and whether that is white; both with shape (top + 1,).

    The probability is ``exp(log(q))``, not q: so numpy's inversion begins, and the last bit counts.
    """
    rarer = [min(level / top, 1.0 - level / top) for level in range(top + 1)]
    likelier = [math.exp(math.log(1.0 - p)) for p in rarer]
    return np.array(likelier), np.arange(top + 1) > top / 2


def unpacked(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """The zeros and ones of images of some shape (C, H, W) that are kept as single bits, as float32."""
    pixels = np.unpackbits(bits.numpy(), axis=1, count=math.prod(shape))
    return torch.from_numpy(pixels).float().view(-1, *shape)


def level_counts(images: Rows, top: int) -> Tensor:
    """How often each level occurs, with shape (top + 1,)."""
    counts = (torch.bincount(part.flatten().int(), minlength=top + 1) for part in chunks(images))
    return sum(counts, torch.zeros(top + 1, dtype=torch.int64))


def irreducible_entropy(images: Rows, top: int = 255) -> float:
    r"""The mean entropy of binarised images given the grey ones, :math:`\sum_i H_b(x_i / 255)` in nats per image.

    Args:
        images: Levels, with shape (N, C, H, W).
        top: The level of white.
    """
    share = level_counts(images, top).double() / len(images)
    p = torch.arange(top + 1, dtype=torch.float64) / top
    return (share @ torch.distributions.Bernoulli(p, validate_args=False).entropy()).item()


def binarise(images: Tensor, noise: torch.Generator) -> Tensor:
    r"""Draws every pixel as 1 with its grey value as the probability, else as 0.

    A pixel of 8 bits is 1 where a random 16-bit number is below :math:`257 x`, one of 16 bits where it is below
    :math:`x`. Black and white pixels keep their value; the probability of the others is :math:`257 x / 65536`, which is
    :math:`x / 255` but for a factor of 1 - 1.5e-5. Four such numbers are cut from each 64-bit one, which makes this
    several times faster than ``torch.bernoulli``.

    Args:
        images: Levels as uint8 or uint16, with shape (B, C, H, W).
        noise: Where random numbers come from, on the device of ``images``.

    Returns:
        Zeros and ones as float32, with the same shape.
    """
    words = torch.empty(math.ceil(images.numel() / 4), dtype=torch.int64, device=images.device)
    uniform = words.random_(-(2**63), None, generator=noise).view(torch.int16)[: images.numel()]
    if images.dtype == torch.uint8:
        threshold = images.to(torch.int16).mul_(257).sub_(32768)  # 16-bit numbers are signed here: -32768 ... 32767
    else:
        threshold = (images.to(torch.int32) - 32768).to(torch.int16)
    values = torch.empty(images.shape, device=images.device)
    return torch.lt(uniform.clamp_(max=32766).view(images.shape), threshold, out=values)  # without a mask between
