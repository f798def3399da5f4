r"""Traces: what one pass through a latent variable model leaves behind.

A pass visits the latent variables one after another. Each becomes a :class:`Site` with its prior, its posterior if data
was seen, and the value it took; the likelihood of the data given these values comes last. Where the value comes from is
not the model's business but an argument, the :data:`Pick`: drawn, the centre, given from outside, or drawn at a
temperature. Training, evaluation, sampling, traversals and interpolation are then the same pass with another pick.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vaescope.distributions import centre as centre_of
from vaescope.distributions import draw_at, tempered
from vaescope.streams import uniforms


@dataclass(frozen=True)
class Site:
    """One latent variable.

    Args:
        p: Its prior p(z), whose batch shape broadcasts to that of ``z``.
        q: Its posterior q(z|x) with batch shape (B,), or nothing when no data was seen.
        z: The value it took, with shape (*S, B, *event), where S are the axes of repeated draws.
    """

    p: Distribution
    q: Distribution | None
    z: Tensor


@dataclass(frozen=True)
class Trace:
    """One pass through a latent variable model.

    Args:
        sites: The latent variables in the order of the pass.
        likelihood: p(x|z), with batch shape (*S, B) and the shape of an image as its event.
    """

    sites: tuple[Site, ...]
    likelihood: Distribution


Pick = Callable[[int, Distribution, Distribution | None], Tensor]
"""Chooses the value of a site from its index, its prior and its posterior, if any."""


def draw(samples: int | None = None) -> Pick:
    """Draws from the posterior where there is one, else from the prior.

    Args:
        samples: How many draws to make of each. They become a new first axis; without a number there is none. Only the
            first site adds the axis, the others inherit it.
    """

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        source = p if q is None else q
        shape = Size((samples,)) if samples is not None and index == 0 else Size()
        return source.rsample(shape) if source.has_rsample else source.sample(shape)

    return pick


def own_draw(x: Tensor, samples: int | None = None, turn: int = 0) -> Pick:
    """Draws as :func:`draw` does, from random numbers that each image brings along.

    They are a hash of its values, so that the draw does not depend on the other images of the batch or on their order.

    Args:
        x: The images of the pass, with shape (B, C, H, W).
        samples: How many draws to make of each, as a new first axis.
        turn: Another number gives other draws.
    """
    images = x.cpu().numpy()

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        source = p if q is None else q
        first = (samples,) if samples is not None and index == 0 else ()
        draws, event = (*first, *source.batch_shape[:-1]), source.event_shape  # the last axis of the batch is B
        numbers = uniforms(images, math.prod(draws) * math.prod(event), "latents", index, turn)
        uniform = torch.from_numpy(numbers).view(len(images), *draws, *event).movedim(0, len(draws))
        return draw_at(source, uniform.to(x.device))

    return pick


def centre() -> Pick:
    """Takes the centre of the posterior where there is one, else of the prior: the mean of a normal. Nothing is random.

    See :func:`vaescope.distributions.centre`.
    """

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        return centre_of(p if q is None else q)

    return pick


def given(*values: Tensor | None) -> Pick:
    """Takes values from outside, one for each site, and draws from the prior where there is none.

    Args:
        values: The values of the first sites, with shape (*S, B, *event).
    """

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        value = values[index] if index < len(values) else None
        return p.sample() if value is None else value

    return pick


def temper(temperature: float, samples: int | None = None) -> Pick:
    """Draws as :func:`draw` does, with every scale multiplied by a temperature.

    Args:
        temperature: A factor of at least 0. Zero gives the means, 1 the distributions themselves.
        samples: How many draws to make of each, as a new first axis.
    """
    chosen = draw(samples)

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        return chosen(index, tempered(p, temperature), None if q is None else tempered(q, temperature))

    return pick
