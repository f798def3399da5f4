"""Images that a trained model is asked about, a part at a time, in the form that it was made for."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from vaescope.data.ahead import ahead
from vaescope.data.fetch import IMAGES, Progress
from vaescope.data.idx import Array
from vaescope.data.items import Item, Source
from vaescope.data.pixels import Form, decode
from vaescope.errors import UsageError

TOGETHER = 500
"""Images in a part, at most."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Some of the images.

    Args:
        names: What they are called.
        images: Levels, with shape (n, C, H, W).
        labels: The numbers of their classes in the source, -1 for none, with shape (n,); nothing without classes.
    """

    names: list[str]
    images: Tensor
    labels: Tensor | None


def asked(source: Source, form: Form, skip_bad: bool = False, progress: Progress | None = None) -> Iterator[Asked]:
    """All images of a source in their order. Memory does not grow with their number.

    Args:
        source: The images.
        form: What they are brought to.
        skip_bad: Whether those that cannot be read are left out; else they are refused.
        progress: Is told how many are done.

    Raises:
        UsageError: If one cannot be read.
    """

    def work(item: Item) -> tuple[Item, Array | UsageError]:
        try:
            return item, decode(item.content, form, item.name)
        except UsageError as error:
            return item, error

    good = _readable(ahead(work, source.items()), skip_bad)
    done = 0
    while some := list(islice(good, TOGETHER)):
        labels = [-1 if item.label is None else item.label for item, _ in some]
        yield Asked(
            [item.name for item, _ in some],
            torch.from_numpy(np.stack([pixels for _, pixels in some])),
            torch.tensor(labels) if source.classes else None,
        )
        done += len(some)
        if progress:
            progress(IMAGES, done, len(source))


def _readable(found: Iterator[tuple[Item, Array | UsageError]], skip_bad: bool) -> Iterator[tuple[Item, Array]]:
    for item, pixels in found:
        if not isinstance(pixels, UsageError):
            yield item, pixels
        elif not skip_bad:
            raise UsageError(f"{pixels} (--skip-bad leaves out what cannot be read)")
