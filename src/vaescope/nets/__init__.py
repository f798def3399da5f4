"""Networks: tensors to tensors, sized from the shape of the data.

A :class:`Network` is a description, with the hyperparameters that a config names; its two methods build the encoder and
the decoder for the shapes at hand. Both halves take any number of leading axes.
"""

from vaescope.nets.axes import fold, join
from vaescope.nets.conv import Conv
from vaescope.nets.critic import Critic, image_critic, vector_critic
from vaescope.nets.deepconv import DeepConv
from vaescope.nets.linear import Linear
from vaescope.nets.mlp import MLP
from vaescope.nets.network import Network, Shape, activation
from vaescope.nets.resconv import ResConv
from vaescope.nets.ssim import ms_ssim, ssim

__all__ = [
    "MLP",
    "Conv",
    "Critic",
    "DeepConv",
    "Linear",
    "Network",
    "ResConv",
    "Shape",
    "activation",
    "fold",
    "image_critic",
    "join",
    "ms_ssim",
    "ssim",
    "vector_critic",
]
