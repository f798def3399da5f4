r"""Bounds from Rényi's divergences: a family with one parameter, to which the ELBO and IWAE belong."""

import math
from dataclasses import dataclass

from torch import Tensor

from vaescope.errors import UsageError
from vaescope.objectives.weighted import Weighted


@dataclass(frozen=True)
class Renyi(Weighted):
    r"""The variational Rényi bound.

    .. math:: \mathcal{L}_\alpha = \frac{1}{1 - \alpha} \log \frac{1}{K} \sum_k
              \left( \frac{p(x, z_k)}{q(z_k \mid x)} \right)^{1 - \alpha}

    It falls as :math:`\alpha` grows: :math:`\alpha = 0` is :class:`IWAE`, the limit :math:`\alpha \to 1` is the ELBO.
    From 0 on its mean is below log p(x) for any K. A negative :math:`\alpha` bounds log p(x) from above with endlessly
    many draws; with few it may be on either side, and is no bound.

    References:
        | Rényi Divergence Variational Inference (Li and Turner, 2016)
        | https://arxiv.org/abs/1602.02311

    Args:
        alpha: The order :math:`\alpha`, any number. Larger ones seek a mode, smaller ones cover mass.
        samples: The number of draws :math:`K` for each image. With one every order is the ELBO.

    Raises:
        UsageError: For less than one draw, or an order that is not finite.
    """

    alpha: float = 0.5
    samples: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.alpha):
            raise UsageError(f"Renyi got alpha {self.alpha}: give a finite number; 0 is IWAE and 1 the ELBO")

    def __str__(self) -> str:
        return f"−Rényi bound of order {self.alpha:g} of {self.samples} draws"

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (K, B)."""
        power = 1 - self.alpha
        if power == 0:
            return weights.mean(0)
        # Seen from the draw that counts most no power exceeds 1, and near order 1 nothing cancels. The reference has
        # no gradient: what it adds and what it takes away are equal.
        reference = (weights.amax(0) if power > 0 else weights.amin(0)).detach()
        return reference + (power * (weights - reference)).expm1().mean(0).log1p() / power
