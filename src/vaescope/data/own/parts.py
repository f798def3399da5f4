"""What splits are called in the names of folders, files and arrays, and when such a name says something."""

from collections.abc import Mapping
from typing import TypeVar

from vaescope.data.items import Part
from vaescope.errors import UsageError

Key = TypeVar("Key")

PARTS: dict[str, Part] = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test",
}  # fmt: skip

ORDER: tuple[Part | None, ...] = ("train", "validation", "test", None)


def rank(part: Part | None) -> int:
    """The place of a split among the splits, for sorting."""
    return ORDER.index(part)


def meant(named: Mapping[Key, Part | None], where: object) -> dict[Key, Part | None]:
    """The splits that images are in: none if all are in the same, which leaves the others to be made from it.

    Args:
        named: The split that each place is named after.
        where: What to call the whole in an error.

    Raises:
        UsageError: For images to validate and to test with, but none to train on.
    """
    splits = set(named.values())
    if len(splits) == 1:
        return dict.fromkeys(named)
    if "train" not in splits and None not in splits:
        raise UsageError(f"{where} holds images named validation and test, but none named train: give one of the two")
    return dict(named)
