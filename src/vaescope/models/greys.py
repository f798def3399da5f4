"""What a model makes of images and of latents, as greys in [0, 1] that can be looked at."""

from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.targets import Target
from vaescope.models.aside import aside, in_parts
from vaescope.models.aside import reconstruct as reconstructed
from vaescope.models.trace import temper
from vaescope.models.vae import VAE


def reconstruct(model: VAE, target: Target, examples: Examples) -> Tensor:
    """What a model makes of images: the mean of the likelihood at the centre of the posterior. Nothing is random.

    Args:
        model: The model.
        target: How values become greys.
        examples: N images.

    Returns:
        Greys, with shape (N, C, H, W).
    """
    return target.pixels(reconstructed(model, examples))


def decode(model: VAE, target: Target, z: Tensor, context: Tensor | None = None) -> Tensor:
    """The mean images of latents.

    Args:
        model: The model.
        target: How values become greys.
        z: Latents, with shape (N, D).
        context: What each is conditioned on, with shape (N, K).

    Returns:
        Greys, with shape (N, C, H, W).
    """
    return target.pixels(in_parts(model, lambda z, c: model.likelihood(z, c).mean, Examples(z, context)))


def sample(
    model: VAE, target: Target, count: int, temperature: float = 1.0, seed: int = 0, context: Tensor | None = None
) -> Tensor:
    """New images.

    Args:
        model: The model.
        target: How values become greys.
        count: The number N of images.
        temperature: The factor on the scale of the prior.
        seed: Decides the draws.
        context: What each is conditioned on, with shape (N, K).

    Returns:
        The means of the likelihood as greys, with shape (N, C, H, W).
    """
    with aside(model, seed):
        z = temper(temperature, count)(0, model.prior(), None)
    return decode(model, target, z, context)
