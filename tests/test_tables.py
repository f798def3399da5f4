"""Tables: what is read from every format is what was written, in flat memory, and the file is whole or not there."""

import csv
import math
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from data_helpers import refused

from vaescope.tables import Table

Columns = dict[str, np.ndarray]
NAMES = ["a.png", "", 'with "quotes", commas\nand lines', "größer/写真 .png", "=1+1", "x" * 40, "café"]


def columns(rows: int, seed: int = 0) -> Columns:
    """Columns of every kind, with all that is special among floats."""
    source = np.random.default_rng(seed)
    mean = (source.normal(size=(rows, 3)) * 10.0 ** source.integers(-30, 30, (rows, 3))).astype(np.float32)
    special = np.array([math.nan, math.inf, -math.inf, -0.0, 1e-45, 3.4028235e38, 16777216.0, 0.1], np.float32)
    mean.ravel()[: min(8, mean.size)] = special[: mean.size]
    return {
        "index": np.arange(rows),
        "mean": mean,
        "elbo": source.normal(size=rows),
        "small": source.integers(0, 255, rows).astype(np.uint8),
        "known": source.random(rows) < 0.5,
        "name": np.array([NAMES[i % len(NAMES)] for i in range(rows)]),
    }


def write(path: Path, table: Columns, chunks: Iterator[int]) -> Path:
    """Writes a table some rows at a time, text as lists."""
    start = 0
    with Table(path) as out:
        for size in chunks:
            part = {name: column[start : start + size] for name, column in table.items()}
            out.add({name: part[name].tolist() if name == "name" else part[name] for name in part})
            start += size
    return path


