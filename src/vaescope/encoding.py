"""What a trained model says of images, a chunk at a time: latents, reconstructions, likelihoods; and images of latents.

Nothing that is said of one image depends on the others that are asked about, on their order or on where chunks end, but
for the rounding of sums. Where a number needs a draw of the latents, the draw comes from random numbers that are a hash
of the image, see :func:`vaescope.models.own_draw`: the same image always gets the same draw, and different images get
independent ones, so that the ELBO of each is unbiased and their errors average out over many. One noise for all images
would be as repeatable, but the error of their mean would then stay, however many there are.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaescope.data.examples import Examples
from vaescope.data.targets import Target
from vaescope.distributions import centre
from vaescope.errors import UsageError
from vaescope.metrics import importance_bound
from vaescope.metrics.bound import CHUNK
from vaescope.models import VAE, Pick, SemiVAE, aside, greys, own_draw
from vaescope.models import encode as encoded
from vaescope.objectives import distortion, rate

Array = np.ndarray


def rows(model: VAE, parts: Iterable[Examples]) -> Iterator[dict[str, Array]]:
    """The posterior of every image and the bound on its log-likelihood, at one draw of the latents.

    Memory does not grow with the number of parts.

    Args:
        model: The model.
        parts: The images as the model is shown them, in parts of any size.

    Yields:
        The rows of at most 500 images, in order: ``mean``, the centre of the posterior, with shape (n, D); where there
        is one, ``scale``, its standard deviation, with the same shape; where there is a rate, ``elbo`` with shape (n,)
        in nats; of a model with a classifier, ``predicted`` with shape (n,).
    """
    for part in parts:
        for examples in part.split(CHUNK):
            with aside(model, seed=0):  # not around the yield: what the caller draws is the caller's
                found = _rows(model, examples.to(_device(model)))
            yield {name: column.cpu().numpy() for name, column in found.items()}


def _rows(model: VAE, part: Examples) -> dict[str, Tensor]:
    semi, point = isinstance(model, SemiVAE), model.posterior.family.degenerate
    trace = None if point else model(part.values, part.context, own_draw(part.values))
    q = model.infer(part.values, part.context) if semi or trace is None else trace.sites[0].q
    found = {"mean": centre(q)}
    scale = None if point else standard_deviation(q)
    if scale is not None:
        found["scale"] = scale
    if trace is not None:
        found["elbo"] = -(distortion(trace, part.values) + rate(trace))
    if isinstance(model, SemiVAE):
        found["predicted"] = centre(model.classify(part.values)).argmax(-1)
    return found


def standard_deviation(q: Distribution) -> Tensor | None:
    """The standard deviation of every latent, or nothing where the family knows none."""
    try:
        return q.stddev
    except NotImplementedError:
        return None


def encode(model: VAE, examples: Examples) -> Array:
    """The centres of the posteriors of N images, with shape (N, D). Nothing is random."""
    return encoded(model, examples).numpy()


def reconstruct(model: VAE, target: Target, examples: Examples) -> Array:
    """What the model makes of N images, from these centres: greys in [0, 1], with shape (N, C, H, W)."""
    return greys.reconstruct(model, target, examples).numpy()


def decode(model: VAE, target: Target, z: Array | Tensor, labels: Array | Tensor | None = None) -> Array:
    """The mean images of latents.

    Args:
        model: The model.
        target: How values become greys.
        z: Latents, with shape (N, D).
        labels: The numbers of their classes, with shape (N,), for a model with labels.

    Returns:
        Greys in [0, 1], with shape (N, C, H, W).

    Raises:
        UsageError: For another shape, values that are not finite, or labels that are missing or mean nothing.
    """
    dims = model.prior().event_shape[0]
    try:
        latents = torch.as_tensor(z, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"z is no array ({error}): give latents with shape (N, {dims})") from None
    if latents.ndim != 2 or latents.shape[1] != dims or not len(latents):
        raise UsageError(f"z has shape {tuple(latents.shape)}: give latents with shape (N, {dims})")
    if not latents.isfinite().all():
        raise UsageError("z holds values that are not finite: give latents such as those of encode")
    return greys.decode(model, target, latents, condition(model, labels, len(latents))).numpy()


def sample(
    model: VAE, target: Target, count: int, temperature: float = 1.0, seed: int = 0, label: int | None = None
) -> Array:
    """New images: means of the likelihood at draws of the prior.

    Args:
        model: The model.
        target: How values become greys.
        count: The number N of images.
        temperature: The factor on the scale of the prior.
        seed: Decides the draws.
        label: The number of their class, for a model with labels; by default all classes in turn.

    Returns:
        Greys in [0, 1], with shape (N, C, H, W).

    Raises:
        UsageError: For less than one image, a temperature below 0 or that the prior has not, or a class that is none.
    """
    if not isinstance(count, int | np.integer) or count < 1 or not 0 <= temperature < float("inf"):
        raise UsageError(f"{count} samples at temperature {temperature:g}: give a whole number from 1, at 0 or above")
    labels = None
    if label is not None:
        labels = torch.full((count,), label)
    elif model.classes:
        labels = torch.arange(count) % model.classes
    context = condition(model, labels, count)
    return greys.sample(model, target, count, temperature, seed, context).numpy()


def log_likelihood(model: VAE, examples: Examples, samples: int = 100) -> Array:
    """The importance weighted bound on log p(x) of every image, at draws of its own.

    Memory does not grow with the number of draws.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        samples: The number K of draws for each image; the bound rises with it towards log p(x).

    Returns:
        The bounds in nats, with shape (N,), as float64.

    Raises:
        UsageError: For an autoencoder, which has no likelihood, or less than one sample.
    """
    return importance_bound(model, examples, samples, draws=own_draws).numpy()


def own_draws(part: Examples, count: int, turn: int) -> Pick:
    """Some of the draws that belong to each image, see :func:`vaescope.models.own_draw`."""
    return own_draw(part.values, count, turn)


def condition(model: VAE, labels: Array | Tensor | None, count: int) -> Tensor | None:
    """Labels as what the model is conditioned on.

    Args:
        model: The model.
        labels: The numbers of classes, with shape (count,), or nothing.
        count: How many there must be.

    Raises:
        UsageError: For labels that are missing, mean nothing to the model, or are no classes.
    """
    if labels is None:
        return model.context(None)
    given = torch.as_tensor(labels)
    if not model.classes:
        raise UsageError("the model knows no labels, but some were given: leave them out, or set model.labels true")
    if given.shape != (count,) or given.is_floating_point():
        raise UsageError(f"the labels are {given.dtype} of shape {tuple(given.shape)}: give {count} whole numbers")
    if len(given) and not 0 <= int(given.min()) <= int(given.max()) < model.classes:
        ends, last = f"{int(given.min())} to {int(given.max())}", model.classes - 1
        raise UsageError(f"the labels go from {ends}: give numbers from 0 to {last}")
    return model.context(given.long())


def _device(model: VAE) -> torch.device:
    return next(model.parameters()).device
