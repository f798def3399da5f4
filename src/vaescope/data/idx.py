"""The idx format, in which MNIST and its relatives are published, read strictly.

A file is a header and then the numbers, in row-major order, big-endian, optionally all inside gzip::

    0  0  type  dims | size of each dimension, dims x 4 bytes | data

The reader believes nothing: a header that promises more than the file holds costs no memory, and whatever is wrong
with a file is one line that says what.

References:
    | The MNIST database of handwritten digits (LeCun, Cortes and Burges, 1998)
    | http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from vaescope.errors import UsageError
from vaescope.files import atomic_file

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 1 << 20
SURPLUS = 64 * CHUNK  # of bytes after the end, as many are counted
MOST_DIMS = 32  # what every numpy can hold
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(kind).newbyteorder("="): code for code, kind in TYPES.items()}


class Header(NamedTuple):
    """What an idx header promises: the type of the numbers (big-endian) and the shape of the array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def offset(self) -> int:
        """Where the data begin, in bytes."""
        return 4 + 4 * len(self.shape)

    @property
    def end(self) -> int:
        """Where the data end, in bytes."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def parse_idx(data: bytes | bytearray, name: str, dims: int | None = None) -> Array:
    """The array in the bytes of an idx file; bytes as uint8 or int8 share their memory with ``data``.

    Args:
        data: The decompressed file.
        name: What to call it in an error.
        dims: The number of dimensions that is expected: 3 for images, 1 for labels.

    Raises:
        UsageError: If the header is not one, or if there are more or fewer bytes than it promises.
    """
    header = _header(data, name, dims)
    _complete(header, len(data), name)
    array = np.frombuffer(data, header.dtype, offset=header.offset).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def read_idx(path: Path, dims: int | None = None) -> Array:
    """The array in an idx file, inside gzip or not; which of the two, the content tells.

    Args:
        path: The file.
        dims: The number of dimensions that is expected: 3 for images, 1 for labels.

    Raises:
        UsageError: If the file cannot be read, is not in the idx format or is damaged.
    """
    return parse_idx(read_bytes(path, dims), str(path), dims)


def read_bytes(path: Path, dims: int | None = None) -> bytearray:
    """The decompressed bytes of an idx file, header included, once its header and its length are found right.

    Reads at most one byte more than the header promises, and never takes more memory than the file fills.
    """
    with open_bytes(path) as stream:
        data = bytearray(stream.read(4 + 4 * MOST_DIMS))
        header = _header(data, str(path), dims)
        while len(data) <= header.end and (chunk := stream.read(min(CHUNK, header.end + 1 - len(data)))):
            data += chunk
        surplus = sum(map(len, islice(iter(lambda: stream.read(CHUNK), b""), SURPLUS // CHUNK)))
    _complete(header, len(data) + surplus, str(path))
    return data


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Opens a file to be read, looking through gzip if its first two bytes say so.

    Raises:
        UsageError: If it cannot be opened, or later, inside the block, if reading it fails.
    """
    with _open(path) as raw, gzip.GzipFile(fileobj=raw) as unzipped:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with _gzip_explained(path):
            yield unzipped if zipped else raw


def write_idx(path: Path, array: Array) -> None:
    """Writes an array as a plain idx file, all of it or nothing.

    Args:
        path: The file.
        array: Of any shape without a zero, of type uint8, int8, int16, int32, float32 or float64.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(format_idx(array))


def format_idx(array: Array) -> bytes:
    """The bytes of an idx file that holds ``array``, see :func:`write_idx`."""
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise UsageError(f"the idx format has no {array.dtype}: use uint8, int8, int16, int32, float32 or float64")
    if array.size == 0 or not 1 <= array.ndim <= MOST_DIMS or max(array.shape) >= 1 << 32:
        raise UsageError(
            f"the idx format cannot hold an array of shape {array.shape}: it needs 1 to {MOST_DIMS} sizes > 0"
        )
    head = struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(TYPES[code], copy=False).tobytes()


@contextmanager
def _gzip_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise UsageError(f"{path} is truncated: its gzip data stop before their end") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path} is damaged: its gzip data are corrupt ({error})") from None


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None


def _header(data: bytes | bytearray, name: str, dims: int | None) -> Header:
    """Reads the header from the first bytes of a file."""
    if len(data) < 4:
        raise UsageError(
            f"{name} is {'empty' if not data else f'only {len(data)} bytes long'}: an idx file was expected"
        )
    if data[:2] != b"\0\0":
        raise UsageError(f"{name} is not an idx file: it begins with {bytes(data[:4]).hex(' ')}, not with 00 00")
    code, ndim = data[2], data[3]
    if code not in TYPES:
        known = ", ".join(f"0x{key:02x}" for key in TYPES)
        raise UsageError(f"{name} is not an idx file: its type code is 0x{code:02x}, expected one of {known}")
    _check_dims(ndim, name, dims)
    if len(data) < 4 + 4 * ndim:
        raise UsageError(f"{name} is truncated: {4 + 4 * ndim - len(data)} bytes of its header are missing")
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    if 0 in shape:
        raise UsageError(f"{name} holds nothing: its header gives the sizes {_times(shape)}")
    return Header(np.dtype(TYPES[code]), shape)


def _check_dims(found: int, name: str, expected: int | None) -> None:
    if not 1 <= found <= MOST_DIMS:
        raise UsageError(f"{name} is not an idx file: its header gives {found} dimensions, expected 1 to {MOST_DIMS}")
    if expected is None or found == expected:
        return
    kind = {1: "a labels file", 3: "an images file"}.get(found)
    hint = f"; this looks like {kind}: were images and labels swapped?" if kind else ""
    raise UsageError(f"{name} has {found} dimension{'s'[: found > 1]}, expected {expected}{hint}")


def _complete(header: Header, length: int, name: str) -> None:
    """Refuses a file that is shorter or longer than its header says."""
    if length < header.end:
        raise UsageError(
            f"{name} is truncated: {header.end - length} bytes are missing of the {header.end} that its sizes "
            f"{_times(header.shape)} need"
        )
    if surplus := max(0, length - header.end):
        count = f"{'at least ' * (surplus >= SURPLUS)}{surplus} bytes"
        raise UsageError(
            f"{name} is too long: {count} follow the {header.end} that its sizes {_times(header.shape)} need"
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
