r"""What the latents of a model carry: which of them are in use, and how much they say about the image.

The mean rate over N images splits in two, with the aggregate posterior :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)`:

.. math:: \frac{1}{N} \sum_n \mathrm{KL}(q(z \mid x_n) \,\|\, p(z))
          = \underbrace{I_q(x; z)}_{\text{mutual information}}
          + \underbrace{\mathrm{KL}(q(z) \,\|\, p(z))}_{\text{marginal KL}}

Only the first part is of use to the decoder. It cannot be more than log N, however good the model is: N images are told
apart by log N nats. The second part is how far the latents of all images together are from the prior.

References:
    | ELBO surgery: yet another way to carve up the variational evidence lower bound (Hoffman and Johnson, 2016)
    | http://approximateinference.org/accepted/HoffmanJohnson2016.pdf
    | Importance Weighted Autoencoders (Burda et al., 2016), for active units
    | https://arxiv.org/abs/1509.00519
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaescope.data.examples import Examples
from vaescope.distributions import centre, diagonal_normal
from vaescope.distributions.normal import normal_pairs
from vaescope.families import Family, InverseAutoregressive
from vaescope.metrics.subject import Tick
from vaescope.models import VAE, Site, aside
from vaescope.objectives import dimension_rates, log_mean_exp
from vaescope.objectives.aggregate import entries

ACTIVE = 0.01
"""A latent is active if its posterior centre has a variance over images above this (Burda et al., 2016)."""

IMAGES = 1000
"""Images that :func:`examine` looks at: enough for a mutual information of up to 6.9 nats."""

JOINTLY = (500, 128)
"""The same, and for how many of them latents are drawn, where latents depend on one another: densities take long."""

INVERTED = (256, 16)
"""The same for a posterior whose density takes a pass for every latent, at any value but its own draw."""

AT_ONCE = 2**20
"""Numbers in one part of a comparison of all draws with all posteriors: 4 MB stay in a CPU's cache."""


@dataclass(frozen=True)
class Anatomy:
    """What D latents carry of N images. What is not defined for a model is None.

    Args:
        images: The number of images N.
        latents: The number of latents D.
        centre_variance: Of each latent the variance over images of the posterior's centre, in squared latent units.
        active_units: How many of these are above 0.01. Not for point masses, whose scale is arbitrary, and not on
            spheres, whose axes are.
        kl_per_latent: Of each latent the mean KL(q(z_j|x) || p(z_j)) in nats per image, where both factorise.
        mutual_information: The mutual information I_q(x; z) in nats, at most log N. Not for point masses.
        marginal_kl: KL(q(z) || p(z)) in nats, of the aggregate q(z) of the N images.
        codes: The number of levels K of each latent, of a posterior over codes.
        codes_used: Of each latent how many levels are the most probable one of some image.
        perplexity: Of each latent exp of the entropy of these levels over images: K if all are used equally often.
    """

    images: int
    latents: int
    centre_variance: tuple[float, ...]
    active_units: int | None = None
    kl_per_latent: tuple[float, ...] | None = None
    mutual_information: float | None = None
    marginal_kl: float | None = None
    codes: int | None = None
    codes_used: tuple[int, ...] | None = None
    perplexity: tuple[float, ...] | None = None

    def numbers(self) -> dict[str, Any]:
        """What there is of it to log at a step, as what JSON can hold."""
        kept = {name: value for name, value in asdict(self).items() if value is not None}
        for name in ("images", "latents", "codes"):
            kept.pop(name, None)
        return {name: _rounded(value) for name, value in kept.items()}


def _rounded(value: Any) -> Any:
    return [_rounded(v) for v in value] if isinstance(value, tuple) else round(value, 6)


def examine(model: VAE, examples: Examples, seed: int = 0) -> Anatomy:
    """The anatomy of the latents of the first images of a split, as many as can be looked at in a moment.

    Args:
        model: The model.
        examples: The images of the split.
        seed: Decides the draws of the latents.
    """
    images, draws = looked_at(model.posterior.family)
    return anatomy(model, examples[:images], draws, seed)


