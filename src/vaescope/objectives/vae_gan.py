r"""VAE-GAN: a critic of images judges samples, and its features judge reconstructions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call
from torch.optim import Optimizer

from vaescope.errors import UsageError
from vaescope.models import VAE, Trace
from vaescope.nets import Critic, Shape, image_critic
from vaescope.objectives.checks import check_amounts, check_positive
from vaescope.objectives.codes import code, prior_draws
from vaescope.objectives.critics import adam, look, share_right, taken_for_made, taken_for_real
from vaescope.objectives.objective import Adversarial, Terms
from vaescope.objectives.still import copies
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class VAEGAN(Adversarial):
    r"""A VAE whose images a critic cannot tell from real ones, and whose reconstructions it sees as alike.

    .. math:: w_x D + \beta R + w_f\, \tfrac{1}{2} \|f(x) - f(\hat{x})\|^2 - w_c \log c(\tilde{x})

    :math:`\hat{x}` is the mean of p(x|z), :math:`f` the critic's last hidden layer, :math:`c` its probability that an
    image is real, and :math:`\tilde{x}` a reconstruction or a sample from the prior. The last term trains the decoder
    alone: the encoder is not to bend the codes for the critic's sake.

    The paper has no term :math:`D`. Here its weight can be made small but not zero, so that a scale of the likelihood
    is fitted and a validation without a critic has something to go by. With a small :math:`\beta` instead, this is the
    first stage of latent diffusion.

    References:
        | Autoencoding beyond Pixels Using a Learned Similarity Metric (Larsen et al., 2016)
        | https://arxiv.org/abs/1512.09300
        | High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022)
        | https://arxiv.org/abs/2112.10752

    Args:
        pixels: The weight :math:`w_x` of the distortion.
        beta: The weight :math:`\beta` of the rate.
        similarity: The weight :math:`w_f` of the distance in the critic's features.
        adversarial: The weight :math:`w_c` of the critic's verdict.
        channels: The channels of the critic's first level; every further level has twice as many.
        levels: How many times the critic halves the sides of an image.
        lr: Its learning rate.

    Raises:
        UsageError: For a negative weight, or a weight of the pixels, sizes or a learning rate that are not positive.
    """

    pixels: float = 1.0
    beta: float = 1.0
    similarity: float = 1.0
    adversarial: float = 1.0
    channels: int = 32
    levels: int = 3
    lr: float = 2e-4

    def __post_init__(self) -> None:
        check_amounts(self, "beta", "similarity", "adversarial")
        check_positive(self, "pixels", "channels", "levels", "lr")

    def __str__(self) -> str:
        return (
            f"{self.pixels:g} × distortion + {self.beta:g} × rate "
            f"+ {self.similarity:g} × distance in a critic's features + {self.adversarial:g} × its verdict"
        )

    def critic(self, model: VAE, shape: Shape) -> nn.Module:
        """A critic of images with one logit."""
        return image_critic(shape, self.channels, self.levels)

    def optimizer(self, critic: nn.Module) -> Optimizer:
        """Adam."""
        return adam(critic, self.lr)

    def judged(self, model: VAE, trace: Trace, x: Tensor, context: Tensor | None, critic: nn.Module | None) -> Terms:
        """The loss, the distortion, the rate and, with a critic, the distance in its features and its verdict."""
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        terms = {"loss": self.pixels * d + self.beta * r, "distortion": d, "rate": r}
        if critic is None:
            return terms
        distance = _distance(critic, x, trace.likelihood.mean)
        verdict = taken_for_real(critic(_made(model, trace, context)))
        loss = terms["loss"] + self.similarity * distance + self.adversarial * verdict
        return terms | {"loss": loss, "similarity": distance, "adversarial": verdict}

    def challenge(self, critic: nn.Module, model: VAE, x: Tensor, context: Tensor | None = None) -> Terms:
        """The loss of the critic, and the share of images that it sees through."""
        with torch.no_grad():
            images = _made(model, look(model, x, context), context)
        real, made = critic(x), critic(images)
        return {"loss": (taken_for_real(real) + taken_for_made(made)) / 2, "accuracy": share_right(real, made)}


def _made(model: VAE, trace: Trace, context: Tensor | None) -> Tensor:
    """Reconstructions and samples from the prior, with shape (2 B, C, H, W) and a gradient for the decoder alone."""
    site = code(trace)
    codes = torch.cat((site.z.detach(), prior_draws(site)))
    twice = None if context is None else torch.cat((context, context))
    made: Distribution = functional_call(model.likelihood, copies(model.likelihood), (codes, twice))
    return made.mean


def _distance(critic: nn.Module, x: Tensor, images: Tensor) -> Tensor:
    """Half the squared distance of images in the critic's features: nats under a unit normal, but for a constant."""
    if not isinstance(critic, Critic):
        raise UsageError(f"VAEGAN needs a critic with features, but {type(critic).__name__} is none: use Critic")
    with torch.no_grad():
        wanted = critic.features(x)
    return (critic.features(images) - wanted).square().flatten(1).sum(1).mean() / 2
