"""The user's own images before they are decoded: one item each, from whatever they are kept in."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaescope.data.idx import Array
from vaescope.errors import UsageError

Content = Path | bytes | Array
"""A picture file, the bytes of one, or pixels with shape (H, W, C), uint8 or uint16."""

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Item:
    """One image.

    Args:
        name: What to call it: its path below the folder, or its number in an array.
        content: Where its pixels are.
        label: The number of its class, if it has one.
        part: The split that the user has put it in, if any.
    """

    name: str
    content: Content
    label: int | None = None
    part: Part | None = None


class Source(ABC):
    """Where a user's images are, to be gone through any number of times, always in the same order.

    Args:
        title: What figures and reports call them.
        classes: The names of the classes, in the order of the labels; empty without labels.
        parts: The splits that the user has made; empty where all images are in one heap.
    """

    ignored: tuple[str, ...] = ()
    """What lies there too but is no image, by name."""

    alone: tuple[str, ...] = ()
    """The names of classes that have a single image."""

    note: str = ""
    """What a user should know of how the images were understood, in one line."""

    def __init__(self, title: str, classes: tuple[str, ...] = (), parts: frozenset[Part] = frozenset()) -> None:
        self.title, self.classes, self.parts = title, classes, parts

    @property
    def size(self) -> str:
        """How many images there are, in words."""
        return f"{len(self):,} image{'s'[: len(self) != 1]}"

    @property
    def learned(self) -> tuple[str, ...]:
        """The classes that a model can learn to tell apart: none where there is only one.

        Raises:
            UsageError: For a class with a single image, which cannot be both learned and checked.
        """
        if len(self.classes) > 1 and self.alone:
            others = f" (and {len(self.alone) - 1:,} more like it)" if len(self.alone) > 1 else ""
            raise UsageError(
                f"{self.title}: the class {self.alone[0]!r} has a single image{others}: give every class two or more; "
                "data.classes false leaves the labels out"
            )
        return self.classes if len(self.classes) > 1 else ()

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """All images in their order. Memory does not grow with their number."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of names, contents, labels and splits: equal for equal images, wherever they lie."""
