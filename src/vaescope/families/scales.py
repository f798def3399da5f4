"""Scales between two bounds, so that no output of a network makes one vanish or overflow."""

from torch import Tensor


def bounded(s: Tensor, low: float, high: float) -> Tensor:
    r"""The scale :math:`l + (h - l) / (1 + e^{-s})`, which is near :math:`l + h e^s` where it is small.

    Args:
        s: Outputs of a network, with any shape.
        low: The lower bound :math:`l`.
        high: The upper bound :math:`h`.
    """
    return low + (high - low) * s.sigmoid()


def unbounded(scale: Tensor, low: float, high: float) -> Tensor:
    """The output that :func:`bounded` turns into a scale.

    Args:
        scale: Scales between the bounds, with any shape.
        low: The lower bound.
        high: The upper bound.
    """
    return ((scale - low) / (high - low)).logit()
