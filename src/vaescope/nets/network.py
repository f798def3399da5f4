"""What every network description offers, and the activations it may name."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import nn

Shape = tuple[int, ...]

Activation = Literal["relu", "silu", "gelu", "tanh", "elu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}


def activation(name: Activation) -> nn.Module:
    """The activation called ``name``, as a new module."""
    return _ACTIVATIONS[name]()


class Network(ABC):
    """A description from which an encoder and a decoder are built for the shapes at hand."""

    @abstractmethod
    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from images to a vector.

        Args:
            shape: The shape of an image, (C, H, W).
            outputs: The shape of an output, (F,).

        Returns:
            A module from shape (*B, C, H, W) to shape (*B, F).
        """

    @abstractmethod
    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from a vector to images.

        Args:
            inputs: The length D of the vector.
            shape: The shape of an output, (C, H, W).

        Returns:
            A module from shape (*B, D) to shape (*B, C, H, W).
        """
