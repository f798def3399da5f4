"""The distribution of what is not random."""

from typing import Any, Self

from torch import Size, Tensor
from torch.distributions import Distribution

from vaescope.distributions.views import draw_at, tempered


class PointMass(Distribution):
    """All mass in one point. It has neither a density nor a divergence from anything.

    Args:
        loc: The points, with shape (*B, D).
    """

    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The points, with shape (*B, D)."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zeros, with shape (*B, D)."""
        return self.loc.new_zeros(self.loc.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """There is none."""
        raise NotImplementedError("a point mass has no density: it suits objectives that use neither log q(z|x) nor KL")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The points, with shape (*S, *B, D)."""
        return self.loc.expand(self._extended_shape(Size(sample_shape)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same points in a larger batch."""
        return type(self)(self.loc.expand(*batch_shape, self.loc.shape[-1]))


@draw_at.register
def _(distribution: PointMass, uniform: Tensor) -> Tensor:
    return distribution.loc.expand(uniform.shape)


@tempered.register
def _(distribution: PointMass, temperature: float) -> PointMass:
    """A scale of zero times a temperature is zero."""
    return distribution
