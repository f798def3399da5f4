r"""The evidence lower bound.

.. math:: \log p(x) \ge \mathrm{ELBO}(x)
          = \mathbb{E}_{q(z \mid x)} \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))
"""

from dataclasses import dataclass

from torch import Tensor

from vaescope.models import VAE
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.schedules import Ramp, Schedule
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class ELBO(Objective):
    r"""The negative evidence lower bound with a weight on the rate, :math:`D + \beta R`.

    With :math:`\beta = 1` it is a bound on :math:`-\log p(x)`; with any other it is not, and trades reconstruction
    for a simpler code. The distortion is estimated with one draw of the latents, the rate is exact where it can be.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114
        | beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al., 2017)
        | https://openreview.net/forum?id=Sy2fzU9gl

    Args:
        beta: The weight :math:`\beta`, a number of at least 0.
        warmup: A factor on :math:`\beta` that changes as training goes on. It has arrived where no progress is given,
            so that outside of training the weight is the final one.

    Raises:
        UsageError: For a negative weight.
    """

    beta: float = 1.0
    warmup: Schedule = Ramp(start=0.1, end=1.0, share=0.2)

    def __post_init__(self) -> None:
        check_amounts(self, "beta")

    def __str__(self) -> str:
        weight = self.beta * self.warmup(1.0)
        return "−ELBO" if weight == 1 else f"distortion + {weight:g} × rate"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion and the rate of a batch, in nats per image."""
        trace = model(x, context)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        beta = self.beta * self.warmup(progress)
        return {"loss": d + beta * r, "distortion": d, "rate": r}
