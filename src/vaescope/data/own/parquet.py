"""Parquet tables of pictures: a column of encoded pictures and, maybe, one of labels.

As the Hugging Face hub lays them out: a struct of ``bytes`` and ``path``, the names of the classes in the metadata, and
splits as files, ``train-00000-of-00001.parquet``. A plain column of bytes will do as well.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vaescope.data.items import Part
from vaescope.data.own.labels import WITHOUT
from vaescope.data.own.parts import PARTS, rank
from vaescope.data.own.pieces import Piece, Pieces, digest_files
from vaescope.data.own.remembered import remembering
from vaescope.errors import UsageError, one_line
from vaescope.foreign import BROKEN, from_json
from vaescope.terminal import printable

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES = ("image", "img", "images")
LABELS = ("label", "labels", "class", "fine_label")
ROWS = 64
"""So many pictures are in memory at a time."""


def read_parquet(root: Path, files: Sequence[str], classes: bool = True) -> Pieces:
    """The pictures in parquet files.

    Args:
        root: The folder that they are in.
        files: The path of each below it; if each name begins with that of a split, this is where its images belong.
        classes: Whether to look for labels.

    Raises:
        UsageError: If a file is damaged or has no column of pictures, or if only some are named after splits.
    """
    where = root / files[0] if len(files) == 1 else root
    named = _named(files, where)
    pieces, names = [], []
    for file in sorted(files, key=lambda file: rank(named[file])):
        piece, found = _piece(root / file, named[file], classes)
        pieces.append(piece)
        names.append(found)
    if any(found != names[0] for found in names):
        raise UsageError(f"{where}: its files name other classes: give files of one set; {WITHOUT}")
    title = where.stem if len(files) == 1 else root.resolve().name
    return Pieces(title, pieces, where, names[0])


def choose(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column whose name comes first among the wanted ones."""
    return next((name for name in wanted if name in columns), None)


def _named(files: Sequence[str], where: Path) -> dict[str, Part | None]:
    """The split that each file is named after, for all files or for none."""
    words = {file: re.split(r"[^a-z]", PurePosixPath(file).name.lower())[0] for file in files}
    named = {file: PARTS.get(word) for file, word in words.items()}
    if None in named.values() and set(named.values()) != {None}:
        other = next(file for file, part in named.items() if part is None)
        raise UsageError(
            f"{where} holds {printable(other)!r} beside files named after splits: "
            "expected names that begin with train, validation or test"
        )
    return named


def _piece(path: Path, named: Part | None, classes: bool) -> tuple[Piece, Sequence[str]]:
    """The pictures in one file, and the names of their classes."""
    with _open(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        image = _image_column(schema, path)
        label = choose(schema.names, LABELS) if classes else None
        labels = None if label is None else _labels(file, schema, label, path)

    def digest() -> str:
        with remembering(path, "parquet") as facts:
            return facts.recall(image, lambda: digest_files(_pictures(path, image), path))

    if count and next(_pictures(path, image, 1)) == b"":
        raise UsageError(f"{path} has no bytes in its column of pictures, only paths maybe: try hf:{path.parent}")
    return Piece(str(path), named, count, lambda: _pictures(path, image), digest, labels), _class_names(schema, label)


def _pictures(path: Path, column: str, rows: int = ROWS) -> Iterator[bytes]:
    """The bytes of each picture in a file; none where one is missing."""
    with _open(path) as file:
        for batch in file.iter_batches(rows, columns=[column]):
            pictures = batch.column(0).field("bytes") if column.endswith(".bytes") else batch.column(0)
            yield from (picture.as_py() or b"" for picture in pictures)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"{path} needs pyarrow: pip install 'vaescope[parquet]'") from None
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except UsageError:
        raise
    except (pa.ArrowException, *BROKEN) as error:
        raise UsageError(f"{path} is a damaged parquet file: {one_line(error)}") from None


def _image_column(schema: "pa.Schema", path: Path) -> str:
    """The column that holds pictures as bytes, by its name or because it is the only one that can."""
    found = {name: inside for name in schema.names if (inside := _bytes_inside(schema.field(name).type)) is not None}
    name = choose(list(found), IMAGES) or (next(iter(found)) if len(found) == 1 else None)
    if name is None:
        columns = ", ".join(f"{field.name} ({field.type})" for field in list(schema)[:5]) + " ..." * (len(schema) > 5)
        raise UsageError(f"{path} has no column of pictures: {columns}: expected `image`, the bytes of a PNG or JPEG")
    return name + found[name]


def _bytes_inside(kind: "pa.DataType") -> str | None:
    """Where in a column of this type bytes are."""
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return ""
    if pa.types.is_struct(kind) and any(field.name == "bytes" for field in kind):
        return ".bytes"
    return None


def _labels(file: Any, schema: "pa.Schema", label: str, path: Path) -> list[int | str | None]:
    import pyarrow as pa

    kind = schema.field(label).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    known = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    if not any(test(kind) for test in known):
        raise UsageError(f"{path} has a column {label!r} of type {kind}: expected integers or names; {WITHOUT}")
    return file.read(columns=[label]).column(0).to_pylist()


def _class_names(schema: "pa.Schema", label: str | None) -> Sequence[str]:
    """The names that the metadata of the Hugging Face hub give the classes."""
    try:
        told = from_json((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, told)) if isinstance(told, list) else ()
