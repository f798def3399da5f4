"""The Bernoulli likelihood."""

from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent

from vaescope.engine import bernoulli_log_prob, working
from vaescope.families.family import Family
from vaescope.nets import Shape


class Bernoulli(Family):
    r"""The Bernoulli likelihood of binary pixels, :math:`\prod_i p_i^{x_i} (1 - p_i)^{1 - x_i}`.

    Given grey values in [0, 1] instead of binary ones, the same formula is the *expected* log-likelihood of images
    binarised at random with those greys as probabilities. Together with the KL divergence that is an honest bound for
    binarised images when the encoder sees the grey ones. It is not a density of the grey values.

    Args:
        shape: The shape of an image, (C, H, W).
    """

    support = "unit interval"
    density = False
    pathwise = False
    bears_rounding = True

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the logits of every pixel."""
        return self.shape

    def forward(self, h: Tensor) -> Distribution:
        """Takes logits with shape (*B, C, H, W)."""
        return _Pixels(TorchBernoulli(logits=h, validate_args=False), len(self.shape), validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The logits of the mean image, kept away from 0 and 1 where a pixel never changes in the data."""
        return mean.clamp(1e-3, 1 - 1e-3).logit()


class _Pixels(Independent):
    """Independent binary pixels, which may be scored by a gradient written by hand."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of images, with shape (*S, *B)."""
        if not working().kernels:
            return super().log_prob(value)
        return bernoulli_log_prob(self.base_dist.logits, value, self.reinterpreted_batch_ndims)
