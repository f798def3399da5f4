"""Feature spaces: those that come with vaescope, those that are learned, and networks of the user's own."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from torch import Tensor

from vaescope.cli.evaluate import own_features
from vaescope.data.images import ImageSet, Split
from vaescope.files import cache_folder
from vaescope.metrics import features, neighbour_accuracy
from vaescope.metrics.classifier import Classifier, accuracy, resized, train, turned
from vaescope.metrics.features import WEIGHTS, coloured, default_features, lesson, onnx_features, read_classifier


def own(
    classes: tuple[str, ...] = ("a", "b", "c"), shape: tuple[int, ...] = (3, 10, 12), seed: int = 0, bits: int = 8
) -> ImageSet:
    """Random images whose brightness tells their class."""
    source = torch.Generator().manual_seed(seed)

    def split(count: int) -> Split:
        labels = torch.arange(count) % max(1, len(classes))
        level = (labels + 1).view(-1, 1, 1, 1) * 60 - 60 * torch.rand(count, *shape, generator=source)
        dtype = torch.uint8 if bits == 8 else torch.uint16
        return Split((level * (1 if bits == 8 else 257)).to(dtype), labels if classes else None)

    return ImageSet("My images!", "My images", classes, split(30), split(9), split(9))


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Few steps, and a cache of its own. Returns where features are kept in it."""
    monkeypatch.setattr(features, "STEPS", 8)
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "cache"))
    return cache_folder() / "features"


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_what_comes_with_the_package_is_small_and_carries_its_hash(name: str) -> None:
    path = WEIGHTS / f"{name}.safetensors"
    space = read_classifier(path)
    assert path.stat().st_size <= 300_000
    assert space.name == f"{name}-classifier-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert "of the test images right" in space.note
    assert str(space) == f"features {space.name} (64 numbers, {space.note})"


def test_shipped_features_tell_classes_apart_better_than_pixels(images: ImageSet) -> None:
    space = default_features(images)
    assert space.name.startswith("fashion-mnist-classifier-")
    train, test = images.train, images.test
    assert train.labels is not None
    assert test.labels is not None

    def right(known: Tensor, asked: Tensor) -> float:
        return neighbour_accuracy(known, train.labels, asked, test.labels, 5)  # type: ignore[arg-type]

    pixels = right(train.images.flatten(1).float(), test.images.flatten(1).float())
    found = right(space.of_split(train), space.of_split(test))
    assert found > max(0.8, pixels + 0.05)
    assert space.of_split(test).shape == (len(test), space.dimension)


def test_features_do_not_depend_on_the_company(images: ImageSet) -> None:
    space, greys = default_features(images), images.test.images[:] / 255
    torch.testing.assert_close(space.of(greys)[:3], space.of(greys[:3]), rtol=0, atol=1e-4)
    assert space.of(greys).equal(space.of_split(images.test))


def test_other_images_get_features_of_their_own_which_are_kept(quickly: Path) -> None:
    ticks: list[tuple[int, int]] = []
    first = default_features(own(), lambda *done: ticks.append(done))
    assert first.name.startswith("my-images-classifier-")
    assert "% of the validation images right" in first.note
    assert ticks[-1] == (8, 8)
    kept = list(quickly.iterdir())
    ticks.clear()
    again = default_features(own(), lambda *done: ticks.append(done))
    assert (again.name, again.note, ticks, list(quickly.iterdir())) == (first.name, first.note, [], kept)
    assert default_features(own(seed=1)).name != first.name
    assert len(list(quickly.iterdir())) == 2


@pytest.mark.parametrize("classes", [(), ("only",)])
def test_without_labels_quarter_turns_are_the_classes(classes: tuple[str, ...], quickly: Path) -> None:
    space = default_features(own(classes))
    assert space.name.startswith("my-images-rotations-")
    assert "of the validation quarter turns right" in space.note
    assert space.of(torch.rand(2, 3, 10, 12)).shape == (2, 64)


def test_hidden_labels_are_not_learned_from(quickly: Path) -> None:
    images = own()
    labels = images.train.labels
    assert labels is not None
    some = torch.where(torch.arange(30) < 6, labels, -1)
    learned = lesson(Split(images.train.images, some), 3)
    assert (learned.kind, len(learned.greys)) == ("classifier", 6)
    assert lesson(Split(images.train.images, torch.full((30,), -1)), 3).kind == "rotations"


