"""The evidence lower bound of a whole split, and the averages of any objective over it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.targets import ONCE
from vaescope.metrics.bits import in_bits
from vaescope.metrics.score import Score, mean_score
from vaescope.metrics.shown import shown
from vaescope.metrics.subject import Subject
from vaescope.models import VAE, SemiVAE, aside, draw
from vaescope.objectives import Objective, dimension_rates, distortion, rate

CHUNK = 500
"""Images a pass: the activations of a small network for this many stay in a CPU's cache."""

NATS = "nats per image"


@dataclass(frozen=True)
class Bound:
    """The negative evidence lower bound of a split, in nats per image, with a KL weight of 1.

    An autoencoder, whose posterior is a point mass, has no rate and so no bound: only its distortion can be told.

    Args:
        negative_elbo: The mean of distortion + rate.
        standard_error: The standard error over images of that mean, or else of the distortion; none for one image.
        distortion: The mean of -log p(x|z) at one draw of z for each image.
        rate: The mean of KL(q(z|x) || p(z)).
        images: The number of images.
    """

    negative_elbo: float | None
    standard_error: float | None
    distortion: float
    rate: float | None
    images: int

    @property
    def name(self) -> str:
        """What it is a measurement of."""
        return "distortion" if self.negative_elbo is None else "−ELBO"

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        if self.negative_elbo is None:
            return f"{self.distortion:.2f}{error} nats per image; a point mass has no rate, so no −ELBO"
        split = f"distortion {self.distortion:.2f} + rate {self.rate:.2f}"
        return f"{self.negative_elbo:.2f}{error} nats per image = {split}"


def negative_elbo(model: VAE, examples: Examples, seed: int = 0) -> Bound:
    """The negative evidence lower bound of a split.

    Args:
        model: The model.
        examples: All images of the split, as the model is shown them.
        seed: Decides the draws of the latents, one for each image.
    """
    point = model.posterior.family.degenerate
    d, r = distortions_and_rates(model, examples, seed)
    total = d + r
    error = total.std().item() / math.sqrt(len(examples)) if len(examples) > 1 else None
    if point:
        return Bound(None, error, d.mean().item(), None, len(examples))
    return Bound(total.mean().item(), error, d.mean().item(), r.mean().item(), len(examples))


def distortions_and_rates(model: VAE, examples: Examples, seed: int = 0) -> Tensor:
    """The distortion of every image at one draw of z, and its rate, which is 0 for a posterior that is a point mass.

    Args:
        model: The model.
        examples: N images as the model is shown them.
        seed: Decides the draws of the latents.

    Returns:
        Both in nats, with shape (2, N), as float64 on the CPU.
    """
    device = next(model.parameters()).device
    point = model.posterior.family.degenerate
    terms = []
    with aside(model, seed):
        for part in examples.split(CHUNK):
            part = part.to(device)
            trace = model(part.values, part.context)
            d = distortion(trace, part.values)
            terms.append(torch.stack((d, torch.zeros_like(d) if point else rate(trace))).double().cpu())
    return torch.cat(terms, dim=1)


def average(objective: Objective, model: VAE, examples: Examples, seed: int = 0) -> dict[str, float]:
    """The terms of an objective over a split, with its schedules at their end.

    Args:
        objective: The objective.
        model: The model.
        examples: All images of the split, as the model is shown them.
        seed: Decides the draws of the latents.
    """
    device = next(model.parameters()).device
    names: Iterable[str] = ()
    found, counts = [], []
    with aside(model, seed):
        for part in examples.split(CHUNK):
            part = part.to(device)
            terms = objective(model, part.values, part.context)
            names = terms.keys()
            found.append(torch.stack([value.double() for value in terms.values()]))
            counts.append(len(part))
    each = torch.stack(found).T.tolist()  # at the end, so that a GPU is waited for once
    totals = (reduce(add, map(mul, values, counts)) for values in each)
    return {name: total / len(examples) for name, total in zip(names, totals, strict=True)}


def evidence(subject: Subject) -> Iterator[Score]:
    """-ELBO of the test images with its parts, as ``vaescope train`` reports it at its end."""
    d, r = distortions_and_rates(subject.model, subject.test)
    words, wrong = shown(subject)
    protocol = f"{words}, {ONCE}{of_labels(subject.model)}"
    if subject.model.posterior.family.degenerate:
        yield replace(mean_score("distortion", "distortion", d, NATS, protocol, better="lower"), warning=wrong)
        return
    bound = mean_score("negative_elbo", "−ELBO", d + r, NATS, protocol, better="lower")
    yield replace(bound, warning=wrong)
    yield from in_bits(subject, bound)
    yield mean_score("distortion", "distortion, −log p(x|z)", d, NATS, protocol)
    rates = mean_score("rate", "rate, KL(q(z|x) ‖ p(z))", r, NATS, protocol)
    yield replace(rates, parts=latent_rates(subject.model, subject.test))


def latent_rates(model: VAE, examples: Examples) -> tuple[float, ...]:
    """The mean rate of every latent in nats, where each has one of its own: else nothing.

    Args:
        model: The model.
        examples: N images as the model is shown them.
    """
    device = next(model.parameters()).device
    found: list[Tensor] = []
    with aside(model, seed=0):
        for part in (part.to(device) for part in examples.split(CHUNK)):
            sites = model.visit(part.values, part.context)(draw())[0]
            each = dimension_rates(sites[0]) if len(sites) == 1 else None
            if each is None:
                return ()
            found.append(each.double().sum(0).cpu())
    return tuple((torch.stack(found).sum(0) / len(examples)).tolist())


def of_labels(model: VAE) -> str:
    """What the protocol of a score has to say of labels, nothing where the model has none."""
    if isinstance(model, SemiVAE):
        return f", image and label scored together (log {model.classes} nats for the label)"
    return ", the label of each image given" if model.classes else ""
