"""Posteriors that are normalising flows."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope.distributions import Flow
from vaescope.distributions.flow import affine, autoregressive, check_steps
from vaescope.errors import UsageError
from vaescope.families.family import Family, check_vector
from vaescope.families.normal import DiagonalNormal
from vaescope.nets import Shape


class InverseAutoregressive(Family):
    r"""The inverse autoregressive flow: a diagonal normal, then steps that make the latents depend on one another.

    .. math:: z^{(0)} \sim N(\mu, \mathrm{diag}(\sigma^2)), \quad
              z^{(t)}_i = e^{s_t(z^{(t-1)}_{<i}, c)} z^{(t-1)}_i + b_t(z^{(t-1)}_{<i}, c)

    The encoder gives the diagonal normal and the vector :math:`c`. A draw takes one pass for each step, and its
    log-probability comes with it; that of any other value takes D passes. The steps start as the identity, with the
    latents in reverse order in every other one. Their shifts and what all of them together stretch are bounded: the
    sigmoid gate of the paper is as stable, but is no identity and can only contract.

    References:
        | Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016)
        | https://arxiv.org/abs/1606.04934

    Args:
        shape: The shape of one event, (D,).
        transforms: The number of steps.
        width: The number of units in each of the two hidden layers of every step.
        context: The length of the vector :math:`c`.

    Raises:
        UsageError: For less than one of each, or latents that are not a vector.
    """

    support = "real line"
    density = True
    factorised = False

    def __init__(self, shape: Shape, transforms: int = 2, width: int = 64, context: int = 32) -> None:
        super().__init__(shape)
        check_vector(self)
        check_steps("InverseAutoregressive", transforms, width)
        if context < 1:
            raise UsageError(f"InverseAutoregressive got context {context}: give at least 1, such as 32")
        self.context = context
        self.base = DiagonalNormal(shape)
        self.steps = autoregressive(self.shape[0], transforms, width, affine(transforms), ((), ()), context)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (2 D + context,)."""
        return (2 * self.shape[0] + self.context,)

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 D + context), returns a distribution with batch shape B and event shape (D,)."""
        h, context = h.tensor_split((2 * self.shape[0],), dim=-1)
        return Flow(self.base(h), self.steps(context))

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a unit normal around ``mean``, as long as the steps are the identity."""
        return torch.cat((self.base.start(mean), mean.new_zeros(self.context)))
