r"""Convolutional networks that halve and double the sides of an image, whatever they are.

A side of length n becomes :math:`\lceil n / 2 \rceil` at every level on the way down; the decoder walks the same sizes
back, so that an image of 28x28, 20x37 or 65x65 comes back in its own size without padding it first.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate

from vaescope.errors import UsageError
from vaescope.nets.axes import fold
from vaescope.nets.mlp import Residual
from vaescope.nets.network import Activation, Network, Shape, activation


class Folded(nn.Module):
    """A stack of layers that takes images with any number of leading axes.

    Args:
        layers: Modules from shape (N, C, H, W) to shape (N, C', H', W').
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Takes shape (*B, C, H, W), returns shape (*B, C', H', W')."""
        return fold(self.layers, x, 3)


class Resize(nn.Module):
    """Enlarges images to a given size by repeating pixels; a convolution after it has no checkerboard artefacts.

    References:
        | Deconvolution and Checkerboard Artifacts (Odena et al., 2016)
        | https://distill.pub/2016/deconv-checkerboard

    Args:
        size: The height and width to reach.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Takes shape (N, C, h, w), returns shape (N, C, H, W)."""
        return interpolate(x, size=self.size, mode="nearest")


def convolution(inputs: int, outputs: int, stride: int, act: Activation) -> nn.Sequential:
    """A 3x3 convolution that keeps the size (or halves it, rounding up) and its activation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), activation(act))


@dataclass(frozen=True)
class Conv(Network):
    """Convolutional encoder and decoder, with one level for every halving of the sides.

    Args:
        channels: The channels of the first level; every further level has twice as many.
        levels: How many times the sides are halved. By default until the shorter one is 8 or less, at least once.
        blocks: How many residual convolutions every level has after the one that changes the size.
        hidden: The units of the fully connected layer between the convolutions and the latents.
        activation: The nonlinearity after every hidden layer.

    Raises:
        UsageError: For sizes below 1, or more levels than the sides of the image can be halved.
    """

    channels: int = 32
    levels: int | None = None
    blocks: int = 0
    hidden: int = 256
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        levels = 1 if self.levels is None else self.levels
        if min(self.channels, levels, self.hidden) < 1 or self.blocks < 0:
            raise UsageError(
                f"Conv(channels={self.channels}, levels={self.levels}, blocks={self.blocks}, hidden={self.hidden}) "
                "cannot be built: give sizes of at least 1 and no negative number of blocks"
            )

    def _sizes(self, shape: Shape) -> list[Shape]:
        """The shape of every level, from the image's own (C, H, W) down."""
        _, height, width = shape
        levels = self.levels or max(1, math.ceil(math.log2(min(height, width) / 8)))
        if min(height, width) < 2 ** (levels - 1) + 1:
            raise UsageError(
                f"Conv with {levels} levels cannot halve the sides of {height}x{width} images that often: "
                "give fewer levels, or use MLP"
            )
        sizes = [shape]
        for level in range(levels):
            height, width = math.ceil(height / 2), math.ceil(width / 2)
            sizes.append((self.channels * 2**level, height, width))
        return sizes

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [Residual(convolution(channels, channels, 1, self.activation)) for _ in range(self.blocks)]

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        sizes = self._sizes(shape)
        levels = [
            Folded(convolution(above[0], below[0], 2, self.activation), *self._blocks(below[0]))
            for above, below in pairwise(sizes)
        ]
        flat = nn.Sequential(nn.Flatten(-3), nn.Linear(math.prod(sizes[-1]), self.hidden), activation(self.activation))
        return nn.Sequential(*levels, flat, nn.Linear(self.hidden, math.prod(outputs)))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        sizes = self._sizes(shape)[::-1]
        first = nn.Sequential(nn.Linear(inputs, self.hidden), activation(self.activation))
        unflat = nn.Sequential(
            nn.Linear(self.hidden, math.prod(sizes[0])), activation(self.activation), nn.Unflatten(-1, sizes[0])
        )
        levels: list[nn.Module] = [
            Folded(
                *self._blocks(below[0]),
                Resize((above[1], above[2])),
                convolution(below[0], above[0], 1, self.activation),
            )
            for below, above in pairwise(sizes[:-1])
        ]
        last = Folded(Resize((shape[1], shape[2])), nn.Conv2d(sizes[-2][0], shape[0], 3, padding=1))
        return nn.Sequential(first, unflat, *levels, last)
