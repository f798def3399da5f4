r"""FactorVAE: the total correlation of the latents, by a critic that learns a ratio of densities.

The critic tells codes :math:`z \sim q(z)` from codes whose latents were shuffled, each by itself, over the batch: draws
of :math:`\prod_j q(z_j)`. Where it is as good as can be, the difference of its two logits is the logarithm of the
ratio of the two densities.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vaescope.errors import UsageError
from vaescope.models import VAE, Trace
from vaescope.nets import Shape, vector_critic
from vaescope.objectives.checks import check_amounts, check_positive
from vaescope.objectives.codes import code
from vaescope.objectives.critics import adam, look, share_right
from vaescope.objectives.objective import Adversarial, Terms
from vaescope.objectives.terms import distortion, rate


def shuffled(z: Tensor) -> Tensor:
    """Codes with every latent permuted over the batch by itself: each keeps its values, and forgets the others.

    Args:
        z: Codes, with shape (B, D).
    """
    return z.gather(0, torch.rand_like(z).argsort(0))


@dataclass(frozen=True)
class FactorVAE(Adversarial):
    r"""The negative ELBO with a weight on the total correlation of the latents.

    .. math:: D + R + \gamma\, \mathbb{E}_{q(z)} \log \frac{c(z)}{1 - c(z)}

    :math:`c(z)` is the critic's probability that the latents of z belong together. It sees half of a batch as it is and
    the other half shuffled.

    References:
        | Disentangling by Factorising (Kim and Mnih, 2018)
        | https://arxiv.org/abs/1802.05983

    Args:
        gamma: The weight :math:`\gamma` of the total correlation.
        width: The units of every hidden layer of the critic.
        layers: The number of its hidden layers.
        lr: Its learning rate.

    Raises:
        UsageError: For a negative weight, or sizes or a learning rate that are not positive.
    """

    gamma: float = 10.0
    width: int = 1000
    layers: int = 6
    lr: float = 1e-4

    def __post_init__(self) -> None:
        check_amounts(self, "gamma")
        check_positive(self, "width", "layers", "lr")

    def __str__(self) -> str:
        return f"−ELBO + {self.gamma:g} × total correlation"

    def check(self, model: VAE) -> None:
        """Refuses codes on the sphere, which leave it when they are shuffled."""
        super().check(model)
        family = model.posterior.family
        if family.support == "sphere":
            raise UsageError(
                f"FactorVAE asks for independent latents, which those of {type(family).__name__} can never be, since "
                "each follows from the others: use the posterior DiagonalNormal"
            )

    def critic(self, model: VAE, shape: Shape) -> nn.Module:
        """A critic of codes with two logits: that they are as they are, and that they are shuffled."""
        return vector_critic(model.posterior.family.shape[0], self.width, self.layers, outputs=2)

    def optimizer(self, critic: nn.Module) -> Optimizer:
        """Adam."""
        return adam(critic, self.lr)

    def judged(self, model: VAE, trace: Trace, x: Tensor, context: Tensor | None, critic: nn.Module | None) -> Terms:
        """The loss, the distortion, the rate and, with a critic, the total correlation of a batch, in nats."""
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        if critic is None:
            return {"loss": d + r, "distortion": d, "rate": r}
        correlation = _log_ratio(critic(code(trace).z)).mean()
        return {"loss": d + r + self.gamma * correlation, "distortion": d, "rate": r, "total_correlation": correlation}

    def challenge(self, critic: nn.Module, model: VAE, x: Tensor, context: Tensor | None = None) -> Terms:
        """The cross-entropy of the critic, and the share of codes that it sees through."""
        z = code(look(model, x, context)).z
        half = len(z) // 2
        whole, mixed = critic(z[: len(z) - half]), critic(shuffled(z[half:]))
        loss = -(whole.log_softmax(-1)[:, 0].mean() + mixed.log_softmax(-1)[:, 1].mean()) / 2
        return {"loss": loss, "accuracy": share_right(_log_ratio(whole), _log_ratio(mixed))}


def _log_ratio(logits: Tensor) -> Tensor:
    """The logarithm of c / (1 - c), with shape (B,), from two logits with shape (B, 2)."""
    return logits[:, 0] - logits[:, 1]
