r"""Two bounds from one set of draws: one to learn the posterior by, a tighter one for the prior and the likelihood."""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.distributions import Distribution
from torch.func import functional_call

from vaescope.models import VAE, given
from vaescope.objectives.importance import Grouped
from vaescope.objectives.objective import Terms
from vaescope.objectives.still import check_repeatable, still
from vaescope.objectives.terms import distortion, log_mean_exp, log_ratio


@dataclass(frozen=True)
class PIWAE(Grouped):
    r"""The partially importance weighted bounds: the posterior learns from the mean of M bounds of K draws each, as in
    :class:`MIWAE`, the prior and the likelihood from the one bound of all M K draws, as in :class:`IWAE`.

    The tightest bound is best for the model and worst for the posterior, whose gradient drowns in noise as the bound
    tightens. So each side gets its own. The loss is the negative bound of all draws; its gradient for the posterior,
    along the draws and along :math:`\log q(z \mid x)`, is that of the other bound. Where a prior borrows the posterior,
    the borrowed parameters learn as a part of the prior along that path.

    The prior and the likelihood are run twice on the same draws, once for the gradient of their parameters and once
    with parameters that stand still, for the gradient of the draws. One run with gradients scaled on the way back
    would do with less, but the ratio of a draw's shares in the two bounds has no limit and overflows.

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018)
        | https://arxiv.org/abs/1802.04537

    Args:
        groups: The number of bounds :math:`M` that the posterior learns from.
        samples: The number of draws :math:`K` for each of them; an image gets M K draws.

    Raises:
        UsageError: For less than one group or draw.
    """

    groups: int = 4
    samples: int = 4

    def __str__(self) -> str:
        return f"−importance weighted bound of {self.draws} draws, the posterior by {self.groups} of {self.samples}"

    def check(self, model: VAE) -> None:
        """Refuses a model that dropout changes between two passes."""
        super().check(model)
        check_repeatable(type(self).__name__, model)

    def bound(self, weights: Tensor) -> Tensor:
        """The bound of all draws for each image, with shape (B,), from log-weights with shape (M K, B)."""
        return log_mean_exp(weights)

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The terms of a batch, in nats per image; ``posterior_bound`` is the bound that the posterior learns from."""
        drawn: list[Tensor] = []

        def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
            drawn.append(self.pick(index, p, q))
            return drawn[-1].detach()

        moving = model(x, context, pick)  # a gradient for the model's parameters, none for the draws
        fixed = functional_call(model, still(model), (x, context, given(*drawn)))  # the other way round
        (here,), (there,) = moving.sites, fixed.sites
        terms = self.terms(moving, distortion(moving, x), (log_ratio(replace(here, q=there.q)),))
        weights = -distortion(fixed, x) - log_ratio(replace(there, q=here.q))
        inference = self.mean_of_groups(weights.reshape(self.draws, -1)).mean()
        loss = terms["loss"] - (inference - inference.detach())  # adds a gradient, and nothing to the value
        return terms | {"loss": loss, "posterior_bound": inference}
