"""Conditional distributions: a network, then a family. Every q(z|x) and every p(x|z) is one."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.families import Family
from vaescope.nets import join


class Conditional(nn.Module):
    r"""The distribution :math:`p(\cdot \mid c)` whose parameters are :math:`f(c) + b`.

    The offset :math:`b` is one learned number for each parameter. In a decoder it holds what all images share, so that
    the network only has to learn how they differ.

    Args:
        net: The network :math:`f`, from shape (*B, *given) to shape (*B, *family.inputs).
        family: From these parameters to a distribution.
        ndims: The number of axes of what is given, without its batch axes: 3 for images, 1 for latents.
        offset: Whether there is an offset. It starts at zero.
    """

    def __init__(self, net: nn.Module, family: Family, ndims: int, offset: bool = False) -> None:
        super().__init__()
        self.net, self.family, self.ndims = net, family, ndims
        self.offset = nn.Parameter(torch.zeros(family.inputs)) if offset else None

    def forward(self, given: Tensor, context: Tensor | None = None) -> Distribution:
        """The distribution for each example.

        Args:
            given: What is conditioned on, with shape (*B, *given).
            context: A further condition, with shape (*B, K) or one that broadcasts to it, joined to ``given``.
        """
        h = self.net(join(given, context, self.ndims))
        return self.family(h if self.offset is None else h + self.offset)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Sets the offset so that the distribution starts near one mean for all inputs.

        Args:
            mean: The mean of the data, with the shape of an event.
        """
        if self.offset is None:
            raise RuntimeError("this conditional has no offset to set; build it with offset=True")
        self.offset.copy_(self.family.start(mean))
