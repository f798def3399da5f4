"""Critics: networks that tell two kinds of things apart, for objectives in which a model plays against an opponent.

They are plain stacks with leaky rectifiers, without normalisation: averaging over a batch would let a critic see
whether a batch is all real or all made up, and would leak from one half of a game into the other.
"""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from vaescope.errors import UsageError
from vaescope.nets.network import Shape

SLOPE = 0.2
"""The slope of the rectifiers below zero."""


class Critic(nn.Module):
    """Features, then logits.

    Args:
        features: From shape (N, *event) to features of any shape (N, ...).
        head: From these to logits, with shape (N, K).
    """

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, x: Tensor) -> Tensor:
        """Takes shape (N, *event), returns logits with shape (N, K)."""
        return self.head(self.features(x))


def vector_critic(inputs: int, width: int, layers: int, outputs: int = 1) -> Critic:
    """A fully connected critic of vectors.

    Args:
        inputs: The length D of a vector.
        width: The units of every hidden layer.
        layers: The number of hidden layers.
        outputs: The number of logits K.
    """
    sizes = [inputs, *(width for _ in range(layers))]
    hidden = [nn.Sequential(nn.Linear(above, below), nn.LeakyReLU(SLOPE)) for above, below in pairwise(sizes)]
    return Critic(nn.Sequential(*hidden), nn.Linear(sizes[-1], outputs))


def image_critic(shape: Shape, channels: int, levels: int) -> Critic:
    """A convolutional critic of images with one logit, which halves the sides (rounding up) at every level.

    Args:
        shape: The shape of an image, (C, H, W).
        channels: The channels of the first level; every further level has twice as many.
        levels: How many times the sides are halved.

    Raises:
        UsageError: For more levels than the longer side can be halved.
    """
    height, width = shape[1:]
    most = max(1, (max(height, width) - 1).bit_length())  # log2, rounded up
    if levels > most:
        raise UsageError(
            f"the critic has {levels} levels, but the sides of {height}x{width} images can be halved {most} times: "
            "give the objective fewer levels"
        )
    planes = [shape[0], *(channels * 2**level for level in range(levels))]
    hidden = [
        nn.Sequential(nn.Conv2d(above, below, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE))
        for above, below in pairwise(planes)
    ]
    sides = [-(-side // 2**levels) for side in shape[1:]]
    return Critic(nn.Sequential(*hidden), nn.Sequential(nn.Flatten(1), nn.Linear(planes[-1] * prod(sides), 1)))