def read(path: Path) -> Columns:
    """A table by the usual reader of its format, with flat columns."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        flat = {}
        for name, array in arrays.items():
            flat |= {f"{name}{i + 1}": array[:, i] for i in range(array.shape[1])} if array.ndim > 1 else {name: array}
        return flat
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        found = parquet.read_table(path)
        return {
            name: np.array(found[name].to_pylist(), dtype=found.schema.field(name).type.to_pandas_dtype())
            for name in found.column_names
        }
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return {name: np.array(column) for name, column in zip(head, zip(*rows, strict=True), strict=True)}


FORMATS = ["csv", "npz", "parquet"]


def needed(ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("chunks", [[7], [1] * 7, [3, 4], [2, 0, 5]], ids=str)
@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_read_is_what_was_written(ending: str, chunks: list[int], tmp_path: Path) -> None:
    needed(ending)
    table = columns(7)
    found = read(write(tmp_path / "new folder" / f"t.{ending}", table, iter(chunks)))
    assert list(found) == ["index", "mean1", "mean2", "mean3", "elbo", "small", "known", "name"]
    for name, column in found.items():
        written = table["mean"][:, int(name[-1]) - 1] if name.startswith("mean") else table[name]
        if ending == "csv":
            column = column == "True" if written.dtype == bool else column.astype(written.dtype)
        assert np.array_equal(column, written, equal_nan=written.dtype.kind == "f"), name
        if written.dtype.kind == "f":
            assert np.array_equal(np.signbit(column), np.signbit(written))
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == [f"t.{ending}"]


def test_floats_are_written_short(tmp_path: Path) -> None:
    with Table(tmp_path / "t.csv") as table:
        table.add({"a": np.array([0.1, 1 / 3], np.float32), "b": np.array([0.1, 1 / 3])})
    assert (tmp_path / "t.csv").read_text().split() == ["a,b", "0.1,0.1", "0.33333334,0.3333333333333333"]


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    needed("parquet")
    table = columns(50)
    frames = [
        pandas.read_csv(write(tmp_path / "t.csv", table, iter([50])), keep_default_na=False, na_values=["nan"]),
        pandas.read_parquet(write(tmp_path / "t.parquet", table, iter([20, 30]))),
    ]
    for frame in frames:
        assert frame["name"].tolist() == table["name"].tolist()
        assert np.array_equal(frame["mean2"].to_numpy(np.float32), table["mean"][:, 1], equal_nan=True)
        assert frame["known"].tolist() == table["known"].tolist()


def test_arrays_keep_their_kinds(tmp_path: Path) -> None:
    table = columns(9)
    with np.load(write(tmp_path / "t.npz", table, iter([2, 7])), allow_pickle=False) as found:
        assert {name: found[name].dtype for name in found} == {name: column.dtype for name, column in table.items()}
        assert found["mean"].shape == (9, 3)
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = parquet.read_schema(write(tmp_path / "t.parquet", table, iter([2, 7])))
    assert [str(kind) for kind in schema.types] == ["int64", *["float"] * 3, "double", "uint8", "bool", "string"]


@pytest.mark.parametrize("ending", FORMATS)
def test_chunks_do_not_show(ending: str, tmp_path: Path) -> None:
    """Equal tables are equal files, however they came."""
    needed(ending)
    table = columns(30)
    whole, parts = (write(tmp_path / f"{len(c)}.{ending}", table, iter(c)) for c in ([30], [1, 20, 9]))
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_table_may_have_no_rows_and_vectors_of_one(ending: str, tmp_path: Path) -> None:
    needed(ending)
    with Table(tmp_path / f"t.{ending}") as table:
        table.add({"mean": np.zeros((0, 1), np.float32)})
    if ending == "csv":
        assert (tmp_path / "t.csv").read_text().split() == ["mean1"]
    else:
        assert {name: column.shape for name, column in read(tmp_path / f"t.{ending}").items()} == {"mean1": (0,)}


def test_other_byte_orders_and_strides_are_written_as_they_read(tmp_path: Path) -> None:
    needed("parquet")
    values = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    for ending in FORMATS:
        with Table(tmp_path / f"t.{ending}") as table:
            table.add({"v": values, "w": np.asfortranarray(values)})
        found = read(tmp_path / f"t.{ending}")
        for name in ("v", "w"):
            assert found[f"{name}2"].astype(float).tolist() == [2.0, 6.0, 10.0]


def test_a_name_that_is_no_unicode_is_written(tmp_path: Path) -> None:
    needed("parquet")
    for ending in FORMATS:
        with Table(tmp_path / f"t.{ending}") as table:
            table.add({"name": ["caf\udce9.png"]})
        assert read(tmp_path / f"t.{ending}")["name"].tolist() == ["caf\\udce9.png"]


@pytest.mark.parametrize("ending", FORMATS)
def test_memory_does_not_grow_with_the_rows(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed(ending)  # and imported before it is measured
    monkeypatch.setattr("vaescope.tables.ROW_GROUP", 40_000)

    def peak(chunks: int) -> int:
        rows = {"mean": np.zeros((200, 20), np.float32), "name": ["a"] * 200}
        with Table(tmp_path / f"{chunks}.{ending}") as table:
            table.add(rows)
            tracemalloc.start()
            for _ in range(chunks):
                table.add(rows)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(60) < 1.2 * peak(6) + 20_000
    assert (tmp_path / f"60.{ending}").stat().st_size > 0


def test_row_groups_are_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("vaescope.tables.ROW_GROUP", 10_000)
    path = write(tmp_path / "t.parquet", {"v": np.arange(10_000.0)}, iter([500] * 20))
    found = parquet.ParquetFile(path)
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [1500] * 6 + [1000]
    assert np.array_equal(found.read()["v"].to_numpy(), np.arange(10_000.0))


def leave(path: Path, error: type[BaseException]) -> None:
    """Leaves a table in the middle."""
    with Table(path) as table:
        table.add(columns(100))
        raise error


@pytest.mark.parametrize("before", [None, b"the old one"])
@pytest.mark.parametrize("ending", FORMATS)
def test_an_interrupted_table_leaves_what_was_there(ending: str, before: bytes | None, tmp_path: Path) -> None:
    needed(ending)
    path = tmp_path / f"t.{ending}"
    if before is not None:
        path.write_bytes(before)
    for error in (ValueError, KeyboardInterrupt, OSError):
        with pytest.raises(error):
            leave(path, error)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if before is None else {path.name: before}
    )


@pytest.mark.parametrize("rows", [300, 30_000])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_full_disk_is_one_line_and_leaves_nothing(ending: str, rows: int, tmp_path: Path) -> None:
    """Whether it shows while rows are written or only at the end. A limit on the size of files stands for the disk."""
    needed(ending)
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).normal(size=(rows, 4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with Table(tmp_path / f"t.{ending}") as table:
            for start in range(0, rows, 100):
                table.add({"mean": noise[start : start + 100]})

    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        said = refused(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"t.{ending} cannot be written (" in said
    assert "File too large" in said
    assert list(tmp_path.iterdir()) == []


def adding(*chunks: Columns) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        with Table(path) as table:
            for chunk in chunks:
                table.add(chunk)

    return add


ONE = {"a": np.zeros(2)}
MISTAKES = {
    "none": (adding(), "no rows"),
    "no columns": (adding({}), "none"),
    "lengths": (adding({"a": np.zeros(2), "b": np.zeros(3)}), "a: 2, b: 3 rows"),
    "another column": (adding(ONE, {"b": np.zeros(2)}), "b: float64: the first ones held a: float64"),
    "one more": (adding(ONE, {**ONE, "b": np.zeros(2)}), "the first ones held a: float64"),
    "another kind": (adding(ONE, {"a": np.zeros(2, int)}), "a: int64: the first ones held a: float64"),
    "another length": (adding({"a": np.zeros((2, 3))}, {"a": np.zeros((2, 4))}), "a: float64 x 4"),
    "objects": (adding({"a": np.array([None, "x"])}), "column a holds object"),
    "complex": (adding({"a": np.zeros(2, complex)}), "column a holds complex128"),
    "bytes": (adding({"a": np.array([b"x"])}), "column a holds |S1"),
    "images": (adding({"a": np.zeros((2, 3, 4))}), "column a has shape (2, 3, 4)"),
    "a number": (adding({"a": np.zeros(())}), "column a has shape ()"),
    "text of two": (adding({"a": np.array([["x", "y"]])}), "column a has shape (1, 2)"),
    "twice": (adding({"a": np.zeros((2, 3)), "a2": np.zeros(2)}), "two columns a2"),
}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", MISTAKES)
def test_columns_that_are_none_are_refused(name: str, ending: str, tmp_path: Path) -> None:
    needed(ending)
    add, expected = MISTAKES[name]
    assert expected in refused(add, tmp_path / f"t.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder.csv").mkdir()
    for path, expected in {
        "t.txt": "its ending must be .npz or .csv or .parquet",
        "t": "its ending must be",
        "file/t.csv": "cannot be written (",
        "folder.csv": "it is a folder",
        "x" * 300 + ".csv": "File name too long",
    }.items():
        assert expected in refused(adding(ONE), tmp_path / path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow: pip install 'vaescope[parquet]'" in refused(Table, tmp_path / "t.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_archives_hold_no_pickles_and_store_floats_as_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "t.npz", columns(200), iter([200]))) as archive:
        packed = {member.filename: member.compress_type for member in archive.infolist()}
    assert packed["mean.npy"] == packed["elbo.npy"] == zipfile.ZIP_STORED
    assert packed["name.npy"] == packed["index.npy"] == zipfile.ZIP_DEFLATED
    with np.load(tmp_path / "t.npz", allow_pickle=False) as found:
        assert found["name"].dtype == np.dtype("<U40")
