"""What a survey finds in sets whose every image is known."""

import io
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import refused
from PIL import Image

from vaescope.data import survey as module
from vaescope.data.ahead import ahead
from vaescope.data.own import from_arrays, open_source
from vaescope.data.pixels import Look
from vaescope.data.survey import SAMPLE, Survey, remembered_survey, survey

RANDOM = np.random.default_rng(0)


def picture(path: Path, *shape: int, seed: int = 0, ending: str = "PNG") -> bytes:
    """Writes a picture with shape (H, W) or (H, W, C)."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(data, ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.getvalue())
    return data.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven images in two splits and two classes: one is in both splits, one is cut off, one is text, one is empty."""
    root = tmp_path / "my photos"
    same = picture(root / "train/a/1.png", 9, 8)
    (root / "train/a/again.png").write_bytes(same)
    (root / "test/a").mkdir(parents=True)
    (root / "test/a/1.png").write_bytes(same)
    picture(root / "train/b/ü.jpg", 20, 10, 3, seed=1, ending="JPEG")
    whole = picture(root / "train/b/cut.png", 60, 60, seed=2)
    (root / "train/b/cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/b/text.png").write_text("no picture")
    (root / "test/b").mkdir()
    (root / "test/b/none.png").touch()
    (root / "README").write_text("ignored")
    return root


@pytest.mark.parametrize("deep", [False, True])
def test_a_folder_with_everything(photos: Path, deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaescope.data.survey.SAMPLE", 1)
    found, cut = survey(open_source(photos), deep), "train/b/cut.png"
    assert (found.title, found.count, found.deep) == ("my photos", 7, deep)
    assert found.sizes == Counter({(9, 8): 3, (20, 10): 1} | ({} if deep else {(60, 60): 1}))
    assert found.channels == Counter({1: 3 if deep else 4, 3: 1})
    assert found.bits == Counter({8: 4 if deep else 5})
    assert found.modes.total() == found.sizes.total()
    assert found.parts == Counter({"train": 5, "test": 2})
    assert found.classes == Counter({"a": 3, "b": 4})
    assert found.unlabelled == 0
    assert [name for name, _ in found.bad] == ["test/b/none.png", *[cut] * deep, "train/b/text.png"]
    assert all(name in why and "\n" not in why for name, why in found.bad)
    assert found.ignored == ("README",)
    assert (found.duplicates, found.shared) == ((1, Counter({("train", "test"): 1})) if deep else (0, Counter()))


def test_of_a_sample_cut_off_pictures_are_found_at_once(photos: Path) -> None:
    assert "train/b/cut.png" in [name for name, _ in survey(open_source(photos)).bad]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("values", "two", "extremes"),
    [
        ([0, 255], True, (0, 1)),
        ([0, 1, 255], False, (0, 1)),
        ([0, 1], False, (0, 1 / 255)),
        (np.array([0, 65535], np.uint16), True, (0, 1)),
        (np.array([0, 255], np.uint16), False, (0, 255 / 65535)),
        ([False, True], True, (0, 1)),
        ([0.0, 1.0], True, (0, 1)),
        ([0.5, 0.25], False, (64 / 255, 128 / 255)),
    ],
)
def test_two_values_are_noticed(values: list, two: bool, extremes: tuple[float, float], deep: bool) -> None:
    array = np.resize(np.asarray(values), (5, 6, 7))
    found = survey(from_arrays(array.astype(np.uint8) if array.dtype == np.int64 else array), deep)
    assert (found.two_valued, found.extremes, found.sampled) == (two, pytest.approx(extremes), 5)


def test_a_sample_is_of_all_parts_of_a_set() -> None:
    """Else photographs after a folder of masks would be taken for black and white."""
    images = np.zeros((3 * SAMPLE, 5, 5), np.uint8)
    images[-3:] = 100
    found = survey(from_arrays(images))
    assert (found.count, found.sampled, found.two_valued) == (3 * SAMPLE, SAMPLE, False)
    images[-3:], images[1] = 0, 100
    assert [survey(from_arrays(images), deep).two_valued for deep in (False, True)] == [True, False]


