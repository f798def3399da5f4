"""Normal posteriors."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families.family import Family
from vaescope.nets import Shape


class DiagonalNormal(Family):
    r"""The normal posterior with a diagonal covariance, :math:`N(\mu, \mathrm{diag}(\sigma^2))`.

    The network gives :math:`(m, s)`, and

    .. math:: \mu = b \tanh(m / b), \quad \sigma = \epsilon + (2 - \epsilon) / (1 + e^{-s})

    with :math:`\epsilon = 10^{-4}`. Near zero :math:`\mu` is :math:`m` and :math:`\sigma` is one, the prior's. The
    usual :math:`\sigma = e^s` is unbounded: after minutes of training that look healthy, one unusual image in ten
    thousand gets a scale, and with it a KL divergence, that outweighs all others. A posterior much wider than the prior
    is never of use, so nothing is lost by the bound.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114

    Args:
        shape: The shape of one event, (D,).
        bound: The largest mean :math:`b`, or nothing for none.

    Raises:
        UsageError: For a bound that is not positive.
    """

    support = "real line"
    density = True
    smallest, largest = 1e-4, 2.0

    def __init__(self, shape: Shape, bound: float | None = 8.0) -> None:
        super().__init__(shape)
        if bound is not None and not bound > 0:
            raise UsageError(f"DiagonalNormal got bound {bound}: give a positive number, or null for no bound")
        self.bound = bound

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (2 D,)."""
        return (2 * self.shape[0], *self.shape[1:])

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 D), returns a distribution with batch shape B and event shape (D,)."""
        m, s = h.chunk(2, dim=-len(self.shape))
        loc = m if self.bound is None else self.bound * (m / self.bound).tanh()
        scale = self.smallest + (self.largest - self.smallest) * s.sigmoid()
        return diagonal_normal(loc, scale, len(self.shape))

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a unit normal around ``mean``."""
        return torch.cat((mean, torch.zeros_like(mean)))
