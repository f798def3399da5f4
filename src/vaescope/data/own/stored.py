"""Arrays of any size as blocks of rows, from memory, from ``.npy`` and out of the middle of an ``.npz``.

No block is much larger than a few megabytes, unless a single image is, so memory does not grow with the number of
images. Nothing is ever unpickled.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaescope.data.idx import Array
from vaescope.errors import UsageError, one_line
from vaescope.foreign import BROKEN, PACKED, ROOM, read_header, size_of

BLOCK = 1 << 22
"""So many bytes, or else one row, make a block."""


@dataclass(frozen=True, eq=False)
class Stored:
    """An array that is read block by block.

    Args:
        name: What to call it in an error.
        dtype: The type of its values.
        shape: Its shape, the number of rows first.
        read: Gives blocks of so many rows, from the first to the last, each time it is called.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[int], Iterator[Array]]

    def blocks(self) -> Iterator[Array]:
        """The rows in their order, each block with shape (rows, ...)."""
        row = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        return self.read(max(1, BLOCK // row))

    def whole(self) -> Array:
        """All rows, for arrays that are small.

        Raises:
            UsageError: If it is not.
        """
        if self.dtype.hasobject:
            raise UsageError(f"{self.name} holds Python objects, which are not read")
        if (size := math.prod(self.shape) * self.dtype.itemsize) > ROOM:
            raise UsageError(f"{self.name} promises {size:,} bytes: expected at most {ROOM:,}")
        return np.concatenate(list(self.blocks())) if size else np.empty(self.shape, self.dtype)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tells in one line what numpy and zipfile find wrong with a file."""
    try:
        yield
    except UsageError:
        raise
    except BROKEN as error:
        if "object" in str(error).lower():
            raise UsageError(f"{path} holds Python objects: save an array of uint8, or of floats in [0, 1]") from None
        raise UsageError(f"{path} is a damaged array file: {one_line(error)}") from None


def in_memory(array: Array, name: str) -> Stored:
    """An array that is there already."""
    return Stored(
        name, array.dtype, array.shape, lambda rows: (array[k : k + rows] for k in range(0, array.shape[0], rows))
    )


def open_npy(path: Path) -> Stored:
    """A ``.npy`` file. Every block is mapped on its own, so that what was read does not stay in this process."""

    def mapped() -> Array:
        with explained(path):
            return np.load(path, mmap_mode="r", allow_pickle=False)

    def read(rows: int) -> Iterator[Array]:
        return (mapped()[start : start + rows] for start in range(0, array.shape[0], rows))

    array = mapped()
    return Stored(str(path), array.dtype, array.shape, read)


def open_npz(path: Path) -> dict[str, Stored]:
    """The arrays of an ``.npz`` archive by name; only their headers are read."""
    with explained(path), zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        if not members:
            raise UsageError(f"{path} is a zip archive without arrays: unpack it and give the folder, or a .npz file")
        return {name.removesuffix(".npy"): _open_member(path, archive, name) for name in members}


def _open_member(path: Path, archive: zipfile.ZipFile, member: str) -> Stored:
    name, info = f"{path}: {member.removesuffix('.npy')}", archive.getinfo(member)
    with archive.open(info) as stream:
        shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        dtype = np.dtype(object)
    else:
        _check_size(shape, dtype, info, name)

    def read(rows: int) -> Iterator[Array]:
        if fortran and len(shape) > 1:
            raise UsageError(f"{name} is stored column by column: save numpy.ascontiguousarray(array)")
        with explained(path), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            read_header(stream)
            for start in range(0, shape[0], rows):
                yield _read_rows(stream, (min(rows, shape[0] - start), *shape[1:]), dtype, name)

    return Stored(name, dtype, shape, read)


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], info: zipfile.ZipInfo, name: str) -> None:
    """Refuses an array of which not all is there, and one of whose rows each is a bomb: memory holds one at a time."""
    if (missing := size_of(shape, dtype) - info.file_size) > 0:
        raise UsageError(f"{name} is truncated: {missing:,} bytes are missing")
    row, most = size_of(shape[1:], dtype), max(ROOM, PACKED * info.compress_size)
    if row > most:
        raise UsageError(f"{name} promises {row:,} bytes for a single image: at most {most:,} are read of such a file")


def _read_rows(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    size = math.prod(shape) * dtype.itemsize
    data = stream.read(size)
    if len(data) < size:
        raise UsageError(f"{name} is truncated: {size - len(data)} bytes are missing")
    return np.frombuffer(data, dtype).reshape(shape)
