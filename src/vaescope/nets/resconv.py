r"""Residual convolutional networks.

.. math:: h_{i+1} = h_i + W_2\, \sigma(N(W_1\, \sigma(N(h_i))))

where :math:`N` normalises. Nothing but additions and the changes of size lie between the first and the last layer, so
that a deep network learns as a shallow one does.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from vaescope.nets.conv import doubled, halved
from vaescope.nets.layers import Folded, Residual, Resize, after
from vaescope.nets.linear import Linear
from vaescope.nets.network import Activation, ImageNorm, Network, Shape, check


@dataclass(frozen=True)
class ResConv(Network):
    """Residual convolutional encoder and decoder, with one level for every halving of the sides.

    Every level has a 3x3 convolution that changes the size and then residual blocks of two 3x3 convolutions, each after
    its normalisation and activation; the decoder mirrors it. There is no hidden layer beside the latents.

    References:
        | Identity Mappings in Deep Residual Networks (He et al., 2016)
        | https://arxiv.org/abs/1603.05027
        | Group Normalization (Wu and He, 2018)
        | https://arxiv.org/abs/1803.08494

    Args:
        channels: The channels of the first level; every further level has twice as many.
        levels: How many times the sides are halved. By default until the shorter one is 8 or less, at least once.
        blocks: How many residual blocks every level has.
        activation: The nonlinearity before every convolution of a block.
        norm: What normalises the input of every convolution of a block: none, batch or group.
        dropout: The share of the channels before the second convolution of a block that a step of training leaves out.

    Raises:
        UsageError: For sizes below 1, dropout outside of [0, 1), or more levels than the sides of the image can be
            halved.
    """

    channels: int = 16
    levels: int | None = None
    blocks: int = 1
    activation: Activation = "silu"
    norm: ImageNorm = "group"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(self, self.dropout, channels=1, levels=1, blocks=1)

    def _sizes(self, shape: Shape) -> list[Shape]:
        return halved(self, shape, doubled(self.channels, self.levels, shape))

    def _before(self, channels: int, dropout: float = 0.0) -> list[nn.Module]:
        """What comes before a convolution of a block, and after the last block."""
        return after(channels, 3, self.activation, self.norm, dropout)

    def _convolution(self, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        """A convolution whose output is normalised later on."""
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=self.norm != "batch")

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [
            Residual(
                nn.Sequential(
                    *self._before(channels),
                    self._convolution(channels, channels),
                    *self._before(channels, self.dropout),
                    self._convolution(channels, channels),
                )
            )
            for _ in range(self.blocks)
        ]

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        sizes = self._sizes(shape)
        levels = [
            Folded(
                self._convolution(above[0], below[0], stride=2),
                *self._blocks(below[0]),
                *(self._before(below[0]) if below == sizes[-1] else ()),
            )
            for above, below in pairwise(sizes)
        ]
        return nn.Sequential(*levels, Linear().encoder(sizes[-1], outputs))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        sizes = self._sizes(shape)[::-1]
        levels = [
            Folded(*self._blocks(below[0]), Resize((above[1], above[2])), self._convolution(below[0], above[0]))
            for below, above in pairwise(sizes[:-1])
        ]
        last = Folded(
            *self._blocks(sizes[-2][0]),
            *self._before(sizes[-2][0]),
            Resize((shape[1], shape[2])),
            nn.Conv2d(sizes[-2][0], shape[0], 3, padding=1),
        )
        return nn.Sequential(Linear().decoder(inputs, sizes[0]), *levels, last)
