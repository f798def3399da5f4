r"""The deep strided convolutions that much of the field compares on: down to a few pixels with many channels, and back.

A transposed convolution with kernel 3, stride 2 and padding 1 makes :math:`2n - 1 + o` of :math:`n` pixels, where the
output padding :math:`o` is 0 or 1: both lengths whose half, rounded up, is :math:`n`. So the decoder walks the very
sizes of the encoder back, whether they were even or odd.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from vaescope.errors import UsageError
from vaescope.nets.conv import halved, most_levels
from vaescope.nets.layers import Folded, after, convolution
from vaescope.nets.linear import Linear
from vaescope.nets.network import Activation, ImageNorm, Network, Shape, check

WIDTHS = (32, 64, 128, 256, 512)
"""The channels of every level where nothing else is said."""


@dataclass(frozen=True)
class DeepConv(Network):
    """Strided convolutions down and transposed convolutions up, with batch normalisation and without a hidden layer.

    One level for every width, each with half the sides of the one above it, and a 3x3 convolution as the last layer of
    the decoder. It is not a cheap network for small images: 28x28 pixels end as 512 channels of a single pixel.

    References:
        | Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
        | (Radford et al., 2016), https://arxiv.org/abs/1511.06434

    Args:
        widths: The channels of every level, from the one below the image to the smallest. By default 32, 64, 128, 256
            and 512, or as many of these as the sides can be halved.
        activation: The nonlinearity after every convolution.
        norm: What normalises every convolution before its activation: none, batch or group.
        dropout: The share of the channels of every convolution that a step of training leaves out.

    Raises:
        UsageError: For no widths, one below 1, dropout outside of [0, 1), or more levels than the sides of the image
            can be halved.
    """

    widths: tuple[int, ...] | None = None
    activation: Activation = "leaky_relu"
    norm: ImageNorm = "batch"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(self, self.dropout)
        if self.widths is not None and min(self.widths, default=0) < 1:
            raise UsageError(
                f"DeepConv(widths={tuple(self.widths)}) cannot be built: give one or more widths of at least 1"
            )

    def _sizes(self, shape: Shape) -> list[Shape]:
        return halved(self, shape, WIDTHS[: most_levels(shape)] if self.widths is None else self.widths)

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        sizes = self._sizes(shape)
        levels = [
            Folded(convolution(above[0], below[0], 2, self.activation, self.norm, self.dropout))
            for above, below in pairwise(sizes)
        ]
        return nn.Sequential(*levels, Linear().encoder(sizes[-1], outputs))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        sizes = self._sizes(shape)
        first = sizes[1][0]
        sizes[0] = (first, *shape[1:])  # the last layer turns these channels into those of the image
        sizes.reverse()
        levels = [self._enlarging(below, above) for below, above in pairwise(sizes)]
        return nn.Sequential(
            Linear().decoder(inputs, sizes[0]), *levels, Folded(nn.Conv2d(first, shape[0], 3, padding=1))
        )

    def _enlarging(self, below: Shape, above: Shape) -> nn.Module:
        """A transposed convolution from one level to the one above it, and what follows it."""
        odd = (above[1] - 2 * below[1] + 1, above[2] - 2 * below[2] + 1)
        layer = nn.ConvTranspose2d(
            below[0], above[0], 3, stride=2, padding=1, output_padding=odd, bias=self.norm != "batch"
        )
        return Folded(layer, *after(above[0], 3, self.activation, self.norm, self.dropout))
