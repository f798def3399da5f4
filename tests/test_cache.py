"""The cache: images are decoded once, divided by their content, and never half there."""

import io
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from PIL import Image

from vaescope.data import cache
from vaescope.data.cache import PARTS, Division, open_entry, prepared
from vaescope.data.dataset import ImageData
from vaescope.data.fetch import IMAGES
from vaescope.data.images import ImageSet
from vaescope.data.items import Item, Part, Source
from vaescope.data.own import from_arrays, open_source
from vaescope.data.pixels import Form

RANDOM = np.random.default_rng(0)
MANY = RANDOM.integers(0, 256, (2000, 5, 5), dtype=np.uint8)
GREY = Form(5, 5, 1)
TENTHS = Division()


def quiet(line: str) -> None:
    """Tells nobody."""


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Prepares images in a cache of the test's own, and opens the entry."""

    def made(source: Source | np.ndarray, form: Form = GREY, division: Division = TENTHS, **others: Any) -> ImageSet:
        source = from_arrays(source) if isinstance(source, np.ndarray) else source
        entry = prepared(source, form, division, others.pop("skip_bad", False), tmp_path / "cache", quiet, **others)
        return open_entry(entry)

    return made


def leftovers(folder: Path) -> list[str]:
    """What lies in a cache."""
    return sorted(path.name for path in (folder / "cache" / "images").glob("*"))


def rows(images: ImageSet) -> dict[str, list[bytes]]:
    """The images of every split, in their order."""
    return {name: [row.tobytes() for row in split.images[:].numpy()] for name, split in images.splits.items()}


def names(images: ImageSet) -> dict[str, list[str]]:
    """What the images of every split are called."""
    files = {name: split.called for name, split in images.splits.items()}
    return {name: [json.loads(line) for line in file.read_text().splitlines()] for name, file in files.items() if file}


def all_of(splits: dict[str, list[Any]]) -> list[Any]:
    """Those of all splits."""
    return [one for split in splits.values() for one in split]


def png(pixels: np.ndarray) -> bytes:
    """A picture file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def folder_of(root: Path, count: int = 6, start: int = 0) -> Path:
    """A folder of grey pictures of 5x5."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        (root / f"{i}.png").write_bytes(png(MANY[i]))
    return root


# Splits


