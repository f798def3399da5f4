"""A variational autoencoder as a scikit-learn estimator."""

import copy
import importlib
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused

from vaescope.errors import RunError
from vaescope.families import Categorical, OptimalGaussian, PixelGaussian, PointMass
from vaescope.nets import MLP, Linear

pytest.importorskip("sklearn", reason="scikit-learn is not installed", exc_type=ImportError)

import joblib
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaescope.sklearn import VAEEmbedding

Array = np.ndarray
quick = partial(VAEEmbedding, width=16, max_iter=10, random_state=0)
linear = partial(VAEEmbedding, network="linear", validation_fraction=0, learning_rate=0.02, random_state=0)


@pytest.fixture(scope="module")
def plane() -> Array:
    """Rows near a plane: 300 of them with 5 features, each with its own mean and scale, and the third one constant."""
    source = np.random.default_rng(0)
    rows = source.normal(size=(300, 2)) @ source.normal(size=(2, 5)) + 0.3 * source.normal(size=(300, 5))
    rows[:, 2] = 1
    return rows * [1, 10, 1, 0.01, 1] + [0, -5, 6, 0, 1000]


@pytest.fixture(scope="module")
def flat(plane: Array) -> VAEEmbedding:
    """A linear model of them."""
    return linear(max_iter=400).fit(plane)


@pytest.mark.slow
@parametrize_with_checks([VAEEmbedding(max_iter=20), VAEEmbedding(network="linear", likelihood="laplace", max_iter=20)])
def test_it_is_a_scikit_learn_estimator(estimator: VAEEmbedding, check: Callable[..., None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some checks warn of what they do themselves
        check(estimator)


def solved(rows: Array) -> tuple[Array, Array, Array]:
    """What a singular value decomposition gives of rows: scores, reconstructions, and the scales of the features."""
    scaler = StandardScaler().fit(rows)
    u = scaler.transform(rows)
    exact = PCA(2).fit(u)
    shrunk = exact.transform(u) * (1 - exact.noise_variance_ / exact.explained_variance_)  # by the prior
    back = scaler.inverse_transform(exact.inverse_transform(shrunk))
    return exact.score_samples(u) - np.log(scaler.scale_).sum(), back, scaler.scale_


def test_a_linear_model_is_probabilistic_pca(flat: VAEEmbedding, plane: Array) -> None:
    scores, back, scale = solved(plane)
    assert flat.score(plane) == pytest.approx(scores.mean(), abs=0.02)
    assert np.abs(flat.inverse_transform(flat.transform(plane)) - back).mean(0) / scale == pytest.approx(0, abs=0.05)


@pytest.mark.slow
def test_every_row_of_a_linear_model_scores_as_probabilistic_pca_does(plane: Array) -> None:
    scores, back, scale = solved(plane)
    model = linear(max_iter=2000, samples=1000).fit(plane)
    off = model.score_samples(plane) - scores
    assert off.mean() == pytest.approx(0, abs=0.01)
    # but for the farthest rows, where the bound 8 tanh(m / 8) of a posterior's mean is felt
    assert np.quantile(np.abs(off), 0.98) < 0.1
    assert np.quantile(np.abs(model.inverse_transform(model.transform(plane)) - back) / scale, 0.98) < 0.05


def test_scores_are_in_the_units_of_the_data(plane: Array) -> None:
    """Twice the scale is half the density, for every feature that is not constant."""
    small, large = (quick().fit(rows) for rows in (plane, plane * 2))
    np.testing.assert_allclose(
        large.score_samples(plane[:30] * 2), small.score_samples(plane[:30]) - 4 * np.log(2), atol=1e-3
    )


@pytest.mark.slow
def test_a_density_integrates_to_one() -> None:
    rows = np.random.default_rng(0).exponential(size=(200, 1))
    model = quick(n_components=1, samples=400, max_iter=100).fit(rows)
    grid = np.linspace(-6, 12, 400)[:, None]
    assert np.exp(model.score_samples(grid)).sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1, abs=0.03)


def test_samples_are_like_the_data(flat: VAEEmbedding, plane: Array) -> None:
    new = flat.sample(4000, random_state=0)
    free = [0, 1, 3, 4]
    np.testing.assert_allclose(new[:, free].mean(0), plane[:, free].mean(0), atol=0.15 * plane.std(0)[free].max())
    got, want = (np.corrcoef(rows[:, free].T) for rows in (new, plane))
    np.testing.assert_allclose(got, want, atol=0.1)
    assert (flat.sample(3, random_state=5) == flat.sample(3, random_state=5)).all()
    assert (flat.sample(3) != flat.sample(3)).any()
    assert flat.sample().shape == (1, 5)


def test_what_lies_off_the_data_scores_lower(flat: VAEEmbedding, plane: Array) -> None:
    off = plane[:50] + [4, -40, 0, 0.04, 4] * np.random.default_rng(1).choice([-1, 1], (50, 5))
    assert np.quantile(flat.score_samples(off), 0.9) < np.quantile(flat.score_samples(plane), 0.05)


@pytest.mark.slow
def test_rows_of_low_rank_come_back() -> None:
    source = np.random.default_rng(0)
    rows = source.normal(size=(200, 2)) @ source.normal(size=(2, 8))
    model = linear(max_iter=300).fit(rows)
    assert np.abs(model.inverse_transform(model.transform(rows)) - rows).mean() < 0.05 * rows.std()


@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_a_row_does_not_depend_on_the_others(method: str, plane: Array) -> None:
    look = getattr(quick().fit(plane), method)
    whole = look(plane[:40])
    np.testing.assert_allclose(look(plane[:40][::-1])[::-1], whole, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([look(plane[:3]), look(plane[3:40])]), whole, rtol=1e-12)


def test_random_numbers_come_from_the_seed_alone(plane: Array) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1]
    one = quick().fit(plane)
    one.score(plane[:5])
    one.sample(3, random_state=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    torch.manual_seed(4)
    assert (quick().fit(plane).transform(plane) == one.transform(plane)).all()
    assert (quick(random_state=1).fit(plane).transform(plane) != one.transform(plane)).any()
    first, second = (quick(random_state=None).fit(plane).transform(plane) for _ in range(2))
    assert (first != second).any()


def test_threads_do_not_disturb_one_another(plane: Array) -> None:
    alone = [quick(random_state=seed).fit(plane).score(plane[:5]) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: quick(random_state=seed).fit(plane).score(plane[:5]), range(4)))
    assert together == alone


