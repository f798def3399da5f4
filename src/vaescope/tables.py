"""Tables written row by row: what a model says of each image, in a file that other programs read.

::

    with Table(Path("latents.parquet")) as table:
        for chunk in chunks:
            table.add({"index": numbers, "mean": array, "elbo": array, "name": names})

A column is an array with one entry a row, or with D of them, or a list of strings. The ending of the path says the
format: ``.csv``, ``.npz`` or ``.parquet``. In the first and the last a column of vectors is D columns, ``mean1`` to
``meanD``; in the second it stays one array, with shape (N, D). Memory does not grow with the number of rows, and the
file is whole or not there.
"""

import csv
import io
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy

from vaescope.errors import UsageError
from vaescope.files import atomic_file

Array = np.ndarray
Column = Array | Sequence[str]
Write = Callable[[dict[str, Array]], None]

ROW_GROUP = 2**25
"""Bytes of a row group of a ``.parquet`` file: enough to be read fast, little enough to be held while it fills."""


class Table:
    """A file of columns that is written a chunk of rows at a time.

    Args:
        path: The file: ``.csv``, ``.npz`` or ``.parquet``, which needs pyarrow. Its folder is made if it is not there.

    Raises:
        UsageError: For another ending, or without pyarrow; within the block for columns that are none or that are not
            those of the first chunk; at its end for a table without any; anywhere for a place that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.suffix not in FORMATS:
            raise UsageError(f"{path} cannot be written: its ending must be {' or '.join(FORMATS)}")
        if path.suffix == ".parquet":
            _pyarrow(path)
        self._columns: dict[str, str] = {}

    def __enter__(self) -> Self:
        with self._told(), ExitStack() as stack:
            if self.path.is_dir():
                raise UsageError(f"{self.path} cannot be written (it is a folder): give the path of a file")
            temporary = stack.enter_context(atomic_file(self.path))
            self._write = stack.enter_context(FORMATS[self.path.suffix](temporary))
            self._open = stack.pop_all()
        return self

    def add(self, columns: Mapping[str, Column]) -> None:
        """Writes some rows.

        Args:
            columns: Columns of equal length by name, each with shape (n,) or (n, D): booleans, numbers or strings. All
                chunks have the same columns, of the same kinds.
        """
        arrays = {name: _array(name, column) for name, column in columns.items()}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise UsageError(f"the columns of {self.path.name} have {_listed(lengths)} rows: give equally many of each")
        kinds = {name: _kind(array) for name, array in arrays.items()}
        if not self._columns:
            _names(arrays)
            self._columns = kinds
        if kinds != self._columns:
            raise UsageError(
                f"rows of {self.path.name} hold {_listed(kinds)}: the first ones held {_listed(self._columns)}"
            )
        with self._told():
            self._write({name: arrays[name] for name in self._columns})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # nothing is left of the file, and a full disk that cannot be flushed to is no news
            with suppress(OSError):
                self._open.__exit__(kind, error, trace)
            return
        with self._told(), self._open:
            if not self._columns:
                raise UsageError(f"{self.path} got no rows, so it was not written: give at least one image")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what stands in the way of writing into one line."""
        try:
            yield
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written ({error.strerror or error}): give another place") from None


def _array(name: str, column: Column) -> Array:
    """A column as an array of booleans, numbers or strings, in the byte order of this machine."""
    array = np.asarray(column, dtype=np.str_ if isinstance(column, Sequence) and not column else None)
    if array.dtype.kind not in "biufU" or (array.dtype.itemsize > 8 and array.dtype.kind != "U"):
        raise UsageError(f"column {name} holds {array.dtype}: give booleans, numbers of at most 64 bits, or strings")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.dtype.kind == "U"):
        raise UsageError(f"column {name} has shape {array.shape}: give one entry a row, or one vector of numbers")
    if array.dtype.kind == "U":  # a file name that is no Unicode has signs that cannot be written
        return np.array([text.encode("utf-8", "backslashreplace").decode() for text in array.tolist()], dtype=np.str_)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _kind(array: Array) -> str:
    """What all chunks of a column have in common, in words."""
    kind = "text" if array.dtype.kind == "U" else str(array.dtype)
    return f"{kind} x {array.shape[1]}" if array.ndim == 2 else kind


