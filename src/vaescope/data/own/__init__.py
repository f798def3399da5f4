"""The user's own images, from whatever file, folder or array they are in, as one :class:`~vaescope.data.items.Source`.

The content of a file, not its name, says what it is.
"""

from pathlib import Path

from vaescope.data.idx import TYPES
from vaescope.data.items import Source
from vaescope.data.own.arrays import from_arrays, read_idx_images, read_npy, read_npz
from vaescope.data.own.folder import Folder, files_below, picture_endings
from vaescope.data.own.hub import read_hub
from vaescope.data.own.parquet import read_parquet
from vaescope.data.own.picture import OnePicture
from vaescope.errors import UsageError

__all__ = ["HUB", "from_arrays", "open_source"]

HUB = "hf:"
"""What the name of a set on the Hugging Face hub begins with."""


def open_source(where: str | Path, classes: bool = True) -> Source:
    """Finds out what images lie somewhere, without reading all of them.

    Args:
        where: One of

            - a folder of pictures, whose subfolders may be splits (train, validation, test) and classes;
            - ``.npy``, ``.npz`` or idx, see :mod:`vaescope.data.own.layout` for shapes and values;
            - ``.parquet`` with a column of pictures, or a folder of them;
            - ``hf:NAME``, a set on the Hugging Face hub, or ``hf:FOLDER``;
            - a single picture.
        classes: Whether to take labels from where they are.

    Raises:
        UsageError: If there are no images, or if they are of a kind that is not known.
    """
    if str(where).startswith(HUB):
        return read_hub(str(where).removeprefix(HUB), classes)
    path = Path(where).expanduser()
    return _folder(path, classes) if path.is_dir() else _file(path, classes)


def _folder(path: Path, classes: bool) -> Source:
    files = files_below(path)
    tables = [file for file in files if file.lower().endswith(".parquet")]
    if not tables:
        return Folder(path, files, classes)
    if pictures := [file for file in files if Path(file).suffix.lower() in picture_endings()]:
        raise UsageError(f"{path} holds both {tables[0]} and {pictures[0]}: give a folder with one kind of them")
    return read_parquet(path, tables, classes)


def _file(path: Path, classes: bool) -> Source:
    start = head(path).ljust(4)
    if start.startswith(b"\x93NUMPY"):
        return read_npy(path)
    if start.startswith(b"PK"):
        return read_npz(path, classes)
    if start.startswith(b"PAR1"):
        return read_parquet(path.parent, [path.name], classes)
    if start.startswith(b"\x1f\x8b") or (start[:2] == b"\0\0" and start[2] in TYPES):
        return read_idx_images(path, classes)
    return OnePicture(path)


def head(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: give an array file, an idx file, a picture or a folder") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if not start:
        raise UsageError(f"{path} is empty: 0 bytes")
    return start
