"""Image sets with some of their classes left out, for a model that is then asked whether it finds them strange."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vaescope.data.images import ImageSet, Split
from vaescope.errors import UsageError


def without(images: ImageSet, names: Sequence[str]) -> ImageSet:
    """An image set without the images of some classes. The others are numbered anew, in the same order.

    Images whose class is not known are left out as well, because they may be of these classes. If a single class is
    left, the images have no labels any more.

    Args:
        images: The image set.
        names: The names of the classes to leave out.

    Raises:
        UsageError: If there are no labels, no such class or no other class, or a split would be empty.
    """
    numbers = numbers_of(images, names)
    kept = [k for k in range(len(images.classes)) if k not in numbers]
    if not kept:
        raise UsageError(f"data.without names every class of {images.title}: leave one in, or more")
    classes = tuple(images.classes[k] for k in kept) if len(kept) > 1 else ()
    renumbered = torch.full((len(images.classes),), -1)
    renumbered[kept] = torch.arange(len(kept))
    splits = {name: _without(split, renumbered, bool(classes)) for name, split in images.splits.items()}
    for name, split in splits.items():
        if not len(split):
            raise UsageError(f"{images.title} has no {name} image without {', '.join(names)}: leave out fewer classes")
    title = f"{images.title} without {said(names)}"
    return replace(
        images,
        title=title,
        classes=classes,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
    )


def numbers_of(images: ImageSet, names: Sequence[str]) -> list[int]:
    """The numbers of classes.

    Args:
        images: The image set.
        names: The names of classes of it.

    Raises:
        UsageError: If there are no labels, or no such class.
    """
    if not images.classes or any(split.labels is None for split in images.splits.values()):
        raise UsageError(f"data.without is {list(names)}, but {images.title} has no labels: leave it out")
    for name in names:
        if name not in images.classes:
            near = difflib.get_close_matches(name, images.classes, n=1)
            listed = ", ".join(images.classes[:10]) + " ..." * (len(images.classes) > 10)
            guess = f"did you mean {near[0]}?" if near else f"there are {listed}"
            raise UsageError(f"data.without names {name}, which is no class of {images.title}: {guess}")
    return [images.classes.index(name) for name in names]


def of_classes(images: ImageSet, names: Sequence[str]) -> Split:
    """The test images of some classes.

    Raises:
        UsageError: If there are no labels, or no such class.
    """
    labels = images.test.labels
    numbers = torch.tensor(numbers_of(images, names))
    assert labels is not None
    return images.test.some(torch.isin(labels, numbers))


def said(names: Sequence[str]) -> str:
    """Names of classes in words, of many the first ones."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more classes" if len(names) > 3 else "")


def _without(split: Split, renumbered: Tensor, labelled: bool) -> Split:
    assert split.labels is not None
    labels = torch.where(split.labels < 0, -1, renumbered[split.labels.clamp(min=0)])
    rest = replace(split, labels=labels).some(labels >= 0)
    return rest if labelled else replace(rest, labels=None)
