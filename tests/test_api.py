"""vaescope from Python: the same runs and the same answers as from the shell."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import refused
from PIL import Image

import vaescope as vs
from vaescope.cli import main
from vaescope.data.dataset import ImageData
from vaescope.data.images import ImageSet
from vaescope.metrics import negative_elbo
from vaescope.models import Flat, SemiSupervised
from vaescope.nets import MLP
from vaescope.run import Run

QUICK = {
    "trainer.steps": 20,
    "figures.frames": 0,
    "figures.grid": 3,
    "figures.samples": 4,
    "figures.explorer": False,
    "model.network.width": 16,
}
SMALL = MLP(width=16, encoder_blocks=1, decoder_blocks=1)


@pytest.fixture(scope="module")
def arrays(images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """The images of the sample with channels last, and their labels."""
    assert images.train.labels is not None
    return images.train.images[:].numpy().transpose(0, 2, 3, 1), images.train.labels.numpy()


@pytest.fixture(scope="module")
def run(arrays: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on arrays. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("api") / "run"
    return vs.train(*arrays, latent=3, epochs=2, seed=1, keys=QUICK, out=folder, verbose=False)


def test_what_is_asked_for_is_what_is_trained(run: Run) -> None:
    settings = run.config
    assert (settings.model.latent, settings.trainer.epochs, settings.seed) == (3, 2, 1)  # type: ignore[attr-defined]
    assert (settings.trainer.steps, run.shape, len(run.classes)) == (20, (1, 28, 28), 10)
    assert settings.data.targets == "grey"
    assert (run.folder / "figures" / "latent_space.png").exists()


def test_answers_are_arrays_of_the_shapes_that_they_are_said_to_have(
    run: Run, arrays: tuple[np.ndarray, np.ndarray]
) -> None:
    x = arrays[0][:7]
    z = run.encode(x)
    assert z.shape == (7, 3)
    assert run.decode(z).shape == run.reconstruct(x).shape == (7, 1, 28, 28)
    assert np.allclose(run.decode(z), run.reconstruct(x), atol=1e-5)
    assert run.sample(5, temperature=0.5).shape == (5, 1, 28, 28)
    assert not np.array_equal(run.sample(5, seed=1), run.sample(5, seed=2))
    assert 0 <= run.decode(z).min() <= run.decode(z).max() <= 1
    bound = run.log_likelihood(x, samples=20)
    assert bound.shape == (7,)
    assert (run.log_likelihood(x, samples=1).mean() - 1) < bound.mean()


def test_images_may_come_in_any_form(run: Run, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x = arrays[0][:6]
    z = run.encode(x)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "folder").mkdir()
    for i, image in enumerate(x):
        Image.fromarray(image[..., 0]).save(tmp_path / "folder" / f"{i}.png")
    forms = [x[..., 0], x.transpose(0, 3, 1, 2), x / 255, torch.from_numpy(x), x.astype(np.uint16) * 257,
             x.repeat(3, axis=-1), tmp_path / "x.npy", str(tmp_path / "folder")]  # fmt: skip
    for form in forms:
        assert np.allclose(run.encode(form), z, atol=1e-5)
    assert np.allclose(run.encode(x[3:4]), z[3:4], atol=1e-5)  # nor does it matter what else is asked about


def test_a_run_is_the_same_another_day_and_from_the_shell(
    run: Run, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    again = vs.load(str(run.folder))
    assert np.array_equal(again.encode(arrays[0][:9]), run.encode(arrays[0][:9]))
    np.savez(tmp_path / "x.npz", images=arrays[0][:9], labels=arrays[1][:9])
    assert main(["encode", str(run.folder), str(tmp_path / "x.npz"), "-o", str(tmp_path / "z.npz")]) == 0
    table = np.load(tmp_path / "z.npz")
    assert np.allclose(table["mean"], run.encode(arrays[0][:9]), atol=1e-6)
    assert (table["label"] == np.unique(arrays[1][:9], return_inverse=True)[1]).all()
    assert main(["encode", str(run.folder), "-o", str(tmp_path / "test.npz")]) == 0
    scored = run.config.data.load().test
    score = negative_elbo(run.model, run.target.alone(scored.images)).negative_elbo
    assert np.load(tmp_path / "test.npz")["elbo"].mean() == pytest.approx(-score, rel=0.01)  # type: ignore[operator]


def test_a_run_says_what_it_is_in_a_line(run: Run) -> None:
    assert repr(run).startswith(f"Run({str(run.folder)!r}: 3 latents of 1x28x28 images, step 20, loss ")
    assert "\n" not in repr(run)


def test_a_run_without_its_images_still_takes_others(
    run: Run, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = run.config.data.root
    gone = replace(run, config=replace(run.config, data=replace(run.config.data, root=tmp_path / entry.name)))
    assert "decoded into" in refused(gone.redraw)
    elsewhere = replace(run.config.data, name="images", root=Path("photos"))
    monkeypatch.chdir(tmp_path)
    moved = replace(run, config=replace(run.config, data=elsewhere))
    assert f"data.root is photos, which does not exist in {tmp_path}" in refused(moved.redraw)
    for left in (gone, moved):
        assert np.array_equal(left.encode(arrays[0][:2]), run.encode(arrays[0][:2]))
    assert "config.yaml --data PATH_OF_THE_IMAGES`" in (run.folder / "README.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_model_with_labels_is_asked_with_labels(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    names = np.array([f"kind {label}" for label in arrays[1]])
    keys = {**QUICK, "model.labels": True}
    run = vs.train(arrays[0], names, latent=2, keys=keys, out=tmp_path / "run", verbose=False)
    one = run.encode(arrays[0][:4], names[:4])
    assert one.shape == (4, 2)
    assert not np.allclose(one, run.encode(arrays[0][:4], ["kind 3"] * 4), atol=1e-4)
    z = np.zeros((2, 2))
    assert np.array_equal(run.decode(z, ["kind 3", "Kind 7"]), run.decode(z, [3, 7]))
    assert run.sample(3, label="Kind 7").shape == (3, 1, 28, 28)
    assert "--label" in refused(run.encode, arrays[0][:4])
    assert "did you mean kind" in refused(run.encode, arrays[0][:4], ["kindd 3"] * 4)


def test_a_class_is_the_one_that_is_called_so(run: Run) -> None:
    run = replace(run, model=Flat(latent=2, labels=True)(run.shape, 4))
    letters = replace(run, classes=("A", "B", "a", "b"))
    assert [letters.class_number(name) for name in "ABab3"] == [0, 1, 2, 3, 3]
    tens = replace(run, classes=("10", "20", "30"))
    assert tens.class_number("20") == 1
    assert "there is no class 1 " in refused(tens.class_number, "1")  # and not the one with the second place


def test_labels_that_are_given_are_scored_with_the_image(run: Run, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    """By a model that classifies: the sum of p(x, y) over all labels is p(x)."""
    semi = SemiSupervised(latent=2, network=SMALL, classifier=SMALL)(run.shape, 2).eval()
    run = replace(run, model=semi, classes=("no", "yes"), config=replace(run.config, data=ImageData(targets="binary")))
    x = arrays[0][:4]
    joint = [run.log_likelihood(x, [label] * 4, samples=2000) for label in run.classes]
    assert np.logaddexp(*joint) == pytest.approx(run.log_likelihood(x, samples=2000), abs=0.2)
    assert "did you mean yes?" in refused(run.encode, x, ["yess"] * 4)


def test_labels_that_say_nothing_to_a_model_are_refused(run: Run, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    assert "knows no labels" in refused(run.encode, arrays[0][:4], arrays[1][:4])


def test_a_run_is_not_asked_about_images_that_became_others(run: Run) -> None:
    for other, what in ({"classes": ("a", "b")}, "other classes"), ({"shape": (1, 14, 56)}, "another shape"):
        changed = replace(run, **other)  # type: ignore[arg-type]
        assert what in refused(next, changed.test_images())
        assert what in refused(changed.redraw)


@pytest.mark.usefixtures("undrawn")
def test_keys_and_paths_may_be_of_any_kind(
    arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", arrays[0])
    keys = QUICK | {"data.cache": tmp_path / "cache", "trainer.steps": np.int64(2), "data.size": (14, np.int64(14))}
    vs.train("~/x.npy", latent=np.int64(3), keys=keys, out="~/run", verbose=False)  # type: ignore[arg-type]
    found = vs.load("~/run")
    assert (found.folder, found.shape, found.config.data.cache) == (tmp_path / "run", (1, 14, 14), tmp_path / "cache")


def test_mistakes_are_one_line_and_leave_nothing(
    arrays: tuple[np.ndarray, np.ndarray], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = arrays[0]
    for given, named, said in (
        ((x[0, :, 0, 0],), {}, "dimension"),
        ((x.astype(float),), {}, "divide them by 255"),
        ((x,), {"labels": arrays[1][:5]}, "5 labels for 200 images"),
        ((x,), {"keys": {"trainer.epoch": 3}}, "trainer.epochs"),
        ((x,), {"keys": {"model.network": "Convv"}}, "did you mean Conv?"),
        ((x,), {"latent": 0}, "at least 1"),
        ((x,), {"keys": {"model.prior": object()}}, "model.prior is object"),
        (("photos",), {}, "photos"),
        ((x.reshape(len(x), -1),), {}, "rows of pixels"),
        ((x,), {"labels": {"train": arrays[1]}}, "labels of 'train' without"),
        (({"train": x},), {"labels": arrays[1]}, "labels without"),
        (("sample",), {"labels": [1]}, "go with arrays"),
        ((x,), {"out": run.folder}, "exists already"),
    ):
        assert said in refused(vs.train, *given, verbose=False, **named)  # type: ignore[arg-type]
    assert "no run folder" in refused(vs.load, tmp_path)
    assert "200 rows of pixels: reshape(-1, 1, 28, 28)" in refused(run.encode, x.reshape(len(x), -1))
    for z in (np.zeros((2, 4)), np.zeros((0, 3)), [[1, 2, 3], [1]], "latents"):
        assert "(N, 3)" in refused(run.decode, z)
    assert list(tmp_path.iterdir()) == []


def test_importing_vaescope_imports_nothing_heavy() -> None:
    code = (
        "import sys, vaescope; print(*(m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules), dir(vaescope))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("['Any'")  # no name before the list
    assert "'train'" in said
    with pytest.raises(AttributeError, match="trian"):
        vs.trian  # noqa: B018