def test_shares_are_near_the_ones_that_are_asked_for_and_nothing_is_lost(make: Any) -> None:
    images = make(MANY, division=Division(0.2, 0.05))
    counts = {name: len(split) for name, split in images.splits.items()}
    for name, share in (("train", 0.75), ("validation", 0.2), ("test", 0.05)):
        assert abs(counts[name] - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5
    assert Counter(all_of(rows(images))) == Counter(row.tobytes() for row in MANY)


def test_every_image_keeps_its_place_in_its_split(make: Any) -> None:
    for split in names(make(MANY[:200])).values():
        assert [int(name) for name in split] == sorted(int(name) for name in split)


def test_adding_images_moves_no_others(make: Any) -> None:
    few, many = rows(make(MANY[:700])), rows(make(MANY))
    assert all(set(few[part]) <= set(many[part]) for part in PARTS)
    less = rows(make(MANY[::-1][:1500]))
    assert all(set(less[part]) <= set(many[part]) for part in PARTS)


def test_the_split_is_that_of_the_content_not_of_the_size_it_is_brought_to(make: Any) -> None:
    source = from_arrays(MANY[:300])
    first, second = (names(make(source, form)) for form in (GREY, Form(9, 4, 3, 16, "stretch")))
    assert first == second


def test_equal_images_elsewhere_keep_their_own_title(tmp_path: Path) -> None:
    for name in ("first", "second"):
        np.save(tmp_path / f"{name}.npy", MANY[:20])
        data = ImageData("images", tmp_path / f"{name}.npy", cache=tmp_path / "cache")
        assert data.load(quiet).title == name
    assert len(leftovers(tmp_path)) == 1


def test_the_split_of_a_picture_is_that_of_its_file_wherever_it_lies(make: Any, tmp_path: Path) -> None:
    here = names(make(open_source(folder_of(tmp_path / "here", 60))))
    there = names(make(open_source(folder_of(tmp_path / "there" / "deep", 60).parent)))
    assert {part: [f"deep/{name}" for name in found] for part, found in here.items()} == there


def test_copies_are_on_one_side(make: Any) -> None:
    found = rows(make(np.concatenate([MANY[:300]] * 3)))
    sides = [set(found[part]) for part in PARTS]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 300


def test_another_seed_is_another_division(make: Any) -> None:
    one, other, again = (set(rows(make(MANY, division=Division(seed=s)))["test"]) for s in (0, 1, 0))
    assert one == again
    assert len(one & other) < len(one) / 3  # a tenth is expected


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("seed", range(8))
def test_small_sets_get_all_three_splits(make: Any, count: int, seed: int) -> None:
    images = make(MANY[seed * 5 :][:count], division=Division(0.3, 0.6, seed))
    assert all(len(split) for split in images.splits.values())
    assert sorted(all_of(rows(images))) == sorted(row.tobytes() for row in MANY[seed * 5 :][:count])


@pytest.mark.parametrize("seed", range(8))
def test_copies_are_on_one_side_of_small_sets_too(make: Any, seed: int) -> None:
    found = rows(make(np.concatenate([MANY[:3]] * 4), division=Division(0.01, 0.01, seed)))
    assert sorted(map(len, found.values())) == [4, 4, 4]
    assert all(len(set(split)) == 1 for split in found.values())


@pytest.mark.parametrize("images", [MANY[[0, 0, 0]], MANY[[0, 1, 1, 0, 1]]])
def test_too_few_different_images_are_refused(make: Any, images: np.ndarray, tmp_path: Path) -> None:
    assert "different" in refused(make, images)
    assert leftovers(tmp_path) == []


SPLITS: list[tuple[dict[str, int], frozenset[str]]] = [
    ({"train": 30, "test": 40}, frozenset({"test"})),
    ({"train": 30, "validation": 40}, frozenset({"validation"})),
    ({"train": 2, "test": 40}, frozenset({"test"})),
    ({"train": 2, "validation": 40}, frozenset({"validation"})),
    ({"train": 4, "validation": 3, "test": 5}, frozenset({"validation", "test"})),
    ({"train": 1, "validation": 3, "test": 5}, frozenset({"train", "validation", "test"})),
]


@pytest.mark.parametrize(("counts", "fixed"), SPLITS)
def test_splits_of_the_user_are_left_alone(make: Any, counts: dict[str, int], fixed: frozenset[str]) -> None:
    ends = np.cumsum(list(counts.values()))
    given = {name: MANY[end - counts[name] : end] for name, end in zip(counts, ends, strict=True)}
    found = rows(make(from_arrays(given)))
    wanted = {name: [row.tobytes() for row in array] for name, array in given.items()}
    assert {name: found[name] for name in fixed} == {name: wanted[name] for name in fixed}
    rest = [row for name, split in found.items() if name not in fixed for row in split]
    assert sorted(rest) == sorted(row for name in wanted if name not in fixed for row in wanted[name])
    assert all(found.values())


@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_split_that_is_missing_is_not_taken_from_one_of_the_user(make: Any, other: str, tmp_path: Path) -> None:
    line = refused(make, from_arrays({"train": MANY[:1], other: MANY[1:20]}))
    assert "1 different readable image for train, " in line
    assert leftovers(tmp_path) == []


def test_copies_in_splits_of_the_user_stay_where_they_are(make: Any) -> None:
    given = {"train": MANY[:30], "validation": MANY[:3], "test": MANY[:4]}
    assert {name: len(split) for name, split in rows(make(from_arrays(given))).items()} == {
        "train": 30, "validation": 3, "test": 4,
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_borrowed_image_is_the_training_image_with_the_smallest_number(make: Any, share: float) -> None:
    division = Division(share, share)
    numbers = {row.tobytes(): division.number(row[..., None].tobytes()) for row in MANY[:5]}
    found = rows(make(MANY[:5], division=division))
    drawn = {row: division.part(number, frozenset()) for row, number in numbers.items()}
    for part in ("validation", "test"):
        if part not in drawn.values():
            assert len(found[part]) == 1
            assert numbers[found[part][0]] < min(numbers[row] for row in found["train"])


# Entries


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that were decoded, in any order."""
    asked, decode = list[str](), cache.decode

    def counted(content: Any, form: Form, name: str) -> np.ndarray:
        asked.append(name)
        return decode(content, form, name)

    monkeypatch.setattr(cache, "decode", counted)
    return asked


def test_images_are_decoded_once(make: Any, tmp_path: Path, decodings: list[str]) -> None:
    root = folder_of(tmp_path / "pictures", 40)
    first = make(open_source(root))
    assert sorted(decodings) == sorted(f"{i}.png" for i in range(40))
    moved = root.rename(tmp_path / "moved")
    second = make(open_source(moved))
    assert len(decodings) == 40
    assert rows(first) == rows(second)


CHANGES: dict[str, dict[str, Any]] = {
    "size": {"form": replace(GREY, height=6)},
    "fit": {"form": replace(GREY, fit="pad")},
    "channels": {"form": replace(GREY, channels=3)},
    "bits": {"form": replace(GREY, bits=16)},
    "share": {"division": Division(0.2)},
    "seed": {"division": Division(seed=1)},
    "skip_bad": {"skip_bad": True},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_other_settings_are_another_entry(make: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    make(MANY[:20])
    make(MANY[:20], **change)
    assert len(leftovers(tmp_path)) == 2


def test_a_changed_file_is_another_entry(make: Any, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pictures")
    make(open_source(root))
    (root / "3.png").write_bytes(png(MANY[99]))
    assert MANY[99].tobytes() in all_of(rows(make(open_source(root))))
    assert len(leftovers(tmp_path)) == 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_of_every_depth_and_number_of_channels_are_kept(make: Any, channels: int, bits: int) -> None:
    pixels = RANDOM.integers(0, 2**bits, (20, 6, 7, channels), dtype=np.uint8 if bits == 8 else np.uint16)
    images = make(from_arrays(pixels), Form(6, 7, channels, bits))
    assert images.shape == (channels, 6, 7)
    assert images.bits == bits
    wanted = {str(i): row for i, row in enumerate(pixels.transpose(0, 3, 1, 2))}
    for part, called in names(images).items():
        found = images.splits[part].images[:].numpy()
        assert found.dtype == pixels.dtype
        assert all((row == wanted[name]).all() for row, name in zip(found, called, strict=True))


def test_names_and_labels_and_classes_are_kept(make: Any, tmp_path: Path) -> None:
    for label, folder in enumerate(("a cat", "zebra", "ünï")):
        folder_of(tmp_path / "pictures" / folder, 10, 10 * label)
    images = make(open_source(tmp_path / "pictures"))
    assert images.classes == ("a cat", "zebra", "ünï")
    assert images.labelled == 3
    for part, called in names(images).items():
        labels = images.splits[part].labels
        assert labels is not None
        assert labels.dtype == torch.int64
        assert [images.classes[label] for label in labels] == [name.partition("/")[0] for name in called]


def test_images_without_a_class_are_labelled_minus_one(make: Any) -> None:
    labels = np.arange(30) % 3 - 1
    images = make(from_arrays(MANY[:30], labels))
    found = {name: label for part, called in names(images).items()
             for name, label in zip(called, images.splits[part].labels.tolist(), strict=True)}  # fmt: skip
    assert found == {str(i): label for i, label in enumerate(labels.tolist())}


def test_without_classes_there_are_no_labels(make: Any) -> None:
    assert all(split.labels is None for split in make(MANY[:30]).splits.values())


def test_progress_is_told(make: Any) -> None:
    told = list[tuple[str, int, int]]()
    make(MANY[:40], progress=lambda *said: told.append(said))
    assert told == [(IMAGES, done, 40) for done in range(1, 41)]


# What goes wrong


def test_bad_files_are_refused_all_at_once_and_nothing_is_left(make: Any, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pictures", 8)
    (root / "2.png").write_bytes(png(MANY[2])[:40])
    (root / "5.png").write_text("no picture")
    (root / "7.png").write_bytes(b"")
    line = refused(make, open_source(root))
    assert "3 of 8 images" in line
    assert "2.png" in line
    assert "--skip-bad" in line
    assert leftovers(tmp_path) == []


def test_bad_files_are_skipped_if_that_is_asked_for(make: Any, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pictures", 8)
    (root / "2.png").write_bytes(png(MANY[2])[:40])
    (root / "5.png").write_bytes(b"")
    images = make(open_source(root), skip_bad=True)
    assert sorted(all_of(names(images))) == [f"{i}.png" for i in (0, 1, 3, 4, 6, 7)]
    (entry,) = (tmp_path / "cache" / "images").iterdir()
    skipped = json.loads((entry / "entry.json").read_text(encoding="utf-8"))["skipped"]
    assert [why.split()[0] for why in skipped] == ["2.png", "5.png"]
    assert sorted(path.name for path in entry.iterdir()) == sorted(
        ["entry.json", *(f"{part}.{kind}" for part in PARTS for kind in ("npy", "names"))]
    )


def test_if_too_few_can_be_read_it_is_said(make: Any, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pictures", 4)
    (root / "2.png").write_bytes(b"")
    (root / "3.png").write_bytes(b"")
    assert "2 different readable images" in refused(make, open_source(root), skip_bad=True)
    assert leftovers(tmp_path) == []


def test_a_file_that_has_gone_is_a_bad_one(make: Any, tmp_path: Path) -> None:
    source = open_source(folder_of(tmp_path / "pictures"))
    (tmp_path / "pictures" / "3.png").unlink()
    assert "3.png" in refused(make, source)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_images_are_refused(make: Any, count: int, tmp_path: Path) -> None:
    assert f"{count} image" in refused(make, MANY[:count])
    assert leftovers(tmp_path) == []


class Broken(Source):
    """Images of which one raises when it is asked for."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("broken")
        self.error = error

    def __len__(self) -> int:
        return 100

    def items(self) -> Iterator[Item]:
        """Some images, then the error."""
        yield from from_arrays(MANY[:50]).items()
        raise self.error

    def fingerprint(self) -> str:
        """Anything."""
        return "broken"


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), MemoryError()])
def test_what_breaks_off_leaves_nothing(make: Any, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        make(Broken(error))
    assert leftovers(tmp_path) == []
    assert threading.active_count() < 20


def test_images_that_cannot_be_read_are_not_taken_for_a_cache_that_cannot_be_written_to(make: Any) -> None:
    assert refused(make, Broken(OSError(5, "unplugged"))) == "broken cannot be read to its end: unplugged"


def test_a_full_disk_is_one_line(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: cache.SplitFile, pixels: np.ndarray, item: Item) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.SplitFile, "add", full)
    line = refused(make, MANY[:20])
    assert "No space left" in line
    assert "data.cache" in line
    assert leftovers(tmp_path) == []


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        line = refused(prepared, from_arrays(MANY[:20]), GREY, Division(), False, place, quiet)
        assert "data.cache" in line
        assert str(place) in line


