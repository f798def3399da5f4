"""Looking at a model without touching its training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor, nn

from vaescope.data.examples import Examples
from vaescope.distributions import centre as centre_of
from vaescope.engine import bring
from vaescope.models.trace import centre
from vaescope.models.vae import VAE

ALONE = RLock()
"""Held by the thread that draws random numbers from a seed of its own."""


@contextmanager
def seeded(seed: int, *devices: torch.device) -> Iterator[None]:
    """Within the block random numbers come from ``seed``; after it they go on as if nothing had been drawn in between.

    Threads wait for one another here: torch has one stream of random numbers for all of them.

    Args:
        seed: Where random numbers within the block start.
        devices: Where they are drawn. The CPU is always one of them.
    """
    gpus = {device for device in devices if device.type == "cuda"}
    with ALONE, torch.random.fork_rng(gpus):
        torch.default_generator.manual_seed(seed)
        for device in gpus:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def aside(model: nn.Module, seed: int) -> Iterator[None]:
    """Within the block the model is in evaluation mode, without gradients, and random numbers come from ``seed``.

    After it every module is in the mode it was in, and the random numbers of training go on as if nothing had been
    drawn in between: pictures and metrics cannot change what is learned.

    Args:
        model: The model to look at.
        seed: Where random numbers within the block start.
    """
    modes = {module: module.training for module in model.modules()}
    with seeded(seed, *{p.device for p in model.parameters()}), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


Look = Callable[[Tensor, Tensor | None], Tensor]
"""From the values and the context of some examples to a tensor of as many rows."""


def in_parts(model: nn.Module, look: Look, examples: Examples, size: int = 1000) -> Tensor:
    """What a look at many examples gives, a part at a time, so that memory does not grow with their number.

    Args:
        model: The model that is looked at, see :func:`aside`; the parts are put on its device.
        look: From the values and the context of a part to a tensor of as many rows. It draws no random numbers.
        examples: The examples, or latents and what they are conditioned on.
        size: The number of examples in a part.

    Returns:
        The rows of all parts, on the CPU.
    """
    return looked(model, look, examples, size)()


def looked(model: nn.Module, look: Look, examples: Examples, size: int = 1000) -> Callable[[], Tensor]:
    """The same as :func:`in_parts`, to be asked for later: nobody waits for a GPU before that."""
    device = next(model.parameters()).device
    with aside(model, seed=0):
        parts = (part.to(device) for part in examples.split(size))
        coming = [bring(look(part.values, part.context)) for part in parts]
    return lambda: torch.cat([part() for part in coming])


def encoding(model: VAE) -> Look:
    """From images to the centres of their posteriors, with shape (N, D). Nothing is random."""
    return lambda x, context: centre_of(model.infer(x, context))


def reconstruction(model: VAE) -> Look:
    """From images to the means of the likelihood at these centres, with shape (N, C, H, W). Nothing is random."""
    return lambda x, context: model(x, context, centre()).likelihood.mean


def encode(model: VAE, examples: Examples) -> Tensor:
    """The centres of the posteriors of images, with shape (N, D) on the CPU. Nothing is random."""
    return in_parts(model, encoding(model), examples)


def reconstruct(model: VAE, examples: Examples) -> Tensor:
    """The means of the likelihood at these centres, with shape (N, C, H, W) on the CPU. Nothing is random."""
    return in_parts(model, reconstruction(model), examples)
