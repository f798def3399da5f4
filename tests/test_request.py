"""A request for one's own images: what is picked, what a config file says, and what options say."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from data_helpers import refused
from PIL import Image
from test_config import plain, spelled_out

from vaescope.config import build, parse
from vaescope.data.cache import open_entry
from vaescope.data.own import from_arrays
from vaescope.request import expand_data, of_source, parser, request

MAIN = Path(__file__).parent.parent / "configs" / "main.yaml"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty colour images of 40x36 pixels, for which nothing that is picked is the default."""
    path = tmp_path_factory.mktemp("own") / "photos.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (40, 40, 36, 3), np.uint8))
    return path


@cache
def asked(*words: object) -> dict[str, Any]:
    """The whole config that a request comes to; nothing that is asked about is changed meanwhile."""
    return spelled_out(plain(expand_data([str(word) for word in words])[0]))


def written(folder: Path, text: str) -> Path:
    """A config file."""
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_a_file_that_spells_out_the_defaults_says_nothing_of_ones_own_images(photos: Path) -> None:
    assert asked("--config", MAIN, "--data", photos) == asked("--data", photos)
    assert asked("--config", MAIN, "--data", photos) != asked("--config", MAIN)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("lr: 0.005", "lr: 0.004", "--trainer.optimizer.lr 0.004"),
     ("width: 256", "width: 64", "--model.network MLP --model.network.width 64"),
     ("likelihood: Bernoulli", "likelihood: Laplace", "--model.likelihood Laplace"),
     ("size: null", "size: [8, 16]", "--data.size [8,16]")],
)  # fmt: skip
def test_what_is_changed_in_it_counts(photos: Path, tmp_path: Path, old: str, new: str, words: str) -> None:
    changed = written(tmp_path, MAIN.read_text().replace(old, new))
    assert asked("--config", changed, "--data", photos) == asked("--data", photos, *words.split())


def test_a_file_of_ones_own_counts_as_it_is(photos: Path, tmp_path: Path) -> None:
    own = written(tmp_path, "model:\n  class_path: Flat\n  init_args:\n    latent: 2\ndata:\n  size: [20, 18]\n")
    both = asked("--data", photos, "--model.latent", 2, "--data.size", "[20, 18]")
    assert asked("--config", own, "--data", photos) == both


def test_the_config_of_a_run_on_ones_own_images_counts_as_it_is(photos: Path, tmp_path: Path) -> None:
    before = asked("--data", photos, "--model.latent", 2, "--model.network", "MLP")
    again = written(tmp_path, yaml.safe_dump(before))
    assert asked("--config", again, "--data", photos) == before


def test_a_model_that_is_named_keeps_what_is_picked(photos: Path) -> None:
    ours = asked("--data", photos, "--model", "SemiSupervised")["model"]["init_args"]
    picked = asked("--data", photos)["model"]["init_args"]
    assert {key: ours[key] for key in ("latent", "network", "likelihood")} == {
        key: picked[key] for key in ("latent", "network", "likelihood")
    }


def test_a_folder_may_be_called_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-c", "photos.v2"):
        (tmp_path / name).mkdir()
        for number, value in enumerate((0, 99, 200)):
            Image.new("L", (16, 16), value).save(tmp_path / name / f"{number}.png")
        made = request(*expand_data([f"--data={name}"]))
        assert (made.settings.data.root, made.folder) == (Path(name), Path("runs") / name)


def test_long_images_of_one_size_are_told_so(tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.zeros((9, 20, 300), np.uint8))
    found = expand_data(["--data", str(tmp_path / "long.npy")])[1]
    assert found is not None
    assert found.picks.why[0].startswith("all are 20x300, scaled to cover a square")


def test_why_a_likelihood_was_picked_is_true_of_the_images(photos: Path) -> None:
    found = expand_data(["--data", str(photos), "--data.targets", "binary"])[1]
    assert found is not None
    assert "all pixels are" not in found.picks.why[1]


@pytest.mark.parametrize("words", [("--data.name", "mnist"), ("--data.root=elsewhere",)])
def test_two_places_for_images_are_refused(photos: Path, words: tuple[str, ...]) -> None:
    assert "both say where the images are" in refused(asked, "--data", photos, *words)


def test_the_order_of_options_and_files_does_not_matter(photos: Path) -> None:
    first = asked("--data", photos, "--config", MAIN, "--model.latent", 5)
    assert first == asked("--model.latent=5", f"--config={MAIN}", f"--data={photos}")
    assert first["model"]["init_args"]["latent"] == 5
    assert first["data"]["name"] == "images"


def test_arrays_are_decoded_as_the_config_says(tmp_path: Path) -> None:
    images = from_arrays(np.random.default_rng(1).integers(0, 256, (40, 30, 20), np.uint8))
    own = written(tmp_path, "data:\n  size: [10, 10]\n  fit: pad\n")
    said = plain(of_source(images, ["--config", str(own), "--data.validation", "0.4"])[0])["data"]
    entry = Path(said["root"])  # type: ignore[index]
    form = json.loads((entry / "entry.json").read_text())["form"]
    assert (form["height"], form["width"], form["fit"]) == (10, 10, "pad")
    assert len(np.load(entry / "validation.npy")) > 8


MANY = np.random.default_rng(0).integers(0, 256, (200, 9, 9), dtype=np.uint8)


def test_arrays_are_decoded_as_the_words_say(tmp_path: Path) -> None:
    words = ["--data.validation", "0.4", "--data.size", "8", "--data.cache", str(tmp_path), "--seed", "3"]
    expanded, found = of_source(from_arrays(MANY), words)
    made = parser()
    settings = build(made, parse(made, expanded))
    assert found.survey.count == 200
    assert settings.data.name == "decoded"
    assert settings.data.root.parents[1] == tmp_path
    assert settings.seed == 3
    images = settings.data.load()
    assert images.shape == (1, 8, 8)
    assert abs(len(images.validation) - 80) < 4 * (200 * 0.4 * 0.6) ** 0.5
    assert len(images.train) < 130
    assert open_entry(settings.data.root).shape == (1, 8, 8)


@pytest.mark.parametrize("word", ["--data.validation=2", "--data.fit=foo", "--trainer.epoch=3"])
def test_a_wrong_word_is_refused_before_anything_is_decoded(word: str, tmp_path: Path) -> None:
    key = word[2:].partition("=")[0]
    assert key in refused(of_source, from_arrays(MANY), [word, f"--data.cache={tmp_path}"])
    assert list(tmp_path.iterdir()) == []


def test_a_place_for_sets_that_holds_pictures_is_not_filled_with_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    words = ["--data.root", str(tmp_path)]
    assert f"give --data {tmp_path}" in refused(expand_data, words)
    assert expand_data([*words, "--data.name", "sample"])[0] == [*words, "--data.name", "sample"]


def test_data_are_given_once() -> None:
    assert "given twice" in refused(expand_data, ["--data", "sample", "--data=mnist"])


def test_small_images_are_not_blown_up(tmp_path: Path) -> None:
    for side, size in ((5, [8, 8]), (20, [20, 20]), (300, [64, 64])):
        np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (9, side, side), np.uint8))
        said = plain(expand_data(["--data", str(tmp_path / "x.npy")])[0])["data"]
        assert said["size"] == size  # type: ignore[index]
