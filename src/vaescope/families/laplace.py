"""The Laplace likelihood."""

from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as TorchLaplace

from vaescope.families.one_scale import OneScale


class Laplace(OneScale):
    r"""The Laplace likelihood of real-valued pixels, :math:`\prod_i e^{-|x_i - \mu_i| / b} / (2 b)`, with one scale.

    Its distortion is the absolute error, so that a few pixels that are far off count for less than with a Gaussian. It
    is a density of continuous values, so nats may be negative; binarised images have none.

    References:
        | Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016), for its use in VAEs
        | https://arxiv.org/abs/1512.09300

    Args:
        shape: The shape of an image, (C, H, W).
        scale: The scale :math:`b` at the start, in the units of the pixels. The standard deviation is
            :math:`\sqrt 2\, b`.
        learned: Whether :math:`b` is a parameter that training changes.

    Raises:
        UsageError: For a scale that is not positive, or beyond all reason.
    """

    def forward(self, h: Tensor) -> Distribution:
        """Takes means with shape (*B, C, H, W)."""
        pixels = TorchLaplace(h, self.scale_for(h), validate_args=False)
        return Independent(pixels, len(self.shape), validate_args=False)
