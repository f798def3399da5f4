r"""Networks of a single linear layer, for models that can be solved with a singular value decomposition.

.. math:: f(x) = W x + b
"""

import math
from dataclasses import dataclass

from torch import nn

from vaescope.nets.network import Network, Shape


@dataclass(frozen=True)
class Linear(Network):
    r"""Linear encoder and decoder, without any hidden layer.

    With a normal prior and posterior and a normal likelihood of one learned scale this is a linear VAE. Its optimum is
    that of probabilistic principal component analysis: the decoder's columns span the leading principal components.

    References:
        | Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse (Lucas et al., 2019)
        | https://arxiv.org/abs/1911.02469
        | Probabilistic Principal Component Analysis (Tipping and Bishop, 1999)
        | https://doi.org/10.1111/1467-9868.00196
    """

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        return nn.Sequential(nn.Flatten(-3), nn.Linear(math.prod(shape), math.prod(outputs)))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        return nn.Sequential(nn.Linear(inputs, math.prod(shape)), nn.Unflatten(-1, shape))
