"""Reconstruction judged by structural similarity, beside the likelihood."""

from dataclasses import dataclass

from torch import Tensor

from vaescope.errors import UsageError
from vaescope.models import VAE
from vaescope.nets import ms_ssim
from vaescope.objectives.checks import check_amounts, check_positive
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.terms import distortion, rate


@dataclass(frozen=True)
class MSSSIM(Objective):
    r"""The likelihood mixed with the structural similarity of images and their reconstructions.

    .. math:: (1 - w) D + w\, n\, (1 - \text{MS-SSIM}(x, \hat{x})) + \beta R

    :math:`\hat{x}` is the mean of p(x|z), and :math:`n` the number of values of an image: the distortion is a sum over
    them, the similarity a mean. It is no bound on the likelihood. Images of less than 161 pixels a side have fewer
    scales than the five of the paper, see :mod:`vaescope.nets.ssim`.

    References:
        | Multi-scale Structural Similarity for Image Quality Assessment (Wang et al., 2003)
        | https://doi.org/10.1109/ACSSC.2003.1292216
        | Loss Functions for Image Restoration with Neural Networks (Zhao et al., 2017)
        | https://arxiv.org/abs/1511.08861

    Args:
        weight: The share :math:`w` of the similarity, from 0 to below 1: the likelihood is to be fitted too.
        beta: The weight :math:`\beta` of the rate.
        span: The difference between the largest and the smallest value of a pixel: 1 for images in [0, 1].

    Raises:
        UsageError: For a share outside these bounds, a negative weight, or a span that is not positive.
    """

    weight: float = 0.84
    beta: float = 1.0
    span: float = 1.0

    def __post_init__(self) -> None:
        check_amounts(self, "beta")
        check_positive(self, "span")
        if not 0 <= self.weight < 1:
            raise UsageError(f"MSSSIM got weight {self.weight}: give a share from 0 to below 1, such as 0.84")

    def __str__(self) -> str:
        return f"{1 - self.weight:g} × distortion + {self.weight:g} × pixels × (1 − MS-SSIM) + {self.beta:g} × rate"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the rate and the similarity of a batch."""
        trace = model(x, context)
        d, r = distortion(trace, x).mean(), rate(trace).mean()
        similarity = ms_ssim(trace.likelihood.mean, x, self.span).mean()
        loss = (1 - self.weight) * d + self.weight * x[0].numel() * (1 - similarity) + self.beta * r
        return {"loss": loss, "distortion": d, "rate": r, "ms_ssim": similarity}
