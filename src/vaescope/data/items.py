"""The user's own images before they are decoded: one item each, from whatever they are kept in."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaescope.data.idx import Array

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
    """

    ignored: tuple[str, ...] = ()
    """What lies there too but is no image, by name."""

    def __init__(self, title: str, classes: tuple[str, ...] = ()) -> None:
        self.title, self.classes = title, classes

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """All images in their order. Memory does not grow with their number."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of names, contents, labels and splits: equal for equal images, wherever they lie."""
