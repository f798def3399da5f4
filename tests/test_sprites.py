"""Sprites: the pictures are what their factors say, the same everywhere, each once and in one split."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused

from vaescope.cli import main
from vaescope.data import sprites
from vaescope.data.fetch import fetch
from vaescope.data.images import ImageSet, load
from vaescope.data.sources import NAMED
from vaescope.request import expand_data

SET = NAMED["sprites"]
SIZES = (3, 4, 12, 16, 16)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """All images and factors."""
    return sprites.draw()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the set was put."""
    root = tmp_path_factory.mktemp("sets")
    fetch(SET, root)
    return root


@pytest.fixture(scope="module")
def image_set(root: Path) -> ImageSet:
    """The set, read."""
    return load("sprites", root, fetch_missing=False)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here opens a connection or runs a program."""

    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("sprites need nothing from elsewhere")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("subprocess.run", refuse)


def moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The areas of shapes, and the columns and rows of their centres."""
    places = np.arange(images.shape[-1])
    area = images.sum((-2, -1), dtype=np.int64)
    return area, (images.sum(-2) @ places) / area, (images.sum(-1) @ places) / area


# --- the pictures


def test_the_same_bits_everywhere(drawn: dict[str, np.ndarray]) -> None:
    assert sprites.digest(drawn["imgs"], drawn["latents_classes"]) == SET.files["all"].sha256


def test_every_combination_once_and_every_picture_another(drawn: dict[str, np.ndarray]) -> None:
    images, classes = drawn["imgs"], drawn["latents_classes"]
    assert classes.shape == (len(images), 6)
    assert (classes[:, 0] == 0).all()
    places = np.ravel_multi_index(tuple(classes[:, 1:].T), SIZES)
    np.testing.assert_array_equal(places, np.arange(len(images)))  # as dSprites: the last changes fastest
    assert len({image.tobytes() for image in images}) == len(images) == sum(SET.counts)
    assert set(np.unique(images)) == {0, 1}


def test_a_shape_lies_where_its_factors_say(drawn: dict[str, np.ndarray]) -> None:
    """Its centre is within half a pixel of the centre of the square it turns in, which moves a pixel a step."""
    _, columns, rows = moments(drawn["imgs"])
    _, _, _, _, x, y = drawn["latents_classes"].T
    assert abs(columns - (8 + x)).max() <= 0.5
    assert abs(rows - (8 + y)).max() <= 0.5
    grid = drawn["imgs"].reshape(-1, 16, 16, 32, 32)
    np.testing.assert_array_equal(np.roll(grid[:, 0, 0], (9, 4), (1, 2)), grid[:, 4, 9])


def test_its_area_goes_with_the_square_of_its_scale(drawn: dict[str, np.ndarray]) -> None:
    area = moments(drawn["imgs"])[0].reshape(*SIZES[:3], -1)[..., 0].mean(2)
    scales = drawn["latents_values"].reshape(*SIZES, 6)[0, :, 0, 0, 0, 2]
    np.testing.assert_allclose(scales, [1 / 2, 2 / 3, 5 / 6, 1])
    np.testing.assert_allclose(area / area[:, -1:], np.tile(scales**2, (3, 1)), atol=0.05)  # of 14 to 71 pixels


