r"""Bounds from importance weights: the mean is taken of the weights, before the logarithm.

.. math:: \log p(x) \ge \mathbb{E} \log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)}

More draws make the bound tighter and the gradient of the posterior noisier: at a tight bound every posterior is good.
:class:`MIWAE` and :class:`CIWAE` stand between this bound and the ELBO.
"""

from dataclasses import dataclass

from torch import Tensor

from vaescope.models import VAE
from vaescope.objectives.checks import check_counts, check_shares
from vaescope.objectives.elbo import ELBO
from vaescope.objectives.objective import Terms
from vaescope.objectives.terms import log_mean_exp
from vaescope.objectives.weighted import Weighted


class Grouped(Weighted):
    """An objective whose draws fall into groups of equal size, one importance weighted bound for each."""

    groups: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "groups")

    @property
    def draws(self) -> int:
        """How many latents are drawn for each image, M K."""
        return self.groups * self.samples

    def mean_of_groups(self, weights: Tensor) -> Tensor:
        """The mean of the bounds for each image, with shape (B,), from log-weights with shape (M K, B)."""
        return log_mean_exp(weights.unflatten(0, (self.groups, self.samples)), axis=1).mean(0)  # (M, K, B) to (B,)


@dataclass(frozen=True)
class IWAE(Weighted):
    r"""The importance weighted bound.

    .. math:: \mathcal{L}_K = \mathbb{E} \log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)}

    It never falls as K grows, and its gap to log p(x) shrinks as 1/K.

    References:
        | Importance Weighted Autoencoders (Burda et al., 2016)
        | https://arxiv.org/abs/1509.00519

    Args:
        samples: The number of draws :math:`K` for each image. With one, this is the ELBO, its rate estimated too.
        begin: The share of the run after which it is minimised; before that it is the ELBO with its usual warm-up.
            Every draw costs a pass of the decoder, and most of what they give comes at the end.

    Raises:
        UsageError: For less than one draw, or a share outside of 0 and 1.
    """

    samples: int = 5
    begin: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "begin")

    def __str__(self) -> str:
        return f"−importance weighted bound of {self.samples} draws"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The negative bound as the loss, the distortion, the rate and the bound, in nats per image."""
        if progress < self.begin:
            terms = ELBO()(model, x, context, progress)
            return terms | {"bound": -(terms["distortion"] + terms["rate"]).detach()}
        return super().__call__(model, x, context, progress)

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (K, B)."""
        return log_mean_exp(weights)


@dataclass(frozen=True)
class MIWAE(Grouped):
    r"""The mean of several importance weighted bounds.

    .. math:: \mathcal{L}_{M,K} = \mathbb{E} \frac{1}{M} \sum_m \log \frac{1}{K} \sum_k
              \frac{p(x, z_{mk})}{q(z_{mk} \mid x)}

    Its value is that of :class:`IWAE` with K draws; the mean over M of them takes noise out of the gradient. With one
    group it is IWAE, with one draw a group it is the ELBO.

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018)
        | https://arxiv.org/abs/1802.04537

    Args:
        groups: The number of bounds :math:`M`.
        samples: The number of draws :math:`K` for each of them; an image gets M K draws.

    Raises:
        UsageError: For less than one group or draw.
    """

    groups: int = 4
    samples: int = 4

    def __str__(self) -> str:
        return f"−mean of {self.groups} importance weighted bounds of {self.samples} draws"

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (M K, B)."""
        return self.mean_of_groups(weights)


@dataclass(frozen=True)
class CIWAE(Weighted):
    r"""A combination of the ELBO and the importance weighted bound.

    .. math:: \beta\, \mathrm{ELBO} + (1 - \beta)\, \mathcal{L}_K

    Both come from the same draws.

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018)
        | https://arxiv.org/abs/1802.04537

    Args:
        samples: The number of draws :math:`K` for each image.
        beta: The share :math:`\beta` of the ELBO: 0 is IWAE and 1 the ELBO with K draws.

    Raises:
        UsageError: For less than one draw, or a share outside of 0 and 1.
    """

    samples: int = 5
    beta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "beta")

    def __str__(self) -> str:
        return f"−({self.beta:g} × ELBO + {1 - self.beta:g} × importance weighted bound) of {self.samples} draws"

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (K, B)."""
        return self.beta * weights.mean(0) + (1 - self.beta) * log_mean_exp(weights)
