"""Image sets: every image in exactly one split, nothing believed without its checksum; and pictures of one's own."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import FASHION, MNIST, arrays, content, named_set, needs, put, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vaescope.data.asked import asked
from vaescope.data.idx import write_idx
from vaescope.data.images import ImageSet, Split, describe, load
from vaescope.data.own import open_source
from vaescope.data.pixels import Form
from vaescope.data.sample.build import build
from vaescope.data.sources import FILE_NAMES, NAMED

VALUES = arrays()
FILES = content(VALUES)
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = FILES


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a set called `tiny`, which no mirror has."""
    monkeypatch.setitem(NAMED, "tiny", named_set(FILES))  # type: ignore[arg-type]


def joined(image_set: ImageSet) -> np.ndarray:
    return torch.cat([image_set.train.images, image_set.validation.images]).numpy()


# --- named sets


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["tiny", "."])
def test_files_are_read_where_they_lie(tmp_path: Path, place: str, zipped: bool) -> None:
    """Nothing is written, so a folder without write permission will do."""
    put(tmp_path / place, FILES, zipped)
    before = sorted(tmp_path.rglob("*"))
    tiny = load("tiny", tmp_path, fetch_missing=False)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tiny.name, tiny.classes, tiny.shape) == ("tiny", ("a", "b", "c"), (1, 5, 4))
    assert [len(split) for split in tiny.splits.values()] == [10, 2, 6]
    np.testing.assert_array_equal(joined(tiny)[:, 0], VALUES["train_images"])
    np.testing.assert_array_equal(tiny.test.images[:, 0], VALUES["test_images"])
    assert tiny.validation.labels is not None
    np.testing.assert_array_equal(tiny.validation.labels, VALUES["train_labels"][-2:])
    assert tiny.train.images.dtype == torch.uint8
    assert tiny.validation.labels.dtype == torch.int64