def looked_at(family: Family, most: int = IMAGES) -> tuple[int, int | None]:
    """How many images to look at, and for how many of them latents are drawn: nothing for all of them.

    Args:
        family: The family of the posterior, which decides what a density costs.
        most: How many images where it costs little.
    """
    if family.factorised:
        return most, None
    return INVERTED if isinstance(family, InverseAutoregressive) else JOINTLY


def anatomy(model: VAE, examples: Examples, draws: int | None = None, seed: int = 0) -> Anatomy:
    """The anatomy of the latents of N images, which the encoder sees in one pass.

    Args:
        model: The model.
        examples: The N images.
        draws: For how many of them a latent is drawn and compared with all N posteriors; by default for every one.
        seed: Decides these draws.
    """
    family = model.posterior.family
    here = examples.to(next(model.parameters()).device)
    with aside(model, seed):
        q, p = model.infer(here.values, here.context), model.prior(here.context)
        middle = centre(q).flatten(1).double()  # (N, D)
        variance = middle.var(0, unbiased=False)
        if family.degenerate:
            return Anatomy(len(here), len(variance), _numbers(variance))
        site = Site(p, q, q.sample())
        each = dimension_rates(site)
        information, marginal = divided_rate(site, draws)
    flat = family.support == "real line" or family.support.endswith("codes")
    return Anatomy(
        len(here),
        len(variance),
        _numbers(variance),
        int((variance > ACTIVE).sum()) if flat else None,
        None if each is None else _numbers(each.flatten(1).double().mean(0)),
        information,
        marginal,
        *(code_use(middle, int(family.support.split()[0])) if family.support.endswith("codes") else ()),
    )


def divided_rate(site: Site, draws: int | None = None) -> tuple[float, float]:
    """The mutual information and the marginal KL of N images, in nats, estimated at one draw of each.

    Their sum is the mean of log q(z|x) - log p(z) at these draws. Of posteriors that are all the same the first is 0,
    of posteriors that do not overlap it is log N.

    Args:
        site: N latents with shape (N, D), their posteriors with batch shape (N,), and the prior.
        draws: How many of the N latents are compared with all posteriors; by default all.
    """
    own, together, prior = log_densities([site], draws)
    return (own - together).mean().item(), (together - prior).mean().item()


