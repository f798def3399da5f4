r"""The maximum mean discrepancy of two samples: zero in the mean if and only if they have the same distribution.

.. math:: \mathrm{MMD}^2 = \frac{1}{n (n - 1)} \sum_{i \ne j} k(x_i, x_j)
          + \frac{1}{m (m - 1)} \sum_{i \ne j} k(y_i, y_j) - \frac{2}{n m} \sum_{i, j} k(x_i, y_j)

It has no bias: on equal distributions it is zero on average, and so it can be negative.

References:
    | A Kernel Two-Sample Test (Gretton et al., 2012)
    | https://jmlr.org/papers/v13/gretton12a.html
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["imq", "rbf"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The factors on the width of the inverse multiquadratic kernel over which it is summed."""


def imq(squared: Tensor, width: float) -> Tensor:
    r"""The inverse multiquadratic kernel, :math:`\sum_s \frac{s C}{s C + \|x - y\|^2}`, summed over :data:`SCALES`.

    Its tails are heavy: codes that are far from the prior still feel a pull.

    References:
        | Wasserstein Auto-Encoders (Tolstikhin et al., 2018)
        | https://arxiv.org/abs/1711.01558

    Args:
        squared: Squared distances, of any shape.
        width: The width C.
    """
    return torch.stack([scale * width / (scale * width + squared) for scale in SCALES]).sum(0)


def rbf(squared: Tensor, width: float) -> Tensor:
    r"""The Gaussian kernel, :math:`\exp(-\|x - y\|^2 / C)`.

    Args:
        squared: Squared distances, of any shape.
        width: The width C.
    """
    return (-squared / width).exp()


KERNELS: dict[Kernel, Callable[[Tensor, float], Tensor]] = {"imq": imq, "rbf": rbf}


def mmd(x: Tensor, y: Tensor, kernel: Kernel = "imq", scale: float = 1.0) -> Tensor:
    r"""The squared maximum mean discrepancy, without bias.

    The width of the kernel is :math:`C = 2 D \sigma^2`, the mean squared distance of two draws of
    :math:`N(0, \sigma^2 I)`.

    Args:
        x: Values, with shape (n, D).
        y: Values to compare them with, with shape (m, D).
        kernel: The kernel: imq, the inverse multiquadratic, or rbf, the Gaussian.
        scale: The standard deviation :math:`\sigma` that values are thought to have.

    Returns:
        A scalar.
    """
    k, width = KERNELS[kernel], 2 * x.shape[-1] * scale**2
    return _within(k(_squared(x, x), width)) + _within(k(_squared(y, y), width)) - 2 * k(_squared(x, y), width).mean()


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances, from differences: those of large values must not drown in rounding."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def _within(k: Tensor) -> Tensor:
    """The mean over pairs of different members of one sample; nothing if it has one member."""
    n = len(k)
    return (k.sum() - k.diagonal().sum()) / max(n * (n - 1), 1)
