"""What came from anywhere: whatever reading it raises is told in one line, and what it says is believed only as far as
the bytes that are there.
"""

import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError

from vaescope.errors import RunError, UsageError, one_line

Array = np.ndarray[Any, np.dtype[Any]]

BROKEN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SafetensorError, SystemError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What reading a file that was cut short, altered or is none of ours can raise."""

ROOM, PACKED = 256 << 20, 100
"""An archive may hold so many bytes, or so many times its own, before it is taken for a bomb."""


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turns whatever is wrong with a file into one line.

    Args:
        what: What is wrong, without the reason.
        remedy: What to try.
    """
    try:
        yield
    except (UsageError, RunError, PermissionError):  # what may not be read is not damaged
        raise
    except BROKEN as error:
        raise UsageError(f"{what} ({one_line(error)}): {remedy}") from None


def from_json(text: str | bytes) -> Any:
    """What a text says in JSON.

    Raises:
        ValueError: If it is none, or brackets in brackets without end.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a ``.npz`` file. None is made that is larger than what the file holds of it, and none unpickled.

    Raises:
        ValueError: If it promises more than it can hold, or so much that it must be a bomb.
    """
    with zipfile.ZipFile(path) as archive:
        most = max(ROOM, PACKED * path.stat().st_size)
        if (promised := sum(member.file_size for member in archive.infolist())) > most:
            raise ValueError(f"it promises {promised:,} bytes, at most {most:,} are read")
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _read_member(archive, name) for name in members}


def _read_member(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as stream:
        return read_array(stream, archive.getinfo(name).file_size)


def read_array(stream: IO[bytes], length: int) -> Array:
    """The array in the npy format that a stream holds.

    Args:
        stream: The stream.
        length: How many bytes it has.

    Raises:
        ValueError: If it is none, if it holds Python objects, or if it promises more than there is.
    """
    shape, fortran, dtype = read_header(stream)
    size = size_of(shape, dtype)
    if size > length:
        raise ValueError(f"{size:,} bytes are promised, but there are {length:,}")
    data = stream.read(size)
    if len(data) < size:
        raise ValueError(f"{size - len(data):,} bytes are missing")
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether columns come first, and the type of an array in the npy format.

    Raises:
        ValueError: If it is none.
    """
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the npy format is for tables, not for images")
    try:
        shape, fortran, dtype = readers[version](stream)
    except BROKEN as error:
        raise ValueError(f"its header is none ({one_line(error)})") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {shape}")
    return shape, fortran, dtype


def size_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """The bytes of an array.

    Raises:
        ValueError: If they are Python objects, or nothing at all.
    """
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if not dtype.itemsize:
        raise ValueError(f"its values are {dtype}, of no bytes")
    size = dtype.itemsize
    for side in shape:
        size *= side
    return size
