"""Architectures: from the shape of the images to a model, with the choices that a config names."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from vaescope.conditional import Conditional
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, DiagonalNormal, Family
from vaescope.models.vae import VAE
from vaescope.nets import MLP, Network, Shape
from vaescope.priors import Prior, StandardNormal


class Architecture(ABC):
    """A description from which a model is built for images of the shape at hand."""

    @abstractmethod
    def __call__(self, shape: Shape, classes: int = 0) -> VAE:
        """The model, with new weights.

        Args:
            shape: The shape of an image, (C, H, W).
            classes: The number of classes that the images are labelled with, 0 without labels.
        """


@dataclass(frozen=True)
class Flat(Architecture):
    """A VAE with one layer of latents.

    Args:
        latent: The number of latents D.
        network: The encoder and the decoder, such as MLP, Conv or ResConv.
        prior: p(z), such as StandardNormal or NormalMixture.
        posterior: q(z|x), such as DiagonalNormal.
        likelihood: p(x|z), such as Bernoulli for binary (or grey) pixels, or Gaussian for real values.
        labels: Whether posterior and likelihood are conditioned on the labels of the images, q(z|x,y) and p(x|z,y), so
            that samples can be drawn of one class. The prior p(z) is the same for all classes.

    References:
        | Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), for the condition on labels
        | https://arxiv.org/abs/1406.5298

    Raises:
        UsageError: For less than one latent, for labels where there are none, or for a prior that is not over the
            latents that the posterior gives.
    """

    latent: int = 2
    network: Network = MLP()
    prior: Callable[[int], Prior] = StandardNormal
    posterior: Callable[[Shape], Family] = DiagonalNormal
    likelihood: Callable[[Shape], Family] = Bernoulli
    labels: bool = False

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise UsageError(f"model.latent is {self.latent}, but a VAE needs at least 1: give 2 to see the plane")

    def __call__(self, shape: Shape, classes: int = 0) -> VAE:
        """The model for images of ``shape`` (C, H, W) in so many classes, with new weights."""
        if self.labels and not classes:
            raise UsageError(
                "model.labels is set, but the images have no labels: leave it out, or give images with them"
            )
        classes = classes if self.labels else 0
        prior, posterior = self._latents(tuple(shape), classes)
        likelihood = self.likelihood(tuple(shape))
        decoder = self.network.decoder(self.latent + classes, likelihood.inputs)
        beside = nn.Identity() if classes else None
        return VAE(prior, posterior, Conditional(decoder, likelihood, 1, offset=True, beside=beside), classes)

    def _latents(self, shape: Shape, classes: int) -> tuple[Prior, Conditional]:
        """The prior and the posterior, if they go together."""
        family, prior = self.posterior((self.latent,)), self.prior(self.latent)
        seen = (shape[0] + 1, *shape[1:]) if classes else shape
        beside = label_channel(classes, shape) if classes else None
        posterior = Conditional(self.network.encoder(seen, family.inputs), family, ndims=3, beside=beside)
        prior.borrow(posterior, family, shape)
        if prior.support != family.support:
            raise UsageError(
                f"the posterior {type(family).__name__} gives latents on the {family.support}, "
                f"but {type(prior).__name__} is a prior over the {prior.support}: {_remedy(family.support)}"
            )
        return prior, posterior


def label_channel(classes: int, shape: Shape) -> nn.Module:
    """A label as a further channel of an image: one learned picture for each class, from shape (*B, K) to
    (*B, 1, H, W)."""
    return nn.Sequential(nn.Linear(classes, shape[1] * shape[2], bias=False), nn.Unflatten(-1, (1, *shape[1:])))


def _remedy(support: str) -> str:
    """What to do for latents of a support that the prior does not have."""
    if support == "sphere":
        return "use the prior HypersphericalUniform, or a posterior such as DiagonalNormal"
    if support.endswith("codes"):
        return "use the prior UniformCodes with as many codes, or a posterior such as DiagonalNormal"
    return "use the prior StandardNormal and the posterior DiagonalNormal"
