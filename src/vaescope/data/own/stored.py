"""Arrays of any size as blocks of rows, from memory, from ``.npy`` and out of the middle of an ``.npz``.

No block is much larger than a few megabytes, unless a single image is, so memory does not grow with the number of
images. Nothing is ever unpickled.
"""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaescope.data.idx import Array
from vaescope.errors import UsageError

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
        """All rows, for arrays that are small."""
        return np.concatenate(list(self.blocks())) if len(self.shape) and self.shape[0] else np.empty(self.shape)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tells in one line what numpy and zipfile find wrong with a file."""
    try:
        yield
    except UsageError:
        raise
    except (ValueError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "object" in str(error).lower():
            raise UsageError(f"{path} holds Python objects: save an array of uint8, or of floats in [0, 1]") from None
        raise UsageError(f"{path} is a damaged array file: {' '.join(str(error).split())}") from None


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
    name = f"{path}: {member.removesuffix('.npy')}"
    with archive.open(member) as stream:
        shape, fortran, dtype = _header(stream)
    if dtype.hasobject:
        dtype = np.dtype(object)

    def read(rows: int) -> Iterator[Array]:
        if fortran and len(shape) > 1:
            raise UsageError(f"{name} is stored column by column: save numpy.ascontiguousarray(array)")
        with explained(path), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            _header(stream)
            for start in range(0, shape[0], rows):
                yield _read_rows(stream, (min(rows, shape[0] - start), *shape[1:]), dtype, name)

    return Stored(name, dtype, shape, read)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether columns come first, and the type of an array in the npy format."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version[0]}.{version[1]} of the npy format is for tables, not for images")


def _read_rows(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    size = math.prod(shape) * dtype.itemsize
    data = stream.read(size)
    if len(data) < size:
        raise UsageError(f"{name} is truncated: {size - len(data)} bytes are missing")
    return np.frombuffer(data, dtype).reshape(shape)
