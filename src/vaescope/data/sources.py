"""The image sets that can be asked for by name: what they hold, where they come from, how to recognise them.

A named set is four files in the idx format: training and test images, training and test labels. Each file is known by
the SHA-256 of its *decompressed* bytes, because mirrors compress the same bytes differently. One set is drawn here
rather than fetched, into one file. This module only describes; it imports neither torch nor numpy, so listing the sets
is instant.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vaescope.errors import UsageError

ROLES = ("train_images", "train_labels", "test_images", "test_labels")
FILE_NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


class IdxFile(NamedTuple):
    """One file of a named set: its name without ``.gz`` and the SHA-256 of its decompressed bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package that holds the four files.

    Args:
        name: The name that ``apt`` knows it by.
        folder: The absolute path of the files, once it is installed.
    """

    name: str
    folder: str


@dataclass(frozen=True)
class NamedSet:
    """An image set with a name.

    Args:
        name: What the user types; also the folder below ``data.root``.
        title: What a figure or a report calls it.
        classes: The class names, in the order of the labels.
        files: The four files by role, see ``ROLES``; of a set that is drawn here its only file.
        shape: The shape (C, H, W) of an image.
        counts: The number of training images, those for validation among them, and of test images.
        licence: The licence as its publisher states it.
        homepage: Where to read more.
        mirrors: Base URLs, ending in ``/``, that serve each file as ``<name>.gz``; tried in this order.
        debian: A Debian package with the same files, tried after the mirrors.
        torchvision: The folder below a torchvision root that holds the files.
        shipped: The folder, where the files come with vaescope itself.
        drawn: Whether the images are drawn here, see :mod:`vaescope.data.sprites`.
        picks: Keys of a config that suit it better than their defaults, by their dotted names.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    files: Mapping[str, IdxFile]
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    licence: str
    homepage: str
    mirrors: tuple[str, ...] = ()
    debian: DebianPackage | None = None
    torchvision: str | None = None
    shipped: Path | None = None
    drawn: bool = False
    picks: Mapping[str, Any] = field(default_factory=dict)

    def size(self, role: str) -> int:
        """The number of bytes of a file, decompressed: the idx header and one byte per pixel or label."""
        count = self.counts[role.startswith("test")]
        return 16 + count * math.prod(self.shape) if role.endswith("images") else 8 + count

    @property
    def remedy(self) -> str:
        """What to do about a damaged file."""
        return "install vaescope anew" if self.shipped else f"delete it and run `vaescope data fetch {self.name}`"


def _files(*digests: str) -> dict[str, IdxFile]:
    return {role: IdxFile(FILE_NAMES[role], digest) for role, digest in zip(ROLES, digests, strict=True)}


_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_SETS = (
    NamedSet(
        name="fashion-mnist",
        title="Fashion-MNIST",
        classes=_CLOTHES,
        files=_files(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        shape=(1, 28, 28),
        counts=(60_000, 10_000),
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        debian=DebianPackage("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"),
        torchvision="FashionMNIST/raw",
    ),
    NamedSet(
        name="mnist",
        title="MNIST",
        classes=tuple("0123456789"),
        files=_files(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        shape=(1, 28, 28),
        counts=(60_000, 10_000),
        licence="CC BY-SA 3.0",
        homepage="http://yann.lecun.com/exdb/mnist/",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        torchvision="MNIST/raw",
    ),
    NamedSet(
        name="sample",
        title="Fashion-MNIST, a sample of 300",
        classes=_CLOTHES,
        files=_files(
            "0b98bd504c300e6f81a43412f69838a4206f302dc4dfe72fd2d9053e1f37b634",
            "34f6b2e756a95afcd2544013e5706d7bdc7134e3134b6d0f6efb836425da9850",
            "658db1001a6572198bb3ef58925da8770f3b3fc0c9df71e1d5b810f4b5269681",
            "0057a552a5c5e3ca77066730db94241cc01d9ee1b247963ce817b70f2f5bb893",
        ),
        shape=(1, 28, 28),
        counts=(240, 60),
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        shipped=Path(__file__).with_name("sample"),
    ),
    NamedSet(
        name="sprites",
        title="Sprites",
        classes=("heart", "wedge", "hook"),
        files={"all": IdxFile("sprites.npz", "5514dadbde8b2d128990a409080d7447cff79eac15a4920288ccfd94dea0e301")},
        shape=(1, 32, 32),
        counts=(32_256, 4_608),
        licence="drawn by vaescope, no rights reserved",
        homepage="https://github.com/google-deepmind/dsprites-dataset",
        drawn=True,
        picks={"model.latent": 10},
    ),
)

NAMED: Mapping[str, NamedSet] = {named.name: named for named in _SETS}


def find(name: str) -> NamedSet:
    """The set called ``name``.

    Raises:
        UsageError: If there is none; names the nearest one and all of them.
    """
    if name in NAMED:
        return NAMED[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), NAMED, n=1, cutoff=0.5)
    guess = f"did you mean `{near[0]}`? " if near else ""
    raise UsageError(
        f"no image set is called `{name}`: {guess}There are {', '.join(NAMED)}, and idx for your own files"
    )


def recognise(sha256: str) -> tuple[str, str] | None:
    """The (set name, file name) that this SHA-256 belongs to, if it is one of ours."""
    known = ((named.name, file) for named in NAMED.values() for file in named.files.values())
    return next(((name, file.name) for name, file in known if file.sha256 == sha256), None)
