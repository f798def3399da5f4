r"""Likelihoods of test images: tighter than the ELBO, and for other binary images than those of one draw.

.. math:: \log p(x) \ge \mathbb{E} \log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)} \ge \mathrm{ELBO}
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.targets import Grey
from vaescope.families import Bernoulli
from vaescope.metrics.annealed import inapplicable
from vaescope.metrics.bits import in_bits
from vaescope.metrics.bound import NATS, distortions_and_rates, of_labels
from vaescope.metrics.importance import Weights, importance_weights
from vaescope.metrics.score import NORMAL, InapplicableError, Score, mean_score, of_few
from vaescope.metrics.shown import shown
from vaescope.metrics.subject import Subject

FEW, MANY = 10.0, 0.5
"""A bound is called loose where more than this share of the images has fewer effective samples than this."""

DECIMALS = 3
"""Decimals of an effective sample size: weights are computed in single precision."""


def iwae(subject: Subject) -> Iterator[Score]:
    """The importance weighted bound of the test images, its gap to the ELBO, and its effective sample size."""
    if subject.model.posterior.family.degenerate:
        raise InapplicableError("the posterior is a point mass, which has no importance weights")
    count = subject.effort.samples
    seed = subject.seed_for("importance")
    weights = importance_weights(subject.model, subject.test, count, seed=seed, tick=subject.tick)
    words, wrong = shown(subject)
    grey = isinstance(subject.model.likelihood.family, Bernoulli) and not subject.target.discrete
    of = ", a bound on the mean over binarisations" if grey else ""  # the exponential is convex
    protocol = f"{words}, K = {count:,} draws of q(z|x) for each image{of_labels(subject.model)}{of}"
    besides = "" if inapplicable(subject.model) else ", or the metric ais"
    warning = "; ".join(filter(None, (wrong, loose(weights, count, besides))))
    title = f"−log p(x), IWAE ({count:,})"
    bound = mean_score("iwae", title, -weights.bound, NATS, protocol, better="lower")
    yield replace(bound, warning=warning)
    yield from in_bits(subject, bound)
    yield mean_score("iwae_gap", "IWAE above ELBO, same draws", weights.bound - weights.elbo, NATS, protocol)
    known = weights.ess.round(decimals=DECIMALS)
    yield median_score("effective_samples", f"effective samples of {count:,}, median", known, protocol)


def loose(weights: Weights, samples: int, besides: str = "") -> str:
    """Says so where the bound is loose for many images because few weights outweigh the others.

    Args:
        weights: What the weights of N images say.
        samples: Their number K.
        besides: What else could be tried.
    """
    share = (weights.ess < FEW).double().mean().item()
    if share <= MANY:
        return ""
    gap = ((1 / weights.ess - 1 / samples) / 2).mean().item()
    return (
        f"the effective sample size is below {FEW:.0f} for {share:.0%} of the images: "
        f"the bound is loose, by {gap:.2f} nats to first order and often by more; use more --samples{besides}"
    )


def median_score(name: str, title: str, each: Tensor, protocol: str) -> Score:
    """The median over test images, with the interval that its order statistics give whatever the distribution.

    Args:
        name: See :class:`Score`, as for the others.
        title: What tables call it.
        each: The number of each image, with shape (N,).
        protocol: How it was measured.
    """
    rising = each.sort().values
    last, half = len(rising) - 1, NORMAL * math.sqrt(len(rising)) / 2
    low, high = max(0, math.floor(last / 2 - half)), min(last, math.ceil(last / 2 + half))
    interval = rising[low].item(), rising[high].item()
    value = rising.quantile(0.5).item()
    return Score(name, title, value, "", protocol, len(rising), interval=interval, each=each.numpy())


def binarisation(subject: Subject) -> Iterator[Score]:
    """-ELBO of the test images binarised anew several times, and of the grey ones in place of binary ones."""
    target, model = subject.target, subject.model
    if not target.discrete:
        raise InapplicableError("the model is of greys, so nothing is binarised")
    if model.posterior.family.degenerate:
        raise InapplicableError("the posterior is a point mass, which has no bound")
    images, context, labels = subject.split("test").images, subject.test.context, of_labels(model)
    scored, count = "one sample, KL weight 1", subject.effort.draws
    bounds = []
    for k in range(count):
        noise = torch.Generator().manual_seed(subject.seed_for("binarisation", k))
        examples = Examples(images, context, partial(target.training, noise=noise))
        bounds.append(distortions_and_rates(model, examples, subject.seed_for("latents", k)).sum(0))
        subject.tick(k + 1, count + 1)
    drawn = f"images binarised anew {count} times, encoder sees the binary image, {scored}{labels}"
    yield from over_draws(torch.stack(bounds), drawn)
    if isinstance(model.likelihood.family, Bernoulli):
        examples = Examples(images, context, Grey(target.bits).values)
        bound = distortions_and_rates(model, examples, subject.seed_for("latents")).sum(0)
        grey = "expectation over all binarisations: cross-entropy with the grey image, which the encoder sees, too"
        protocol = f"{grey}, {scored}{labels}"
        yield mean_score("negative_elbo_grey", "−ELBO, encoder sees grey", bound, NATS, protocol, better="lower")


def over_draws(bounds: Tensor, protocol: str) -> Iterator[Score]:
    """The mean of a score over several draws of the test images and their latents, and its spread.

    Args:
        bounds: The score of N images in M draws, with shape (M, N).
        protocol: How it was measured.
    """
    draws, images = bounds.shape
    means, each = bounds.mean(1), bounds.mean(0).numpy()
    value, parts = means.mean().item(), tuple(means.tolist())
    title = f"−ELBO, mean of {draws} binarisations"
    plain = Score("negative_elbo_draws", title, value, NATS, protocol, images, better="lower", parts=parts, each=each)
    if draws < 2:
        yield plain
        return
    spread = means.std().item()
    error = spread / math.sqrt(draws)
    yield of_few(replace(plain, error=error, over="draws"), draws)
    wide = spread / math.sqrt(2 * (draws - 1))
    title = "spread over the draws (sd)"
    yield Score("binarisation_spread", title, spread, NATS, protocol, draws, "draws", error=wide, over="draws")
