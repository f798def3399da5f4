"""Disentanglement: exact where codes are factors, near the floor for noise, blind to what must not matter."""

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch

from vaescope.data.images import ImageSet, Split
from vaescope.data.targets import TARGETS
from vaescope.errors import UsageError
from vaescope.metrics import disentanglement as module
from vaescope.metrics.disentanglement import (
    beta_vae_metric,
    binned,
    dci,
    disentanglement,
    factor_vae_metric,
    focus,
    gap,
    importances,
    mig,
    modularity,
    mutual_information,
    sap,
)
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import InapplicableError, Score
from vaescope.metrics.subject import SplitName, Subject
from vaescope.models import VAE, Flat
from vaescope.nets import MLP

SIZES = (3, 4, 5)
F = len(SIZES)
GRID = np.indices(SIZES).reshape(F, -1).T
FACTORS = np.tile(GRID, (25, 1))
"""Every combination 25 times: factors are exactly independent."""

Draw = np.random.Generator
Array = np.ndarray


def random(seed: int = 0) -> Draw:
    return np.random.default_rng(seed)


def identity(factors: Array, extra: int = 0, seed: int = 0) -> Array:
    """A latent for each factor, with a little noise, and others that are noise."""
    draws = random(seed)
    own = (factors + 0.1 * draws.normal(size=factors.shape)) / factors.max(0)
    return np.concatenate([own, draws.normal(size=(len(factors), extra))], axis=1)


def rotated(codes: Array) -> Array:
    """The same, every latent a mixture of all."""
    return codes @ np.linalg.qr(random(1).normal(size=(codes.shape[1],) * 2))[0]


def mean_mig(codes: Array) -> float:
    return float(mig(codes, FACTORS).mean())


def mean_modularity(codes: Array) -> float:
    return float(modularity(mutual_information(codes, FACTORS)[0]).mean())


def mean_sap(codes: Array) -> float:
    return float(sap(codes, FACTORS, codes, FACTORS).mean())


def of_votes(measure: Callable[..., float]) -> Callable[[Array], float]:
    return lambda codes: measure(codes, FACTORS, codes, FACTORS, random(), 300)


def of_forests(part: Callable[[Array], float]) -> Callable[[Array], float]:
    return lambda codes: part(grown(codes.astype(float).tobytes()))


@cache
def grown(codes: bytes) -> Array:
    """What matters to forests, grown once for the two scores of the same codes."""
    array = np.frombuffer(codes).reshape(len(FACTORS), -1)
    return importances(array, FACTORS, array, FACTORS).each.mean(0)


SCORES: dict[str, Callable[[Array], float]] = {
    "mig": mean_mig,
    "modularity": mean_modularity,
    "sap": mean_sap,
    "factor_vae": of_votes(factor_vae_metric),
    "beta_vae": of_votes(beta_vae_metric),
    "disentanglement": of_forests(lambda importance: focus(importance)[0]),
    "completeness": of_forests(lambda importance: focus(importance.T)[0]),
}
each_score = pytest.mark.parametrize("name", SCORES)


