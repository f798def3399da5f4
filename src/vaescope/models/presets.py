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
        prior: p(z), such as StandardNormal or NormalMixture.
        posterior: q(z|x), such as DiagonalNormal.
        likelihood: p(x|z), such as Bernoulli for binary (or grey) pixels, or Gaussian for real values.

    Raises:
        UsageError: For less than one latent, or a prior that is not over the latents that the posterior gives.
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
        family, likelihood = self.posterior((self.latent,)), self.likelihood(tuple(shape))
        prior = self.prior(self.latent)
        posterior = Conditional(self.network.encoder(shape, family.inputs), family, ndims=3)
        prior.borrow(posterior, family.support, tuple(shape))
        if prior.support != family.support:
            raise UsageError(
                f"the posterior {type(family).__name__} gives latents on the {family.support}, "
                f"but {type(prior).__name__} is a prior over the {prior.support}: {_remedy(family.support)}"
            )
        decoder = self.network.decoder(self.latent, likelihood.inputs)
        return VAE(prior, posterior, Conditional(decoder, likelihood, ndims=1, offset=True))


def _remedy(support: str) -> str:
    """What to do for latents of a support that the prior does not have."""
    if support == "sphere":
        return "use the prior HypersphericalUniform, or a posterior such as DiagonalNormal"
    if support.endswith("codes"):
        return "use the prior UniformCodes with as many codes, or a posterior such as DiagonalNormal"
    return "use the prior StandardNormal and the posterior DiagonalNormal"
