"""Axes: convolutions take one batch axis, and drawing several samples adds another in front."""

from collections.abc import Callable

import torch
from torch import Tensor


def fold(net: Callable[[Tensor], Tensor], x: Tensor, ndims: int) -> Tensor:
    """Applies a network that takes one batch axis to a tensor with any number of them.

    Args:
        net: A function from shape (N, *event) to shape (N, *out).
        x: The input, with shape (*B, *event).
        ndims: The number of axes of the event.

    Returns:
        The output, with shape (*B, *out).
    """
    batch, event = x.shape[: x.dim() - ndims], x.shape[x.dim() - ndims :]
    if len(batch) == 1:
        return net(x)
    y = net(x.reshape(-1, *event))
    return y.reshape(*batch, *y.shape[1:])


def join(given: Tensor, beside: Tensor, ndims: int) -> Tensor:
    """Puts one input beside another: after the entries of a vector, as further channels of an image.

    Args:
        given: The input, with shape (*B, D) where ``ndims`` is 1, or (*B, C, H, W) where it is 3.
        beside: What is put beside it, with shape (*B, K) or (*B, K, H, W), or one that broadcasts to it.
        ndims: The number of axes of an input without its batch axes, 1 or 3.

    Returns:
        The joined input, with shape (*B, D + K) or (*B, C + K, H, W).
    """
    shape = given.shape[: given.dim() - ndims] + beside.shape[-ndims:]
    return torch.cat((given, beside.expand(shape)), dim=-ndims)
