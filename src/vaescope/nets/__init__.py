"""Networks: tensors to tensors, sized from the shape of the data.

A :class:`Network` is a description, with the hyperparameters that a config names; its two methods build the encoder and
the decoder for the shapes at hand. Both halves take any number of leading axes.
"""

from vaescope.nets.axes import fold, join
from vaescope.nets.conv import Conv
from vaescope.nets.mlp import MLP
from vaescope.nets.network import Network, Shape, activation

__all__ = ["MLP", "Conv", "Network", "Shape", "activation", "fold", "join"]
