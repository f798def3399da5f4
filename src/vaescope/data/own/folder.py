"""A folder of pictures: subfolders may say the split of an image, and its class.

::

    photos/a.png                     images
    photos/cats/a.png                images with classes
    photos/train/cats/a.png          images with splits and classes; beside train: test, validation (val, valid)
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from vaescope.data.items import Item, Part, Source
from vaescope.data.own.labels import alone
from vaescope.data.own.parts import PARTS, meant
from vaescope.data.own.remembered import digests, hasher
from vaescope.errors import UsageError
from vaescope.terminal import printable

NAMED_ONLY = {"BUFR", "GRIB", "HDF5", "MPEG"}
"""Formats that Pillow tells by name, but can not decode."""


class Folder(Source):
    """Pictures below a folder, in the order of their paths, byte by byte; hidden ones are left out.

    Args:
        root: The folder.
        files: The path below it of every file.
        classes: Whether subfolders are classes, if every picture lies in one.

    Raises:
        UsageError: If there are no pictures, and for folders that are not splits beside ones that are.
    """

    def __init__(self, root: Path, files: list[str], classes: bool = True) -> None:
        known = picture_endings()
        pictures = [file for file in files if PurePosixPath(file).suffix.lower() in known]
        if not pictures:
            raise UsageError(f"{root} holds {_what(files)}: expected pictures (PNG, JPEG, ...), in it or in subfolders")
        self.root, self.ignored = root, tuple(printable(file) for file in sorted(set(files) - set(pictures)))
        tops = _parts(root, pictures)
        self._parts = [tops.get(file.partition("/")[0]) for file in pictures]
        below = [file.partition("/")[2] if tops else file for file in pictures]
        names = [path.partition("/")[0] if "/" in path else None for path in below]
        found = sorted({os.fsencode(name) for name in names if name is not None})
        self._pictures, labels, labelled = pictures, list[int | None](), tuple[str, ...]()
        if classes and found and None in names:
            loose = names.count(None)
            self.note = f"{loose:,} of {len(names):,} pictures lie in no subfolder, so these are not taken for classes"
        if classes and None not in names:
            index = {os.fsdecode(name): k for k, name in enumerate(found)}
            labelled = tuple(printable(name) for name in index)
            labels = [index[name] for name in names if name is not None]
            self.alone = alone(labelled, [np.array(labels)])
        self._labels = labels or [None] * len(pictures)
        parts = frozenset(part for part in tops.values() if part)
        super().__init__(printable(root.resolve().name or str(root)), labelled, parts)

    def __len__(self) -> int:
        return len(self._pictures)

    def items(self) -> Iterator[Item]:
        """All pictures as paths; none is read."""
        for file, label, part in zip(self._pictures, self._labels, self._parts, strict=True):
            yield Item(printable(file), self.root / file, label, part)

    def fingerprint(self) -> str:
        """A hash of paths, contents, classes and splits. Files that have not changed are not read again."""
        known = digests(self.root, {printable(file): self.root / file for file in self._pictures})
        total = hasher()
        for item in self.items():
            total.update(repr((item.name, known[item.name], item.label, item.part)).encode())
        total.update(repr(self.classes).encode())
        return total.hexdigest()


def files_below(root: Path) -> list[str]:
    """The path below ``root`` of every file that is not hidden, sorted byte by byte. Links are followed once around.

    Raises:
        UsageError: If a folder cannot be read.
    """
    return sorted(_walk(root, "", frozenset()), key=os.fsencode)


def picture_endings() -> frozenset[str]:
    """The endings of the files that Pillow decodes, such as ``.png``."""
    return _endings()


@cache
def _endings() -> frozenset[str]:
    from PIL import Image

    endings = Image.registered_extensions()
    return frozenset(end for end, kind in endings.items() if kind in Image.OPEN and kind not in NAMED_ONLY)


def _walk(folder: Path, below: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Files below a folder, unless it is one of those above it, to which a link has led back."""
    try:
        found = folder.stat()
        here = (found.st_dev, found.st_ino)
        if here in above:
            return
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror or error}") from None
    for entry in entries:
        path = Path(entry.path)
        if path.is_dir() if entry.is_symlink() else entry.is_dir():
            yield from _walk(path, f"{below}{entry.name}/", above | {here})
        elif (path.is_file() if entry.is_symlink() else entry.is_file()) or (entry.is_symlink() and not path.exists()):
            yield below + entry.name


def _parts(root: Path, pictures: list[str]) -> Mapping[str, Part | None]:
    """The split that each folder of the first level stands for; empty if they are not splits."""
    tops = {file.partition("/")[0] if "/" in file else "" for file in pictures}
    named = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    splits, others = set(named.values()), sorted(tops - set(named))
    if "" in tops or not named or (others and not ("train" in splits and len(splits) > 1)):
        return {}
    if others:
        raise UsageError(
            f"{root} holds the folder {printable(others[0])!r} beside {', '.join(sorted(named))}: "
            "expected only train, validation and test; put it elsewhere, or give the folder of one split"
        )
    return meant(named, root)


def _what(files: list[str]) -> str:
    """What a folder without pictures holds."""
    if not files:
        return "no files"
    return f"no pictures but {printable(files[0])!r}" + (
        f" and {len(files) - 1:,} more files" if len(files) > 1 else ""
    )
