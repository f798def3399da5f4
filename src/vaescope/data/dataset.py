"""Where the images of a run come from, and what of them the model explains: the ``data`` part of a config."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vaescope.data.cache import Division, open_entry, prepared
from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet, Split, load
from vaescope.data.items import Source
from vaescope.data.own import HUB, open_source
from vaescope.data.pixels import Fit, Form
from vaescope.data.rows import Mapped, Rows, in_memory
from vaescope.data.survey import survey
from vaescope.data.targets import TARGETS, Target, TargetName
from vaescope.data.without import of_classes, said, without
from vaescope.errors import UsageError

OWN = "images"
"""The name of the set that is the user's own pictures or arrays."""

DECODED = "decoded"
"""The name of a set whose root is an entry of the cache."""


@dataclass(frozen=True)
class ImageData:
    """An image set and its target.

    Args:
        name: The set: fashion-mnist, mnist, sample (300 real images that come with vaescope), sprites (shapes that are
            drawn here, with the factors they are drawn from), idx for your own four idx files, images for your own
            pictures or arrays, or hf:NAME for a data set of the Hugging Face hub.
        root: The folder for image sets. It may also be one that holds the four idx files of the set, gzipped or not.
            Of your own images it is the folder or file itself.
        targets: What the model explains: binary (pixels drawn as 0 or 1, anew for every batch), grey (in [0, 1]) or
            centred (in [-1, 1]).
        labelled: The share of the training images whose labels the model may see: the first ones of every class,
            equally many of each, at least one. The labels of the others are -1 from then on; those of validation and
            test images stay.
        without: The names of classes that are left out of all splits, for ``vaescope evaluate`` to tell whether the
            model finds their test images strange. The others are numbered anew.
        size: Rows and columns that your own images are brought to, or one number for both; by default those that they
            all have.
        fit: How they get there: crop (scaled to cover it, the middle kept), pad (scaled to fit into it, the rest
            filled), stretch (which distorts) or exact (other sizes are refused).
        channels: 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA); by default what your images have.
        bits: The bits of a value, 8 or 16. Images of your own are brought to it.
        classes: Whether folders, or labels beside an array, are the classes of your images.
        skip_bad: Whether files that cannot be read are left out; else they are refused.
        validation: The share of your images that is for validation, unless you have put some into a split of that
            name.
        test: The share for the test.
        split_seed: Gives another division into splits.
        memory: So many MiB of training images are kept in memory at most; larger sets are read from disk batch by
            batch.
        cache: Where decoded images are kept; by default in VAESCOPE_CACHE or the user's folder for caches.

    Raises:
        UsageError: For a share that is not above 0 and at most 1, or a size below 8.
    """

    name: str = "fashion-mnist"
    root: Path = Path("data")
    targets: TargetName = "binary"
    labelled: float = 1.0
    without: tuple[str | int, ...] = ()
    size: tuple[int, int] | int | None = None
    fit: Fit = "crop"
    channels: Literal[1, 2, 3, 4] | None = None
    bits: Literal[8, 16] = 8
    classes: bool = True
    skip_bad: bool = False
    validation: float = 0.1
    test: float = 0.1
    split_seed: int = 0
    memory: int = 2048
    cache: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.labelled <= 1:
            raise UsageError(f"data.labelled is {self.labelled}: give a share above 0 and at most 1, such as 0.01")
        if self.sides is not None and not 4 <= min(self.sides) <= max(self.sides) <= 1024:
            raise UsageError(f"data.size is {list(self.sides)}: give rows and columns from 4 to 1024, such as [64, 64]")
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise UsageError(
                f"data.validation is {self.validation} and data.test {self.test}: give shares above 0 whose sum is "
                "below 1, such as 0.1 and 0.1"
            )
        for name in ("split_seed", "memory"):
            if not 0 <= getattr(self, name) < 2**63:
                raise UsageError(f"data.{name} is {getattr(self, name)}: give a whole number that is not negative")

    @property
    def sides(self) -> tuple[int, int] | None:
        """The rows and columns that are asked for."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def target(self) -> Target:
        """What of the images the model explains."""
        return TARGETS[self.targets](self.bits)

    @property
    def own(self) -> bool:
        """Whether these are images of the user's own, in any form and kind of file."""
        return self.name == OWN or self.name.startswith(HUB)

    def held(self, images: Rows, device: torch.device) -> Rows:
        """Training images where batches are to come from: on the device, or on disk if they are more than fits."""
        large = isinstance(images, Mapped) and images.nbytes > self.memory << 20
        return images if large else in_memory(images, device)

    def source(self) -> Source:
        """The user's own images, before they are decoded."""
        if self.name.startswith(HUB):
            return open_source(self.name, self.classes)
        root = self.root.expanduser()
        if not root.exists():
            here = "" if root.is_absolute() else f" in {Path.cwd()}"
            raise UsageError(
                f"data.root is {root}, which does not exist{here}: set it in config.yaml, or give --data.root in "
                "training, to where the images are"
            )
        return open_source(root, self.classes)

    def form(self, source: Source) -> Form:
        """What images are brought to: what is asked for, and for the rest what they all have.

        Raises:
            UsageError: If they differ where nothing is asked for.
        """
        if self.sides and self.channels:
            return Form(*self.sides, self.channels, self.bits, self.fit)
        found = survey(source)
        height, width = self.sides or found.common_size
        return Form(height, width, self.channels or found.common_channels, self.bits, self.fit)

    def prepare(self, source: Source, report: Report = log, progress: Progress | None = None) -> Path:
        """The entry of the cache that holds images of the user's own, decoded, made if it is not there."""
        division = Division(self.validation, self.test, self.split_seed)
        return prepared(source, self.form(source), division, self.skip_bad, self.cache, report, progress)

    def load(self, report: Report = log, progress: Progress | None = None) -> ImageSet:
        """Reads the images, fetching or decoding them first if that was not done before.

        Args:
            report: Is told in one line what is fetched from where.
            progress: Is told how far a download is.

        Raises:
            UsageError: If there is no such set, if it cannot be had, or if a file is wrong.
        """
        images = self._load(report, progress)
        if self.without:
            images = without(images, self.names_left_out)
        if self.labelled == 1:
            return images
        if images.train.labels is None:
            raise UsageError(f"data.labelled is {self.labelled}, but {images.title} has no labels: leave it out")
        labels = hide(images.train.labels, self.labelled, len(images.classes))
        return replace(images, train=replace(images.train, labels=labels))

    @property
    def names_left_out(self) -> list[str]:
        """The classes that are left out. A name may be a number."""
        return [str(name) for name in self.without]

    def left_out(self, report: Report = log) -> tuple[str, Split]:
        """The test images of the classes that are left out, and what they are.

        Args:
            report: Is told in one line what is fetched from where.

        Raises:
            UsageError: As :meth:`load`.
        """
        images = self._load(report, None)
        return f"{images.title}, {said(self.names_left_out)}", of_classes(images, self.names_left_out)

    def _load(self, report: Report, progress: Progress | None) -> ImageSet:
        root = self.root.expanduser()
        if self.own:
            source = self.source()  # equal images elsewhere may have made the entry under another title
            return replace(open_entry(self.prepare(source, report, progress)), title=source.title)
        if self.name == DECODED and not root.exists():
            raise UsageError(
                f"the images of this run were arrays, decoded into {root}, which is gone: decode them by training on "
                "the same arrays again; images that are given are encoded without"
            )
        images = open_entry(root) if self.name == DECODED else load(self.name, root, report, progress)
        if images.bits != self.bits:
            raise UsageError(f"data.bits is {self.bits}, but {images.title} has {images.bits}: set it to that")
        channels, *sides = images.shape
        for key, asked, there in (("size", self.sides, tuple(sides)), ("channels", self.channels, channels)):
            if asked not in (None, there):
                raise UsageError(f"data.{key} is {asked}, but {images.title} has {there}: leave it out")
        return images


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