def log_densities(sites: Sequence[Site], draws: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The log-densities of latents under their own posterior, under the aggregate posterior, and under the prior.

    Args:
        sites: N latents, a part at a time, with shape (n, D), their posteriors with batch shape (n,), and the prior.
        draws: How many of the N latents are compared with all posteriors; by default all.

    Returns:
        Each with shape (M,), in double precision.
    """
    posteriors = [_posterior(site) for site in sites]
    own = torch.cat([_own(site.z, q) for site, q in zip(sites, posteriors, strict=True)])[:draws]
    prior = torch.cat([site.p.log_prob(site.z).double() for site in sites])[:draws]
    return own, aggregate_log_prob(torch.cat([site.z for site in sites])[:draws], *posteriors), prior


def _posterior(site: Site) -> Distribution:
    if site.q is None:
        raise ValueError("a site without a posterior has no rate; pass images to the model")
    return site.q


def _own(z: Tensor, q: Distribution) -> Tensor:
    exact = doubled(q)
    return q.log_prob(z).double() if exact is None else exact.log_prob(z.double())


def aggregate_log_prob(z: Tensor, *posteriors: Distribution) -> Tensor:
    r"""The log-density of latents under the aggregate posterior, :math:`\log \frac{1}{N} \sum_n q(z \mid x_n)`.

    Args:
        z: Latents, with shape (M, D).
        posteriors: N posteriors, in parts with batch shape (n,) and event shape (D,).

    Returns:
        Shape (M,), in double precision.
    """
    return _mixed([_of_part(z, q) for q in posteriors], posteriors)


def single_log_probs(z: Tensor, posteriors: Sequence[Distribution], tick: Tick = lambda done, total: None) -> Tensor:
    r"""The log-density of every latent by itself under the aggregate posterior, :math:`\log \frac{1}{N} \sum_n q(z_j
    \mid x_n)`.

    Args:
        z: Latents, with shape (M, D).
        posteriors: N posteriors that factorise, in parts with batch shape (n,) and event shape (D,).
        tick: Is told how much is done.

    Returns:
        Shape (M, D), in double precision.
    """
    parts = [_singles_of_part(z, q, partial(_moved, tick, turn, len(posteriors))) for turn, q in enumerate(posteriors)]
    return _mixed(parts, posteriors)


def _moved(tick: Tick, turn: int, turns: int, done: int, total: int) -> None:
    """Tells that so much of one part of several is done."""
    tick(turn * total + done, turns * total)


def _mixed(parts: Sequence[Tensor], posteriors: Sequence[Distribution]) -> Tensor:
    """The logarithm of the mean of densities, of which each part has the mean over some."""
    counts = parts[0].new_tensor([q.batch_shape[0] for q in posteriors])
    shares = (counts / counts.sum()).log()
    return torch.stack([part + share for part, share in zip(parts, shares, strict=True)]).logsumexp(0)


def _of_part(z: Tensor, q: Distribution) -> Tensor:
    """The log-density of latents under the mean of some posteriors, with shape (M,)."""
    if (exact := doubled(q)) is not None:
        return _of_normals(z.double(), exact.base_dist.loc, exact.base_dist.scale)
    return torch.cat([log_mean_exp(q.log_prob(part[:, None]).double(), axis=1) for part in _few(z, q)])


def _singles_of_part(z: Tensor, q: Distribution, tick: Tick) -> Tensor:
    """The log-density of every latent by itself under the mean of some posteriors, with shape (M, D)."""
    if (exact := doubled(q)) is None:
        base = entries(q)
        return torch.cat([log_mean_exp(base.log_prob(part[:, None]).double(), axis=1) for part in _few(z, q)])
    columns = []
    for j in range(z.shape[1]):
        one = slice(j, j + 1)
        columns.append(_of_normals(z[:, one].double(), exact.base_dist.loc[:, one], exact.base_dist.scale[:, one]))
        tick(j + 1, z.shape[1])
    return torch.stack(columns, dim=1)


def _of_normals(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """The log-density of vectors under the mean of diagonal normals, see :func:`normal_pairs`."""
    parts = z.split(max(1, AT_ONCE // len(loc)))
    return torch.cat([log_mean_exp(normal_pairs(part, loc, scale), axis=1) for part in parts])


def _few(z: Tensor, q: Distribution) -> Sequence[Tensor]:
    """Latents, as many at a time as can be compared with some posteriors together."""
    return z.split(max(1, AT_ONCE // (q.batch_shape[0] * z[0].numel())))


def doubled(q: Distribution) -> Independent | None:
    """Independent normals over vectors in double precision; nothing for others, or where a scale is all but zero."""
    if not isinstance(q, Independent) or not isinstance(q.base_dist, Normal) or len(q.event_shape) != 1:
        return None
    loc, scale = q.base_dist.loc.double(), q.base_dist.scale.double()
    return diagonal_normal(loc, scale) if scale.min() > 1e-5 else None


def code_use(levels: Tensor, codes: int) -> tuple[int, tuple[int, ...], tuple[float, ...]]:
    """How many of the levels of each latent are used, and their perplexity.

    Args:
        levels: The most probable level of every image and latent, with shape (N, D).
        codes: The number of levels K that there are.

    Returns:
        K, the number used of each latent, and the perplexity of each.
    """
    shares = [column.unique(return_counts=True)[1] / len(column) for column in levels.T]
    perplexity = [torch.special.entr(share).sum().exp().item() for share in shares]
    return codes, tuple(map(len, shares)), tuple(perplexity)


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
