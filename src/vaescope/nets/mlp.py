r"""Fully connected networks with residual blocks.

.. math:: h_0 = \sigma(W_0 x + b_0), \quad h_{i+1} = h_i + \sigma(W_i h_i + b_i), \quad y = W h + b

The identity path keeps the gradient of a deep network as large as that of a shallow one, so depth may be raised without
touching the learning rate.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from vaescope.errors import UsageError
from vaescope.nets.network import Activation, Network, Shape, activation


class Residual(nn.Module):
    r"""A block that adds to its input, :math:`h + f(h)`.

    References:
        | Deep Residual Learning for Image Recognition (He et al., 2016)
        | https://arxiv.org/abs/1512.03385

    Args:
        body: The function :math:`f`, from a shape to the same shape.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, h: Tensor) -> Tensor:
        """Takes and returns a tensor of any one shape."""
        return h + self.body(h)


def dense(inputs: int, outputs: int, width: int, blocks: int, act: Activation) -> list[nn.Module]:
    """The layers of one fully connected network: a first layer, residual blocks, a last layer."""
    layers: list[nn.Module] = [nn.Sequential(nn.Linear(inputs, width), activation(act))]
    layers += [Residual(nn.Sequential(nn.Linear(width, width), activation(act))) for _ in range(blocks)]
    return [*layers, nn.Linear(width, outputs)]


@dataclass(frozen=True)
class MLP(Network):
    """Fully connected encoder and decoder.

    Args:
        width: The number of units in every hidden layer.
        encoder_blocks: How many residual blocks the encoder has after its first layer.
        decoder_blocks: How many residual blocks the decoder has after its first layer.
        activation: The nonlinearity after every hidden layer.

    Raises:
        UsageError: For a width below 1 or a negative number of blocks.
    """

    width: int = 256
    encoder_blocks: int = 3
    decoder_blocks: int = 5
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        if self.width < 1 or self.encoder_blocks < 0 or self.decoder_blocks < 0:
            raise UsageError(
                f"MLP(width={self.width}, encoder_blocks={self.encoder_blocks}, decoder_blocks={self.decoder_blocks}) "
                "cannot be built: give a width of at least 1 and no negative number of blocks"
            )

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        layers = dense(math.prod(shape), math.prod(outputs), self.width, self.encoder_blocks, self.activation)
        return nn.Sequential(nn.Flatten(-3), *layers)

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        layers = dense(inputs, math.prod(shape), self.width, self.decoder_blocks, self.activation)
        return nn.Sequential(*layers, nn.Unflatten(-1, shape))
