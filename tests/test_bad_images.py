"""What is wrong with images of one's own is told in one line, and leaves nothing behind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaescope.cli import main
from vaescope.data.own import from_arrays
from vaescope.data.survey import survey
from vaescope.picks import pick

RANDOM = np.random.default_rng(0)
FLOATS = RANDOM.random((10, 12, 12))
BYTES = (FLOATS * 255).astype(np.uint8)
QUICK = ["--trainer.steps", "1", "--figures.frames", "0", "--figures.explorer", "false", "--trainer.device", "cpu"]


def put(path: Path, height: int = 12, width: int = 12, seed: int | None = None) -> Path:
    """Writes a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = RANDOM if seed is None else np.random.default_rng(seed)
    Image.fromarray(source.integers(0, 256, (height, width), dtype=np.uint8)).save(path)
    return path


def folder(root: Path, count: int = 8, **others: Any) -> Path:
    """A folder of pictures."""
    for i in range(count):
        put(root / f"{i}.png", **others)
    return root


def with_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A folder of pictures of which one is changed."""

    def make(root: Path) -> None:
        path = folder(root / "x") / "3.png"
        path.write_bytes(change(path.read_bytes()))

    return make


def npy(array: Any) -> Callable[[Path], None]:
    """An array in a file."""
    return lambda root: np.save(root / "x", array, allow_pickle=True)


def npz(**arrays: Any) -> Callable[[Path], None]:
    """Arrays in a file."""
    return lambda root: np.savez(root / "x", **arrays)


def changed(value: float) -> np.ndarray:
    """Floats of which one is another."""
    array = FLOATS.copy()
    array[3, 4, 4] = value
    return array


def class_of_one(root: Path) -> None:
    folder(root / "x/cats", 5)
    folder(root / "x/dogs", 1)


def mixed(root: Path) -> None:
    put(folder(root / "x", 6) / "wide.png", 20, 30)


def text_only(root: Path) -> None:
    (root / "x").mkdir()
    (root / "x/notes.txt").write_text("no pictures")


# What lies at x (or x.npy, x.npz), and what the line must say. Nothing of these can be trained on.
BAD: dict[str, tuple[Callable[[Path], Any], str, tuple[str, ...]]] = {
    "empty folder": (lambda root: (root / "x").mkdir(), "x", ("holds no files", "expected pictures")),
    "only text": (text_only, "x", ("notes.txt", "expected pictures")),
    "a text file": (lambda root: (root / "x").write_text("hello world"), "x", ("holds no images", "expected")),
    "one image": (lambda root: folder(root / "x", 1), "x", ("1 image", "at least 3")),
    "one file": (lambda root: put(root / "x.png"), "x.png", ("1 image", "at least 3")),
    "two images": (lambda root: folder(root / "x", 2), "x", ("2 images", "at least 3")),
    "three copies": (lambda root: folder(root / "x", 3, seed=1), "x", ("1 different", "at least 3")),
    "all the same": (npy(np.zeros((30, 12, 12), np.uint8)), "x.npy", ("1 different", "at least 3")),
    "zero bytes": (with_bytes(lambda data: b""), "x", ("1 of 8", "3.png is empty", "--skip-bad")),
    "truncated": (with_bytes(lambda data: data[:70]), "x", ("1 of 8", "3.png", "truncated", "--skip-bad")),
    "renamed text": (with_bytes(lambda data: b"hello hello"), "x", ("1 of 8", "3.png is not a picture", "leave it")),
    "NaN": (npy(changed(np.nan)), "x.npy", ("not finite", "[0, 1]")),
    "infinity": (npy(changed(np.inf)), "x.npy", ("not finite", "[0, 1]")),
    "negative": (npy(changed(-0.5)), "x.npy", ("-0.5", "[0, 1]", "rescale")),
    "0 to 255 as floats": (npy(changed(255.0)), "x.npy", ("255", "[0, 1]", "uint8")),
    "negative integers": (npy(np.full((9, 12, 12), -4)), "x.npy", ("-4", "0 to 255")),
    "objects": (npy(np.array([{}, 1], object)), "x.npy", ("Python objects", "uint8")),
    "texts": (npy(np.full((9, 12, 12), "a")), "x.npy", ("<U1", "expected uint8")),
    "complex numbers": (npy(FLOATS + 1j), "x.npy", ("complex128", "expected uint8")),
    "one dimension": (npy(np.zeros(9, np.uint8)), "x.npy", ("1 dimension", "(N, H, W)")),
    "five dimensions": (npy(np.zeros((2,) * 5, np.uint8)), "x.npy", ("5 dimensions", "(N, H, W)")),
    "no dimension": (npy(np.uint8(3)), "x.npy", ("0 dimensions", "(N, H, W)")),
    "no rows": (npy(np.zeros((0, 12, 12), np.uint8)), "x.npy", ("holds no images",)),
    "too few labels": (npz(images=BYTES, labels=np.arange(7)), "x.npz", ("7 labels for 10", "data.classes false")),
    "too many labels": (npz(images=BYTES, labels=np.arange(11)), "x.npz", ("11 labels for 10", "data.classes false")),
    "a class of one array": (npz(images=BYTES, labels=[0] * 9 + [1]), "x.npz", ("'1' has a single", "two or more")),
    "a class of one file": (class_of_one, "x", ("'dogs' has a single", "two or more")),
    "junk as .npz": (lambda root: (root / "x.npz").write_bytes(b"PK\x03\x04junk"), "x.npz", ("damaged",)),
    "junk as .npy": (lambda root: (root / "x.npy").write_bytes(b"\x93NUMPY\x01\0junk"), "x.npy", ("damaged",)),
    "nothing": (lambda root: None, "x/y", ("does not exist", "give")),
    "no such file": (lambda root: None, "x.npz", ("does not exist", "give")),
    "no such name": (lambda root: None, "nothing", ("nothing", "sample", "folder")),
}  # fmt: skip

CHECKED = {"one image", "one file", "two images", "three copies", "all the same"}
"""What a check finds nothing wrong with, file by file."""

Told = Callable[..., tuple[int | str | None, list[str]]]


@pytest.fixture
def tell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """Runs a command in a folder of the test's own. Gives the exit code and the lines on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> tuple[int | str | None, list[str]]:
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err.splitlines()

    return run


def left(root: Path) -> list[Path]:
    """What a refused training must not leave."""
    return [*root.glob("runs"), *(root / "cache/images").glob("*"), *(root / "cache/images").glob(".*")]


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_one_line(name: str, tell: Told, tmp_path: Path) -> None:
    make, place, parts = BAD[name]
    make(tmp_path)
    before = sorted(tmp_path.rglob("x*"))
    code, lines = tell("train", "--data", place, *QUICK)
    assert code == 2
    assert lines[-1].startswith("vaescope: ")
    assert sum(line.startswith("vaescope: ") for line in lines) == 1
    assert all(line.startswith(("looking", "decoding", "images ", "likelihood", "network")) for line in lines[:-1])
    assert all(part in lines[-1] for part in (*parts, Path(place).stem)), lines[-1]
    assert "subtypes" not in lines[-1]
    assert left(tmp_path) == []
    assert sorted(tmp_path.rglob("x*")) == before


@pytest.mark.parametrize("name", BAD)
def test_a_check_tells_the_same(name: str, tell: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, place, _ = BAD[name]
    make(tmp_path)
    code = main(["data", "check", place])
    told = capsys.readouterr()
    assert code == 2
    if name in CHECKED:
        assert "at least 3" in told.out
    else:
        said = f"{told.err}{told.out}"
        assert Path(place).stem in said or "3.png" in said
    assert len(told.err.splitlines()) <= 1
    assert left(tmp_path) == []


def test_a_check_says_the_command_for_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path / "my photos", 12)
    main(["data", "check", str(tmp_path / "my photos")])
    whole = capsys.readouterr().out
    assert "my photos: 12 images, all can be read\n" in whole
    assert f"vaescope train --data '{tmp_path / 'my photos'}'\n" in whole
    (tmp_path / "my photos" / "empty.png").touch()
    main(["data", "check", str(tmp_path / "my photos")])
    assert f"'{tmp_path / 'my photos'}' --skip-bad\n" in capsys.readouterr().out


def test_a_check_tells_that_bytes_in_sixteen_bits_are_black(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for top, dark in ((255, True), (65535, False)):
        np.save(tmp_path / "x.npy", np.linspace(0, top, 4 * 64).reshape(4, 8, 8).astype(np.uint16))
        main(["data", "check", str(tmp_path / "x.npy")])
        assert ("nearly black" in capsys.readouterr().out) == dark


KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no size": (("--data.size", "0"), ("data.size is [0, 0]", "[64, 64]")),
    "a huge size": (("--data.size", "[6400,64]"), ("data.size is [6400, 64]", "[64, 64]")),
    "half a size": (("--data.size", "[64]"), ("data.size", "2 elements", "[64]")),
    "no number": (("--data.size", "64x64"), ("data.size", "64x64", "tuple or int")),
    "five channels": (("--data.channels", "5"), ("data.channels", "one of 1, 2, 3, 4", "5")),
    "twelve bits": (("--data.bits", "12"), ("data.bits", "8, 16", "12")),
    "no such fit": (("--data.fit", "foo"), ("data.fit", "'crop', 'pad', 'stretch', 'exact'", "foo")),
    "no validation": (("--data.validation", "0"), ("data.validation is 0.0", "0.1")),
    "all is test": (("--data.test", "1"), ("data.test 1.0", "0.1")),
    "too much held out": (("--data.test", ".6", "--data.validation", ".5"), ("sum is below 1",)),
    "negative memory": (("--data.memory", "-1"), ("data.memory is -1", "not negative")),
    "negative seed": (("--data.split_seed", "-1"), ("data.split_seed is -1", "not negative")),
    "no such target": (("--data.targets", "foo"), ("data.targets", "'binary', 'grey', 'centred'", "foo")),
    "a misspelled key": (("--data.sizes", "64"), ("data.sizes", "data.size")),
    "no labels": (("--data.labelled", "0.5"), ("data.labelled", "x has no labels")),
    "a cache that is a file": (("--data.cache", "x/1.png"), ("x/1.png/images", "set data.cache")),
    "too large a batch": (("--trainer.batch_size", "99"), ("99", "training images")),
}


