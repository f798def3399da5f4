"""What families of real-valued pixels with one scale for all pixels have in common."""

import math

import torch
from torch import Tensor, nn

from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.nets import Shape


class OneScale(Family):
    """Real-valued pixels around the mean that a decoder gives, with one scale for all.

    Args:
        shape: The shape of an image, (C, H, W).
        scale: The scale at the start, in the units of the pixels.
        learned: Whether the scale is a parameter that training changes.

    Raises:
        UsageError: For a scale that is not positive, or beyond all reason.
    """

    support = "real line"
    density = True
    smallest, largest = 1e-12, 1e12

    def __init__(self, shape: Shape, scale: float = 0.1, learned: bool = True) -> None:
        super().__init__(shape)
        if not self.smallest <= scale <= self.largest:
            kind = type(self).__name__
            raise UsageError(f"{kind} got scale {scale}: give a positive scale in the units of the pixels, such as 0.1")
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learned)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the means of every pixel."""
        return self.shape

    def scale_for(self, h: Tensor) -> Tensor:
        """The scale, within what single precision can square, with the shape of ``h``."""
        bounds = math.log(self.smallest), math.log(self.largest)
        return self.log_scale.clamp(*bounds).exp().expand_as(h)

    def start(self, mean: Tensor) -> Tensor:
        """The mean image itself."""
        return mean
