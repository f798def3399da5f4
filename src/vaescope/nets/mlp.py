r"""Fully connected networks with residual blocks.

.. math:: h_0 = \sigma(W_0 x + b_0), \quad h_{i+1} = h_i + \sigma(W_i h_i + b_i), \quad y = W h + b

The identity path keeps the gradient of a deep network as large as that of a shallow one, so depth may be raised without
touching the learning rate. Normalisation, where there is one, comes before each :math:`\sigma`, dropout after it.
"""

import math
from dataclasses import dataclass

from torch import nn

from vaescope.nets.layers import Residual, dense
from vaescope.nets.network import Activation, Network, Shape, VectorNorm, check


@dataclass(frozen=True)
class MLP(Network):
    """Fully connected encoder and decoder.

    Args:
        width: The number of units in every hidden layer.
        encoder_blocks: How many residual blocks the encoder has after its first layer.
        decoder_blocks: How many residual blocks the decoder has after its first layer.
        activation: The nonlinearity after every hidden layer.
        norm: What normalises every hidden layer before its activation: none, batch or layer.
        dropout: The share of the units of every hidden layer that a step of training leaves out.

    Raises:
        UsageError: For a width below 1 (2 for layer normalisation, which makes a single unit constant), a negative
            number of blocks, or dropout outside of [0, 1).
    """

    width: int = 256
    encoder_blocks: int = 3
    decoder_blocks: int = 5
    activation: Activation = "silu"
    norm: VectorNorm = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(self, self.dropout, width=2 if self.norm == "layer" else 1, encoder_blocks=0, decoder_blocks=0)

    def _layers(self, inputs: int, outputs: int, blocks: int) -> list[nn.Module]:
        """A first layer, residual blocks, a last layer."""
        first, *rest = (
            dense(size, self.width, self.activation, self.norm, self.dropout)
            for size in (inputs, *(self.width,) * blocks)
        )
        return [first, *map(Residual, rest), nn.Linear(self.width, outputs)]

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        layers = self._layers(math.prod(shape), math.prod(outputs), self.encoder_blocks)
        return nn.Sequential(nn.Flatten(-3), *layers)

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        return nn.Sequential(*self._layers(inputs, math.prod(shape), self.decoder_blocks), nn.Unflatten(-1, shape))