def test_no_shape_looks_the_same_when_turned(drawn: dict[str, np.ndarray]) -> None:
    """A quarter of a turn more is the same picture rotated by exact geometry; no part of a turn is the same picture."""
    stamps = np.stack([[sprites.stamp(shape, 60, turn) for turn in range(12)] for shape in sprites.SHAPES])
    for quarter in (3, 6, 9):
        turned = np.rot90(stamps, quarter // 3, axes=(2, 3))
        assert (np.roll(stamps, -quarter, axis=1) != turned).mean((2, 3)).max() < 0.03  # ties at the edges
    distances = (stamps[:, :, None] != stamps[:, None]).sum((3, 4))
    distances[:, np.arange(12), np.arange(12)] = 99
    assert distances.min() >= 12


def test_values_are_what_classes_stand_for(drawn: dict[str, np.ndarray]) -> None:
    values, classes = drawn["latents_values"], drawn["latents_classes"]
    np.testing.assert_allclose(values[:, 3], classes[:, 3] * np.pi / 6)
    np.testing.assert_allclose(values[:, 4:], classes[:, 4:] / 15)
    np.testing.assert_array_equal(values[:, 1], classes[:, 1] + 1)
    assert drawn["latents_names"].tolist() == ["colour", "shape", "scale", "orientation", "posX", "posY"]


# --- the set


def test_the_file_holds_no_objects(root: Path, drawn: dict[str, np.ndarray]) -> None:
    with np.load(root / "sprites" / "sprites.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(drawn)
        assert all(np.array_equal(arrays[name], array) for name, array in drawn.items())
    assert [path.name for path in root.rglob("*")] == ["sprites", "sprites.npz"]


def test_splits_share_nothing_and_leave_nothing_out(image_set: ImageSet, drawn: dict[str, np.ndarray]) -> None:
    assert {name: len(split) for name, split in image_set.splits.items()} == {
        "train": 27_648,
        "validation": 4_608,
        "test": 4_608,
    }
    assert image_set.factors == ("shape", "scale", "orientation", "posX", "posY")
    seen = []
    for split in image_set.splits.values():
        factors = split.factors
        assert factors is not None
        places = np.ravel_multi_index(tuple(factors.numpy().T), SIZES)
        np.testing.assert_array_equal(split.images[:].numpy()[:, 0], drawn["imgs"][places] * 255)
        assert torch.equal(factors[:, 0], split.labels)
        assert all(len(factors[:, f].unique()) == size for f, size in enumerate(SIZES))
        seen.append(places)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(len(drawn["imgs"])))


def test_splits_are_those_of_every_machine(image_set: ImageSet) -> None:
    assert image_set.test.factors is not None
    assert image_set.test.factors[:3].tolist() == [[1, 1, 3, 12, 13], [1, 0, 9, 4, 6], [0, 3, 5, 6, 2]]


def test_a_part_of_a_split_keeps_its_factors(image_set: ImageSet) -> None:
    part = image_set.test.part(slice(2, 5))
    assert part.factors is not None
    assert part.labels is not None
    assert image_set.test.factors is not None
    assert torch.equal(part.factors, image_set.test.factors[2:5])
    assert torch.equal(part.labels, part.factors[:, 0])
    assert torch.equal(part.images[:], image_set.test.images[2:5])


def test_a_second_fetch_draws_nothing(root: Path) -> None:
    before = (root / "sprites" / "sprites.npz").stat().st_mtime_ns
    said: list[str] = []
    assert fetch(SET, root, said.append) == root / "sprites"
    assert (root / "sprites" / "sprites.npz").stat().st_mtime_ns == before
    assert not said


def other(arrays: dict[str, np.ndarray]) -> None:
    arrays["imgs"] = 1 - arrays["imgs"]


def without(arrays: dict[str, np.ndarray]) -> None:
    del arrays["latents_classes"]


def objects(arrays: dict[str, np.ndarray]) -> None:
    arrays["imgs"] = np.array([{}], dtype=object)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other, "checksum mismatch: file {path}"),
        (other, "delete it and run `vaescope data fetch sprites`"),
        (without, "{path} holds no latents_classes: delete it"),
        (objects, "{path}: imgs holds Python objects"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None], said: str) -> None:
    arrays = {"imgs": np.zeros((2, 32, 32), np.uint8), "latents_classes": np.zeros((2, 6), np.int64)}
    change(arrays)
    path = tmp_path / "sprites" / "sprites.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert said.format(path=path) in refused(load, "sprites", tmp_path)
    assert said.format(path=path) in refused(fetch, SET, tmp_path)


def test_a_cut_off_file_is_refused(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "sprites.npz"
    path.write_bytes((root / "sprites" / "sprites.npz").read_bytes()[:-100])
    assert f"{path} is a damaged array file" in refused(load, "sprites", tmp_path)


def test_what_is_not_there_is_not_drawn_unasked(tmp_path: Path) -> None:
    assert "run `vaescope data fetch sprites`" in refused(load, "sprites", tmp_path, fetch_missing=False)


# --- the command line


def test_check_says_what_the_factors_are(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(root / "sprites"), "--json"]) == 0
    facts = json.load(io.StringIO(capsys.readouterr().out))
    assert facts["factors"] == dict(zip(("shape", "scale", "orientation", "posX", "posY"), SIZES, strict=True))
    assert facts["duplicates"] == {"train/validation": 0, "train/test": 0, "validation/test": 0}


def test_the_latents_are_picked_unless_they_are_given(tmp_path: Path, root: Path) -> None:
    words, found = expand_data(["--data", "sprites"])
    assert found is None
    assert words[words.index("--model.latent") + 1] == "10"
    assert "--data.name" in words
    assert "--model.latent" not in expand_data(["--data", "mnist"])[0]
    config = tmp_path / "mine.yaml"
    config.write_text("model: {class_path: Flat, init_args: {latent: 6}}\n")
    given, _ = expand_data(["--config", str(config), "--data", "sprites"])
    assert given.index("--model.latent") < given.index("--config")  # so that the file has the last word
    assert expand_data(["--data", str(root / "sprites")])[0][-6:-2] == [
        "--data.root",
        str(root / "sprites"),
        "--data.name",
        "sprites",
    ]
