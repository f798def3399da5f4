"""The idx format: what is written is read; whatever is wrong with a file is one line that says what."""

import gzip
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from data_helpers import FASHION, needs, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vaescope.data.idx import TYPES, format_idx, parse_idx, read_idx, write_idx
from vaescope.errors import UsageError

KINDS = [np.dtype(kind).newbyteorder("=") for kind in TYPES.values()]
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5))
)
LAW = settings(deadline=None, derandomize=True)
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@LAW
@given(ARRAYS)
def test_round_trip(array: np.ndarray) -> None:
    back = parse_idx(format_idx(array), "a")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("level", [None, 6])
def test_file_round_trip(tmp_path: Path, kind: np.dtype, level: int | None) -> None:
    """Whether a file is gzipped, its content tells and not its name."""
    path = tmp_path / "file.gz"
    write_idx(path, IMAGES.astype(kind))
    if level:
        file(path, gzip.compress(path.read_bytes(), level))
    np.testing.assert_array_equal(read_idx(path, dims=3), IMAGES)
    assert read_idx(path).dtype == kind
    assert [found.name for found in tmp_path.iterdir()] == ["file.gz"]


def test_the_bytes_are_those_of_the_format() -> None:
    assert format_idx(np.array([[1, -2]], np.int16)) == bytes.fromhex("00000b02 00000001 00000002 0001fffe")


@LAW
@given(ARRAYS, st.data())
def test_every_truncation_is_refused(array: np.ndarray, data: st.DataObject) -> None:
    whole = format_idx(array)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(UsageError):
        parse_idx(part, "a")


@settings(LAW, max_examples=20)
@given(ARRAYS)
def test_a_damaged_header_is_refused_or_consistent(array: np.ndarray) -> None:
    whole = format_idx(array)
    for place in range(4 + 4 * array.ndim):
        for value in range(256):
            damaged = bytearray(whole)
            damaged[place] = value
            try:
                back = parse_idx(damaged, "a")
            except UsageError:
                continue
            assert 4 + 4 * back.ndim + back.nbytes == len(whole)


@LAW
@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for head in (b"", b"\0\0", b"\0\0\x08\x01"):
        with suppress(UsageError):
            parse_idx(head + data, "a")


@settings(LAW, max_examples=30)
@given(st.data())
def test_damaged_gzip_is_refused_or_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any cut or changed byte of the gzip file is noticed, or it was one that does not matter."""
    path = tmp_path_factory.mktemp("gz") / "a"
    zipped = bytearray(gzip.compress(format_idx(IMAGES)))
    if data.draw(st.booleans()):
        zipped = zipped[: data.draw(st.integers(0, len(zipped) - 1))]
    else:
        zipped[data.draw(st.integers(0, len(zipped) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(UsageError):
        np.testing.assert_array_equal(read_idx(file(path, zipped)), IMAGES)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\0\0\x08", "only 3 bytes"),
        (b"PNG-like", "begins with 50 4e 47 2d, not with 00 00"),
        (b"\0\0\x07\x01" + bytes(8), "type code is 0x07, expected one of 0x08"),
        (b"\0\0\x08\x00", "0 dimensions"),
        (b"\0\0\x08\xff" + bytes(1020), "255 dimensions"),
        (b"\0\0\x08\x03\0\0\0\1", "8 bytes of its header are missing"),
        (struct.pack(">4B2I", 0, 0, 8, 2, 3, 0), "sizes 3 x 0"),
        (format_idx(IMAGES)[:-5], "5 bytes are missing of the 40 that its sizes 2 x 3 x 4 need"),
        (format_idx(IMAGES) + b"abc", "3 bytes follow"),
        (gzip.compress(format_idx(IMAGES) + b"abc", mtime=0), "3 bytes follow"),
        (gzip.compress(format_idx(IMAGES)[:-1], mtime=0), "1 bytes are missing"),
        (gzip.compress(format_idx(IMAGES), mtime=0)[:-9], "gzip data stop before their end"),
        (gzip.compress(format_idx(IMAGES), mtime=0)[:-8] + bytes(8), "gzip data are corrupt (CRC"),
        (b"\x1f\x8b\x08\x00", "gzip data stop before their end"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    path = file(tmp_path / "some-file", data)
    line = refused(read_idx, path)
    assert said in line
    assert str(path) in line


def test_swapped_files_are_recognised(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    write_idx(tmp_path / "labels", np.arange(3, dtype=np.uint8))
    assert "has 1 dimension, expected 3; this looks like a labels file" in refused(read_idx, tmp_path / "labels", 3)
    assert "has 3 dimensions, expected 1; this looks like an images file" in refused(read_idx, tmp_path / "images", 1)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_that_lies_costs_no_memory(tmp_path: Path, zipped: bool) -> None:
    lie = struct.pack(">4B4I", 0, 0, 0x0E, 4, *[2**32 - 1] * 4) + bytes(1000)
    path = file(tmp_path / "lie", gzip.compress(lie) if zipped else lie)
    tracemalloc.start()
    try:
        assert "is truncated" in refused(read_idx, path)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_costs_no_memory(tmp_path: Path) -> None:
    path = file(tmp_path / "bomb", gzip.compress(format_idx(IMAGES) + bytes(200_000_000), 1))
    tracemalloc.start()
    try:
        assert "is too long: at least 671089" in refused(read_idx, path)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(read_idx, tmp_path / "nothing")
    assert "cannot be read: Is a directory" in refused(read_idx, tmp_path)


@pytest.mark.parametrize("array", [np.zeros((2, 0), np.uint8), np.uint8(3), np.zeros(2, np.int64), np.zeros(2, bool)])
def test_what_the_format_cannot_hold(tmp_path: Path, array: np.ndarray) -> None:
    assert "idx format" in refused(write_idx, tmp_path / "a", np.asarray(array))
    assert not list(tmp_path.iterdir())


@needs(FASHION)
def test_the_real_labels() -> None:
    labels = read_idx(FASHION / "t10k-labels-idx1-ubyte.gz", dims=1)
    assert np.bincount(labels).tolist() == [1000] * 10
