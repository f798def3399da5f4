r"""Estimators of a gradient that goes through the draws alone.

The gradient of :math:`\log q_\phi(z_\phi \mid x)` has a part through the draw and a part through the density, the score
:math:`\nabla_\phi \log q_\phi(z \mid x)`. The score has mean zero and only adds noise to the gradient of the ELBO;
that of the importance weighted bound can be written without it. Where the posterior is exact nothing is left.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from vaescope.models import VAE, Trace
from vaescope.objectives.objective import Terms
from vaescope.objectives.still import check_repeatable, still_posterior
from vaescope.objectives.terms import distortion, log_mean_exp, log_ratio
from vaescope.objectives.weighted import Weighted


class Pathwise(Weighted):
    """A bound whose gradient for the posterior goes through the draws alone."""

    needs_pathwise: ClassVar[bool] = True

    def check(self, model: VAE) -> None:
        """Refuses a posterior whose draws have no gradient without bias, or that dropout changes between passes."""
        super().check(model)
        check_repeatable(type(self).__name__, model.posterior)

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The negative bound as the loss, the distortion, the rate and the bound, in nats per image."""
        trace = model(x, context, self.pick)
        (site,) = trace.sites
        ratio = log_ratio(replace(site, q=still_posterior(model, x, context)))
        d = distortion(trace, x)
        self.steer(trace, -d - ratio)
        return self.terms(trace, d, (ratio,))

    def steer(self, trace: Trace, weights: Tensor) -> None:
        """May change the gradient that reaches the draws. By default it stays as it is.

        Args:
            trace: One pass over the batch.
            weights: The log-weights, with shape (K, B), or (B,) for one draw.
        """


@dataclass(frozen=True)
class StickingTheLanding(Pathwise):
    r"""The negative ELBO, with a gradient whose noise vanishes as the posterior becomes exact.

    .. math:: -\mathbb{E} \left[ \log p(x, z_\phi) - \log q_{\bar\phi}(z_\phi \mid x) \right]

    where :math:`\bar\phi` has no gradient. Both rate and distortion are estimated from the draws: their noise cancels.

    References:
        | Sticking the Landing: Simple, Lower-Variance Gradient Estimators for Variational Inference
        | (Roeder et al., 2017)
        | https://arxiv.org/abs/1703.09194

    Args:
        samples: The number of draws for each image, over which the mean is taken.

    Raises:
        UsageError: For less than one draw.
    """

    samples: int = 1

    def __str__(self) -> str:
        return "−ELBO, with the gradient through the draws alone"

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (K, B)."""
        return weights.mean(0)


@dataclass(frozen=True)
class DReG(Pathwise):
    r"""The negative importance weighted bound, with its doubly reparameterised gradient.

    .. math:: \nabla_\phi \mathcal{L}_K = \mathbb{E} \sum_k \tilde w_k^2\,
              \frac{\partial \log w_k}{\partial z_k} \frac{\partial z_k}{\partial \phi}, \quad
              \tilde w_k = \frac{w_k}{\sum_j w_j}

    The value is that of :class:`IWAE`, and so is the gradient of the prior and the likelihood. The gradient of the
    posterior has the same mean, and a signal that does not drown in noise as K grows.

    References:
        | Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives (Tucker et al., 2019)
        | https://arxiv.org/abs/1810.04152

    Args:
        samples: The number of draws :math:`K` for each image.

    Raises:
        UsageError: For less than one draw.
    """

    samples: int = 5

    def __str__(self) -> str:
        return f"−importance weighted bound of {self.samples} draws, with the doubly reparameterised gradient"

    def bound(self, weights: Tensor) -> Tensor:
        """The bound for each image, with shape (B,), from log-weights with shape (K, B)."""
        return log_mean_exp(weights)

    def steer(self, trace: Trace, weights: Tensor) -> None:
        """The bound itself gives every draw its share of the weight once; here it gets it a second time.

        Done where the gradient enters the draws, so that parameters that a prior shares with the posterior keep the
        plain gradient along their other path.
        """
        z = trace.sites[0].z  # (K, B, D), or (B, D) for one draw, whose share is 1
        if self.repeats and z.requires_grad:
            share = weights.detach().softmax(0)  # (K, B)
            z.register_hook(lambda gradient: gradient * share.reshape(*share.shape, *(1,) * (z.dim() - share.dim())))
