r"""Adversarial autoencoders: a critic of codes asks for the distribution of the prior."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from vaescope.models import VAE, Trace
from vaescope.nets import Shape, vector_critic
from vaescope.objectives.checks import check_amounts, check_positive
from vaescope.objectives.codes import code, measured_rate, prior_draws, prior_fit
from vaescope.objectives.critics import adam, look, share_right, taken_for_made, taken_for_real
from vaescope.objectives.objective import Adversarial, Terms
from vaescope.objectives.terms import distortion


@dataclass(frozen=True)
class AdversarialAutoencoder(Adversarial):
    r"""Reconstruction, with codes that a critic cannot tell from draws of the prior.

    .. math:: D - w\, \mathbb{E}_{q(z)} \log c(z)

    :math:`c(z)` is the critic's probability that z was drawn from the prior. The posterior may be a point mass: an
    autoencoder. A prior with parameters is fitted to the codes along the way, :math:`-\log p(z)` at codes that this
    term does not move.

    References:
        | Adversarial Autoencoders (Makhzani et al., 2016)
        | https://arxiv.org/abs/1511.05644

    Args:
        weight: The weight :math:`w` of the critic's opinion.
        width: The units of every hidden layer of the critic.
        layers: The number of its hidden layers.
        lr: Its learning rate.

    Raises:
        UsageError: For a negative weight, or sizes or a learning rate that are not positive.
    """

    takes_points: ClassVar[bool] = True

    weight: float = 10.0
    width: int = 256
    layers: int = 3
    lr: float = 1e-3

    def __post_init__(self) -> None:
        check_amounts(self, "weight")
        check_positive(self, "width", "layers", "lr")

    def __str__(self) -> str:
        return f"distortion + {self.weight:g} × a critic's verdict on the codes"

    def critic(self, model: VAE, shape: Shape) -> nn.Module:
        """A critic of codes with one logit."""
        return vector_critic(model.posterior.family.shape[0], self.width, self.layers)

    def optimizer(self, critic: nn.Module) -> Optimizer:
        """Adam."""
        return adam(critic, self.lr)

    def judged(self, model: VAE, trace: Trace, x: Tensor, context: Tensor | None, critic: nn.Module | None) -> Terms:
        """The loss, the distortion, where there is one the rate, and with a critic its verdict on the codes."""
        d, fit = distortion(trace, x).mean(), prior_fit(model, code(trace))
        terms = {"loss": d + sum(fit.values()), "distortion": d, **measured_rate(model, trace), **fit}
        if critic is None:
            return terms
        verdict = taken_for_real(critic(code(trace).z))
        return terms | {"loss": terms["loss"] + self.weight * verdict, "adversarial": verdict}

    def challenge(self, critic: nn.Module, model: VAE, x: Tensor, context: Tensor | None = None) -> Terms:
        """The loss of the critic, and the share of codes that it sees through."""
        site = code(look(model, x, context))
        real, made = critic(prior_draws(site)), critic(site.z)
        return {"loss": (taken_for_real(real) + taken_for_made(made)) / 2, "accuracy": share_right(real, made)}
