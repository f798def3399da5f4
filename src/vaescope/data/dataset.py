"""Where the images of a run come from, and what of them the model explains: the ``data`` part of a config."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet, load
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

    Raises:
        UsageError: For a share that is not above 0 and at most 1.
    """

    name: str = "fashion-mnist"
    root: Path = Path("data")
    targets: TargetName = "binary"
    labelled: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.labelled <= 1:
            raise UsageError(f"data.labelled is {self.labelled}: give a share above 0 and at most 1, such as 0.01")

    @property
    def target(self) -> Target:
        """What of the images the model explains."""
        return TARGETS[self.targets]

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
