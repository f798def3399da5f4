r"""Convolutional networks that halve and double the sides of an image, whatever they are.

A side of length n becomes :math:`\lceil n / 2 \rceil` at every level on the way down; the decoder walks the same sizes
back, so that an image of 28x28, 20x37 or 65x65 comes back in its own size without padding it first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from vaescope.errors import UsageError
from vaescope.nets.layers import Folded, Residual, Resize, convolution, dense
from vaescope.nets.network import Activation, ImageNorm, Network, Shape, check


def halved(network: Network, shape: Shape, channels: Sequence[int]) -> list[Shape]:
    """The shape of every level of a network, from the image's own (C, H, W) down.

    Args:
        network: The network, for what is said of it.
        shape: The shape of an image.
        channels: The channels of every level below the image.

    Raises:
        UsageError: For more levels than the shorter side can be halved.
    """
    _, height, width = shape
    most = most_levels(shape)
    if len(channels) > most:
        raise UsageError(
            f"{type(network).__name__} has {len(channels)} levels, but the sides of {height}x{width} images can be "
            f"halved {most} times: give fewer levels, or use MLP"
        )
    sizes = [shape]
    for count in channels:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
        sizes.append((count, height, width))
    return sizes


def most_levels(shape: Shape) -> int:
    """How often the shorter side of an image of a shape (C, H, W) can be halved until it is a single pixel."""
    return (min(shape[1:]) - 1).bit_length()  # log2, rounded up


def doubled(channels: int, levels: int | None, shape: Shape) -> list[int]:
    """The channels of every level, each with twice as many as the one above it.

    Args:
        channels: The channels of the first level.
        levels: The number of levels, or None for as many as bring the shorter side to 8 or less, at least one.
        shape: The shape of an image, (C, H, W).
    """
    levels = levels or max(1, math.ceil(math.log2(min(shape[1:]) / 8)))
    return [channels * 2**level for level in range(levels)]


@dataclass(frozen=True)
class Conv(Network):
    """Convolutional encoder and decoder, with one level for every halving of the sides.

    Args:
        channels: The channels of the first level; every further level has twice as many.
        levels: How many times the sides are halved. By default until the shorter one is 8 or less, at least once.
        blocks: How many residual convolutions every level has after the one that changes the size.
        hidden: The units of the fully connected layer between the convolutions and the latents.
        activation: The nonlinearity after every hidden layer.
        norm: What normalises every convolution before its activation: none, batch or group.
        dropout: The share of the channels of every convolution that a step of training leaves out.

    Raises:
        UsageError: For sizes below 1, dropout outside of [0, 1), or more levels than the sides of the image can be
            halved.
    """

    channels: int = 32
    levels: int | None = None
    blocks: int = 0
    hidden: int = 256
    activation: Activation = "silu"
    norm: ImageNorm = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(self, self.dropout, channels=1, levels=1, blocks=0, hidden=1)

    def _sizes(self, shape: Shape) -> list[Shape]:
        return halved(self, shape, doubled(self.channels, self.levels, shape))

    def _convolution(self, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        return convolution(inputs, outputs, stride, self.activation, self.norm, self.dropout)

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [Residual(self._convolution(channels, channels)) for _ in range(self.blocks)]

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        sizes = self._sizes(shape)
        levels = [
            Folded(self._convolution(above[0], below[0], stride=2), *self._blocks(below[0]))
            for above, below in pairwise(sizes)
        ]
        flat = nn.Sequential(nn.Flatten(-3), *dense(math.prod(sizes[-1]), self.hidden, self.activation))
        return nn.Sequential(*levels, flat, nn.Linear(self.hidden, math.prod(outputs)))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        sizes = self._sizes(shape)[::-1]
        first = dense(inputs, self.hidden, self.activation)
        unflat = nn.Sequential(*dense(self.hidden, math.prod(sizes[0]), self.activation), nn.Unflatten(-1, sizes[0]))
        levels = [
            Folded(*self._blocks(below[0]), Resize((above[1], above[2])), self._convolution(below[0], above[0]))
            for below, above in pairwise(sizes[:-1])
        ]
        last = Folded(Resize((shape[1], shape[2])), nn.Conv2d(sizes[-2][0], shape[0], 3, padding=1))
        return nn.Sequential(first, unflat, *levels, last)