@pytest.mark.parametrize("kept", ["pickle", "joblib", "deepcopy"])
def test_a_fitted_one_can_be_kept(kept: str, plane: Array) -> None:
    model = quick().fit(plane)
    if kept == "joblib":
        joblib.dump(model, file := BytesIO())
        file.seek(0)
        again = joblib.load(file)  # what this very test wrote
    else:
        again = copy.deepcopy(model) if kept == "deepcopy" else pickle.loads(pickle.dumps(model))  # noqa: S301
    assert (again.transform(plane) == model.transform(plane)).all()
    assert (again.score_samples(plane[:5]) == model.score_samples(plane[:5])).all()


def test_a_clone_has_the_settings_and_nothing_learned(plane: Array) -> None:
    model = quick(network=MLP(width=8), image_shape=(1, 5), likelihood=PixelGaussian).fit(plane)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        twin.transform(plane)


def test_in_a_pipeline_it_serves_a_classifier() -> None:
    digits = load_digits()
    rows, labels = digits.data[:400], digits.target[:400]
    steps = make_pipeline(StandardScaler(), VAEEmbedding(8, max_iter=100, random_state=0), KNeighborsClassifier())
    steps.fit(rows[:300], labels[:300])
    assert steps.score(rows[300:], labels[300:]) > 0.7
    assert steps[:-1].get_feature_names_out()[0] == "vaeembedding0"


def test_a_grid_search_finds_the_number_of_latents(plane: Array) -> None:
    search = GridSearchCV(linear(max_iter=80, samples=5), {"n_components": [1, 2]}, cv=2, refit=False).fit(plane[:120])
    assert search.best_params_ == {"n_components": 2}


def test_tables_come_and_go() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(load_iris().data, columns=["a", "b", "c", "d"], index=range(7, 157))
    model = quick(3).set_output(transform="pandas").fit(table)
    latents = model.transform(table)
    assert list(latents.columns) == ["vaeembedding0", "vaeembedding1", "vaeembedding2"]
    assert list(latents.index) == list(table.index)
    assert list(model.feature_names_in_) == list(table.columns)
    assert model.inverse_transform(latents.to_numpy()).shape == table.shape


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8])
def test_the_precision_of_the_rows_is_kept(kind: type) -> None:
    rows = load_digits().data[:40].astype(kind)
    model = quick().fit(rows)
    want = kind if issubclass(kind, np.floating) else np.float64
    latents = model.transform(rows)
    assert latents.dtype == model.inverse_transform(latents).dtype == want
    assert model.score_samples(rows[:2]).dtype == np.float64


def test_rows_may_be_images() -> None:
    """The pixels of a channel have one scale, so that one which hardly ever changes is not blown up."""
    rows = load_digits().data[:200]
    model = VAEEmbedding(4, network="conv", image_shape=(8, 8), max_iter=30, random_state=0).fit(rows)
    assert model.model_.likelihood.family.shape == (1, 8, 8)
    assert model.mean_ == pytest.approx(np.full(64, rows.mean()))
    assert model.scale_ == pytest.approx(np.full(64, rows.std()))
    back = model.inverse_transform(model.transform(rows))
    assert np.square(back - rows).mean() < 0.8 * rows.var(0).mean()
    two = quick(image_shape=(2, 4, 8)).fit(rows)
    assert two.mean_ == pytest.approx(np.repeat([rows[:, :32].mean(), rows[:, 32:].mean()], 32))


