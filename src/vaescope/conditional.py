"""Conditional distributions: a network, then a family. Every q(z|x) and every p(x|z) is one."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.engine import products, working
from vaescope.errors import UsageError
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
        beside: From a context with shape (*B, K) to what is put beside each input, see :func:`vaescope.nets.join`.
            Without it there is no context.
    """

    def __init__(
        self, net: nn.Module, family: Family, ndims: int, offset: bool = False, beside: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.net, self.family, self.ndims, self.beside = net, family, ndims, beside
        self.offset = nn.Parameter(torch.zeros(family.inputs)) if offset else None

    def forward(self, given: Tensor, context: Tensor | None = None) -> Distribution:
        """The distribution for each example.

        Args:
            given: What is conditioned on, with shape (*B, *given).
            context: A further condition, with shape (*B, K) or one that broadcasts to it.

        Raises:
            UsageError: For a context that is missing, or that the model was not built for.
        """
        h = products(self.net, self.joined(given, context), working().precision)
        return self.family(h if self.offset is None else h + self.offset)

    def joined(self, given: Tensor, context: Tensor | None) -> Tensor:
        """What the network sees: the given, with the context beside it."""
        if (context is None) != (self.beside is None):
            have, want = ("no labels", "with") if context is None else ("labels", "without")
            raise UsageError(f"the model was given {have}, but it was built {want} them: see model.labels")
        return given if self.beside is None else join(given, self.beside(context), self.ndims)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Sets the offset so that the distribution starts near one mean for all inputs.

        Args:
            mean: The mean of the data, with the shape of an event.
        """
        if self.offset is None:
            raise RuntimeError("this conditional has no offset to set; build it with offset=True")
        self.offset.copy_(self.family.start(mean))
