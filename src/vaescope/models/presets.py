"""Architectures: from the shape of the images to a model, with the choices that a config names."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from vaescope.conditional import Conditional
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, DiagonalNormal, Family
from vaescope.models.vae import VAE
from vaescope.nets import MLP, Network, Shape
from vaescope.priors import Prior, StandardNormal


class Architecture(ABC):
    """A description from which a model is built for images of the shape at hand."""

    @abstractmethod
    def __call__(self, shape: Shape) -> VAE:
        """The model for images of ``shape`` (C, H, W), with new weights."""


@dataclass(frozen=True)
class Flat(Architecture):
    """A VAE with one layer of latents.

    Args:
        latent: The number of latents D.
        network: The encoder and the decoder: MLP or Conv.
        prior: p(z): StandardNormal or NormalMixture.
        posterior: q(z|x): DiagonalNormal.
        likelihood: p(x|z): Bernoulli for binary (or grey) pixels, Gaussian for real values.

    Raises:
        UsageError: For less than one latent.
    """

    latent: int = 2
    network: Network = MLP()
    prior: Callable[[int], Prior] = StandardNormal
    posterior: Callable[[Shape], Family] = DiagonalNormal
    likelihood: Callable[[Shape], Family] = Bernoulli

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise UsageError(f"model.latent is {self.latent}, but a VAE needs at least 1: give 2 to see the plane")

    def __call__(self, shape: Shape) -> VAE:
        """The model for images of ``shape`` (C, H, W), with new weights."""
        posterior = self.posterior((self.latent,))
        likelihood = self.likelihood(tuple(shape))
        if posterior.support != "real line" or not posterior.density:
            kind = type(posterior).__name__
            raise UsageError(f"{kind} cannot be a posterior: latents are real numbers; use DiagonalNormal")
        return VAE(
            self.prior(self.latent),
            Conditional(self.network.encoder(shape, posterior.inputs), posterior, ndims=3),
            Conditional(self.network.decoder(self.latent, likelihood.inputs), likelihood, ndims=1, offset=True),
        )