def flip(path: Path, place: int) -> None:
    """Turns one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "cut": lambda entry: (entry / "train.npy").write_bytes((entry / "train.npy").read_bytes()[:-1]),
    "empty": lambda entry: (entry / "test.npy").write_bytes(b""),
    "gone": lambda entry: (entry / "validation.npy").unlink(),
    "no json": lambda entry: (entry / "entry.json").write_text("{"),
    "other json": lambda entry: (entry / "entry.json").write_text("[]"),
    "no classes": lambda entry: (entry / "entry.json").write_text('{"title": "x", "classes": 3}'),
    "binary json": lambda entry: (entry / "entry.json").write_bytes(b"\xff\xfe"),
    "labels": lambda entry: (entry / "train.labels.npy").write_bytes(b"x"),
    "fewer labels": lambda entry: np.save(entry / "train.labels.npy", np.zeros(3, np.int64)),
    "floats": lambda entry: np.save(entry / "train.npy", np.zeros((3, 1, 5, 5), np.float32)),
    "one bit": lambda entry: flip(entry / "train.npy", -1),
    "one bit of a name": lambda entry: flip(entry / "test.names", 1),
    "another title": lambda entry: flip(entry / "entry.json", 14),
    "no hashes": lambda entry: (entry / "entry.json").write_text('{"files": 3}'),
    "flat": lambda entry: np.save(entry / "train.npy", np.zeros((3, 5), np.uint8)),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_one_line(make: Any, tmp_path: Path, damage: Any) -> None:
    source = from_arrays(MANY[:30], np.arange(30) % 2)
    make(source)
    (entry,) = (tmp_path / "cache" / "images").iterdir()
    damage(entry)
    line = refused(make, source)
    assert str(entry) in line
    assert "delete" in line


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (256 << 18) + 5, 200 << 20])
def test_large_files_are_known_by_blocks_that_are_far_apart(tmp_path: Path, size: int) -> None:
    """Of 200 MiB a third is looked at, from the first byte to near the last; of 64 MiB all."""
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.truncate(size)
    before = cache.fingerprint(path)
    for place in {0, size // 2, size - 1} if 0 < size <= 64 << 20 else {0, size * 255 // 256} if size else ():
        flip_in_place(path, place)
        assert cache.fingerprint(path) != before
        flip_in_place(path, place)
    assert cache.fingerprint(path) == before


def flip_in_place(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        bit = file.read(1)[0] ^ 1
        file.seek(place)
        file.write(bytes([bit]))


def test_an_entry_of_an_older_version_has_no_hashes_and_is_read(make: Any, tmp_path: Path) -> None:
    make(MANY[:30])
    (entry,) = (tmp_path / "cache" / "images").iterdir()
    facts = json.loads((entry / "entry.json").read_text())
    del facts["files"], facts["hash"]
    (entry / "entry.json").write_text(json.dumps(facts))
    assert len(open_entry(entry).train)


def test_an_entry_without_its_description_is_one_line(make: Any, tmp_path: Path) -> None:
    make(MANY[:30])
    (entry,) = (tmp_path / "cache" / "images").iterdir()
    (entry / "entry.json").unlink()
    line = refused(make, MANY[:30])
    assert str(entry) in line
    assert "delete" in line


def test_several_may_prepare_the_same_at_once(make: Any, tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def work(_: int) -> dict[str, list[bytes]]:
        barrier.wait()
        return rows(make(MANY[:300]))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert all(other == found[0] for other in found)
    assert len(leftovers(tmp_path)) == 1


def test_the_header_of_a_split_has_one_length_for_any_number_of_rows(tmp_path: Path) -> None:
    lengths = set()
    for count in (0, 9, 10**6, 10**14):
        file = cache.SplitFile(tmp_path, "train", GREY, False)
        with file:
            file.count = count
        lengths.add((tmp_path / "train.npy").stat().st_size)
    assert len(lengths) == 1


def test_numbers_are_even_and_part_follows_them() -> None:
    division = Division(0.2, 0.3)
    numbers = np.array([division.number(bytes([i, j])) for i in range(40) for j in range(50)])
    assert abs(numbers.mean() - 0.5) < 4 * (1 / 12 / 2000) ** 0.5
    parts: list[Part] = [division.part(number, frozenset()) for number in (0.0, 0.29, 0.31, 0.49, 0.51, 0.999)]
    assert parts == ["test", "test", "validation", "validation", "train", "train"]
    assert division.part(0.0, frozenset({"test"})) == "validation"
    assert division.part(0.0, frozenset({"test", "validation"})) == "train"
