"""A posterior without noise, for tests of objectives that take one."""

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vaescope.families import Family
from vaescope.nets import Shape


class Point(Distribution):
    """All mass in one point."""

    has_rsample = True
    arg_constraints: ClassVar[dict] = {}

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008
        return self.loc.expand(*sample_shape, *self.loc.shape)


class Points(Family):
    """The encoder's output is the code. It has no log-probability: whoever asks for one raises an error."""

    support = "real line"
    density = True
    degenerate = True

    @property
    def inputs(self) -> Shape:
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        return Point(h)

    def start(self, mean: Tensor) -> Tensor:
        return mean