@pytest.mark.parametrize(("words", "parts"), KEYS.values(), ids=KEYS)
def test_wrong_keys_are_one_line(words: tuple[str, ...], parts: tuple[str, ...], tell: Told, tmp_path: Path) -> None:
    folder(tmp_path / "x", 12)
    code, lines = tell("train", "--data", "x", *QUICK, *words)
    assert code == 2
    assert sum(line.startswith("vaescope: ") for line in lines) == 1
    assert all(part in lines[-1] for part in parts), lines[-1]
    assert not (tmp_path / "runs").exists()
    assert all((path / "entry.json").is_file() for path in left(tmp_path))


def test_other_sizes_with_an_exact_fit_are_one_line(tell: Told, tmp_path: Path) -> None:
    mixed(tmp_path)
    code, lines = tell("train", "--data", "x", *QUICK, "--data.fit", "exact")
    assert code == 2
    assert all(part in lines[-1] for part in ("1 of 7", "wide.png has 20 x 30", "data.fit to crop"))
    assert left(tmp_path) == []


@pytest.mark.parametrize("words", [["--data"], ["--data="], ["--data", ""], ["--data", "--trainer.steps", "3"]])
def test_data_without_a_value_is_one_line(words: list[str], tell: Told) -> None:
    code, lines = tell("train", *words)
    assert code == 2
    assert len(lines) == 1
    assert "--data needs a name" in lines[0]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--data.bits", "16"), "data.bits is 16, but"),
        (("--data.size", "32"), "data.size is (32, 32), but"),
        (("--data.channels", "3"), "data.channels is 3, but"),
    ],
)
def test_a_set_with_a_name_is_not_brought_to_another_form(words: tuple[str, ...], part: str, tell: Told) -> None:
    code, lines = tell("train", "--data", "sample", *QUICK, *words)
    assert code == 2
    assert len(lines) == 1
    assert part in lines[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_is_read_only_is_one_line(tell: Told, tmp_path: Path) -> None:
    folder(tmp_path / "x")
    (tmp_path / "cache").mkdir(mode=0o500)
    code, lines = tell("train", "--data", "x", *QUICK)
    assert code == 2
    assert "set data.cache" in lines[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "size"), [(3, 12), (4, 12), (5, 2), (12, 9)])
def test_few_images_are_trained_on(count: int, size: int, tell: Told, tmp_path: Path) -> None:
    place = folder(tmp_path / "ein Ördner, mit 空白" / "x", count, height=size, width=size).parent
    code, lines = tell("train", "--data", place, *QUICK)
    assert code == 0, lines
    assert (tmp_path / "runs" / place.name / "model.safetensors").is_file()


def test_one_number_is_a_size(tell: Told, tmp_path: Path) -> None:
    folder(tmp_path / "x", 12)
    lines = tell("train", "--data", "x", *QUICK, "--data.size", "8", "--trainer.batch_size", "99")[1]  # ends early
    assert "8x8 grey of 8 bits: as asked for" in "".join(lines)
    assert "decoding 12 images to 8x8x1" in "".join(lines)


@pytest.mark.parametrize("held", [{}, {"test": 300}, {"validation": 300, "test": 7}])
@pytest.mark.parametrize("count", [3, 4, 5, 20, 100])
def test_the_batch_that_is_picked_fits_the_images_to_train_on(count: int, held: dict[str, int]) -> None:
    array = np.random.default_rng(0).integers(0, 256, (count + 300, 8, 8), dtype=np.uint8)
    source = from_arrays({"train": array[:count], **{name: array[-n:] for name, n in held.items()}})
    for given in ({}, {"validation": 0.4, "test": 0.4}):
        picked = pick(survey(source), given)
        left = count * (1 - sum(given.get(part, 0.1) for part in ("validation", "test") if part not in held))
        assert 1 <= picked.rest["trainer.batch_size"] <= max(1, left / 2)
        assert not set(picked.data) & {"validation", "test"}