def score(name: str, codes: Array) -> float:
    if name in ("disentanglement", "completeness"):
        pytest.importorskip("sklearn", reason="forests are those of scikit-learn")
    return SCORES[name](codes)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws hold of forests of any size."""
    monkeypatch.setattr(module, "TREES", 3)


# --- exact values


@pytest.mark.parametrize(
    ("importance", "expected"),
    [
        (np.eye(10), 1.0),
        (np.hstack([5 * np.eye(5), 5 * np.eye(5)]), 1 - math.log(2) / math.log(10)),
        (np.vstack([5 * np.eye(5), 5 * np.eye(5)]), 1.0),
        (np.ones((4, 3)), 0.0),
        (np.array([[3.0, 1.0], [0.0, 0.0]]), 1 - (0.25 * math.log(4) + 0.75 * math.log(4 / 3)) / math.log(2)),
        (np.array([[1.0, 0.0], [3.0, 3.0]]), 1 / 7),
        (np.zeros((3, 2)), 0.0),
        (np.ones((3, 1)), 1.0),
    ],
)
def test_focus(importance: Array, expected: float) -> None:
    assert focus(importance)[0] == pytest.approx(expected, abs=1e-12)
    assert focus(7 * importance[::-1])[0] == pytest.approx(expected, abs=1e-12)
    assert focus(importance)[1].shape == (len(importance),)


def test_completeness_counts_latents() -> None:
    twice = np.vstack([5 * np.eye(5), 5 * np.eye(5)])
    assert focus(twice.T)[0] == pytest.approx(0.69897, abs=1e-5)


@pytest.mark.parametrize(
    ("information", "expected"),
    [([2, 0, 0], 1), ([1, 1, 1], 0), ([2, 1, 0], 1 - 1 / 8), ([0, 2, 2], 1 / 2), ([0, 0, 0], 0)],
)
def test_modularity(information: list[float], expected: float) -> None:
    assert modularity(np.array([information], float))[0] == pytest.approx(expected)


def test_a_gap_is_to_the_second_best() -> None:
    np.testing.assert_array_equal(gap(np.array([[1.0, 5.0], [4.0, 0.0], [3.0, 5.0]])), [1, 0])
    np.testing.assert_array_equal(gap(np.array([[2.0, 0.5]])), [2, 0.5])


def test_codes_that_are_the_factors() -> None:
    """Each latent knows all of one factor and, these being independent, nothing of the others."""
    information, entropies = mutual_information(FACTORS, FACTORS)
    np.testing.assert_allclose(entropies, np.log(SIZES))
    np.testing.assert_allclose(information, np.diag(np.log(SIZES)), atol=1e-12)
    np.testing.assert_allclose(mig(FACTORS, FACTORS), 1)
    np.testing.assert_allclose(sap(FACTORS, FACTORS, FACTORS, FACTORS), 1 - 1 / np.array(SIZES))
    assert all(score(name, FACTORS.astype(float)) == pytest.approx(1) for name in SCORES if name != "sap")


def test_codes_that_are_the_factors_twice() -> None:
    """What is known twice has no gap; but each latent is still about one factor."""
    twice = np.hstack([FACTORS, FACTORS]).astype(float)
    assert mean_mig(twice) == pytest.approx(0, abs=1e-12)
    assert mean_sap(twice) == 0
    for name in ("modularity", "factor_vae", "beta_vae"):
        assert score(name, twice) == pytest.approx(1), name


def test_a_little_noise() -> None:
    codes = identity(FACTORS, extra=3)
    assert 0.9 <= mean_mig(codes) <= 1
    assert mean_mig(np.hstack([codes, codes])) == pytest.approx(0, abs=1e-12)


def test_information_is_what_sklearn_finds() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    codes = rotated(identity(FACTORS, extra=2))
    cells = binned(codes)
    assert cells.min() == 0
    assert cells.max() == 19
    found = mutual_information(codes, FACTORS)[0]
    known = [[metrics.mutual_info_score(cell, factor) for factor in FACTORS.T] for cell in cells.T]
    np.testing.assert_allclose(found, known, atol=1e-12)


def test_predictability_is_a_balanced_accuracy() -> None:
    """A latent that says of four images of five that they are of the common class."""
    factor = np.repeat([0, 1], [800, 200])[:, None]
    code = np.concatenate([np.zeros(800), np.repeat([0.0, 1.0], 100)])[:, None]
    np.testing.assert_allclose(sap(code, factor, code, factor), (1 + 1 / 2) / 2)


def test_forests_see_which_latent_is_which_factor() -> None:
    pytest.importorskip("sklearn", reason="forests are those of scikit-learn")
    codes, told = np.hstack([FACTORS[:, ::-1], random().normal(size=FACTORS.shape)]), []
    found = importances(codes, FACTORS, codes[:50], FACTORS[:50], done=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(found.each.sum(1), 1)
    np.testing.assert_allclose(found.each.mean(0), np.vstack([np.eye(3)[::-1], np.zeros((3, 3))]), atol=1e-9)
    assert found.right.shape == (50, 3)
    assert found.right.all()
    assert found.images == len(FACTORS) // 5
    assert told[-1] == (15, 15)


# --- laws


@each_score
def test_noise_is_near_the_floor(name: str) -> None:
    """Of modularity there is none: whatever noise happens to know most of is what it is about."""
    floor, near = {"factor_vae": (1 / F, 0.08), "beta_vae": (1 / F, 0.08), "sap": (0, 0.1)}.get(name, (0, 0.03))
    if name != "modularity":
        assert score(name, random().normal(size=(len(FACTORS), 6))) == pytest.approx(floor, abs=near)


def test_predictability_of_noise_on_other_images() -> None:
    codes, factors = random().normal(size=(20_000, 6)), random(1).integers(0, SIZES, (20_000, F))
    half = slice(0, 10_000), slice(10_000, None)
    assert sap(codes[half[0]], factors[half[0]], codes[half[1]], factors[half[1]]).max() < 0.03


@each_score
def test_rotated_codes_score_lower(name: str) -> None:
    codes = identity(FACTORS, extra=0 if name == "modularity" else 3)
    assert score(name, rotated(codes)) < score(name, codes) - 0.02


@each_score
@pytest.mark.parametrize(
    ("change", "exact"),
    [
        (lambda codes: codes[:, random(3).permutation(codes.shape[1])], True),
        (lambda codes: codes * [-1, 1, -1, 1, 1], False),
        (lambda codes: 8 * codes + 1, True),
    ],
    ids=["order", "sign", "scale of all"],
)
def test_what_must_not_matter(name: str, change: Callable[[Array], Array], exact: bool) -> None:
    """A sign changes to which side of a cut images on it fall, and forests look at latents in an order of their own."""
    codes = rotated(identity(FACTORS, extra=2))
    loose = {"disentanglement": 0.03, "completeness": 0.03, "sap": 0 if exact else 0.02, "beta_vae": 0.02}
    assert score(name, change(codes)) == pytest.approx(score(name, codes), abs=loose.get(name, 0) + 1e-9)


@pytest.mark.parametrize("name", ["mig", "modularity", "sap", "beta_vae", "disentanglement", "completeness"])
def test_the_scale_of_one_latent_does_not_matter(name: str) -> None:
    codes = rotated(identity(FACTORS, extra=2))
    loose = 0.02 if name == "beta_vae" else 1e-9
    assert score(name, codes * [1, 4, 0.25, 2, 0.5]) == pytest.approx(score(name, codes), abs=loose)


@pytest.mark.parametrize("name", ["sap", "disentanglement", "completeness"])
def test_monotone_changes_do_not_matter_to_what_cuts_where_images_are(name: str) -> None:
    codes = identity(FACTORS, extra=2)
    assert score(name, np.sinh(codes)) == pytest.approx(score(name, codes), abs=0.01)
    assert mean_mig(np.exp(5 * codes)) < mean_mig(codes) - 0.1  # equal widths do not follow


def test_latents_that_hardly_vary_cast_no_vote() -> None:
    """A trace of a factor that another latent holds would win every vote of the wrong one."""
    codes = identity(FACTORS)
    traces = 0.01 * np.roll(codes, 1, axis=0)
    traces[:, 0] = 0.01 * FACTORS[:, 0]
    both = np.hstack([codes, traces])
    assert score("factor_vae", both) == score("factor_vae", codes) == 1
    everywhere = np.hstack([identity(FACTORS), np.zeros((len(FACTORS), 2))])
    assert score("factor_vae", everywhere) == 1


@each_score
def test_codes_that_say_nothing(name: str) -> None:
    """All centres equal, as after a collapse."""
    floor = 1 / F if name in ("factor_vae", "beta_vae") else 0
    assert score(name, np.zeros((len(FACTORS), 4))) == pytest.approx(floor, abs=0.01)


@each_score
def test_one_latent(name: str) -> None:
    assert 0 <= score(name, identity(FACTORS)[:, :1]) <= 1


# --- metrics of an evaluation


def images_of(factors: Array, names: tuple[str, ...] = ("a", "b", "c"), known: bool = True) -> ImageSet:
    """Images of 8x8 pixels whose first rows tell the factors."""
    bars = np.zeros((len(factors), 1, 8, 8), np.uint8)
    for f, factor in enumerate(factors.T):
        bars[:, 0, 2 * f : 2 * f + 2] = 255 * (np.arange(8) <= factor[:, None])[:, None]
    splits = {
        name: Split(torch.from_numpy(bars[rows]), factors=torch.from_numpy(factors[rows]) if known else None)
        for name, rows in divided(factors).items()
    }
    return ImageSet("bars", "Bars", (), **splits, factors=names if known else ())  # type: ignore[arg-type]


def divided(factors: Array) -> dict[SplitName, Array]:
    """The places of the images of each split."""
    order = random(5).permutation(len(factors))
    train, validation, test = np.split(order, [6 * len(order) // 10, 7 * len(order) // 10])
    return {"train": train, "validation": validation, "test": test}


def model(latent: int = 4) -> VAE:
    torch.manual_seed(0)
    return Flat(latent, MLP(16, 0, 0))((1, 8, 8)).eval()


def measured(factors: Array, latent: int = 4, seed: int = 0) -> Iterator[Score]:
    subject = Subject(model(latent), TARGETS["binary"](8), images_of(factors), seed=seed)
    for name in ("disentanglement", "dci"):
        for found in METRICS[name].measure(subject):
            assert isinstance(found, Score)
            yield found


def test_the_scores_of_a_model() -> None:
    pytest.importorskip("sklearn", reason="forests are those of scikit-learn")
    found = list(measured(FACTORS))
    names = ["mig", "modularity", "sap", "factor_vae", "beta_vae"]
    assert [s.name for s in found] == [*names, "dci_disentanglement", "dci_completeness", "dci_informativeness"]
    for s in found:
        assert 0 <= s.value <= 1, s.name
        assert s.error is not None, s.name
        assert 0 <= s.error < 0.1, s.name
        assert s.better == "higher"
        assert len(s.title) <= 34
        assert "factors a, b, c" in s.protocol
        assert s.parts or s.name in ("factor_vae", "beta_vae")
        if s.parts and s.name != "dci_disentanglement":  # of latents that count by their importance
            assert np.mean(s.parts) == pytest.approx(s.value), s.name
    again = list(measured(FACTORS))
    assert [s.record() for s in again] == [s.record() for s in found]
    assert [s.value for s in measured(FACTORS, seed=1)][3:] != [s.value for s in found][3:]


def test_the_error_is_how_much_other_images_would_change() -> None:
    """The spread of the scores of images that are drawn anew."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(12):
        draws = random(seed)
        factors = draws.integers(0, SIZES, (800, F))
        mixed = np.hstack([factors, factors + np.roll(factors, 1, axis=1)])
        codes = torch.from_numpy(mixed + 0.6 * draws.normal(size=mixed.shape))
        subject = Subject(model(), TARGETS["binary"](8), images_of(factors))
        subject._codes = {name: codes[torch.from_numpy(rows)] for name, rows in divided(factors).items()}
        for s in module._gaps(subject, module._known(subject)):
            found.setdefault(s.name, []).append((s.value, s.error or 0))
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert 0.5 < errors.mean() / values.std(ddof=1) < 2, name


