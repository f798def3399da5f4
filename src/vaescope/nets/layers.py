"""Layers that networks are assembled from, and what follows each of them: normalisation, activation, dropout.

A normalisation or a dropout that is not asked for leaves no module behind. A layer before batch normalisation has no
bias, which the normalisation would take away again.
"""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate

from vaescope.nets.axes import fold
from vaescope.nets.network import Activation, ImageNorm, VectorNorm, activation


class Folded(nn.Module):
    """A stack of layers that takes one batch axis, made to take any number of leading axes.

    Args:
        layers: Modules from shape (N, *event) to shape (N, *out).
        ndims: The number of axes of the event: 3 for images, 1 for vectors.
    """

    def __init__(self, *layers: nn.Module, ndims: int = 3) -> None:
        super().__init__()
        self.layers, self.ndims = nn.Sequential(*layers), ndims

    def forward(self, x: Tensor) -> Tensor:
        """Takes shape (*B, *event), returns shape (*B, *out)."""
        return fold(self.layers, x, self.ndims)


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


def dense(inputs: int, outputs: int, act: Activation, norm: VectorNorm = "none", dropout: float = 0.0) -> nn.Sequential:
    """A fully connected layer and what follows it, from shape (*B, inputs) to shape (*B, outputs)."""
    layer = nn.Linear(inputs, outputs, bias=norm != "batch")
    return nn.Sequential(layer, *after(outputs, 1, act, norm, dropout))


def convolution(
    inputs: int, outputs: int, stride: int, act: Activation, norm: ImageNorm = "none", dropout: float = 0.0
) -> nn.Sequential:
    """A 3x3 convolution that keeps the size (or halves it, rounding up) and what follows it."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=norm != "batch")
    return nn.Sequential(layer, *after(outputs, 3, act, norm, dropout))


def after(
    features: int,
    ndims: Literal[1, 3],
    act: Activation,
    norm: VectorNorm | ImageNorm = "none",
    dropout: float = 0.0,
) -> list[nn.Module]:
    """What follows a layer: normalisation, activation and dropout, in this order.

    Args:
        features: The units or channels of the layer.
        ndims: The number of axes of its output without the batch: 1 for vectors, 3 for images.
        act: The activation.
        norm: The normalisation.
        dropout: The share of units, or of whole channels, that a step of training leaves out.
    """
    drop = nn.Dropout if ndims == 1 else nn.Dropout2d
    return [*normalisation(features, ndims, norm), activation(act), *([drop(dropout)] if dropout else [])]


def normalisation(features: int, ndims: Literal[1, 3], norm: VectorNorm | ImageNorm) -> list[nn.Module]:
    """A normalisation of vectors or images, or nothing.

    Group normalisation has up to 32 groups, each of no fewer than four channels: maps of a single pixel would be left
    without any information if every group were one channel.
    """
    if norm == "batch":
        return [Folded(nn.BatchNorm1d(features), ndims=1) if ndims == 1 else nn.BatchNorm2d(features)]
    if norm == "layer":
        return [nn.LayerNorm(features)]
    if norm == "group":
        return [nn.GroupNorm(max(1, math.gcd(4 * 32, features) // 4), features)]
    return []
