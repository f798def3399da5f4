r"""Free bits: a part of the rate that costs nothing, so that a latent is worth keeping before it is of much use."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor

from vaescope.errors import UsageError
from vaescope.models import VAE, Site, aside
from vaescope.objectives.checks import check_amounts, check_counts
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.schedules import Ramp, Schedule
from vaescope.objectives.terms import dimension_rates, distortion, rate


@dataclass(frozen=True)
class FreeBits(Objective):
    r"""The negative ELBO, where each group of latents may spend some nats for free.

    .. math:: D + \beta \sum_g \max\left( \lambda,\ \frac{1}{B} \sum_b \mathrm{KL}_g(x_b) \right)

    A group whose rate, on average over the batch, is below :math:`\lambda` feels no pull towards the prior. This keeps
    latents alive that the plain bound would give up early. With :math:`\lambda > 0` the loss is above the negative ELBO
    wherever a group stays below the floor.

    References:
        | Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), appendix C.8
        | https://arxiv.org/abs/1606.04934

    Args:
        nats: What a group may spend, :math:`\lambda`, in nats per image.
        groups: How many groups the latents are cut into, neighbours together, all of one size. By default every latent
            is its own; 1 takes the whole rate as one and works with any prior and posterior.
        beta: The weight :math:`\beta`, a number of at least 0.
        warmup: A factor on :math:`\beta` that changes as training goes on, and has arrived where no progress is given.

    Raises:
        UsageError: For negative amounts or less than one group.
    """

    nats: float = 0.1
    groups: int | None = None
    beta: float = 1.0
    warmup: Schedule = Ramp(start=0.1, end=1.0, share=0.2)

    def __post_init__(self) -> None:
        check_amounts(self, "nats", "beta")
        if self.groups is not None:
            check_counts(self, "groups")

    def __str__(self) -> str:
        of = "latent" if self.groups is None else "group" if self.groups > 1 else "image"
        return f"distortion + {self.beta * self.warmup(1.0):g} × rate, with {self.nats:g} nats free for each {of}"

    def check(self, model: VAE) -> None:
        """Refuses latents whose rate is not a sum over groups of them, and groups that are not of one size."""
        super().check(model)
        if self.groups == 1:
            return
        each = _each(model, _blank(model))
        if self.groups is not None and each.shape[-1] % self.groups:
            raise UsageError(
                f"FreeBits cannot cut {each.shape[-1]} latents into {self.groups} groups of one size: "
                "give a number that divides them, or null for every latent by itself"
            )

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The terms of a batch, in nats per image; ``paid_rate`` is the rate with every group at its floor or above."""
        trace = model(x, context)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        groups = [r[None]] if self.groups == 1 else [self._rates(_each(model, site)) for site in trace.sites]
        paid = reduce(add, (group.clamp(min=self.nats).sum() for group in groups))
        beta = self.beta * self.warmup(progress)
        return {"loss": d + beta * paid, "distortion": d, "rate": r, "paid_rate": paid}

    def _rates(self, each: Tensor) -> Tensor:
        """The mean rate of every group over the batch, with shape (G,), from that of latents with shape (*S, B, D)."""
        mean = each.flatten(0, -2).mean(0)
        return mean if self.groups is None else mean.unflatten(0, (self.groups, -1)).sum(1)


def _each(model: VAE, site: Site) -> Tensor:
    """The rate of every latent of a site by itself, or a refusal."""
    each = dimension_rates(site)
    if each is None:
        prior, family = type(model.prior).__name__, model.posterior.family
        raise UsageError(
            f"FreeBits needs the rate of every latent by itself, which the posterior {type(family).__name__} and the "
            f"prior {prior} do not have: use DiagonalNormal and StandardNormal, or groups 1 for the whole rate"
        )
    return each


def _blank(model: VAE) -> Site:
    """The site of a model for the posterior whose parameters are zero."""
    family, like = model.posterior.family, next(model.parameters())
    with aside(model, seed=0):
        q = family(torch.zeros(1, *family.inputs, dtype=like.dtype, device=like.device))
        return Site(model.prior(), q, q.sample())
