"""Normal posteriors with a full covariance."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope import distributions
from vaescope.families.family import Family, check_vector
from vaescope.families.normal import DiagonalNormal
from vaescope.nets import Shape


class FullNormal(Family):
    r"""The normal posterior with a full covariance, :math:`N(\mu, L L^\top)`.

    The network gives :math:`(m, s, a)`. The mean and the scales :math:`\sigma` are those of :class:`DiagonalNormal`,
    and :math:`\sigma_i` remains the standard deviation of latent :math:`i`, whatever its correlations:

    .. math:: L_{ij} = \sigma_i \frac{A_{ij}}{\sqrt{\sum_k A_{ik}^2}}, \quad A_{ii} = 1, \quad
              A_{ij} = c \tanh(a_{ij} / c) \text{ for } j < i

    The bound :math:`c` falls from 8 for a few latents to 0.2 for 64. With it no entry of :math:`A^{-1}` exceeds
    :math:`(1 + c)^{D - 1} \le 10^5`, so that densities and their gradients stay finite in single precision.

    References:
        | An Introduction to Variational Autoencoders (Kingma and Welling, 2019), section 2.5.1
        | https://arxiv.org/abs/1906.02691

    Args:
        shape: The shape of one event, (D,).
        bound: The largest mean, or nothing for none.

    Raises:
        UsageError: For a bound that is not positive, or latents that are not a vector.
    """

    support = "real line"
    density = True
    factorised = False
    lower: Tensor

    def __init__(self, shape: Shape, bound: float | None = 8.0) -> None:
        super().__init__(shape)
        check_vector(self)
        self.diagonal = DiagonalNormal(shape, bound)
        self.reach = min(8.0, 1e5 ** (1 / max(1, self.shape[0] - 1)) - 1)
        self.register_buffer("lower", torch.tril_indices(self.shape[0], self.shape[0], -1), persistent=False)

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (D + D (D + 1) / 2,)."""
        return (2 * self.shape[0] + self.lower.shape[1],)

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, D + D (D + 1) / 2), returns a distribution with batch shape B and event shape (D,)."""
        h, a = h.tensor_split((2 * self.shape[0],), dim=-1)
        base = self.diagonal(h)
        entries = torch.eye(self.shape[0], dtype=h.dtype, device=h.device).repeat(*h.shape[:-1], 1, 1)  # (*B, D, D)
        entries[..., self.lower[0], self.lower[1]] = self.reach * (a / self.reach).tanh()
        rows = base.stddev / entries.square().sum(-1).sqrt()
        return distributions.FullNormal(base.mean, rows[..., None] * entries)

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a unit normal around ``mean``."""
        return torch.cat((self.diagonal.start(mean), mean.new_zeros(self.lower.shape[1])))
