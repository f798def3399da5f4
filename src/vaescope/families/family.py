"""What every family is: from the output of a network to a distribution."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.errors import UsageError
from vaescope.nets import Shape


class Family(nn.Module, ABC):
    """From parameters to a distribution.

    Args:
        shape: The shape of one event, such as (D,) for latents or (C, H, W) for images.
    """

    support: str
    """Where values lie: "real line", "unit interval", "sphere", "256 levels" ... The prior of a model must have the
    support of its posterior."""

    density: ClassVar[bool]
    """Whether values have a density (a continuous family) or a mass (a discrete one)."""

    factorised: ClassVar[bool] = True
    """Whether the entries of an event are independent of one another, given the parameters."""

    pathwise: ClassVar[bool] = True
    """Whether the gradient of a draw with respect to the parameters is that of the reparameterisation, without bias."""

    bears_rounding: ClassVar[bool] = False
    """Whether training goes as well if a network gives the parameters with 8 bits: a logit does, a mean does not whose
    scale may be smaller than what is rounded away."""

    degenerate: ClassVar[bool] = False
    """Whether all mass is in one point, so that there is neither a log-probability nor a rate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    @abstractmethod
    def inputs(self) -> Shape:
        """The shape of the parameters of one event."""

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Takes parameters with shape (*B, *inputs), returns a distribution with batch shape B."""

    @abstractmethod
    def start(self, mean: Tensor) -> Tensor:
        """The parameters of the distribution that a decoder starts at.

        Args:
            mean: The mean of the data, with the shape of an event.

        Returns:
            Parameters with shape ``inputs``.
        """


def check_vector(family: Family) -> None:
    """Refuses events that are not vectors, for a family that makes all their entries depend on one another."""
    if len(family.shape) != 1:
        raise UsageError(
            f"{type(family).__name__} takes latents that are a vector, but these have shape {family.shape}: "
            "use the posterior DiagonalNormal"
        )
