r"""What the rate of a split is made of: information, dependence between latents, and distance to the prior.

.. math:: \frac{1}{N} \sum_n \mathrm{KL}(q(z \mid x_n) \,\|\, p(z)) = I_q(x; z)
          + \underbrace{\mathrm{KL}\Big(q(z) \,\Big\|\, \prod_j q(z_j)\Big)}_{\text{total correlation}}
          + \underbrace{\sum_j \mathrm{KL}(q(z_j) \,\|\, p(z_j))}_{\text{dimension-wise KL}}

with the aggregate posterior :math:`q(z)` of all N images, none left out: there is no estimator of a batch, whose bias
would be a matter of its own, and only the draws are random, one for each image. The last two are the marginal KL. Of
posteriors whose latents depend on one another it is not divided, and of a prior that does not factorise the
dimension-wise KL is left out.

References:
    | ELBO surgery: yet another way to carve up the variational evidence lower bound (Hoffman and Johnson, 2016)
    | http://approximateinference.org/accepted/HoffmanJohnson2016.pdf
    | Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018)
    | https://arxiv.org/abs/1802.04942
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaescope.data.examples import Examples
from vaescope.distributions import centre
from vaescope.metrics.bound import NATS
from vaescope.metrics.embeddings import spread
from vaescope.metrics.latents import ACTIVE, code_use, log_densities, looked_at, single_log_probs
from vaescope.metrics.score import InapplicableError, Score, mean_score
from vaescope.metrics.subject import Subject, Tick
from vaescope.models import VAE, Site, aside
from vaescope.objectives import dimension_rates
from vaescope.objectives.aggregate import entries

MOST = 5000
"""Images at most: enough for a mutual information of up to 8.5 nats."""

ENCODED = 500
"""Images a pass of the encoder."""

CEILING = 1.0
"""Nats below the logarithm of the number of images from which on a mutual information says as much of that number as of
the model: an image is then mistaken for fewer than e others."""

SHARE_LEFT, FEW_LEFT = 0.1, 4
"""Active units, as a share and in number, of which both have to be exceeded for the posterior not to have collapsed."""

SPEECHLESS = 0.1
"""A mutual information, in nats, of which no more than noise is left."""


@dataclass(frozen=True)
class RateParts:
    """The parts of the rate at M draws, in nats. Their means estimate the parts, and their sum the rate.

    Args:
        mutual_information: log q(z|x) - log q(z), with shape (M,).
        marginal_kl: log q(z) - log p(z), with shape (M,).
        total_correlation: log q(z) - sum_j log q(z_j), with shape (M,), where the posteriors factorise.
        dimension_wise: log q(z_j) - log p(z_j), with shape (M, D), where the prior factorises as well.
    """

    mutual_information: Tensor
    marginal_kl: Tensor
    total_correlation: Tensor | None = None
    dimension_wise: Tensor | None = None


def rate_parts(sites: Sequence[Site], draws: int | None = None, tick: Tick = lambda done, total: None) -> RateParts:
    """The parts of the rate of N images, at one draw for each.

    Args:
        sites: The latents, the posteriors and the prior of all images, a part at a time, with z of shape (n, D).
        draws: How many of the N latents are compared with all posteriors; by default all.
        tick: Is told how much is done.
    """
    own, together, prior = log_densities(sites, draws)
    whole = RateParts(own - together, together - prior)
    posteriors = [site.q for site in sites if site.q is not None]
    if not all(map(factorises, posteriors)):
        return whole
    z = torch.cat([site.z for site in sites])[:draws]
    single = single_log_probs(z, posteriors, tick)
    correlation = together - single.sum(1)
    if not all(factorises(site.p) for site in sites):
        return replace(whole, total_correlation=correlation)
    before = torch.cat([entries(site.p).log_prob(site.z).double() for site in sites])[:draws]
    return replace(whole, total_correlation=correlation, dimension_wise=single - before)


def factorises(distribution: Distribution) -> bool:
    """Whether vectors have entries that are independent of one another, and says so."""
    return isinstance(distribution, Independent) and len(distribution.event_shape) == 1


def posteriors(model: VAE, examples: Examples, seed: int = 0) -> list[Site]:
    """The posteriors of images, a part at a time, with a draw of each.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        seed: Decides the draws.
    """
    device = next(model.parameters()).device
    with aside(model, seed):
        parts = (part.to(device) for part in examples.split(ENCODED))
        pairs = [(model.infer(part.values, part.context), model.prior(part.context)) for part in parts]
        return [Site(p, q, q.sample()) for q, p in pairs]


def latents(subject: Subject) -> Iterator[Score]:
    """Active units, the rate latent by latent, mutual information, total correlation and dimension-wise KL."""
    model = subject.model
    if model.posterior.family.degenerate:
        raise InapplicableError("the posterior is a point mass, which has no rate")
    images, draws = looked_at(model.posterior.family, MOST)
    shown = subject.test[spread(len(subject.test), images)]
    sites = posteriors(model, shown, subject.seed_for("latents"))
    of = "the label of each image given" if model.classes else ""
    with aside(model, seed=0):
        yield from units(model, sites, of)
        yield from divided(rate_parts(sites, draws, subject.tick), len(shown), of)


def units(model: VAE, sites: Sequence[Site], of: str) -> Iterator[Score]:
    """Which latents are in use, and the rate of each."""
    middle = torch.cat([centre(site.q).flatten(1) for site in sites if site.q is not None]).double().cpu()
    count, dims = middle.shape
    support = model.posterior.family.support
    variance = middle.var(0, unbiased=False)
    if support != "sphere":
        active = int((variance > ACTIVE).sum())
        words = f"latents, of {dims}, whose posterior centre has a variance over test images above {ACTIVE:g}"
        yield Score(
            "active_units", "active units", active, f"of {dims}", joined(words, of), count,
            warning=collapse(active, dims), parts=tuple(variance.tolist()),
        )  # fmt: skip
    if support.endswith("codes"):
        yield from used(middle, int(support.split()[0]), of)
    each = [dimension_rates(site) for site in sites]
    if all(part is not None for part in each):
        rates = torch.cat([part.flatten(1) for part in each if part is not None]).double().cpu()
        words = joined("mean over test images of Σ_j KL(q(z_j|x) ‖ p(z_j)), exact", of)
        score = mean_score("kl_per_latent", "rate, sum over latents", rates.sum(1), NATS, words)
        yield replace(score, parts=tuple(rates.mean(0).tolist()))


def used(levels: Tensor, codes: int, of: str) -> Iterator[Score]:
    """How many codes are the most probable one of some image, and how evenly they are used."""
    _, counts, perplexity = code_use(levels, codes)
    count, dims = levels.shape
    words = joined(f"the most probable of {codes} codes of each of {dims} latents, of test images", of)
    yield Score("codes_used", "codes used", sum(counts), f"of {codes * dims}", words, count, parts=counts)
    mean = sum(perplexity) / dims
    words = joined(f"exp of the entropy of {words}, mean over latents")
    yield Score("perplexity", "perplexity of the codes", mean, f"of {codes}", words, count, parts=perplexity)


def divided(parts: RateParts, images: int, of: str) -> Iterator[Score]:
    """The parts of the rate."""
    most = math.log(images)
    words = f"one draw of z for each image, compared with the posteriors of all {images:,} images, none left out"
    words = joined(f"q(z) is the mean of q(z|x) over these images; {words}", of)
    mean = parts.mutual_information.mean().item()
    full = mean > most - CEILING
    limit = f"near its ceiling, the logarithm of {images:,} images: the model may tell more images apart"
    little = "the latents say next to nothing of the image: the posterior has collapsed" if mean < SPEECHLESS else ""
    beyond = "of these few images: with more of them it would be less, see mutual information" if full else ""

    def score(name: str, title: str, each: Tensor, note: str, warning: str) -> Score:
        found = mean_score(name, title, each.cpu(), NATS, f"{words}{note}")
        return replace(found, warning=warning, over="draws")

    yield score(
        "mutual_information", "mutual information I(x; z)", parts.mutual_information,
        f"; at most log {images:,} = {most:.2f} nats", limit if full else little,
    )  # fmt: skip
    yield score("marginal_kl", "marginal KL, KL(q(z) ‖ p(z))", parts.marginal_kl, "", beyond)
    if parts.total_correlation is not None:
        yield score("total_correlation", "total correlation of q(z)", parts.total_correlation, "", beyond)
    if parts.dimension_wise is not None:
        found = score("dimension_wise_kl", "dimension-wise KL of q(z)", parts.dimension_wise.sum(1), "", "")
        yield replace(found, parts=tuple(parts.dimension_wise.mean(0).tolist()))


def collapse(active: int, latents: int) -> str:
    """What to say of few active units."""
    if active > min(SHARE_LEFT * latents, FEW_LEFT):
        return ""
    who = "no latent is" if active == 0 else f"only {active} of {latents} latents {'is' if active == 1 else 'are'}"
    return f"{who} active: the posterior has collapsed; try free bits or a smaller weight of the rate"


def joined(*words: str) -> str:
    """The words that there are, with commas."""
    return ", ".join(word for word in words if word)
