r"""Structural similarity of images: how alike the local means, contrasts and patterns of two images are.

.. math:: \mathrm{SSIM} = l \cdot c, \quad
          l = \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}, \quad
          c = \frac{2 \sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}

with means, variances and covariances under a Gaussian window that slides over the image, :math:`C_1 = (0.01 L)^2`,
:math:`C_2 = (0.03 L)^2` and :math:`L` the range of the values. At several scales,

.. math:: \mathrm{MS\text{-}SSIM} = \prod_{s < S} \bar{c}_s^{\, w_s} \cdot (\overline{l c})_S^{\, w_S}

for each channel, where each scale has half the sides of the one before. The five scales of the paper need sides of
at least 161 pixels. Smaller images get as many as the window fits into, with weights that come to the same sum.

References:
    | Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al., 2004)
    | https://doi.org/10.1109/TIP.2003.819861
    | Multi-scale Structural Similarity for Image Quality Assessment (Wang et al., 2003)
    | https://doi.org/10.1109/ACSSC.2003.1292216
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""What each scale counts, from the finest on, as people judged them in the paper."""

SIDE, SIGMA = 11, 1.5
"""The side and the standard deviation of the window, in pixels."""

FLOOR = 1e-6
"""The least similarity of a scale: it may be negative, which has no fractional power, and at 0 that has no slope."""


def ssim(x: Tensor, y: Tensor, span: float = 1.0) -> Tensor:
    """The structural similarity, at most 1, which it is for equal images.

    Args:
        x: Images, with shape (*B, C, H, W).
        y: Images to compare them with, of the same shape.
        span: The difference between the largest and the smallest value that a pixel may have.

    Returns:
        The mean over places and channels, with shape (*B,).
    """
    batch, event = x.shape[:-3], x.shape[-3:]
    whole, _ = _similarities(x.reshape(-1, *event), y.reshape(-1, *event), span)
    return whole.mean(-1).reshape(batch)


def ms_ssim(x: Tensor, y: Tensor, span: float = 1.0) -> Tensor:
    """The structural similarity at several scales, at most 1, which it is for equal images.

    Args:
        x: Images, with shape (*B, C, H, W).
        y: Images to compare them with, of the same shape.
        span: The difference between the largest and the smallest value that a pixel may have.

    Returns:
        The mean over channels, with shape (*B,).
    """
    batch, event = x.shape[:-3], x.shape[-3:]
    weights = WEIGHTS[: scales(event[1], event[2])]
    x, y = x.reshape(-1, *event), y.reshape(-1, *event)
    product = x.new_ones(())
    for scale, weight in enumerate(weights, start=1):
        if scale > 1:
            x, y = _halve(x), _halve(y)
        whole, pattern = _similarities(x, y, span)
        value = whole if scale == len(weights) else pattern
        product = product * value.clamp(min=FLOOR) ** (weight * sum(WEIGHTS) / sum(weights))  # (N, C)
    return product.mean(-1).reshape(batch)


def scales(height: int, width: int) -> int:
    """How many scales images have: as many as the window fits into, at least one.

    Args:
        height: The height of the images.
        width: Their width.
    """
    side, count = min(height, width), 1
    while count < len(WEIGHTS) and (side := -(-side // 2)) >= SIDE:
        count += 1
    return count


def _similarities(x: Tensor, y: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """The means over places of l c and of c, with shape (N, C) each, of images with shape (N, C, H, W)."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mx, my = _windowed(x), _windowed(y)
    vx, vy, cov = _windowed(x * x) - mx * mx, _windowed(y * y) - my * my, _windowed(x * y) - mx * my
    light = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    pattern = (2 * cov + c2) / (vx + vy + c2)
    return (light * pattern).mean((-2, -1)), pattern.mean((-2, -1))


def _windowed(x: Tensor) -> Tensor:
    """The mean of images under the window at every place where it fits in; its sides are cut to those of the image."""
    n, c, height, width = x.shape
    y = conv2d(x.reshape(n * c, 1, height, width), _window(height, x)[..., None])
    y = conv2d(y, _window(width, x)[:, :, None])
    return y.reshape(n, c, *y.shape[-2:])


def _window(side: int, like: Tensor) -> Tensor:
    """The window along one axis, with shape (1, 1, length), its weights summing to one."""
    length = min(SIDE, side)
    places = torch.arange(length, dtype=like.dtype, device=like.device) - (length - 1) / 2
    return (-0.5 * (places / SIGMA) ** 2).softmax(0)[None, None]


def _halve(x: Tensor) -> Tensor:
    """Images of half the sides, rounding up."""
    return avg_pool2d(x, 2, padding=(x.shape[-2] % 2, x.shape[-1] % 2), count_include_pad=False)
