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


def join(given: Tensor, context: Tensor | None, ndims: int) -> Tensor:
    """Puts a context vector beside the input: after the entries of a vector, as constant planes of an image.

    Args:
        given: The input, with shape (*B, D) where ``ndims`` is 1, or (*B, C, H, W) where it is 3.
        context: A vector for every example, with shape (*B, K) or one that broadcasts to it, or nothing.
        ndims: The number of axes of an input without its batch axes, 1 or 3.

    Returns:
        The joined input, with shape (*B, D + K) or (*B, C + K, H, W).
    """
    if context is None:
        return given
    batch = given.shape[: given.dim() - ndims]
    planes = context[(..., *(None,) * (ndims - 1))]  # (..., K) or (..., K, 1, 1)
    planes = planes.expand(*batch, context.shape[-1], *given.shape[given.dim() - ndims + 1 :])
    return torch.cat((given, planes), dim=-ndims)
