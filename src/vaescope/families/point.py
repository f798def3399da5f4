"""The posterior of an autoencoder that is not variational."""

from torch import Tensor
from torch.distributions import Distribution

from vaescope.distributions import PointMass as PointMassDistribution
from vaescope.families.family import Family
from vaescope.nets import Shape


class PointMass(Family):
    r"""All mass in the point that the network gives, :math:`q(z \mid x) = \delta(z - f(x))`.

    There is neither a log-probability nor a rate, so this is for objectives of autoencoders only, which say so.

    References:
        | From Variational to Deterministic Autoencoders (Ghosh et al., 2020)
        | https://arxiv.org/abs/1903.12436

    Args:
        shape: The shape of one event, (D,).
    """

    support = "real line"
    density = False
    degenerate = True

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the values."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, D), returns a distribution with batch shape B and event shape (D,)."""
        return PointMassDistribution(h)

    def start(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean
