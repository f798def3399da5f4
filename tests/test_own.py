"""Sources of one's own images: what is found where, what is refused, and what the fingerprint depends on."""

import gzip
import io
import json
import os
import re
import shutil
import socket
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from PIL import Image

from vaescope.data.idx import format_idx, write_idx
from vaescope.data.items import Source
from vaescope.data.own import from_arrays, open_source, remembered
from vaescope.data.own.stored import BLOCK
from vaescope.files import cache_folder

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 7, 8), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 7, 8, 3), dtype=np.uint8)
EVEN = np.arange(6) % 2


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test, in which everything is remembered at once."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VAESCOPE_CACHE", str(folder))
    monkeypatch.setattr(remembered, "SETTLED", 0)
    return folder


def png(seed: int = 0) -> bytes:
    """A small grey picture."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (3, 4), dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


def fill(folder: Path, *names: str) -> Path:
    """Writes a picture, each another one, under every name."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(seed))
    return folder


def listed(source: Source) -> list[tuple[str, int | None, str | None]]:
    """Name, label and split of every image."""
    return [(item.name, item.label, item.part) for item in source.items()]


def pixels(source: Source) -> np.ndarray:
    """All images of arrays, with shape (N, H, W, C)."""
    return np.stack([item.content for item in source.items()])


def pair(folder: str) -> tuple[str, str]:
    """Two pictures, which is the least that makes a class."""
    return f"{folder}/1.png", f"{folder}/2.png"


FLAT: dict[str, tuple[tuple[str, ...], dict[str, int | None]]] = {
    "no folders": ((), {"a.PNG": None, "b.png": None}),
    "bytes decide": ((), {"Z.png": None, "a b.png": None, "z.png": None, "é.png": None}),
    "one folder": (("cats",), dict.fromkeys(pair("cats"), 0)),
    "some lie outside": ((), dict.fromkeys([*pair("a"), *pair("b"), "c.png"])),
    "one split is none": (("a", "b"), dict.fromkeys(pair("train/a"), 0) | dict.fromkeys(pair("train/b"), 1)),
    "another folder": (("train", "trial"), dict.fromkeys(pair("train"), 0) | dict.fromkeys(pair("trial"), 1)),
    "deep": (("a", "b"), dict.fromkeys(pair("a/y/z"), 0) | dict.fromkeys(pair("b/x"), 1)),
    "the first counts": (("a", "d e"), {"a/b/1.png": 0, "a/c/1.png": 0} | dict.fromkeys(pair("d e"), 1)),
}


@pytest.mark.parametrize(("classes", "labels"), FLAT.values(), ids=FLAT)
def test_folders_are_classes(tmp_path: Path, classes: tuple[str, ...], labels: dict[str, int | None]) -> None:
    source = open_source(fill(tmp_path, *reversed(labels)))
    assert (source.classes, len(source)) == (classes, len(labels))
    assert listed(source) == [(name, label, None) for name, label in labels.items()]
    assert [item.content for item in source.items()] == [tmp_path / name for name in labels]


@pytest.mark.parametrize("other", ["validation", "val", "valid", "test", "Test"])
def test_folders_are_splits(tmp_path: Path, other: str) -> None:
    fill(tmp_path, *pair("train/a"), *pair("train/b"), f"{other}/a/1.png")
    (tmp_path / "README.txt").write_text("of other things")
    source, part = open_source(tmp_path), "test" if other.lower() == "test" else "validation"
    assert source.classes == ("a", "b")
    assert set(listed(source)) == {
        ("train/a/1.png", 0, "train"), ("train/a/2.png", 0, "train"), ("train/b/1.png", 1, "train"),
        ("train/b/2.png", 1, "train"), (f"{other}/a/1.png", 0, part),
    }  # fmt: skip


def test_a_split_without_class_folders_leaves_none_a_label(tmp_path: Path) -> None:
    source = open_source(fill(tmp_path, *pair("train/a"), *pair("train/b"), "test/1.png"))
    assert source.classes == ()
    assert {label for _, label, _ in listed(source)} == {None}
    assert {part for _, _, part in listed(source)} == {"train", "test"}


def test_only_pictures_are_images(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", ".hidden.png", ".git/b.png", "c.JPG", "d.jpeg")
    for name in ("notes.txt", "labels.json", "Thumbs.db", "x/readme", "film.mpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no picture")
    source = open_source(str(tmp_path))
    assert [name for name, _, _ in listed(source)] == ["a.png", "c.JPG", "d.jpeg"]
    assert set(source.ignored) == {"notes.txt", "labels.json", "Thumbs.db", "x/readme", "film.mpg"}


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    fill(tmp_path / "far", *pair("b"))
    root = fill(tmp_path / "root", *pair("a"))
    (root / "b").symlink_to(tmp_path / "far/b")
    (root / "a/up").symlink_to(root)
    (root / "a/self").symlink_to(root / "a/self")
    (root / "a/gone.png").symlink_to(root / "nowhere.png")
    assert [name for name, _, _ in listed(open_source(root))] == [
        "a/1.png", "a/2.png", "a/gone.png", "b/1.png", "b/2.png",
    ]  # fmt: skip
    assert open_source(root).fingerprint() == open_source(root).fingerprint()


def test_names_that_are_no_text_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(png())
    [item] = open_source(tmp_path).items()
    assert item.name.encode() == rb"\xff.png"
    assert isinstance(item.content, Path)
    assert item.content.read_bytes() == png()


def test_names_steer_no_terminal(tmp_path: Path) -> None:
    """Nor do they break a line: of files, of classes in folders and among labels, of arrays."""
    fill(tmp_path / "folder", "a/1.png", "a/2.png", "red\x1b[31m/1.png", "red\x1b[31m/2\n.png", "note\r.txt")
    folder = open_source(tmp_path / "folder")
    assert folder.classes == ("a", r"red\x1b[31m")
    assert [item.name for item in folder.items()][2:] == [r"red\x1b[31m/1.png", r"red\x1b[31m/2\x0a.png"]
    assert folder.ignored == (r"note\x0d.txt",)
    named = from_arrays(np.zeros((4, 8, 8), np.uint8), ["Ärger 猫", "b\x9b", "b\x9b", "Ärger 猫"])
    assert named.classes == (r"b\x9b", "Ärger 猫")


BAD_FOLDERS: dict[str, tuple[list[str], str]] = {
    "empty": ([], "holds no files"),
    "text": (["a.txt"], "no pictures but 'a.txt'"),
    "beside": ([*pair("train"), *pair("test"), *pair("more")], "'more' beside test, train"),
    "no train": ([*pair("val"), *pair("test")], "none named train"),
    "two kinds": (["a.png", "b.parquet"], "both b.parquet and a.png"),
}


@pytest.mark.parametrize(("names", "line"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folders_are_refused(tmp_path: Path, names: list[str], line: str) -> None:
    message = refused(open_source, fill(tmp_path / "my photos", *names) if names else tmp_path)
    assert re.search(line, message)
    assert str(tmp_path) in message


def test_one_class_is_nothing_to_learn_and_one_image_no_class(tmp_path: Path) -> None:
    """Not so of images that a trained model is asked about."""
    assert open_source(fill(tmp_path / "one", *pair("cats"))).learned == ()
    assert open_source(fill(tmp_path / "two", *pair("a"), *pair("b"))).learned == ("a", "b")
    folder = open_source(fill(tmp_path / "alone", *pair("a"), "b/1.png"))
    for source, name in ((folder, "b"), (from_arrays(GREY, [0, 0, 0, 0, 0, 7]), "7")):
        assert name in source.classes
        line = refused(lambda source: source.learned, source)
        assert f"'{name}' has a single image: give every class two or more; data.classes false" in line


def test_labels_can_be_left_out(tmp_path: Path) -> None:
    source = open_source(fill(tmp_path, *pair("a"), "b/1.png"), classes=False)
    assert (source.classes, {label for _, label, _ in listed(source)}) == ((), {None})


def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/1.png", "b/1.png")
    scandir = os.scandir

    def guarded(path: Path) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert refused(open_source, tmp_path) == f"{tmp_path / 'b'} cannot be read: Permission denied"


def test_one_picture_is_a_set_of_one(tmp_path: Path) -> None:
    fill(tmp_path, "my cat.png")
    source = open_source(tmp_path / "my cat.png")
    assert (listed(source), len(source), source.title) == ([("my cat.png", None, None)], 1, "my cat")


@pytest.mark.parametrize("content", [b"", b"some text", b"PAR", b"%PDF-1.7", b"\x1f\x8bnone", b"PK\3\4none"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    assert str(tmp_path / "x.png") in refused(open_source, tmp_path / "x.png")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused(open_source, tmp_path / "no such")


# Arrays


def saved(path: Path, array: np.ndarray) -> Source:
    np.save(path / "x.npy", array)
    return open_source(path / "x.npy")


def zipped(path: Path, array: np.ndarray) -> Source:
    np.savez_compressed(path / "x.npz", images=array)
    return open_source(path / "x.npz")


def given(path: Path, array: np.ndarray) -> Source:
    return from_arrays(array)


def as_tensor(path: Path, array: np.ndarray) -> Source:
    return from_arrays(torch.from_numpy(array.copy()).requires_grad_(array.dtype.kind == "f"))


WAYS = [saved, zipped, given, as_tensor]
SHAPES = {
    "NHW": (GREY, GREY[..., None]),
    "NHWC": (COLOUR, COLOUR),
    "NCHW": (COLOUR.transpose(0, 3, 1, 2), COLOUR),
    "NHW1": (GREY[..., None], GREY[..., None]),
    "N1HW": (GREY[:, None], GREY[..., None]),
    "NHW2": (COLOUR[..., :2], COLOUR[..., :2]),
    "HW": (GREY[0], GREY[:1, :, :, None]),
}
VALUES = {
    "bool": (GREY > 99, (GREY > 99) * np.uint8(255)),
    "uint16": (GREY.astype(np.uint16) * 200, GREY.astype(np.uint16) * 200),
    "int64": (GREY.astype(np.int64), GREY),
    "int32 of 16 bits": (GREY.astype(np.int32) * 200, GREY.astype(np.uint16) * 200),
    "float16": ((GREY / 255).astype(np.float16), GREY),
    "float32": ((GREY / 255).astype(np.float32), GREY),
    "float64": (GREY / 255, GREY),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("array", "expected"), SHAPES.values(), ids=SHAPES)
def test_axes_are_told_by_their_sizes(tmp_path: Path, way: Callable, array: np.ndarray, expected: np.ndarray) -> None:
    source = way(tmp_path, array)
    np.testing.assert_array_equal(pixels(source), expected, strict=True)
    assert len(source) == len(expected)
    assert source.fingerprint() == from_arrays(expected).fingerprint()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("array", "expected"), VALUES.values(), ids=VALUES)
def test_values_become_bytes(tmp_path: Path, way: Callable, array: np.ndarray, expected: np.ndarray) -> None:
    source = way(tmp_path, array)
    np.testing.assert_array_equal(pixels(source), expected[..., None], strict=True)
    assert source.fingerprint() == from_arrays(expected).fingerprint()


def test_another_byte_order_is_the_same(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 200
    assert saved(tmp_path, values.astype(">u2")).fingerprint() == from_arrays(values).fingerprint()
    np.testing.assert_array_equal(pixels(saved(tmp_path, values.astype(">u2"))), values[..., None], strict=True)


def changed(value: Any, dtype: Any = np.float32) -> np.ndarray:
    """Images with one value that does not belong."""
    array = np.zeros((6, 7, 8), dtype)
    array[3, 2, 1] = value
    return array


BAD_ARRAYS = {
    "NaN": (changed(np.nan), "not finite"),
    "infinity": (changed(-np.inf), "not finite"),
    "negative": (changed(-0.5), r"from -0.5 to 0: expected \[0, 1\]; rescale"),
    "to 255": (changed(200.0), "divide them by 255"),
    "to 16": (changed(16.0), "divide them by the largest value there can be, 16?"),
    "beyond": (changed(300.5), "divide them by the largest value there can be"),
    "negative integer": (changed(-1, np.int64), "integers from -1 to 0"),
    "large integer": (changed(65536, np.int64), "integers from 0 to 65536"),
    "complex": (GREY.astype(np.complex64), "complex64"),
    "strings": (np.full((6, 7, 8), "a"), "type <U1"),
    "dates": (np.zeros((6, 7, 8), "M8[s]"), "datetime64"),
    "no images": (GREY[:0], "holds no images"),
    "a number": (np.zeros(()), "0 dimensions"),
    "a row": (GREY[0, 0], "1 dimension,"),
    "five axes": (COLOUR[None], "5 dimensions"),
    "channels": (RANDOM.random((6, 7, 8, 9)), "7 or 9 channels"),
    "both ends": (np.zeros((6, 3, 8, 3)), "first or last; pad"),
    "one in colour": (COLOUR[0], "one image with 3 channels, or 7 of width 3"),
}  # fmt: skip


@pytest.mark.parametrize("way", [saved, zipped, given])
@pytest.mark.parametrize(("array", "line"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path: Path, way: Callable, array: np.ndarray, line: str) -> None:
    message = refused(way, tmp_path, array)
    assert re.search(line, message)
    assert message.startswith("images" if way is given else str(tmp_path))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "sprung").touch, ())

    array = np.array([Trap()], object)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", images=array)
    np.savez(tmp_path / "y.npz", images=GREY, labels=array)
    for name in ("x.npy", "x.npz", "y.npz"):
        refused(open_source, tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_damaged_arrays_are_refused(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"x.{ending}"
    np.save(path, GREY) if ending == "npy" else np.savez_compressed(path, images=GREY)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert str(path) in refused(lambda: pixels(open_source(path)))


def test_a_member_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    np.save(data, GREY)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", data.getvalue()[:-5])
    assert "5 bytes are missing" in refused(lambda: pixels(open_source(tmp_path / "x.npz")))


def test_arrays_stored_by_columns_are_read_where_that_takes_no_memory(tmp_path: Path) -> None:
    np.testing.assert_array_equal(pixels(saved(tmp_path, np.asfortranarray(GREY))), GREY[..., None])
    assert "ascontiguousarray" in refused(lambda: pixels(zipped(tmp_path, np.asfortranarray(GREY))))


def test_arrays_in_memory_may_be_stored_by_columns() -> None:
    for array in (GREY[0], GREY, COLOUR):
        assert from_arrays(np.asfortranarray(array)).fingerprint() == from_arrays(array).fingerprint()


def test_lists_are_arrays_if_all_are_of_one_size() -> None:
    np.testing.assert_array_equal(pixels(from_arrays(list(GREY))), GREY[..., None])
    assert "one size" in refused(from_arrays, [GREY[0], GREY[0, :5]])


NAMES: dict[str, tuple[dict[str, np.ndarray], list[tuple[str, int]], set[str]]] = {
    "images": ({"images": GREY, "labels": EVEN}, [("None", 6)], set()),
    "upper case": ({"X": GREY, "Y": EVEN}, [("None", 6)], set()),
    "data": ({"data": GREY, "targets": EVEN, "mean": EVEN}, [("None", 6)], {"mean"}),
    "unnamed": ({"arr_0": GREY}, [("None", 6)], set()),
    "the only one": ({"faces": GREY, "age": EVEN}, [("None", 6)], {"age"}),
    "keras": ({"x_test": GREY[:3], "y_test": EVEN[:3], "x_train": GREY, "y_train": EVEN},
              [("train", 6), ("test", 3)], set()),
    "medical": ({"train_images": GREY, "train_labels": EVEN[:, None], "val_images": GREY[:2],
                 "val_labels": EVEN[:2, None], "test_images": GREY[:3], "test_labels": EVEN[:3, None]},
                [("train", 6), ("validation", 2), ("test", 3)], set()),
    "splits": ({"train": GREY, "validation": GREY[:2], "test": GREY[:3]},
               [("train", 6), ("validation", 2), ("test", 3)], set()),
    "one split": ({"x_train": GREY, "y_train": EVEN}, [("None", 6)], set()),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "parts", "ignored"), NAMES.values(), ids=NAMES)
def test_names_in_an_archive_say_what_arrays_are(
    tmp_path: Path, arrays: dict[str, np.ndarray], parts: list[tuple[str, int]], ignored: set[str]
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    source = open_source(tmp_path / "x.npz")
    assert [(str(part), None) for _, _, part in listed(source)] == [(part, None) for part, n in parts for _ in range(n)]
    np.testing.assert_array_equal(pixels(source), np.concatenate([GREY[:n, ..., None] for _, n in parts]))
    if {"labels", "Y", "targets", "y_train", "train_labels"} & set(arrays):
        assert source.classes == ("0", "1")
        assert [label for _, label, _ in listed(source)] == [k for _, n in parts for k in EVEN[:n]]
    assert set(source.ignored) == ignored


BAD_ARCHIVES = {
    "nothing likely": ({"a": EVEN, "b": EVEN}, "name the images `images`"),
    "two likely": ({"a": GREY, "b": COLOUR}, "name the images `images`"),
    "labels": ({"x": GREY, "y": EVEN[:5]}, "5 labels for 6 images: .* data.classes false"),
    "floats": ({"x": GREY, "y": EVEN / 2}, "type float64: .* data.classes false"),
    "several": ({"x": GREY, "y": np.eye(6)}, r"shape \(6, 6\): .* data.classes false"),
    "negative": ({"x": GREY, "y": EVEN - 2}, "from -2 to -1"),
    "no train": ({"x_val": GREY, "x_test": GREY}, "none named train"),
}


@pytest.mark.parametrize(("arrays", "line"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_bad_archives_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], line: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    assert re.search(line, refused(open_source, tmp_path / "x.npz"))
    if "data.classes false" in line:
        assert open_source(tmp_path / "x.npz", classes=False).classes == ()


@pytest.mark.parametrize(
    ("promised", "shape", "line"),
    [("images", (3, 200_000, 200_000), "is truncated"), ("labels", (10**11,), "is truncated")],
)
def test_what_promises_too_much_is_not_read(tmp_path: Path, promised: str, shape: tuple[int, ...], line: str) -> None:
    """Of zeros a small archive holds more than any memory."""
    arrays = {"images": np.zeros((3, 8, 8), np.uint8), "labels": np.zeros(3, np.int64)}
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                header = {"descr": array.dtype.str, "fortran_order": False}
                np.lib.format.write_array_header_1_0(
                    file, header | {"shape": shape if name == promised else array.shape}
                )
                file.write(array.tobytes())
    assert line in refused(open_source, tmp_path / "x.npz")


def test_a_zip_of_pictures_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", png())
    assert "unpack it" in refused(open_source, tmp_path / "x.zip")


LABELS = {
    "numbers": ([7, 3, 7, 3, 7, 3], ("3", "7"), [1, 0, 1, 0, 1, 0]),
    "ten": ([2, 10, 2, 10, 2, 10], ("2", "10"), [0, 1, 0, 1, 0, 1]),
    "names": (["b", "a", "a", "b", "a", "b"], ("a", "b"), [1, 0, 0, 1, 0, 1]),
    "bytes": (np.array([b"b", b"a"] * 3), ("a", "b"), [1, 0] * 3),
    "truths": (np.array([True, False] * 3), ("0", "1"), [1, 0] * 3),
    "tensor": (torch.tensor([1, 0] * 3), ("0", "1"), [1, 0] * 3),
    "unknown": ([1, 0, -1, 1, 0, -1], ("0", "1"), [1, 0, None, 1, 0, None]),
    "objects": (np.array([1, None, 0, 1, 0, 0], object), ("0", "1"), [1, None, 0, 1, 0, 0]),
    "one class": ([4] * 6, ("4",), [0] * 6),
    "all unknown": ([-1] * 6, (), [None] * 6),
}


@pytest.mark.parametrize(("labels", "classes", "expected"), LABELS.values(), ids=LABELS)
def test_labels_are_numbered_in_their_order(labels: Any, classes: tuple[str, ...], expected: list[int | None]) -> None:
    source = from_arrays(GREY, labels)
    assert (source.classes, [label for _, label, _ in listed(source)]) == (classes, expected)


@pytest.mark.parametrize(
    "labels", [[0.5] * 6, np.array(["a", 1] * 3, object), [[0]] * 5 + [[0, 1]], np.zeros((6, 2), int)]
)
def test_other_labels_are_refused(labels: Any) -> None:
    assert "labels" in refused(from_arrays, GREY, labels)


def test_splits_in_memory_share_their_classes() -> None:
    source = from_arrays(
        {"test": GREY[:3], "train": GREY}, {"train": list("bababa"), "test": list("bbb")}, title="letters"
    )
    assert [(name, label) for name, label, _ in listed(source)] == [
        *((f"train/{k}", (k + 1) % 2) for k in range(6)),
        *((f"test/{k}", 1) for k in range(3)),
    ]
    assert source.title == "letters"


def test_names_in_memory() -> None:
    assert [name for name, _, _ in listed(from_arrays(GREY, names=list("uvwxyz")))] == list("uvwxyz")
    assert "5 names for 6 images" in refused(from_arrays, GREY, names=list("uvwxy"))


@pytest.mark.parametrize(
    ("images", "labels"), [({"best": GREY}, None), ({"train": GREY}, EVEN), ({"train": GREY}, {"test": EVEN})]
)
def test_splits_in_memory_have_known_names(images: Any, labels: Any) -> None:
    refused(from_arrays, images, labels)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_memory_does_not_grow_with_an_array(tmp_path: Path, ending: str) -> None:
    count, path = 1024, tmp_path / f"x.{ending}"
    if ending == "npy":
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, 256, 256)).flush()
    else:
        member(path, count)
    tracemalloc.start()
    seen = sum(int(item.content[0, 0, 0]) == 0 for item in open_source(path).items())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == count
    assert peak < 4 * BLOCK < count * 256 * 256 / 3


def member(path: Path, count: int) -> None:
    """An archive of that many black images of 256 x 256 pixels, compressed."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as stream,
    ):
        head = {"descr": "|u1", "fortran_order": False, "shape": (count, 256, 256)}
        np.lib.format.write_array_header_1_0(stream, head)
        for _ in range(count // 64):
            stream.write(bytes(64 * 256 * 256))


# idx


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_find_their_labels(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    ending = "" if pack is bytes else ".gz"
    path = tmp_path / f"train-images-idx3-ubyte{ending}"
    path.write_bytes(pack(format_idx(GREY)))
    assert open_source(path).classes == ()
    (tmp_path / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(format_idx(EVEN.astype(np.uint8))))
    source = open_source(path)
    np.testing.assert_array_equal(pixels(source), GREY[..., None])
    assert [label for _, label, _ in listed(source)] == EVEN.tolist()
    assert open_source(path, classes=False).classes == ()


def test_bad_idx_files_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", changed(np.nan, np.float32))
    assert "not finite" in refused(open_source, tmp_path / "a")
    write_idx(tmp_path / "x-images-idx3-ubyte", GREY)
    write_idx(tmp_path / "x-labels-idx1-ubyte", EVEN[:5].astype(np.uint8))
    assert "5 labels for 6 images" in refused(open_source, tmp_path / "x-images-idx3-ubyte")


# Parquet

HUGGING = {"info": {"features": {"label": {"names": ["cat", "dog", "eel"], "_type": "ClassLabel"}}}}


def table(path: Path, struct: bool = True, told: Any = None, count: int = 6, **columns: Any) -> Path:
    """A parquet file of pictures, each another one."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    import pyarrow.parquet as pq

    pictures = [png(seed) for seed in range(count)]
    cells = [{"bytes": data, "path": f"{k}.png"} for k, data in enumerate(pictures)] if struct else pictures
    made = pa.table({"image": cells, **columns} if "image" not in columns else columns)
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(made.replace_schema_metadata(told and {"huggingface": json.dumps(told)}), path, row_group_size=4)
    return path


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize(
    ("labels", "told", "classes", "expected"),
    [
        ([2, 0] * 3, None, ("0", "2"), [1, 0] * 3),
        ([2, 0] * 3, HUGGING, ("cat", "dog", "eel"), [2, 0] * 3),
        (["eel", None] * 3, None, ("eel",), [0, None] * 3),
        (["eel", "cat"] * 3, None, ("cat", "eel"), [1, 0] * 3),
        ([None, 0, 1, 1, 0, -1], None, ("0", "1"), [None, 0, 1, 1, 0, None]),
    ],
)
def test_parquet(tmp_path: Path, struct: bool, labels: Any, told: Any, classes: Any, expected: Any) -> None:
    source = open_source(table(tmp_path / "x", struct, told, label=labels, more=[0] * 6))
    assert source.classes == classes
    assert listed(source) == [(str(k), label, None) for k, label in enumerate(expected)]
    assert [item.content for item in source.items()] == [png(seed) for seed in range(6)]
    assert open_source(tmp_path / "x", classes=False).classes == ()


def test_parquet_files_are_splits(tmp_path: Path) -> None:
    table(tmp_path / "data/train-00001-of-00002.parquet", count=2, label=[1, 1])
    table(tmp_path / "data/train-00000-of-00002.parquet", count=4, label=[0, 0, 1, 1])
    table(tmp_path / "data/test-00000-of-00001.parquet", count=1, label=[1])
    (tmp_path / "README.md").write_text("A set.")
    source = open_source(tmp_path)
    assert listed(source) == [
        *((f"train/{k}", label, "train") for k, label in enumerate([0, 0, 1, 1, 1, 1])),
        ("test/0", 1, "test"),
    ]
    table(tmp_path / "data/extra.parquet")
    assert "'data/extra.parquet' beside" in refused(open_source, tmp_path)


def test_bad_parquet_is_refused(tmp_path: Path) -> None:
    def line(**more: Any) -> str:
        return refused(open_source, table(tmp_path / "x.parquet", **more))

    assert "has no column of pictures: image (int64)" in line(image=[1, 2])
    assert "of type list<element: int64>" in line(label=[[1]] * 6).replace("item", "element")
    assert "of type double" in line(label=[0.5] * 6)
    assert "names only 3 classes" in line(told=HUGGING, label=[3, 0] * 3)
    assert "no bytes" in line(image=[{"bytes": None, "path": "a.png"}])
    assert "0 rows" in line(count=0, struct=False, image=__import__("pyarrow").array([], "binary"))
    whole = table(tmp_path / "y.parquet").read_bytes()
    (tmp_path / "y.parquet").write_bytes(whole[:-20])
    assert "damaged" in refused(open_source, tmp_path / "y.parquet")
    (tmp_path / "y.parquet").write_bytes(whole[:50] + bytes(200) + whole[250:])
    assert "damaged" in refused(lambda: list(open_source(tmp_path / "y.parquet").items()))


@pytest.mark.parametrize("extra", ["pyarrow", "datasets"])
def test_what_is_not_installed_is_named(tmp_path: Path, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, extra, None)
    (tmp_path / "x").write_bytes(b"PAR1")
    line = refused(open_source, "hf:a/b" if extra == "datasets" else tmp_path / "x")
    assert f"pip install 'vaescope[{'hf' if extra == 'datasets' else 'parquet'}]'" in line


# The hub


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of the hub, with a cache of its own and no way to the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="datasets is an extra")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))

    def closed(*arguments: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", closed)


@pytest.mark.slow
def test_the_hub(hub: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "set", *pair("train/b"), *pair("train/a"), "test/a/1.png")
    source = open_source(f"hf:{tmp_path / 'set'}")
    assert (source.classes, source.title, len(source)) == (("a", "b"), "set", 5)
    assert sorted(listed(source)) == [
        ("test/0", 0, "test"), ("train/0", 0, "train"), ("train/1", 0, "train"), ("train/2", 1, "train"),
        ("train/3", 1, "train"),
    ]  # fmt: skip
    assert {item.content for item in source.items()} == {item.content for item in open_source(tmp_path / "set").items()}
    first = source.fingerprint()
    (tmp_path / "set/test/a/1.png").write_bytes(png(9))
    assert source.fingerprint() != first
    assert open_source(f"hf:{tmp_path / 'set'}", classes=False).classes == ()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_hub_reads_tables(hub: None, tmp_path: Path) -> None:
    told = {"info": {"features": {"label": HUGGING["info"]["features"]["label"], "image": {"_type": "Image"}}}}
    table(tmp_path / "train.parquet", told=told, label=[2, 0] * 3)
    source, same = open_source(f"hf:{tmp_path}"), open_source(tmp_path)
    assert (source.classes, listed(source)) == (same.classes, listed(same))
    assert [item.content for item in source.items()] == [item.content for item in same.items()]
    assert source.fingerprint() == same.fingerprint()


@pytest.mark.slow
def test_sets_that_the_hub_does_not_have_are_refused(hub: None, tmp_path: Path) -> None:
    assert refused(open_source, "hf:nobody/nothing").startswith("hf:nobody/nothing cannot be had: ")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert "no column of pictures: a (Value), b (Value)" in refused(open_source, f"hf:{tmp_path}")


# Fingerprints


def edit(path: Path) -> None:
    """Changes one byte, and leaves size and time of modification as they were."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def make(kind: str, path: Path) -> Path:
    """A set of each kind."""
    if kind == "folder":
        return fill(path, *pair("train/a"), *pair("train/b"), "test/a/1.png")
    if kind == "parquet":
        return table(path, label=[2, 0] * 3)
    if kind == "picture":
        return fill(path.parent, path.name) / path.name
    with path.open("wb") as file:
        np.save(file, GREY / 255) if kind == "npy" else np.savez(file, x=GREY / 255, y=EVEN)
    return path


def files(path: Path) -> list[Path]:
    return sorted(file for file in [path, *path.rglob("*")] if file.is_file())


KINDS = ["folder", "parquet", "npy", "npz", "picture"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_fingerprint(tmp_path: Path, kind: str) -> None:
    there = make(kind, tmp_path / "set")
    elsewhere = tmp_path / "else where" / "set"
    elsewhere.parent.mkdir()
    shutil.copytree(there, elsewhere) if there.is_dir() else shutil.copy(there, elsewhere)
    assert open_source(there).fingerprint() == open_source(elsewhere).fingerprint()


@pytest.mark.parametrize("kind", ["folder", "npy", "picture"])
def test_one_changed_byte_changes_the_fingerprint(tmp_path: Path, kind: str) -> None:
    path = make(kind, tmp_path / "set")
    before = open_source(path).fingerprint()
    time.sleep(0.02)  # the clock of the file system ticks every few milliseconds
    edit(files(path)[-1])
    after = open_source(path).fingerprint()
    assert after != before
    edit(files(path)[-1])
    assert open_source(path).fingerprint() == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_not_changed_is_not_read_again(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(kind, tmp_path / "set")
    before = open_source(path).fingerprint()

    def read(*arguments: Any) -> None:
        raise AssertionError("was read")

    monkeypatch.setattr("vaescope.data.own.remembered._digest", read)
    monkeypatch.setattr("vaescope.data.own.arrays._digest", read)
    monkeypatch.setattr("vaescope.data.own.layout._extremes", read)
    monkeypatch.setattr("vaescope.data.own.parquet.digest_files", read)
    assert open_source(path).fingerprint() == before


def test_what_changed_a_moment_ago_is_not_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "SETTLED", 3600 * 10**9)
    open_source(make("folder", tmp_path / "set")).fingerprint()
    open_source(make("npy", tmp_path / "x.npy")).fingerprint()
    assert [known.read_text() for known in files(cache) if known.read_text() != "{}"] == []


@pytest.mark.parametrize("kind", ["folder", "npz"])
@pytest.mark.parametrize("trouble", ["a file", "nonsense", "other facts"])
def test_a_cache_that_does_not_work_is_no_trouble(
    tmp_path: Path, kind: str, trouble: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(kind, tmp_path / "set")
    before = open_source(path).fingerprint()
    if trouble == "a file":
        (tmp_path / "file").touch()
        monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "file"))
    for known in files(cache):
        facts = {key: [[0], 1] for key in json.loads(known.read_text())}
        known.write_text("{nonsense" if trouble == "nonsense" else json.dumps(facts))
    assert files(cache)
    assert open_source(path).fingerprint() == before


def test_the_fingerprint_depends_on_names_labels_splits_and_order(tmp_path: Path) -> None:
    sets = [
        from_arrays(GREY),
        from_arrays(GREY[::-1]),
        from_arrays(GREY[:5]),
        from_arrays(GREY.reshape(6, 8, 7)),
        from_arrays(GREY.astype(np.uint16)),
        from_arrays(GREY, EVEN),
        from_arrays(GREY, 1 - EVEN),
        from_arrays(GREY, np.array(["a", "b"])[EVEN]),
        from_arrays(GREY, names=list("abcdef")),
        from_arrays({"train": GREY[:4], "test": GREY[4:]}),
        from_arrays({"train": GREY[:4], "validation": GREY[4:]}),
        open_source(fill(tmp_path / "1", *pair("a"), *pair("b"))),
        open_source(fill(tmp_path / "1", *pair("a"), *pair("b")), classes=False),
        open_source(fill(tmp_path / "2", *pair("a"), *pair("c"))),
        open_source(fill(tmp_path / "3", *pair("train"), *pair("test"))),
        open_source(fill(tmp_path / "4", *pair("train"), *pair("val"))),
    ]
    assert len({source.fingerprint() for source in sets}) == len(sets)


def test_a_source_can_be_gone_through_again(tmp_path: Path) -> None:
    for kind in KINDS:
        source = open_source(make(kind, tmp_path / kind))
        assert listed(source) == listed(source)
        assert len(listed(source)) == len(source)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("VAESCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/vaescope")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/vaescope"


def test_loose_pictures_beside_folders_are_told(tmp_path: Path) -> None:
    source = open_source(fill(tmp_path, *pair("a"), *pair("b"), "c.png"))
    assert source.classes == ()
    assert source.note == "1 of 5 pictures lie in no subfolder, so these are not taken for classes"
    assert open_source(fill(tmp_path / "d", *pair("a"), *pair("b"))).note == ""
    assert open_source(tmp_path, classes=False).note == ""
