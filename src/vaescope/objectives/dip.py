r"""DIP-VAE: latents that are uncorrelated over the data, and of variance one.

The covariance is over the images of a batch, between latents: a matrix with shape (D, D).
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope.distributions import centre
from vaescope.models import VAE
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.codes import code
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion, rate


def covariance(values: Tensor) -> Tensor:
    """The covariance of the columns over the rows, divided by their number.

    Args:
        values: Shape (B, D).

    Returns:
        Shape (D, D).
    """
    centred = values - values.mean(0)
    return centred.mT @ centred / len(values)


def off_diagonal(matrix: Tensor) -> Tensor:
    """The sum of the squares of the entries that are not on the diagonal.

    Args:
        matrix: Shape (D, D).
    """
    return (matrix - matrix.diagonal().diag()).square().sum()


@dataclass(frozen=True)
class _DIPVAE(Objective):
    """Both kinds: the covariance that they look at is what tells them apart."""

    of: ClassVar[str]
    """What the covariance is that of, in words."""

    off_diagonal: float = 10.0
    diagonal: float = 10.0

    def __post_init__(self) -> None:
        check_amounts(self, "off_diagonal", "diagonal")

    @abstractmethod
    def covariance(self, q: Distribution) -> Tensor:
        """The covariance that should be the identity, with shape (D, D), of posteriors with batch shape (B,)."""

    def __str__(self) -> str:
        return f"−ELBO + {self.off_diagonal:g} × covariances + {self.diagonal:g} × variances off 1, of {self.of}"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the rate and the two penalties of a batch."""
        trace = model(x, context)
        q = code(trace).q
        assert q is not None
        matrix = self.covariance(q)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        off, on = off_diagonal(matrix), (matrix.diagonal() - 1).square().sum()
        loss = d + r + self.off_diagonal * off + self.diagonal * on
        return {"loss": loss, "distortion": d, "rate": r, "covariances": off, "variances": on}


@dataclass(frozen=True)
class DIPVAE1(_DIPVAE):
    r"""The negative ELBO with a penalty on the covariance of the posterior means (DIP-VAE-I).

    .. math:: D + R + \lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2, \quad
              C = \mathrm{Cov}_x [\mu(x)]

    References:
        | Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar et al., 2018)
        | https://arxiv.org/abs/1711.00848

    Args:
        off_diagonal: The weight :math:`\lambda_{od}` of the covariances.
        diagonal: The weight :math:`\lambda_d` of the variances being off 1. The paper has it ten times as large here.

    Raises:
        UsageError: For a negative weight.
    """

    needs_pathwise = True
    of: ClassVar[str] = "the posterior means"

    off_diagonal: float = 10.0
    diagonal: float = 100.0

    def covariance(self, q: Distribution) -> Tensor:
        """The covariance of the means, or of the centres where a mean has no formula, as that of a flow."""
        return covariance(centre(q))


@dataclass(frozen=True)
class DIPVAE2(_DIPVAE):
    r"""The negative ELBO with a penalty on the covariance of the aggregate posterior (DIP-VAE-II).

    .. math:: D + R + \lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2, \quad
              C = \mathrm{Cov}_x [\mu(x)] + \mathbb{E}_x \mathrm{diag}(\sigma^2(x))

    References:
        | Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar et al., 2018)
        | https://arxiv.org/abs/1711.00848

    Args:
        off_diagonal: The weight :math:`\lambda_{od}` of the covariances.
        diagonal: The weight :math:`\lambda_d` of the variances being off 1.

    Raises:
        UsageError: For a negative weight.
    """

    needs_factorised: ClassVar[bool] = True
    of: ClassVar[str] = "the latents"

    off_diagonal: float = 10.0
    diagonal: float = 10.0

    def covariance(self, q: Distribution) -> Tensor:
        """The covariance of the codes themselves."""
        return covariance(q.mean) + torch.diag(q.variance.mean(0))