@pytest.mark.slow
def test_values_between_zero_and_one_may_have_a_bernoulli_likelihood() -> None:
    rows = (load_digits().data[:200] > 8).astype(float)
    model = VAEEmbedding(1, likelihood="bernoulli", max_iter=60, random_state=0).fit(rows)
    share = rows.mean(0).clip(0.01, 0.99)
    independent = (rows * np.log(share) + (1 - rows) * np.log(1 - share)).sum(1).mean()
    assert independent < model.score(rows) < 0
    back = model.inverse_transform(model.transform(rows))
    assert back.min() >= 0
    assert back.max() <= 1
    assert "X goes from 0 to 2" in refused(model.score_samples, rows * 2)


@pytest.mark.slow
def test_the_weights_are_those_that_score_best_on_held_out_rows() -> None:
    """Noise that is learned by heart: what is kept comes from before it was."""
    rows = np.random.default_rng(0).normal(size=(60, 10))
    new = np.random.default_rng(1).normal(size=(60, 10))
    last, best = (
        VAEEmbedding(4, validation_fraction=share, max_iter=300, random_state=0).fit(rows).score(new)
        for share in (0, 0.3)
    )
    assert best > last + 1


@pytest.mark.parametrize("network", ["mlp", "linear", Linear()])
def test_very_few_rows_suffice(network: Any) -> None:
    for rows in ([[0.0], [1.0]], [[1.0, 2.0]] * 3):
        assert np.isfinite(quick(network=network, max_iter=50).fit(rows).score(rows))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_components": 0}, "n_components is 0: give a whole number of at least 1"),
        ({"max_iter": 1.5}, "max_iter is 1.5: give a whole number of at least 1"),
        ({"learning_rate": 0}, "learning_rate is 0: give a number from"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0: give a number from 0 to below 1"),
        ({"beta": "1"}, "beta is '1': give a number from 0"),
        ({"network": "cnn"}, "network is 'cnn': give mlp, linear, conv, or"),
        ({"likelihood": "normal"}, "likelihood is 'normal': give gaussian, laplace, bernoulli, or"),
        ({"likelihood": Categorical}, "the likelihood Categorical scores no real numbers"),
        ({"likelihood": PointMass}, "the likelihood PointMass scores no real numbers"),
        ({"likelihood": "bernoulli"}, "the likelihood Bernoulli scores values in [0, 1], but X goes from"),
        ({"device": "tpu"}, "device is 'tpu': give cpu, cuda, or auto"),
        ({"network": "conv"}, "network is 'conv', but rows have no neighbours: give image_shape"),
        ({"image_shape": (2, 2)}, "image_shape is (2, 2): give (H, W) or (C, H, W) whose product is the 5 features"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], told: str, plane: Array) -> None:
    assert told in refused(VAEEmbedding(**settings).fit, plane)


def test_rows_that_do_not_fit_are_refused(flat: VAEEmbedding, plane: Array) -> None:
    with pytest.raises(ValueError, match="contains NaN"):
        quick().fit(np.where(plane > 1000, np.nan, plane))
    with pytest.raises(ValueError, match="has 4 features, but VAEEmbedding is expecting 5"):
        flat.transform(plane[:, :4])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        quick().fit(plane[:1])
    assert refused(flat.inverse_transform, plane) == "X has 5 columns: give the 2 latents of each row"
    assert refused(flat.sample, 0) == "n_samples is 0: give at least 1"


def test_training_that_breaks_down_says_what_to_try(plane: Array) -> None:
    with pytest.raises(RunError, match="give a learning_rate below 1e\\+06"):
        quick(learning_rate=1e6, max_iter=100).fit(plane)


def test_a_scale_that_is_not_learned_by_gradient_serves_too(plane: Array) -> None:
    assert np.isfinite(quick(likelihood=OptimalGaussian).fit(plane).score(plane[:5]))


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vaescope.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("vaescope.sklearn")
    line = str(caught.value)
    assert line.startswith("vaescope.sklearn needs scikit-learn 1.6 or newer")
    assert line.endswith("pip install 'vaescope[sklearn]'")
    assert "\n" not in line


def test_nothing_else_imports_scikit_learn() -> None:
    source = Path(__file__).parent.parent / "src" / "vaescope"
    others = [path for path in source.rglob("*.py") if path != source / "sklearn.py"]
    importing = re.compile(r"^\s*(import|from) (sklearn|vaescope\.sklearn)\b", re.MULTILINE)
    assert not [path.name for path in others if importing.search(path.read_text())]
