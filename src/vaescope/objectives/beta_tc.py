r"""beta-TC-VAE: a weight for every part of the rate, see :mod:`vaescope.objectives.aggregate`."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vaescope.errors import UsageError
from vaescope.models import VAE
from vaescope.objectives.aggregate import Estimator, log_weights, split
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.codes import code
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class BetaTCVAE(Objective):
    r"""The negative ELBO with its rate taken apart.

    .. math:: D + \alpha\, I(x; z) + \beta\, \mathrm{TC}(z) + \gamma \sum_j \mathrm{KL}(q(z_j) \,\|\, p(z_j))

    A large weight on the total correlation alone asks for latents that are independent of one another, without the
    cost in reconstruction that a large weight on the whole rate has. With all three at 1 it is the negative ELBO.

    References:
        | Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018)
        | https://arxiv.org/abs/1802.04942

    Args:
        alpha: The weight :math:`\alpha` of the mutual information of image and code.
        beta: The weight :math:`\beta` of the total correlation of the latents.
        gamma: The weight :math:`\gamma` of the dimension-wise KL divergence.
        estimator: How a batch stands for all images: mss without bias of q(z), or mws, which bounds it from below.
        images: The number of training images that a batch stands for.

    Raises:
        UsageError: For a negative weight, or less than two images.
    """

    needs_pathwise: ClassVar[bool] = True
    needs_factorised: ClassVar[bool] = True

    alpha: float = 1.0
    beta: float = 6.0
    gamma: float = 1.0
    estimator: Estimator = "mss"
    images: int = 50_000

    def __post_init__(self) -> None:
        check_amounts(self, "alpha", "beta", "gamma")
        if self.images < 2:
            raise UsageError(f"BetaTCVAE got images {self.images}: give the number of training images, such as 50000")

    def __str__(self) -> str:
        return (
            f"distortion + {self.alpha:g} × mutual information + {self.beta:g} × total correlation "
            f"+ {self.gamma:g} × dimension-wise KL"
        )

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the rate and its estimated parts, in nats per image."""
        trace = model(x, context)
        site = code(trace)
        part = split(site, log_weights=log_weights(self.estimator, len(x), self.images, site.z))
        d, information, correlation, single = (
            value.mean()
            for value in (distortion(trace, x), part.mutual_information, part.total_correlation, part.dimension_wise)
        )
        return {
            "loss": d + self.alpha * information + self.beta * correlation + self.gamma * single,
            "distortion": d,
            "rate": rate(trace).mean().detach(),
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise": single,
        }
