r"""The one special function of the sphere: the cumulant generating function of a coordinate of a uniform point on it.

.. math:: L(\kappa) = \log \mathbb{E}\, e^{\kappa w}
          = \log \Gamma(\nu + 1) (2 / \kappa)^\nu I_\nu(\kappa), \quad \nu = D / 2 - 1

It holds all that von Mises and Fisher's distribution needs: :math:`L'(\kappa) = I_{\nu+1}(\kappa) / I_\nu(\kappa)` is
the mean resultant length and :math:`L''(\kappa)` the variance. The Bessel function itself overflows, is zero at zero
and loses its digits in differences of logarithms; :math:`L` is smooth, with :math:`L(0) = 0`.

Above the order 24, Debye's uniform expansion gives :math:`L` to 11 digits for every :math:`\kappa \ge 0`. Lower
orders are reached by the recurrence of the ratio :math:`g_\nu = L'(\kappa) / \kappa`, which is stable downwards.

References:
    | NIST Digital Library of Mathematical Functions, 10.29.1 and 10.41.3
    | https://dlmf.nist.gov/10.41
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOWEST = 24
"""The lowest order at which the expansion is used."""

EXPANSION = (
    (24, (3, -5)),
    (16, (1, -6, 5)),
    (5760, (375, -4779, 9945, -5525)),
    (128, (13, -284, 1062, -1356, 565)),
    (322560, (67599, -2252205, 13077470, -28286370, 26089875, -8696625)),
    (192, (103, -4860, 40248, -129336, 196155, -141660, 39350)),
)
"""The logarithm of Debye's series: in row k a divisor, and the coefficients of p^k, p^(k+2) ... p^(3k)."""

LARGE = 1e6
"""Above this concentration the variance of the cosine is that of its limit: the exact formula has no digits left."""


def log_mean_exp(concentration: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    r"""The cumulant generating function :math:`L` and its derivative.

    Args:
        concentration: Numbers :math:`\kappa \ge 0` in double precision, with any shape.
        dim: The dimension D of the space around the sphere, at least 2.

    Returns:
        :math:`L(\kappa)` and :math:`L'(\kappa)`, which have gradients but no second ones.
    """
    return _LogMeanExp.apply(concentration, dim)


def cosine_moments(concentration: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    r"""The mean :math:`L'(\kappa)` and the variance :math:`L''(\kappa)` of the cosine of the angle to the axis.

    Args:
        concentration: Numbers :math:`\kappa \ge 0` in double precision, with any shape.
        dim: The dimension D of the space around the sphere, at least 2.
    """
    ratio = _series(concentration, dim)[1]
    return concentration * ratio, _variance(concentration, ratio, dim)


class _LogMeanExp(torch.autograd.Function):
    """L and L', with derivatives from the recurrence of the Bessel functions instead of a graph of thirty steps."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        value, ratio = _series(concentration, dim)
        ctx.save_for_backward(concentration, ratio)
        ctx.dim = dim
        return value, concentration * ratio

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, value: Tensor, mean: Tensor) -> tuple[Tensor, None]:
        concentration, ratio = ctx.saved_tensors
        return value * concentration * ratio + mean * _variance(concentration, ratio, ctx.dim), None


def _variance(k: Tensor, ratio: Tensor, dim: int) -> Tensor:
    """L'' = 1 - L'^2 - (D - 1) L' / k."""
    exact = 1 - (k * ratio).square() - (dim - 1) * ratio
    return torch.where(k < LARGE, exact, (dim - 1) / 2 / k.clamp(min=LARGE).square())


def _series(k: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """L and L' / k. Every step is smooth, so that autograd would do as well."""
    order = dim / 2 - 1
    steps = max(0, math.ceil(LOWEST - order))
    value, ratio = _expansion(k, order + steps)
    for step in reversed(range(steps)):
        twice = 2 * (order + step + 1)
        part = k.square() * ratio / twice
        value = value + part.log1p()
        ratio = 1 / (twice * (1 + part))
    return value, ratio


def _expansion(k: Tensor, order: float) -> tuple[Tensor, Tensor]:
    r"""L and L' / k at a high order M, from the leading term and the sum over k of (D_k(p) - D_k(1)) / M^k."""
    x = k / order
    root = (1 + x.square()).sqrt()
    p, excess = 1 / root, x.square() / (1 + root)  # the excess is root - 1 without its cancellation
    coefficients, degrees = _polynomial(order, k)
    powers = p[..., None] ** degrees
    value = order * (excess - (excess / 2).log1p()) - root.log() / 2 + (powers - 1) @ coefficients
    slope = 1 / (1 + root) - p.square() * (0.5 + powers @ (degrees * coefficients)) / order
    return value, slope / order


def _polynomial(order: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of D_k(p) / M^k as one polynomial in p: its coefficients, and their degrees from 1 to 18."""
    coefficients = [0.0] * (3 * len(EXPANSION))
    for k, (divisor, row) in enumerate(EXPANSION, start=1):
        for index, number in enumerate(row):
            coefficients[k + 2 * index - 1] += number / divisor / order**k
    degrees = torch.arange(1, len(coefficients) + 1, dtype=like.dtype, device=like.device)
    return like.new_tensor(coefficients), degrees
