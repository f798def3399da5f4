"""Wasserstein autoencoders, with the maximum mean discrepancy."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vaescope.models import VAE
from vaescope.objectives.checks import check_amounts, check_positive
from vaescope.objectives.codes import code, measured_rate, prior_draws, prior_fit
from vaescope.objectives.mmd import Kernel, mmd
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion


@dataclass(frozen=True)
class WAE(Objective):
    r"""Reconstruction, with codes that together have the distribution of the prior.

    .. math:: D + \lambda\, \mathrm{MMD}^2(q(z), p(z))

    The posterior may be a point mass: an autoencoder. It is no bound on the likelihood. A prior with parameters is
    fitted to the codes along the way, :math:`-\log p(z)` at codes that this term does not move.

    References:
        | Wasserstein Auto-Encoders (Tolstikhin et al., 2018)
        | https://arxiv.org/abs/1711.01558

    Args:
        weight: The weight :math:`\lambda` of the discrepancy.
        kernel: The kernel of the discrepancy: imq, the inverse multiquadratic, or rbf, the Gaussian.
        scale: The standard deviation of codes, from which :mod:`vaescope.objectives.mmd` takes the kernel's width.

    Raises:
        UsageError: For a negative weight, or a scale that is not positive.
    """

    takes_points: ClassVar[bool] = True

    weight: float = 100.0
    kernel: Kernel = "imq"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_amounts(self, "weight")
        check_positive(self, "scale")

    def __str__(self) -> str:
        return f"distortion + {self.weight:g} × MMD²"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the discrepancy and, where there is one, the rate of a batch."""
        trace = model(x, context)
        site = code(trace)
        d, fit = distortion(trace, x).mean(), prior_fit(model, site)
        gap = mmd(site.z, prior_draws(site), self.kernel, self.scale)
        loss = d + self.weight * gap + sum(fit.values())
        return {"loss": loss, "distortion": d, **measured_rate(model, trace), "mmd": gap, **fit}