def test_equal_images_are_counted_within_and_across_splits() -> None:
    x = RANDOM.integers(0, 256, (6, 5, 6), dtype=np.uint8)
    parts = {"train": x[[0, 1, 2, 2, 2]], "validation": x[[2, 2, 3]], "test": x[[3, 0, 1, 4]]}
    found = survey(from_arrays(parts), deep=True)
    assert found.duplicates == 2 + 1
    assert found.shared == Counter({("train", "validation"): 2, ("train", "test"): 2, ("validation", "test"): 1})


def test_equal_numbers_in_another_shape_are_no_duplicates(tmp_path: Path) -> None:
    for name, shape in (("a", (4, 6)), ("b", (6, 4))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{name}.png")
    assert survey(open_source(tmp_path), deep=True).duplicates == 0


def test_images_without_a_class_are_counted() -> None:
    found = survey(from_arrays(np.zeros((5, 5, 6), bool), [0, 1, 0, 1, -1]))
    assert (found.classes, found.unlabelled) == (Counter({"0": 2, "1": 2}), 1)


def as_plain(found: Survey) -> dict[str, Any]:
    """A survey as what can be compared, the order of counts included."""
    return {name: list(value.items()) if isinstance(value, Counter) else value for name, value in vars(found).items()}


def test_a_survey_is_remembered_until_an_image_changes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "cache"))
    looked, look = list[str](), module.look

    def counted(content: Any, name: str) -> Look:
        looked.append(name)
        return look(content, name)

    monkeypatch.setattr(module, "look", counted)
    expected = survey(open_source(photos))
    looked.clear()
    for times in (7, 7, 7):
        assert as_plain(remembered_survey(open_source(photos))) == as_plain(expected)
        assert len(looked) == times
    moved = photos.rename(tmp_path / "moved")
    (moved / "more").write_text("ignored too")
    found = remembered_survey(open_source(moved))
    assert (found.title, found.ignored, len(looked)) == ("moved", ("README", "more"), 7)
    picture(moved / "train/a/1.png", 5, 5, seed=3)
    assert (5, 5) in remembered_survey(open_source(moved)).sizes
    assert len(looked) == 14


@pytest.mark.parametrize("content", ["", "[]", "{", '{"title": 3}', '{"extremes": [0, 1], "bad": 3, "other": 5}'])
def test_a_damaged_memory_of_a_survey_is_no_memory(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "cache"))
    remembered_survey(open_source(photos))
    (file,) = (tmp_path / "cache/surveys").iterdir()
    file.write_text(content)
    assert remembered_survey(open_source(photos)).count == 7
    assert len(file.read_text()) > 100


def test_without_a_cache_there_is_no_memory(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "file"))
    assert remembered_survey(open_source(photos)).count == 7


def test_progress_ends_at_all() -> None:
    told: list[tuple[int, int]] = []
    survey(from_arrays(np.zeros((40, 5, 6), bool)), progress=lambda _, done, all: told.append((done, all)))
    assert told == [(k, 40) for k in range(1, 41)]


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_work_ahead_keeps_the_order(count: int) -> None:
    assert list(ahead(lambda k: k * k, range(count), threads=3, together=4)) == [k * k for k in range(count)]


def test_work_ahead_is_not_far_ahead() -> None:
    taken, furthest = 0, 0

    def things() -> Iterator[int]:
        nonlocal furthest
        for k in range(500):
            furthest = max(furthest, k - taken)
            yield k

    for result in ahead(lambda k: k, things(), threads=2, together=5):
        taken = result
    assert taken == 499
    assert 5 <= furthest <= (2 * 2 + 2) * 5


def test_what_goes_wrong_ahead_is_raised_in_its_place() -> None:
    results = ahead(lambda k: 10 // (k - 20), range(40), threads=2)
    assert [next(results) for _ in range(16)] == [10 // (k - 20) for k in range(16)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_work_ahead_that_nobody_wants_ends() -> None:
    before = threading.active_count()
    results = ahead(lambda k: k, iter(int, 1), threads=2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_mask_of_zeros_and_ones_is_not_taken_for_black_images() -> None:
    mask = np.random.default_rng(0).integers(0, 2, (20, 9, 9), np.uint8)
    assert "0.39% of white: give masks of 0 and 1 as bool" in refused(survey(from_arrays(mask)).check)
    assert "levels up to 255 as uint8" in refused(survey(from_arrays(mask.astype(np.uint16) * 255)).check)
    survey(from_arrays(mask.astype(bool))).check()
    survey(from_arrays(mask * 2)).check()
