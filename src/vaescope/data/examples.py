"""What a model is shown of some images."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from vaescope.data.rows import Rows

Index = slice | Sequence[int] | Tensor


def as_they_are(rows: Tensor) -> Tensor:
    """The rows themselves."""
    return rows


class Examples:
    """The values of images and, for a model with a condition, what each is conditioned on.

    The images are kept, in memory or on disk, and become values when these are asked for: of a whole split a part at a
    time.

    Args:
        rows: The values, with shape (N, C, H, W), or what they are made from.
        context: The condition of each, with shape (N, K), or nothing.
        view: From some of the rows to their values.
    """

    def __init__(
        self, rows: Rows, context: Tensor | None = None, view: Callable[[Tensor], Tensor] = as_they_are
    ) -> None:
        self.rows, self.context, self.view = rows, context, view

    @property
    def values(self) -> Tensor:
        """The values of all, with shape (N, C, H, W), as float32."""
        return self.view(self.rows if isinstance(self.rows, Tensor) else self.rows[:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Index) -> "Examples":
        return Examples(self.rows[index], None if self.context is None else self.context[index], self.view)

    def conditioned(self, context: Tensor | None) -> "Examples":
        """The same with what each is conditioned on."""
        return Examples(self.rows, context, self.view)

    def to(self, device: torch.device) -> "Examples":
        """The same on a device."""
        return Examples(self.values.to(device), None if self.context is None else self.context.to(device))

    def split(self, size: int) -> Iterator["Examples"]:
        """Parts of at most ``size`` examples."""
        return (self[start : start + size] for start in range(0, len(self), size))