@pytest.mark.parametrize(("count", "latent"), [(50, 1), (80, 2), (150, 40)])
def test_few_images_and_any_number_of_latents(count: int, latent: int) -> None:
    pytest.importorskip("sklearn", reason="forests are those of scikit-learn")
    found = {s.name: s for s in measured(random().permutation(FACTORS)[:count], latent)}
    assert all(math.isfinite(s.value) for s in found.values())
    assert "mutual information looks up to" in found["mig"].warning


def test_a_factor_that_never_changes_is_left_out() -> None:
    still = FACTORS * [1, 0, 1]
    assert all("factors a, c" in s.protocol for s in measured(still))
    with pytest.raises(InapplicableError, match="fewer than two ground-truth factors"):
        list(measured(still * [1, 0, 0]))


@pytest.mark.parametrize("metric", [disentanglement, dci])
def test_images_without_factors(metric: Callable[[Subject], Iterator[Score]]) -> None:
    subject = Subject(model(), TARGETS["binary"](8), images_of(FACTORS, known=False))
    with pytest.raises(InapplicableError, match="the images have no ground-truth factors"):
        list(metric(subject))


def test_without_scikit_learn_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(extra: str, *modules: str) -> None:
        raise UsageError(f"this needs {extra}")

    monkeypatch.setattr(module, "needed", missing)
    subject = Subject(model(), TARGETS["binary"](8), images_of(FACTORS))
    assert len(list(disentanglement(subject))) == 5
    with pytest.raises(InapplicableError, match="this needs sklearn"):
        list(dci(subject))
