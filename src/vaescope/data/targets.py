r"""Targets: what of a grey image the model is asked to explain.

The images are kept as bytes. A target turns them into the values that the encoder sees and the likelihood scores:

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
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vaescope.streams import uniforms

FIXED_DRAW_SEED = 777
"""The seed with which validation and test images have been binarised since the code of the VampPrior paper."""

AT_ONCE = 500
"""Images whose pixels are compared with random numbers at once: these take eight bytes each."""

TargetName = Literal["binary", "grey", "centred"]


class Target(ABC):
    """From bytes to the values that a model explains."""

    interval: ClassVar[tuple[float, float]]
    levels: ClassVar[int]
    """How many values a pixel can have, at equal distances from one end of the interval to the other."""

    protocol: ClassVar[str]
    """How validation and test images are scored, in words."""

    @property
    def discrete(self) -> bool:
        """Whether pixels are either on or off, so that no density can score them."""
        return self.levels == 2

    @abstractmethod
    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """The values of a training batch.

        Args:
            images: Bytes, with shape (B, C, H, W).
            noise: Where random numbers come from, on the device of ``images``.

        Returns:
            Values as float32, with the same shape.
        """

    @abstractmethod
    def evaluation(self, splits: Sequence[Tensor]) -> list[Tensor]:
        """The values of whole splits, always the same ones.

        Args:
            splits: Bytes, each with shape (N, C, H, W): validation, then test if it is wanted.
        """

    def alone(self, images: Tensor) -> Tensor:
        """The values of images that are no split: what one becomes does not depend on the others.

        Args:
            images: Bytes, with shape (N, C, H, W).
        """
        return self.evaluation([images])[0]

    def floor(self, images: Tensor) -> float | None:
        """The loss in nats per image that no model can go below, where it is known.

        Args:
            images: Bytes, with shape (N, C, H, W).
        """
        return None

    def pixels(self, values: Tensor) -> Tensor:
        """The values as greys in [0, 1], for pictures."""
        low, high = self.interval
        return ((values - low) / (high - low)).clamp(0, 1)


class Binary(Target):
    """Pixels drawn as 0 or 1, with the grey as the probability of 1."""

    interval = (0.0, 1.0)
    levels = 2
    protocol = "images binarised once, encoder sees the binary image, one sample, KL weight 1"

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Fresh binary values, see :func:`binarise`."""
        return binarise(images, noise)

    def evaluation(self, splits: Sequence[Tensor]) -> list[Tensor]:
        """The same binary values on every machine: numpy's binomial draws, split after split, from seed 777."""
        source = np.random.RandomState(FIXED_DRAW_SEED)
        draws = (source.binomial(1, images.flatten(1).numpy() / 255) for images in splits)
        return [
            torch.from_numpy(draw.astype(np.float32)).view(images.shape)
            for draw, images in zip(draws, splits, strict=True)
        ]

    def alone(self, images: Tensor) -> Tensor:
        """Binary values from random numbers that are a hash of each image."""
        drawn = [
            torch.from_numpy(uniforms(part.numpy(), math.prod(part.shape[1:]), "binary")) < part.flatten(1) / 255.0
            for part in images.split(AT_ONCE)
        ]
        return torch.cat(drawn).float().view(images.shape)

    def floor(self, images: Tensor) -> float:
        """The entropy of the binary images given the grey ones, see :func:`irreducible_entropy`."""
        return irreducible_entropy(images)


class Grey(Target):
    """The greys, in [0, 1]."""

    interval = (0.0, 1.0)
    levels = 256
    protocol = "grey images, encoder sees the grey image, one sample, KL weight 1"

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """The greys. Nothing is random."""
        return images.float() / 255

    def evaluation(self, splits: Sequence[Tensor]) -> list[Tensor]:
        """The greys of every split."""
        return [images.float() / 255 for images in splits]


class Centred(Target):
    """The greys, in [-1, 1]."""

    interval = (-1.0, 1.0)
    levels = 256
    protocol = "grey images in [-1, 1], encoder sees the grey image, one sample, KL weight 1"

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """The greys. Nothing is random."""
        return images.float() / 127.5 - 1

    def evaluation(self, splits: Sequence[Tensor]) -> list[Tensor]:
        """The greys of every split."""
        return [images.float() / 127.5 - 1 for images in splits]


TARGETS: dict[TargetName, Target] = {"binary": Binary(), "grey": Grey(), "centred": Centred()}


def irreducible_entropy(images: Tensor) -> float:
    r"""The mean entropy of binarised images given the grey ones, :math:`\sum_i H_b(x_i / 255)` in nats per image.

    Args:
        images: Bytes, with shape (N, C, H, W).
    """
    share = torch.bincount(images.flatten(), minlength=256).double() / len(images)
    p = torch.arange(256, dtype=torch.float64) / 255
    return (share @ torch.distributions.Bernoulli(p, validate_args=False).entropy()).item()


def binarise(images: Tensor, noise: torch.Generator) -> Tensor:
    r"""Draws every pixel as 1 with its grey value :math:`x / 255` as the probability, else as 0.

    A pixel is 1 where a random 16-bit number is below :math:`257 x`. Black and white pixels keep their value; the
    probability of the others is :math:`257 x / 65536`, which is :math:`x / 255` but for a factor of 1 - 1.5e-5. Four
    such numbers are cut from each 64-bit one, which makes this several times faster than ``torch.bernoulli``.

    Args:
        images: Bytes, with shape (B, C, H, W).
        noise: Where random numbers come from, on the device of ``images``.

    Returns:
        Zeros and ones as float32, with the same shape.
    """
    words = torch.empty(math.ceil(images.numel() / 4), dtype=torch.int64, device=images.device)
    uniform = words.random_(-(2**63), None, generator=noise).view(torch.int16)[: images.numel()]
    threshold = images.to(torch.int16) * 257 - 32768  # 16-bit numbers are signed here: -32768 ... 32767
    return (uniform.clamp_(max=32766).view(images.shape) < threshold).float()
