"""Image sets: training, validation and test images, which never overlap, as levels in memory or on disk.

Of a set with a name the validation images are the last sixth of the published training images: of the 60,000 of the
MNIST family the last 10,000, as in the literature. The set that is drawn here comes with the factors that its images
were drawn from, and is divided at random, in the same way every time. Files are read where they lie,
``data.root/<name>`` or ``data.root`` itself, and verified by their SHA-256 every time, which costs a few hundredths of
a second.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaescope.data import sprites
from vaescope.data.fetch import Progress, Report, fetch, locate, log, mismatch, present
from vaescope.data.idx import Array, parse_idx, read_bytes, read_idx
from vaescope.data.rows import Rows, chunks
from vaescope.data.sources import FILE_NAMES, NamedSet, find
from vaescope.data.targets import irreducible_entropy, level_counts
from vaescope.errors import UsageError
from vaescope.foreign import explained
from vaescope.terminal import printable

MOST_CLASSES = 9_999
"""The largest label that is taken for one."""

OWN = "idx"
"""The name of the set that is the user's own four idx files."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and, where there are any, their labels.

    Args:
        images: The images, uint8 or uint16, with shape (N, C, H, W), in memory or on disk.
        labels: The labels, int64, with shape (N,).
        called: A file with what each is called, as JSON one a line.
        factors: The ground truth that each was made from, as classes of F factors, int64, with shape (N, F).
        lines: Which of these lines are theirs, from 0 on, with shape (N,); by default the first N.
    """

    images: Rows
    labels: Tensor | None = None
    called: Path | None = None
    factors: Tensor | None = None
    lines: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def top(self) -> int:
        """The level of white, 255 or 65,535."""
        return 255 if self.images[:1].dtype == torch.uint8 else 65_535

    def names(self) -> Iterator[str]:
        """What the images are called, in their order; nothing where they are only numbers."""
        if self.called is not None:
            wanted = set(range(len(self)) if self.lines is None else self.lines.tolist())
            with (
                explained(f"{self.called} is damaged", "delete its folder to decode anew"),
                self.called.open(encoding="utf-8") as lines,
            ):
                yield from (printable(json.loads(line)) for k, line in enumerate(lines) if k in wanted)

    def some(self, mask: Tensor) -> "Split":
        """The images at which a mask, with shape (N,), is true, in their order."""
        places = mask.nonzero().flatten()
        images = self.images[places] if isinstance(self.images, Tensor) else self.images.some(places)
        lines = places if self.lines is None else self.lines[places]
        labels, factors = (None if values is None else values[places] for values in (self.labels, self.factors))
        return Split(images, labels, self.called, factors, lines)

    def part(self, rows: slice | Tensor) -> "Split":
        """Some of them, in their order, or in that of their numbers."""
        beside = (self.labels, self.factors, self.lines)
        labels, factors, lines = (None if values is None else values[rows] for values in beside)
        return replace(self, images=self.images[rows], labels=labels, factors=factors, lines=lines)

    def greys(self, index: Sequence[int] | Tensor) -> Array:
        """Some of the images with greys in [0, 1], for pictures, with shape (K, C, H, W)."""
        return self.images[index].numpy() / np.float32(self.top)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Three splits of one set. The test split is for the end: nothing is chosen by looking at it.

    Args:
        name: What a config calls it.
        title: What figures and reports call it.
        classes: The names of the classes, in the order of the labels.
        train: The images to learn from.
        validation: Those to choose by.
        test: Those to report on.
        factors: The names of the factors that the images were made from, where these are known.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    factors: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def bits(self) -> int:
        """The bits of a value, 8 or 16."""
        return 8 if self.train.top == 255 else 16

    @property
    def labelled(self) -> int:
        """The number of classes that the images are labelled with, 0 where those of a split are not: a model of
        labelled images could not be scored on them."""
        return len(self.classes) if all(split.labels is not None for split in self.splits.values()) else 0

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load(
    name: str, root: Path, report: Report = log, progress: Progress | None = None, fetch_missing: bool = True
) -> ImageSet:
    """Reads an image set, fetching it first if it is not there.

    Args:
        name: A name in ``vaescope.data.sources.NAMED``, or ``idx`` for your own files: ``train-images-idx3-ubyte`` and
            ``t10k-images-idx3-ubyte`` with shape (N, H, W) or (N, C, H, W) and, if you have labels,
            ``train-labels-idx1-ubyte`` and ``t10k-labels-idx1-ubyte``; each may be gzipped.
        root: The folder ``data.root``: either it holds the four files, or a folder ``name`` in it does or will.
        report: Is told in one line what is fetched from where.
        progress: Is told how far a download is.
        fetch_missing: Whether to fetch what is not there, or to raise.

    Raises:
        UsageError: If there is no such set, if it cannot be had, or if a file is wrong.

    Example:
        >>> load("sample", Path("data")).train.images.shape
        torch.Size([200, 1, 28, 28])
    """
    if name == OWN:
        return _load_own(root)
    named = find(name)
    folder = present(named, root) or (fetch(named, root, report, progress) if fetch_missing else None)
    if folder is None:
        raise UsageError(
            f"{name} is not in {root / name} or {root}: run `vaescope data fetch {name}`, "
            f"or set data.root to the folder with its four idx files"
        )
    if named.drawn:
        return _drawn(named, folder)
    return _image_set(name, named.title, named.classes, {role: _read(named, role, folder) for role in named.files})


def _read(named: NamedSet, role: str, folder: Path) -> Array:
    """One verified file of a named set."""
    path = locate(folder, named.files[role].name)
    assert path is not None
    try:
        data = read_bytes(path)
    except UsageError as error:
        raise UsageError(f"{error}; {named.remedy}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != named.files[role].sha256:
        raise mismatch(named, role, path, digest)
    return parse_idx(data, str(path))


def _image_set(name: str, title: str, classes: tuple[str, ...], arrays: dict[str, Array]) -> ImageSet:
    """Arrays by role, labels optional, as an image set."""
    train, test = (_split(arrays[f"{part}_images"], arrays.get(f"{part}_labels")) for part in ("train", "test"))
    held = max(1, len(train) // 6)
    return ImageSet(name, title, classes, train.part(slice(0, -held)), train.part(slice(-held, None)), test)


def _drawn(named: NamedSet, folder: Path) -> ImageSet:
    """The set that is drawn here. The first factor, the colour, is always the same and left out; the labels are the
    shapes."""
    ((role, file),) = named.files.items()
    path = folder / file.name
    images, classes, digest = sprites.read(path)
    if digest != file.sha256:
        raise mismatch(named, role, path, digest)
    pixels, factors = torch.from_numpy(images)[:, None] * 255, torch.from_numpy(classes[:, 1:])
    splits = {
        name: Split(pixels[rows], factors[rows, 0], factors=factors[rows])
        for name, rows in sprites.places(len(images)).items()
    }
    return ImageSet(named.name, named.title, named.classes, **splits, factors=sprites.NAMES[1:])


def _split(images: Array, labels: Array | None) -> Split:
    pixels = torch.from_numpy(images if images.ndim == 4 else images[:, None])
    return Split(pixels, None if labels is None else torch.from_numpy(labels.astype(np.int64)))


def _load_own(root: Path) -> ImageSet:
    """The user's own idx files, whose sizes only have to agree with one another."""
    paths = {role: locate(root, name) for role, name in FILE_NAMES.items()}
    for role in ("train_images", "test_images"):
        if paths[role] is None:
            raise UsageError(f"{root} holds no {FILE_NAMES[role]} (or .gz): data named `{OWN}` need it; see data.root")
    arrays = {role: _read_own(path, role) for role, path in paths.items() if path}
    _agree(root, arrays)
    labels = [array for role, array in arrays.items() if role.endswith("labels")]
    classes = tuple(map(str, range(1 + max((int(array.max()) for array in labels), default=-1))))
    return _image_set(OWN, OWN, classes, arrays)


