"""The evidence lower bound of a whole split, and the averages of any objective over it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaescope.models import VAE, aside
from vaescope.objectives import Objective, distortion, rate

CHUNK = 500
"""Images a pass: the activations of a small network for this many stay in a CPU's cache."""


@dataclass(frozen=True)
class Bound:
    """The negative evidence lower bound of a split, in nats per image, with a KL weight of 1.

    Args:
        negative_elbo: The mean of distortion + rate.
        standard_error: The standard error of that mean over images; none for a single image.
        distortion: The mean of -log p(x|z) at one draw of z for each image.
        rate: The mean of KL(q(z|x) || p(z)).
        images: The number of images.
    """

    negative_elbo: float
    standard_error: float | None
    distortion: float
    rate: float
    images: int

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        split = f"distortion {self.distortion:.2f} + rate {self.rate:.2f}"
        return f"{self.negative_elbo:.2f}{error} nats per image = {split}"


def negative_elbo(model: VAE, x: Tensor, seed: int = 0) -> Bound:
    """The negative evidence lower bound of a split.

    Args:
        model: The model.
        x: Values of all images of the split, with shape (N, C, H, W).
        seed: Decides the draws of the latents, one for each image.
    """
    device = next(model.parameters()).device
    terms = []
    with aside(model, seed):
        for chunk in x.split(CHUNK):
            trace = model(chunk.to(device))
            terms.append(torch.stack((distortion(trace, chunk.to(device)), rate(trace))).double().cpu())
    d, r = torch.cat(terms, dim=1)  # (N,) each
    total = d + r
    error = total.std().item() / math.sqrt(len(x)) if len(x) > 1 else None
    return Bound(total.mean().item(), error, d.mean().item(), r.mean().item(), len(x))


def average(objective: Objective, model: VAE, x: Tensor, seed: int = 0) -> dict[str, float]:
    """The terms of an objective over a split, with its schedules at their end.

    Args:
        objective: The objective.
        model: The model.
        x: Values of all images of the split, with shape (N, C, H, W).
        seed: Decides the draws of the latents.
    """
    device = next(model.parameters()).device
    totals: dict[str, float] = {}
    with aside(model, seed):
        for chunk in x.split(CHUNK):
            for name, value in objective(model, chunk.to(device)).items():
                totals[name] = totals.get(name, 0.0) + value.item() * len(chunk)
    return {name: total / len(x) for name, total in totals.items()}
