"""What a model is shown of some images."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Examples:
    """The values of images and, for a model with a condition, what each is conditioned on.

    Args:
        values: The values, with shape (N, C, H, W).
        context: The condition of each, with shape (N, K), or nothing.
    """

    values: Tensor
    context: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Examples":
        return Examples(self.values[index], None if self.context is None else self.context[index])

    def to(self, device: torch.device) -> "Examples":
        """The same on a device."""
        return Examples(self.values.to(device), None if self.context is None else self.context.to(device))

    def split(self, size: int) -> Iterator["Examples"]:
        """Parts of at most ``size`` examples."""
        return (self[start : start + size] for start in range(0, len(self), size))
