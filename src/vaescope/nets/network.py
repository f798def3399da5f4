"""What every network description offers, and the names that it may give to activations and normalisations."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import nn

from vaescope.errors import UsageError

Shape = tuple[int, ...]

Activation = Literal["relu", "leaky_relu", "silu", "gelu", "tanh", "elu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}

VectorNorm = Literal["none", "batch", "layer"]
ImageNorm = Literal["none", "batch", "group"]


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


def check(network: Network, dropout: float, **least: int) -> None:
    """Refuses a description that no network can be built from.

    Args:
        network: The description.
        dropout: Its share of dropout, which must be from 0 to below 1.
        least: The keys that hold a size, and the least that each may be. A size that is None is left open.

    Raises:
        UsageError: For the first value that is out of its range.
    """
    name = type(network).__name__
    for key, low in least.items():
        size = getattr(network, key)
        if size is not None and size < low:
            raise UsageError(f"{name}({key}={size}) cannot be built: give {key} of at least {low}")
    if not 0 <= dropout < 1:
        raise UsageError(f"{name}(dropout={dropout}) cannot be built: give a share from 0 to below 1, such as 0.1")
