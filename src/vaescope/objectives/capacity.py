"""A rate that is set rather than weighed: the capacity of the code as a number of nats."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaescope.models import VAE
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.schedules import Ramp, Schedule
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class Capacity(Objective):
    r"""The distortion at a rate that is asked for and rises during training.

    .. math:: D + \gamma\, |R - C|

    with the rate :math:`R` of the batch. As :math:`C` rises, latents come into use one after another, the most useful
    first. Training ends near the rate :math:`C` instead of one that follows from a weight.

    References:
        | Understanding disentangling in beta-VAE (Burgess et al., 2018)
        | https://arxiv.org/abs/1804.03599

    Args:
        nats: The capacity :math:`C` that is reached in the end, in nats per image.
        gamma: The weight :math:`\gamma` of each nat above or below it.
        warmup: The share of the capacity that is open as training goes on. It has arrived where no progress is given.

    Raises:
        UsageError: For a negative capacity or weight.
    """

    nats: float = 25.0
    gamma: float = 100.0
    warmup: Schedule = Ramp(start=0.0, end=1.0, share=0.5)

    def __post_init__(self) -> None:
        check_amounts(self, "nats", "gamma")

    def __str__(self) -> str:
        return f"distortion + {self.gamma:g} × |rate − {self.nats * self.warmup(1.0):g}|"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The terms of a batch, in nats per image, the capacity at this moment among them."""
        trace = model(x, context)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        capacity = torch.zeros_like(r) + self.nats * self.warmup(progress)
        return {"loss": d + self.gamma * (r - capacity).abs(), "distortion": d, "rate": r, "capacity": capacity}