def _read_own(path: Path, role: str) -> Array:
    """An images or a labels file of the user's own."""
    if role.endswith("labels"):
        array = read_idx(path, dims=1)
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > MOST_CLASSES:
            found = f"{array.dtype} from {array.min()} to {array.max()}"
            raise UsageError(f"{path} holds {found}: labels are whole numbers from 0 to {MOST_CLASSES}")
        return array
    array = read_idx(path)
    if array.ndim not in (3, 4):
        read_idx(path, dims=3)  # says what it looks like
    if array.dtype != np.uint8 or (array.ndim == 4 and array.shape[1] > 4):
        found = f"{array.dtype} of shape {array.shape}"
        raise UsageError(f"{path} holds {found}: images are uint8, (N, H, W) or (N, C, H, W) with C at most 4")
    return array


def _agree(root: Path, arrays: dict[str, Array]) -> None:
    """Refuses sizes that contradict one another."""
    shapes = {role: array.shape for role, array in arrays.items()}
    for part in ("train", "test"):
        images, labels = shapes[f"{part}_images"], shapes.get(f"{part}_labels")
        if labels and labels[0] != images[0]:
            counts = f"{images[0]} {part} images but {labels[0]} {part} labels"
            raise UsageError(f"{root} holds {counts}: were files swapped?")
    if shapes["train_images"][1:] != shapes["test_images"][1:]:
        raise UsageError(
            f"{root} holds training images of {shapes['train_images'][1:]} and test images of "
            f"{shapes['test_images'][1:]} pixels: they must have one size"
        )
    if shapes["train_images"][0] < 2:
        raise UsageError(f"{root} holds one training image: at least 2 are needed, as the last sixth is for validation")