def _listed(words: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {word}" for name, word in words.items()) or "none"


def _names(columns: Mapping[str, Array]) -> list[str]:
    """The names of columns of numbers: ``mean`` with two numbers a row is ``mean1`` and ``mean2``."""
    names = [
        name if array.ndim == 1 else f"{name}{i + 1}"
        for name, array in columns.items()
        for i in range(1 if array.ndim == 1 else array.shape[1])
    ]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"there are two columns {twice}: call one of them otherwise")
    return names


def _flat(columns: Mapping[str, Array]) -> list[Array]:
    """The columns of numbers that go by these names, with shape (n,) each."""
    return [single for array in columns.values() for single in ([array] if array.ndim == 1 else array.T)]


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    """Text: a float as the shortest number that is read as the same float."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer, started = csv.writer(file), False

        def write(columns: dict[str, Array]) -> None:
            nonlocal started
            if not started:
                writer.writerow(_names(columns))
                started = True
            writer.writerows(zip(*_flat(columns), strict=True))

        yield write


@contextmanager
def _npz(path: Path) -> Iterator[Write]:
    """One array a column. Its bytes are kept in a file without a name, as its header has to say how many there are."""
    with ExitStack() as stack:
        parts: dict[str, _Parts] = {}

        def write(columns: dict[str, Array]) -> None:
            for name, array in columns.items():
                if name not in parts:
                    parts[name] = _Parts(stack.enter_context(tempfile.TemporaryFile(dir=path.parent)))
                parts[name].append(array)

        yield write
        archive = stack.enter_context(zipfile.ZipFile(path, "w"))
        for name, part in parts.items():
            part.store(archive, f"{name}.npy")


class _Parts:
    """The chunks of one column, in a file, if only in memory: many small arrays that are kept for long leave the memory
    between them in pieces that no large one fits into."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.chunks: list[tuple[np.dtype, tuple[int, ...]]] = []

    def append(self, array: Array) -> None:
        self.file.write(np.ascontiguousarray(array).data)
        self.chunks.append((array.dtype, array.shape))

    @property
    def dtype(self) -> np.dtype:
        """What all chunks can be stored as: strings are as wide as the widest."""
        return max((dtype for dtype, _ in self.chunks), key=lambda dtype: dtype.itemsize)

    def read(self) -> Iterator[Array]:
        """The chunks, in this type."""
        self.file.seek(0)
        widest = self.dtype
        for dtype, shape in self.chunks:
            content = self.file.read(dtype.itemsize * math.prod(shape))
            yield np.frombuffer(content, dtype).reshape(shape).astype(widest, copy=False)

    def store(self, archive: zipfile.ZipFile, name: str) -> None:
        """Puts them into an archive as one array."""
        dtype = self.dtype
        shape = (sum(shape[0] for _, shape in self.chunks), *self.chunks[0][1][1:])
        member = zipfile.ZipInfo(name)  # without the time, so that equal tables are equal files
        member.compress_type = zipfile.ZIP_STORED if dtype.kind == "f" else zipfile.ZIP_DEFLATED  # noise stays as large
        with archive.open(member, "w", force_zip64=True) as out:
            header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(out, header)
            for chunk in self.read():
                out.write(chunk.data)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    """Apache Parquet, in row groups of some megabytes."""
    pyarrow = _pyarrow(path)
    with ExitStack() as stack:
        writer: Any = None
        held: dict[str, _Parts] = {}

        def flush() -> None:
            nonlocal writer
            if held:
                columns = {name: np.concatenate(list(parts.read())) for name, parts in held.items()}
                held.clear()
                group = pyarrow.table([pyarrow.array(single) for single in _flat(columns)], _names(columns))
                writer = writer or stack.enter_context(pyarrow.parquet.ParquetWriter(path, group.schema))
                writer.write_table(group, row_group_size=max(1, len(group)))

        def write(columns: dict[str, Array]) -> None:
            for name, array in columns.items():
                held.setdefault(name, _Parts(io.BytesIO())).append(array)
            if sum(parts.file.tell() for parts in held.values()) >= ROW_GROUP:
                flush()

        yield write
        flush()


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{path.name} needs pyarrow: pip install 'vaescope[parquet]'") from None
    return pyarrow


FORMATS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""From the ending of a path to what writes such a file."""
