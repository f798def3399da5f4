"""A model is built from what a config and a header say, and these may say anything: a width of a thousand millions, a
thousand millions of layers. So while it is built, no more is made than the weights that are there can fill.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LEAST, TIMES = 64 << 20, 8
"""So many bytes may be made in any case, or so many times those of the weights."""

OPERATIONS = 10_000
"""So many operations may be done in any case, and a hundred for each tensor of the weights."""

SIZE = 4096
"""A size up to this one needs no proof; a larger one has to be that of an axis of some weight, or their number."""


class Within(TorchDispatchMode):
    """Inside of the block, torch refuses to make more than goes with some weights.

    Args:
        weights: The weights, by name.

    Raises:
        ValueError: Inside of the block, if more is made.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.bytes = max(LEAST, TIMES * sum(value.nbytes for value in weights.values()))
        self.operations = OPERATIONS + 100 * len(weights)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Does an operation if there is room for what it makes."""
        sizes = args[0] if args and isinstance(args[0], list | tuple) else ()
        numbers = [size for size in sizes if isinstance(size, int)]
        self._take(4 * math.prod(numbers) if numbers and len(numbers) == len(sizes) else 0)
        return func(*args, **(kwargs or {}))

    def _take(self, size: int) -> None:
        self.bytes, self.operations = self.bytes - size, self.operations - 1
        if self.bytes < 0 or self.operations < 0:
            raise ValueError("it is of a model that is far larger than its weights")


def check_sizes(content: Any, weights: Mapping[str, Tensor]) -> None:
    """Refuses the part of a config that describes a model with sizes that none of its weights can have.

    Args:
        content: Keys and values.
        weights: The weights, by name.

    Raises:
        ValueError: If there is such a size.
    """
    sides = [max(value.shape, default=0) for value in weights.values() if value.numel() and value.is_floating_point()]
    most = max(SIZE, len(weights), *sides, 0)
    open_ = [content]
    while open_:
        held = open_.pop()
        if isinstance(held, dict | list):
            open_ += held.values() if isinstance(held, dict) else held
        elif isinstance(held, int) and abs(held) > most:
            raise ValueError(f"it says {held:,} of a model whose weights have at most {most:,} rows or columns")