@pytest.mark.parametrize(("shape", "bits"), [((1, 1, 9), 8), ((2, 40, 20), 8), ((4, 8, 8), 16), ((1, 5, 4), 8)])
def test_every_form_has_features(shape: tuple[int, ...], bits: int, quickly: Path) -> None:
    images = own(shape=shape, bits=bits)
    found = default_features(images).of_split(images.test)
    assert found.shape == (9, 64)
    assert found.isfinite().all()


def test_a_damaged_file_in_the_cache_is_made_anew(quickly: Path) -> None:
    name = default_features(own()).name
    [path] = quickly.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert "holds no features" in refused(read_classifier, path)
    assert default_features(own()).name == name


def test_a_cache_that_cannot_be_written_to_is_told_in_one_line(quickly: Path) -> None:
    quickly.parent.mkdir(parents=True)
    quickly.write_text("a file where a folder should be")
    assert "set VAESCOPE_CACHE" in refused(default_features, own())


def test_training_is_decided_by_its_seed_and_leaves_random_numbers_alone() -> None:
    images = own()
    greys, labels = images.train.images[:] / 255, images.train.labels
    assert labels is not None
    before = torch.random.get_rng_state()
    models = [train(greys, labels, 3, 8, seed) for seed in (0, 0, 1)]
    assert torch.random.get_rng_state().equal(before)
    weights = [model.head.weight for model in models]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


def test_a_classifier_learns() -> None:
    images = own(shape=(1, 12, 12))
    assert images.train.labels is not None
    model = train(images.train.images[:] / 255, images.train.labels, 3, 40)
    assert images.test.labels is not None
    assert accuracy(model, images.test.images[:] / 255, images.test.labels) == 1
    assert isinstance(model, Classifier)
    assert not model.training


def test_four_turns_are_the_image_again() -> None:
    greys = torch.rand(3, 2, 8, 8)
    turns, labels = turned(greys, 8)
    assert labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for turn in range(4):
        assert turns[labels == turn].rot90(4 - turn, (2, 3)).equal(greys)


def test_resizing_keeps_a_constant_and_what_has_the_size() -> None:
    assert resized(torch.full((1, 1, 64, 40), 0.25), 32).allclose(torch.full((1, 1, 32, 32), 0.25))
    greys = torch.rand(1, 1, 16, 16)
    assert resized(greys, 16) is greys


def test_colours() -> None:
    grey, clear = torch.rand(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert coloured(grey, 3).equal(grey.expand(-1, 3, -1, -1))
    assert coloured(torch.cat([grey, clear], 1), 1).equal(torch.ones_like(grey))
    assert coloured(torch.cat([grey, grey, grey, clear + 1], 1), 1).allclose(grey)


def network(path: Path, shape: tuple[Any, ...], kind: int | None = None) -> Path:
    """An ONNX file whose features are the mean of each channel."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    kind = kind or onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=list(range(2, len(shape))), keepdims=1)],
        "means",
        [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info("y", kind, None)],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_network_of_ones_own_is_run_on_resized_images(batch: int | str, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", (batch, 3, 20, 20))
    space = onnx_features("inception-v3", path)
    assert space.inception
    assert space.name == f"inception-v3-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert space.dimension == 3
    greys = torch.rand(7, 1, 1, 1).expand(-1, 1, 28, 28)
    torch.testing.assert_close(space.of(greys), greys[:, :, 0, 0].expand(-1, 3))


def test_only_inception_is_called_so(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", (1, 1, 8, 8))
    assert not onnx_features("inception-v3-mine", path).inception
    assert not onnx_features("dino", path).inception


def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", ("N", 3, 8, 8))
    (tmp_path / "text.onnx").write_text("nothing")
    assert "no such file" in refused(onnx_features, "net", tmp_path / "other.onnx")
    assert "lower-case letters" in refused(onnx_features, "My Net", path)
    assert "onnxruntime can run" in refused(onnx_features, "net", tmp_path / "text.onnx")
    for shape in (("N", 3, "H", "W"), ("N", 5, 8, 8), ("N", 8, 8)):
        assert "it should take float32 images" in refused(onnx_features, "net", network(path, shape))
    assert "tensor(double)" in refused(onnx_features, "net", network(path, ("N", 3, 8, 8), 11))
    assert "give a name and an ONNX file" in refused(own_features, "inception.onnx")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(np.zeros(3).tobytes())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'vaescope[export]'" in refused(onnx_features, "net", tmp_path / "net.onnx")
