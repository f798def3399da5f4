"""Collapse: looks at the latents while a model trains, and says in plain words when they carry nothing.

A latent that a model with many of them leaves unused is no illness: at the optimum of the ELBO a latent that does not
pay for its rate is given up, and the others stay. So unused latents are told as a number, and the warning is kept for
the cases in which next to nothing of the image reaches the decoder. It is given once, and only when the warm-up of
the objective has arrived: while the weight of the rate still rises, the latents say nothing about the end.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.metrics import Anatomy, examine
from vaescope.metrics.latents import ACTIVE
from vaescope.objectives import BetaTCVAE, FreeBits, Objective
from vaescope.training import Observer, State

SILENT = 0.01
"""A latent whose centre does not move carries nothing if its KL is below this many nats: the epsilon of the (epsilon,
delta)-collapse of Lucas et al. (2019), "Don't Blame the ELBO!", https://arxiv.org/abs/1911.02469."""

SPEECHLESS = 0.1
"""A mutual information below this many nats is a collapse: images are told apart by a seventh of a bit. It is the
estimate for identical posteriors, which is zero, with room for its noise; a trained model has several nats."""

SHARE_LEFT, MOST_LEFT = 0.1, 4
"""A model is as good as collapsed if at most this share of its latents, and at most this many, carry anything. The
second bound spares models with hundreds of latents, of which ten are all that they need."""

DEAD_CODES = 0.25
"""The share of the codes of a latent that may go unused. A few at the ends of the range often do."""

IMAGES_PER_CODE = 10
"""Images a code at least, for a code that none of them uses to be called unused: of evenly used codes one in 22,000
would be missing by chance."""

ROUNDING = 1e-12
"""The variance of one value for every image, as computed."""

FEWEST = 20
"""Images at least: so few cannot have a mutual information that tells a model that works from one that does not."""

EARLIEST = 100
"""Steps before which nothing is said: a model that has hardly begun has had no time to use its latents."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with the latents of a model.

    Args:
        name: What it is called: each is reported once a run.
        text: What is wrong and what to try, in one line.
    """

    name: str
    text: str


def findings(found: Anatomy, objective: Objective) -> tuple[Finding, ...]:
    """What is wrong with the latents, if anything.

    Args:
        found: The anatomy of the latents.
        objective: What training minimises, which decides what to try.
    """
    if found.images < FEWEST:
        return ()
    return tuple(finding for finding in (collapse(found, objective), unused_codes(found, objective)) if finding)


def collapse(found: Anatomy, objective: Objective) -> Finding | None:
    """Whether next to nothing of the image reaches the decoder."""
    if found.mutual_information is None:
        if max(found.centre_variance) > ROUNDING:
            return None
        text = f"all {found.latents} latents have one value for every image: nothing of the image reaches the decoder"
        return Finding("collapse", f"{text}; try a lower learning rate (trainer.optimizer.init_args.lr)")
    dead, all_of_them = carry_nothing(found), found.latents
    left = all_of_them - dead
    if dead and left <= min(SHARE_LEFT * all_of_them, MOST_LEFT):
        who = f"all {all_of_them} latents" if dead == all_of_them else f"{dead} of {all_of_them} latents"
        sign = f"{who} carry nothing (KL below {SILENT:g} nats, the same centre for every image)"
    elif found.mutual_information < SPEECHLESS:
        sign = f"the latents say next to nothing of the image (mutual information below {SPEECHLESS:g} nats)"
    else:
        return None
    return Finding("collapse", f"{sign}: the posterior has collapsed; try {remedy(objective)}")


def carry_nothing(found: Anatomy) -> int:
    """The number of latents that carry nothing; 0 where they cannot be looked at one by one."""
    if found.kl_per_latent is None:
        return 0
    both = zip(found.kl_per_latent, found.centre_variance, strict=True)
    return sum(kl < SILENT and variance <= ACTIVE for kl, variance in both)


def remedy(objective: Objective) -> str:
    """What to try against a collapse."""
    beta = getattr(objective, "beta", None) if not isinstance(objective, BetaTCVAE) else None
    weight = f"a lower weight of the rate (objective.beta is {beta:g}; 1 is the bound), " if beta and beta > 1 else ""
    warmup = "a longer warm-up (objective.warmup Ramp with share 0.5), " if hasattr(objective, "warmup") else ""
    free = (
        "more nats for free (objective.nats)" if isinstance(objective, FreeBits) else "free bits (objective FreeBits)"
    )
    return f"{weight}{warmup}{free} or a smaller decoder"


def unused_codes(found: Anatomy, objective: Objective) -> Finding | None:
    """Whether a latent leaves many of its codes unused."""
    if found.codes is None or found.codes_used is None or found.images < IMAGES_PER_CODE * found.codes:
        return None
    least = min(found.codes_used)
    if found.codes - least < DEAD_CODES * found.codes:
        return None
    missing, of = found.latents * found.codes - sum(found.codes_used), found.latents * found.codes
    text = (
        f"codes go unused: {found.codes - least} of {found.codes} codes of latent {found.codes_used.index(least) + 1} "
        f"are never used, {missing:,} of {of:,} in all; try fewer codes (model.posterior.codes and model.prior.codes)"
    )
    if hasattr(objective, "warmup"):
        text += ", or no warm-up (objective.warmup Constant): the rate spreads images over codes"
    return Finding("unused codes", text)


def in_words(found: Anatomy, wrong: tuple[Finding, ...]) -> str:
    """The anatomy in a few words, for a summary."""
    parts = []
    if found.active_units is not None:
        spared = 0 < found.active_units < found.latents <= found.images and not wrong  # of a few images no such verdict
        needed = ", the model needs no more" if spared else ""
        parts.append(f"{found.active_units} of {found.latents} active{needed}")
    if found.codes_used is not None and found.codes is not None:
        parts.append(f"{sum(found.codes_used):,} of {found.latents * found.codes:,} codes used")
    if found.mutual_information is not None:
        limit = f"at most log {found.images:,} = {math.log(found.images):.2f}"
        parts.append(f"mutual information {max(0.0, found.mutual_information):.2f} nats ({limit})")
    return "; ".join(parts) or f"{found.latents}, each image in one point: there is no rate"


def ready(state: State) -> bool:
    """Whether a run has come so far that its latents say something about its end."""
    return state.settled and state.step >= EARLIEST


class Doctor(Observer):
    """Looks at the latents after every validation, and warns when they carry nothing.

    Args:
        examples: The validation images, of which the first are looked at.
        report: Is told what is wrong, in one line, once.
    """

    name = "doctor"

    def __init__(self, examples: Examples, report: Callable[[str], None]) -> None:
        self.examples, self.report = examples, report
        self.said: set[str] = set()
        self.latest: Anatomy | None = None

    def numbers(self) -> Mapping[str, Any]:
        """What was found at the last validation, to be logged with it."""
        return {} if self.latest is None else self.latest.numbers()

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """Looks, and warns of what has not been warned of yet."""
        self.latest = examine(state.model, self.examples)
        if not ready(state):
            return
        for finding in findings(self.latest, state.objective):
            if finding.name not in self.said:
                self.report(f"warning: step {state.step:,}: {finding.text}")
            self.said.add(finding.name)

    def memory(self) -> dict[str, Tensor]:
        """What has been warned of."""
        return {name: torch.tensor(True) for name in sorted(self.said)}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Does not warn of it again."""
        self.said = set(memory)
