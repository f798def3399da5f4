r"""InfoVAE: the prior is matched by the codes of all images together rather than by those of each image."""

import math
from dataclasses import dataclass

from torch import Tensor

from vaescope.errors import UsageError
from vaescope.models import VAE
from vaescope.objectives.checks import check_positive
from vaescope.objectives.codes import code, prior_draws
from vaescope.objectives.mmd import Kernel, mmd
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class InfoVAE(Objective):
    r"""The rate in part replaced by the discrepancy of the aggregate posterior and the prior.

    .. math:: D + (1 - \alpha) R + (\alpha + \lambda - 1)\, \mathrm{MMD}^2(q(z), p(z))

    The rate forbids codes to tell images apart; the discrepancy does not. With :math:`\alpha = 0` and
    :math:`\lambda = 1` it is the negative ELBO. With :math:`\alpha = 1` no rate is left, which is WAE.

    References:
        | InfoVAE: Information Maximizing Variational Autoencoders (Zhao et al., 2017)
        | https://arxiv.org/abs/1706.02262

    Args:
        alpha: The information preference :math:`\alpha`, below 1. It takes as much off the weight of the rate.
        lam: The weight :math:`\lambda`, of at least :math:`1 - \alpha`.
        kernel: The kernel of the discrepancy: imq, the inverse multiquadratic, or rbf, the Gaussian.
        scale: The standard deviation of codes, from which :mod:`vaescope.objectives.mmd` takes the kernel's width.

    Raises:
        UsageError: For weights of the rate or the discrepancy that would not be positive.
    """

    alpha: float = 0.0
    lam: float = 1000.0
    kernel: Kernel = "imq"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "scale")
        if not -math.inf < self.alpha < 1:
            raise UsageError(f"InfoVAE got alpha {self.alpha}: give a number below 1, or use WAE, which has no rate")
        if not 1 - self.alpha <= self.lam < math.inf:
            raise UsageError(f"InfoVAE got lam {self.lam}: give a number of at least 1 - alpha, {1 - self.alpha:g}")

    def __str__(self) -> str:
        return f"distortion + {1 - self.alpha:g} × rate + {self.alpha + self.lam - 1:g} × MMD²"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the rate and the discrepancy of a batch."""
        trace = model(x, context)
        site = code(trace)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        gap = mmd(site.z, prior_draws(site), self.kernel, self.scale)
        loss = d + (1 - self.alpha) * r + (self.alpha + self.lam - 1) * gap
        return {"loss": loss, "distortion": d, "rate": r, "mmd": gap}
