r"""What the bounds with several draws share: they are functions of log importance weights.

.. math:: w_k = \log p(x, z_k) - \log q(z_k \mid x), \quad z_k \sim q(z \mid x)

An objective says how many draws it takes and how their weights, with shape (K, B), become one bound for each image.
"""

from abc import abstractmethod
from functools import reduce
from operator import add

import torch
from torch import Tensor

from vaescope.models import VAE, Pick, Trace, draw
from vaescope.objectives.checks import check_counts
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion, exact_rate, log_ratio


class Weighted(Objective):
    """An objective that is a function of the log-weights of several draws.

    Each draw costs a pass of the decoder, and the encoder is run once. The gradient of a weight goes through its draw,
    so a straight-through one would leave out most of it.
    """

    needs_pathwise = True
    samples: int

    def __post_init__(self) -> None:
        check_counts(self, "samples")

    @property
    def draws(self) -> int:
        """How many latents are drawn for each image."""
        return self.samples

    @property
    def repeats(self) -> bool:
        """Whether several draws of the latents add an axis in front of the batch: with more than one."""
        return self.draws > 1

    @property
    def pick(self) -> Pick:
        """Draws the latents."""
        return draw(self.draws if self.repeats else None)

    @abstractmethod
    def bound(self, weights: Tensor) -> Tensor:
        """The bound on log p(x) for each image, with shape (B,).

        Args:
            weights: The log-weights, with shape (K, B).
        """

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The negative bound as the loss, the distortion, the rate and the bound, in nats per image."""
        trace = model(x, context, self.pick)
        return self.terms(trace, distortion(trace, x), tuple(map(log_ratio, trace.sites)))

    def terms(self, trace: Trace, d: Tensor, ratios: tuple[Tensor, ...]) -> Terms:
        """The terms of a batch.

        Args:
            trace: One pass over the batch.
            d: Its distortion, with shape (K, B), or (B,) for one draw.
            ratios: The log-ratio of every site, with the same shape.
        """
        weights = (-d - reduce(add, ratios)).reshape(self.draws, -1)  # (K, B), also for a single draw
        bound = self.bound(weights).mean()
        return {"loss": -bound, "distortion": d.mean(), "rate": mean_rate(trace, ratios), "bound": bound}


@torch.no_grad()
def mean_rate(trace: Trace, ratios: tuple[Tensor, ...]) -> Tensor:
    """The mean rate, to log beside a loss that it is no part of: exact where it can be, else the mean log-ratio.

    Args:
        trace: One pass over images.
        ratios: The log-ratio of every site, which is not computed again.
    """
    exact = map(exact_rate, trace.sites)
    return reduce(add, (r.mean() if e is None else e.mean() for e, r in zip(exact, ratios, strict=True)))
