"""One picture file as a set of one image."""

import warnings
from collections.abc import Iterator
from pathlib import Path

from vaescope.data.items import Item, Source
from vaescope.data.own.remembered import digests, hasher
from vaescope.errors import UsageError
from vaescope.terminal import printable


class OnePicture(Source):
    """A single picture.

    Args:
        path: The file.

    Raises:
        UsageError: If it is no picture.
    """

    def __init__(self, path: Path) -> None:
        _check_kind(path)
        self.path = path
        super().__init__(printable(path.stem))

    def __len__(self) -> int:
        return 1

    def items(self) -> Iterator[Item]:
        """The picture, as a path."""
        yield Item(printable(self.path.name), self.path)

    def fingerprint(self) -> str:
        """A hash of its name and its content."""
        name = printable(self.path.name)
        return hasher(repr((name, digests(self.path, {name: self.path}))).encode()).hexdigest()


def _check_kind(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"):
            Image.open(path).close()
    except UnidentifiedImageError:
        raise UsageError(
            f"{path} holds no images: expected a folder, a picture, .npy, .npz, .parquet, or a file in the idx format"
        ) from None
    except Exception:  # a damaged picture makes Pillow raise almost anything: who decodes it says so
        return