def test_missing_files_are_fetched_or_asked_for(tmp_path: Path) -> None:
    line = refused(load, "tiny", tmp_path, fetch_missing=False)
    assert line.startswith(f"tiny is not in {tmp_path / 'tiny'} or {tmp_path}: run `vaescope data fetch tiny`")
    put(tmp_path / "Tiny", FILES)
    NAMED["tiny"] = named_set(FILES, torchvision="Tiny")  # type: ignore[index]
    load("tiny", tmp_path)
    assert (tmp_path / "tiny" / IMAGES).is_file()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def swap(one: str, other: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path.parent / one).rename(path.parent / "x")
        (path.parent / other).rename(path.parent / one)
        (path.parent / "x").rename(path.parent / other)

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "checksum mismatch: file {path}, expected SHA-256 "),
        (flip, "delete it and run `vaescope data fetch tiny`"),
        (swap(IMAGES, LABELS), f"this is {LABELS} of tiny: were files swapped?"),
        (swap(IMAGES, TEST_IMAGES), f"this is {TEST_IMAGES} of tiny: were files swapped?"),
        (lambda path: path.write_bytes(FILES[IMAGES][:-7]), "{path} is truncated: 7 bytes are missing"),
        (lambda path: path.write_bytes(b""), "{path} is empty"),
        (lambda path: path.write_bytes(gzip.compress(FILES[IMAGES])[:-3]), "{path} is truncated: its gzip data"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    path = put(tmp_path / "tiny", FILES) / IMAGES
    damage(path)
    assert said.format(path=path) in refused(load, "tiny", tmp_path)


def test_another_set_is_recognised(tmp_path: Path) -> None:
    sample = NAMED["sample"].shipped
    assert sample is not None
    shutil.copytree(sample, tmp_path / "root")
    assert f"this is {IMAGES} of sample: ask for sample" in refused(load, "tiny", tmp_path / "root")


def test_an_unknown_set(tmp_path: Path) -> None:
    assert "did you mean `mnist`?" in refused(load, "mnits", tmp_path)


# --- one's own idx files


OWN = st.tuples(st.integers(2, 40), st.integers(1, 9), st.sampled_from([(3, 4), (1, 5, 5), (3, 2, 4)]), st.booleans())


@settings(deadline=None, derandomize=True, max_examples=30)
@given(OWN)
def test_own_files(tmp_path_factory: pytest.TempPathFactory, case: tuple[int, int, tuple[int, ...], bool]) -> None:
    """The last sixth is validation, at least one; every training image is in one of the two splits, in order."""
    train, test, size, labelled = case
    values = arrays(0, train, test, size)
    if not labelled:
        values = {role: array for role, array in values.items() if role.endswith("images")}
    own = load("idx", put(tmp_path_factory.mktemp("own"), content(values), zipped=labelled))
    assert own.shape == (*(1,) * (3 - len(size)), *size)
    assert [len(split) for split in own.splits.values()] == [train - max(1, train // 6), max(1, train // 6), test]
    np.testing.assert_array_equal(joined(own).reshape(values["train_images"].shape), values["train_images"])
    assert (own.train.labels is not None) == labelled
    highest = max(int(values[role].max()) for role in ("train_labels", "test_labels")) if labelled else -1
    assert own.classes == tuple("0123456789")[: highest + 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_images": None}, f"holds no {IMAGES}"),
        ({"test_images": None}, f"holds no {TEST_IMAGES}"),
        ({"train_images": VALUES["train_labels"]}, "this looks like a labels file"),
        ({"train_labels": VALUES["train_images"]}, "this looks like an images file"),
        ({"train_labels": VALUES["test_labels"]}, "12 train images but 6 train labels: were files swapped?"),
        ({"test_images": np.zeros((6, 4, 5), np.uint8)}, "must have one size"),
        ({"test_images": np.zeros((6, 9, 4, 5), np.uint8)}, "(N, C, H, W) with C at most 4"),
        ({"train_images": np.zeros((12, 5, 4), np.float32)}, "holds float32 of shape (12, 5, 4)"),
        ({"test_labels": np.full(6, -1, np.int8)}, "labels are whole numbers from 0 to 9999"),
        ({"test_labels": np.zeros(6, np.float32)}, "labels are whole numbers from 0 to 9999"),
        ({"train_images": np.zeros((1, 5, 4), np.uint8), "train_labels": None}, "at least 2 are needed"),
    ],
)
def test_own_files_that_contradict(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    values = {role: array for role, array in {**VALUES, **changes}.items() if array is not None}
    assert said in refused(load, "idx", put(tmp_path, content(values)))


# --- describe


def binary_entropy(images: torch.Tensor) -> float:
    """The mean over the images of the summed entropies of their pixels, pixel by pixel."""
    p = images.double().flatten(1) / 255
    return float(-(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum(1).mean())


def test_describe(tmp_path: Path) -> None:
    tiny = load("tiny", put(tmp_path, FILES))
    facts = describe(tiny)
    for name, split in tiny.splits.items():
        said, x = facts["splits"][name], split.images.double()
        assert said["count"] == len(split)
        assert said["per_class"] == [int((split.labels == label).sum()) for label in range(3)]
        assert said["range"] == [int(x.min()), int(x.max())]
        assert said["mean"] == pytest.approx(float(x.mean()), rel=1e-12)
        assert said["std"] == pytest.approx(float(x.std(correction=0)), rel=1e-12)
        assert said["entropy"] == pytest.approx(binary_entropy(split.images), rel=1e-12)
    assert facts["shape"] == [1, 5, 4]
    assert facts["duplicates"] == {"train/validation": 0, "train/test": 0, "validation/test": 0}


def test_describe_finds_duplicates() -> None:
    a, b, c = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(3, 1, 2, 2)
    image_set = ImageSet(
        "x", "X", (), Split(torch.stack([a, b, b])), Split(torch.stack([c, a])), Split(torch.stack([b, a]))
    )
    facts = describe(image_set)
    assert facts["duplicates"] == {"train/validation": 1, "train/test": 2, "validation/test": 1}
    assert facts["splits"]["train"]["per_class"] is None


# --- the sample, and the full sets where they are


def test_the_sample(tmp_path: Path) -> None:
    """Comes with vaescope, whatever data.root is; each class is equally often in every part."""
    sample = load("sample", tmp_path / "nowhere", fetch_missing=False)
    facts = describe(sample)
    assert sample.shape == (1, 28, 28)
    assert {name: split["per_class"] for name, split in facts["splits"].items()} == {
        "train": [20] * 10,
        "validation": [4] * 10,
        "test": [6] * 10,
    }
    assert set(facts["duplicates"].values()) == {0}
    assert sample.test.labels is not None
    assert sample.test.labels[:10].tolist() == list(range(10))
    assert facts["splits"]["train"]["entropy"] == pytest.approx(binary_entropy(sample.train.images), rel=1e-12)
    assert not (tmp_path / "nowhere").exists()


@needs(FASHION)
def test_the_sample_can_be_made_again() -> None:
    folder = NAMED["sample"].shipped
    assert folder is not None
    for role, data in build(FASHION).items():
        assert gzip.decompress((folder / f"{FILE_NAMES[role]}.gz").read_bytes()) == data


@pytest.mark.parametrize(
    ("name", "root", "train", "test"),
    [
        pytest.param("fashion-mnist", FASHION, 188.281, 189.858, marks=needs(FASHION)),
        pytest.param("mnist", MNIST, 45.757, 45.534, marks=needs(MNIST)),
    ],
)
def test_the_full_sets(name: str, root: Path, train: float, test: float) -> None:
    """The entropies are known from elsewhere; that of the training images is over all 60,000."""
    facts = describe(load(name, root, fetch_missing=False))["splits"]
    assert [facts[split]["count"] for split in ("train", "validation", "test")] == [50_000, 10_000, 10_000]
    both = (5 * facts["train"]["entropy"] + facts["validation"]["entropy"]) / 6
    assert both == pytest.approx(train, abs=6e-4)
    assert facts["test"]["entropy"] == pytest.approx(test, abs=6e-4)


# --- pictures of one's own


GREY = np.random.default_rng(0).integers(0, 256, (3, 1, 6, 5), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (3, 3, 6, 5), dtype=np.uint8)


def save(path: Path, array: Any, **named: Any) -> Path:
    """Writes an array as what the file's ending says."""
    if path.suffix == ".npy":
        np.save(path, array, **named)
    elif path.suffix == ".npz":
        np.savez(path, **array)
    elif path.suffix == ".idx":
        write_idx(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def read_images(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The images at a path in the order and form in which a model is asked about them."""
    channels, height, width = shape
    parts = asked(open_source(path), Form(height, width, channels, fit="exact"))
    return torch.cat([part.images for part in parts]).numpy()


@pytest.mark.parametrize(
    ("ending", "array", "expected"),
    [
        ("npy", GREY, GREY),
        ("npy", GREY[:, 0], GREY),
        ("npy", GREY[0, 0], GREY[:1]),
        ("npy", GREY.transpose(0, 2, 3, 1), GREY),
        ("npy", np.asfortranarray(GREY), GREY),
        ("npy", GREY / 255, GREY),
        ("npy", (GREY / 255).astype(np.float32), GREY),
        ("npy", np.full((1, 1, 6, 5), 0.999), np.full((1, 1, 6, 5), 255)),
        ("npy", GREY > 127, (GREY > 127) * np.uint8(255)),
        ("npy", COLOUR, COLOUR),
        ("npy", COLOUR.transpose(0, 2, 3, 1), COLOUR),
        ("npz", {"images": GREY, "labels": np.zeros(3, int)}, GREY),
        ("npz", {"anything": GREY[:, 0]}, GREY),
        ("idx", GREY[:, 0], GREY),
        ("idx", COLOUR, COLOUR),
        ("png", GREY[0, 0], GREY[:1]),
        ("bmp", COLOUR[0].transpose(1, 2, 0), COLOUR[:1]),
        ("png", GREY[0, 0].astype(np.uint16) * 257, GREY[:1]),
        ("png", GREY[0, 0] > 127, (GREY[:1] > 127) * np.uint8(255)),
    ],
)
def test_images_in_every_form(tmp_path: Path, ending: str, array: Any, expected: np.ndarray) -> None:
    """The content says what a file is: its name may be anything."""
    path = save(tmp_path / f"file.{ending}", array)
    for name in (path.name, "no-ending"):
        images = read_images(path.rename(tmp_path / name), expected.shape[1:])
        np.testing.assert_array_equal(images, expected)
        assert images.dtype == np.uint8
        assert images.flags.writeable
        assert images.flags.c_contiguous
        path = tmp_path / name


def test_a_gzipped_idx_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.idx", GREY)
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_images(path, (1, 6, 5)), GREY)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """In the order of their names, grey or in colour as the model needs; hidden files are not pictures."""
    save(tmp_path / "b.png", GREY[1, 0])
    save(tmp_path / "a.bmp", COLOUR[0].transpose(1, 2, 0))
    (tmp_path / ".hidden").write_text("x")
    grey = read_images(tmp_path, (1, 6, 5))
    colour = read_images(tmp_path, (3, 6, 5))
    np.testing.assert_array_equal(grey[1], GREY[1])
    np.testing.assert_array_equal(colour[0], COLOUR[0])
    np.testing.assert_array_equal(colour[1], GREY[1].repeat(3, axis=0))
    luma = np.tensordot([0.299, 0.587, 0.114], COLOUR[0], 1)
    np.testing.assert_allclose(grey[0, 0], luma, atol=1)
    assert read_images(tmp_path, (4, 6, 5)).shape == (2, 4, 6, 5)
    assert colour.flags.c_contiguous


def test_a_folder_is_in_the_order_of_the_names(tmp_path: Path) -> None:
    for value in np.random.default_rng(0).permutation(30):
        save(tmp_path / f"{value:02}.png", np.full((6, 5), value, np.uint8))
    assert read_images(tmp_path, (1, 6, 5))[:, 0, 0, 0].tolist() == list(range(30))


def test_a_camera_on_its_side(tmp_path: Path) -> None:
    """The orientation that a camera notes is obeyed, as every viewer does."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY[0, 0]).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_images(tmp_path / "a.png", (1, 5, 6))[0, 0], np.rot90(GREY[0, 0], -1))