def describe(image_set: ImageSet) -> dict[str, Any]:
    r"""What is in an image set, as plain numbers.

    The entropy is what no model of the binarised pixels can go below, in nats per image. Duplicates count the images of
    the second split that are, byte for byte, in the first.
    """
    seen = {name: _digests(split.images) for name, split in image_set.splits.items()}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    return {
        "name": image_set.name,
        "shape": list(image_set.shape),
        "classes": list(image_set.classes),
        "factors": _sizes(image_set),
        "splits": {name: _describe_split(split, image_set.classes) for name, split in image_set.splits.items()},
        "duplicates": {f"{a}/{b}": sum(map(set(seen[a]).__contains__, seen[b])) for a, b in pairs},
    }


def _describe_split(split: Split, classes: tuple[str, ...]) -> dict[str, Any]:
    """The statistics of the greys come from one histogram of their levels."""
    counts = level_counts(split.images, split.top)
    weight = counts.double() / counts.sum()
    value = torch.arange(len(counts), dtype=torch.float64)
    mean = float(weight @ value)
    present = weight.nonzero().flatten()
    per_class = None if split.labels is None else torch.bincount(split.labels, minlength=len(classes)).tolist()
    return {
        "count": len(split),
        "per_class": per_class,
        "range": [int(present[0]), int(present[-1])],
        "mean": mean,
        "std": float(weight @ (value - mean) ** 2) ** 0.5,
        "entropy": irreducible_entropy(split.images, split.top),
    }


def _sizes(image_set: ImageSet) -> dict[str, int]:
    """The number of classes of every factor."""
    known = [split.factors for split in image_set.splits.values() if split.factors is not None]
    most = torch.cat(known).amax(0).tolist() if known else []
    return {name: most + 1 for name, most in zip(image_set.factors, most, strict=True)}


def _digests(images: Rows) -> list[bytes]:
    """One digest per image, of its bytes."""
    return [
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() for part in chunks(images) for image in part.numpy()
    ]
