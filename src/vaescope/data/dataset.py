"""Where the images of a run come from, and what of them the model explains: the ``data`` part of a config."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet, load
from vaescope.data.rows import Rows, Stored, in_memory
from vaescope.data.targets import TARGETS, Target, TargetName
from vaescope.errors import UsageError


@dataclass(frozen=True)
class ImageData:
    """An image set and its target.

    Args:
        name: The set: fashion-mnist, mnist, sample (300 real images that come with vaescope), or idx for your own
            four idx files.
        root: The folder for image sets. It may also be one that holds the four idx files of the set, gzipped or not.
        targets: What the model explains: binary (pixels drawn as 0 or 1, anew for every batch), grey (in [0, 1]) or
            centred (in [-1, 1]).
        labelled: The share of the training images whose labels the model may see: the first ones of every class,
            equally many of each, at least one. The labels of the others are -1 from then on; those of validation and
            test images stay.
        bits: The bits of a value, 8 or 16. Images of your own are brought to it.
        memory: So many MiB of training images are kept in memory at most; larger sets are read from disk batch by
            batch.

    Raises:
        UsageError: For a share that is not above 0 and at most 1.
    """

    name: str = "fashion-mnist"
    root: Path = Path("data")
    targets: TargetName = "binary"
    labelled: float = 1.0
    bits: Literal[8, 16] = 8
    memory: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.labelled <= 1:
            raise UsageError(f"data.labelled is {self.labelled}: give a share above 0 and at most 1, such as 0.01")

    @property
    def target(self) -> Target:
        """What of the images the model explains."""
        return TARGETS[self.targets](self.bits)

    def held(self, images: Rows, device: torch.device) -> Rows:
        """Training images where batches are to come from: on the device, or on disk if they are more than fits."""
        large = isinstance(images, Stored) and images.nbytes > self.memory << 20
        return images if large else in_memory(images, device)

    def load(self, report: Report = log, progress: Progress | None = None) -> ImageSet:
        """Reads the images, fetching them first if they are not there.

        Args:
            report: Is told in one line what is fetched from where.
            progress: Is told how far a download is.

        Raises:
            UsageError: If there is no such set, if it cannot be had, or if a file is wrong.
        """
        images = load(self.name, self.root.expanduser(), report, progress)
        if self.labelled == 1:
            return images
        if images.train.labels is None:
            raise UsageError(f"data.labelled is {self.labelled}, but {images.title} has no labels: leave it out")
        labels = hide(images.train.labels, self.labelled, len(images.classes))
        return replace(images, train=replace(images.train, labels=labels))


def hide(labels: Tensor, share: float, classes: int) -> Tensor:
    """Labels with all but the first ones of every class made -1.

    Args:
        labels: The labels of N images, with shape (N,).
        share: The share of N that stays, rounded to equally many of each class, at least one.
        classes: The number of classes.

    Returns:
        Labels with shape (N,).
    """
    each = max(1, round(share * len(labels) / classes))
    kept = torch.cat([(labels == k).nonzero()[:each, 0] for k in range(classes)])
    return torch.full_like(labels, -1).index_copy(0, kept, labels[kept])
