"""What codes carry, against exact sums, quadrature and scikit-learn; every kind of model, and data that lack much."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent

from vaescope.data.images import ImageSet, Split
from vaescope.data.targets import TARGETS
from vaescope.distributions import Levels, diagonal_normal
from vaescope.families import (
    CategoricalCodes,
    FullNormal,
    InverseAutoregressive,
    PointMass,
    PowerSpherical,
    VonMisesFisher,
)
from vaescope.metrics import best_probe, fit_probes, nearest, rate_parts, vote, wilson
from vaescope.metrics.carried import collapse, divided, latents
from vaescope.metrics.embeddings import spread
from vaescope.metrics.latents import aggregate_log_prob, divided_rate, single_log_probs
from vaescope.metrics.neighbours import neighbours
from vaescope.metrics.probe import probe
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import InapplicableError, Picture, Score
from vaescope.metrics.subject import FULL, QUICK, Subject
from vaescope.models import VAE, Flat, SemiSupervised, SemiVAE, Site
from vaescope.nets import MLP
from vaescope.objectives import exact_rate, log_ratio
from vaescope.objectives.aggregate import split
from vaescope.priors import CouplingFlow, HypersphericalUniform, NormalMixture, UniformCodes

SMALL = MLP(width=16)
PENALTIES = (1.0, 0.1, 0.01, 1e-3)
GREY = TARGETS["grey"]()


def normals(count: int, latents: int, seed: int = 0) -> Independent:
    """Overlapping normals in double precision."""
    rng = torch.Generator().manual_seed(seed)
    loc = torch.randn(count, latents, generator=rng, dtype=torch.float64)
    return diagonal_normal(loc, 0.2 + torch.rand(count, latents, generator=rng, dtype=torch.float64))


def standard(latents: int) -> Independent:
    """The standard normal in double precision."""
    return diagonal_normal(torch.zeros(latents).double(), torch.ones(latents).double())


def some(q: Independent, part: slice) -> Independent:
    """Some of several normals."""
    return diagonal_normal(q.mean[part], q.stddev[part])


def site(q: Any, p: Any, seed: int = 0) -> Site:
    """A site with a draw of each posterior."""
    torch.manual_seed(seed)
    return Site(p, q, q.sample())


def scores_of(metric: Callable[[Subject], Iterator[Score | Picture]], subject: Subject) -> dict[str, Score]:
    """The scores of a metric by name."""
    found = [finding for finding in metric(subject) if isinstance(finding, Score)]
    scores = {score.name: score for score in found}
    assert len(scores) == len(found)
    assert all(len(score.title) <= 34 for score in found)
    return scores


# The parts of the rate


def test_the_parts_are_the_rate_by_quadrature() -> None:
    """Five posteriors over two latents, and every integral a sum over a fine grid."""
    q, p = normals(5, 2), standard(2)
    axis, step = torch.linspace(-9, 9, 301).double(), 18 / 300
    z = torch.cartesian_prod(axis, axis)
    each = q.log_prob(z[:, None])  # (G, 5)
    joint, single = aggregate_log_prob(z, some(q, slice(0, 2)), some(q, slice(2, 5))), single_log_probs(z, [q])
    weight = each.exp() * step**2 / 5
    information = (weight * (each - joint[:, None])).sum().item()
    correlation = (weight.sum(1) * (joint - single.sum(1))).sum().item()
    single_kl = (weight.sum(1) * (single - p.base_dist.log_prob(z)).T).sum(1)
    rate = exact_rate(Site(p, q, q.mean))
    assert rate is not None
    assert information + correlation + single_kl.sum().item() == pytest.approx(rate.mean().item(), abs=1e-6)
    assert 0 < information < math.log(5)
    assert correlation > 0
    assert single_kl.min() > 0

    many = diagonal_normal(q.mean.repeat(400, 1), q.stddev.repeat(400, 1))
    parts = rate_parts([site(many, p)])
    assert parts.total_correlation is not None
    assert parts.dimension_wise is not None
    error = 5 / math.sqrt(2000)  # of terms that vary by about a nat
    assert parts.mutual_information.mean().item() == pytest.approx(information, abs=error)
    assert parts.total_correlation.mean().item() == pytest.approx(correlation, abs=error)
    assert parts.dimension_wise.mean(0).tolist() == pytest.approx(single_kl.tolist(), abs=error)


@pytest.mark.parametrize("draws", [None, 9])
def test_the_parts_add_up_at_every_draw_however_images_are_parted(draws: int | None) -> None:
    q, p = normals(60, 3), standard(3)
    whole = site(q, p)
    cuts = (slice(0, 7), slice(7, 40), slice(40, 60))
    parts = rate_parts([Site(p, some(q, cut), whole.z[cut]) for cut in cuts], draws)
    assert parts.total_correlation is not None
    assert parts.dimension_wise is not None
    total = parts.mutual_information + parts.total_correlation + parts.dimension_wise.sum(1)
    assert torch.allclose(total, log_ratio(whole)[:draws], atol=1e-9)
    assert torch.allclose(parts.marginal_kl, parts.total_correlation + parts.dimension_wise.sum(1), atol=1e-9)
    other = split(whole)  # the same by another way
    for mine, theirs in zip(
        (parts.mutual_information, parts.total_correlation, parts.dimension_wise.sum(1)),
        (other.mutual_information, other.total_correlation, other.dimension_wise),
        strict=True,
    ):
        assert torch.allclose(mine, theirs[:draws], atol=1e-9)
    assert divided_rate(whole, draws) == pytest.approx(
        (parts.mutual_information.mean().item(), parts.marginal_kl.mean().item())
    )


def test_independent_latents_have_no_total_correlation() -> None:
    """Every value of one latent's posterior meets every value of the other's, so that q(z) is a product."""
    one, two = normals(8, 1, seed=1), normals(6, 1, seed=2)
    pairs = torch.cartesian_prod(torch.arange(8), torch.arange(6))
    q = diagonal_normal(
        torch.cat((one.mean[pairs[:, 0]], two.mean[pairs[:, 1]]), 1),
        torch.cat((one.stddev[pairs[:, 0]], two.stddev[pairs[:, 1]]), 1),
    )
    found = rate_parts([site(q, standard(2))]).total_correlation
    assert found is not None
    assert found.abs().max() < 1e-9


def certain(index: Tensor) -> tuple[Independent, Independent]:
    """Posteriors that are certain of one of two codes for every latent, and the uniform prior over them."""
    values = torch.tensor([-1.0, 1.0]).double()
    logits = torch.full((*index.shape, 2), -40.0).double().scatter(2, index[..., None], 40.0)
    return Independent(Levels(logits, values), 1), Independent(
        Levels(torch.zeros(index.shape[1], 2).double(), values), 1
    )


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ([[0, 0], [0, 1], [1, 0], [1, 1]], (2, 0, 0)),  # every code once
        ([[0, 0], [1, 1]] * 2, (1, 1, 0)),  # one latent says what the other does
        ([[0, 0]] * 4, (0, 0, 2)),  # all the same
    ],
)
def test_codes_by_hand_in_bits(index: list[list[int]], expected: tuple[int, int, int]) -> None:
    q, p = certain(torch.tensor(index))
    parts = rate_parts([site(q, p)])
    assert parts.total_correlation is not None
    assert parts.dimension_wise is not None
    found = (parts.mutual_information, parts.total_correlation, parts.dimension_wise.sum(1))
    assert [part.mean().item() / math.log(2) for part in found] == pytest.approx(expected, abs=1e-9)


def test_what_has_no_meaning_is_left_out() -> None:
    torch.manual_seed(0)
    q = normals(20, 2)
    full = torch.distributions.MultivariateNormal(q.mean, q.variance.diag_embed(), validate_args=False)
    parts = rate_parts([site(full, standard(2))])
    assert parts.total_correlation is None
    assert parts.dimension_wise is None
    parts = rate_parts([site(q, NormalMixture(2).double()())])
    assert parts.total_correlation is not None
    assert parts.dimension_wise is None


def test_a_ceiling_and_a_collapse_are_told() -> None:
    apart = diagonal_normal(100.0 * torch.arange(50).double()[:, None], torch.ones(50, 1).double())
    found = {score.name: score for score in divided(rate_parts([site(apart, standard(1))]), 50, "")}
    assert found["mutual_information"].value == pytest.approx(math.log(50))
    assert "ceiling" in found["mutual_information"].warning
    assert "log 50 = 3.91 nats" in found["mutual_information"].protocol
    same = diagonal_normal(torch.zeros(50, 2).double(), torch.ones(50, 2).double())
    found = {score.name: score for score in divided(rate_parts([site(same, standard(2))]), 50, "")}
    assert [score.value for score in found.values()] == pytest.approx([0] * 4, abs=1e-12)
    assert "collapsed" in found["mutual_information"].warning
    assert collapse(5, 32) == ""
    assert collapse(1, 2) == ""
    assert collapse(0, 1) == collapse(0, 8) != ""
    assert "only 1 of 16 latents is active" in collapse(1, 16)


# Probes and votes


def blobs(seed: int, count: int = 900, dims: int = 5, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Overlapping clouds of points around the same centres, of unequal scale, with a constant last dimension."""
    centres = np.random.default_rng(0).normal(size=(classes, dims))
    source = np.random.default_rng(seed)
    labels = source.integers(0, classes, count)
    points = (centres[labels] + source.normal(size=(count, dims))) * np.arange(1, dims + 1) + 3
    points[:, -1] = 7
    return torch.from_numpy(points).float(), torch.from_numpy(labels) + 2


def test_a_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is the judge here")
    (x, y), (asked, answers) = blobs(1), blobs(2)
    for found in fit_probes(x, y, PENALTIES):
        judge = linear.LogisticRegression(C=1 / (len(x) * found.penalty), tol=1e-8, max_iter=2000)
        mean, scale = x.mean(0).double().numpy(), x.double().std(0, unbiased=False).numpy()
        scale[scale == 0] = 1
        judge.fit((x.numpy() - mean) / scale, y)
        logs = judge.predict_log_proba((x.numpy() - mean) / scale)
        loss = -logs[np.arange(len(y)), y - 2].mean() + found.penalty / 2 * (judge.coef_**2).sum()
        assert found.loss == pytest.approx(loss, abs=1e-4)
        right = (found(asked) == answers).double().mean().item()
        assert right == pytest.approx(judge.score((asked.numpy() - mean) / scale, answers), abs=0.003)


def test_a_probe_of_pixels_is_solved(images: ImageSet) -> None:
    """More pixels than images, and classes that a plane divides: the hardest case."""
    x, y = images.train.images.flatten(1).float(), images.train.labels
    assert y is not None
    losses = []
    for found in fit_probes(x, y, PENALTIES):
        losses.append(found.loss)
        assert found.slope**2 <= 2e-4 * found.penalty
    assert losses == sorted(losses, reverse=True)
    assert (found(x) == y).all()


def test_labels_that_only_the_test_images_have_are_never_guessed() -> None:
    x, y = blobs(1)
    known = y < 5
    found = best_probe(x[known], y[known], x, y)
    assert set(found(x).tolist()) <= {2, 3, 4}


def test_neighbours_are_those_of_scikit_learn() -> None:
    library = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is the judge here")
    (x, y), (asked, _) = blobs(1), blobs(2, count=1100)
    expected = library.NearestNeighbors(n_neighbors=7).fit(x).kneighbors(asked, return_distance=False)
    assert np.array_equal(nearest(x.split(100), asked, 7).numpy(), expected)
    assert np.array_equal(nearest([x], asked + 0, 7).numpy(), expected)
    judge = library.KNeighborsClassifier(7).fit(x, y)
    assert np.array_equal(vote(x.split(5), y, asked, 7).numpy(), judge.predict(asked))


def test_there_are_no_more_neighbours_than_points() -> None:
    x, y = blobs(1, count=4)
    assert nearest(x.split(3), x, 10).shape == (4, 4)
    assert vote([x], y, x, 1).tolist() == y.tolist()


@pytest.mark.parametrize(("right", "count"), [(0, 10), (10, 10), (812, 1000), (1, 2)])
def test_the_interval_is_that_of_scipy(right: int, count: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the judge here")
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_some_of_many_are_evenly_spread() -> None:
    assert spread(10, 4).tolist() == [0, 2, 5, 7]
    assert spread(3, 5).tolist() == [0, 1, 2]


# The metrics


def made(
    labels: tuple[Tensor | None, Tensor | None], classes: int = 3, shape: tuple[int, int, int] = (1, 8, 8)
) -> ImageSet:
    """Random images with these labels for training, and for validation and test."""
    source = torch.Generator().manual_seed(0)

    def part(known: Tensor | None, count: int) -> Split:
        return Split(torch.randint(0, 256, (count, *shape), generator=source, dtype=torch.uint8), known)

    counts = [20 if known is None else len(known) for known in labels]
    held = part(labels[1], counts[1])
    return ImageSet("own", "Own", tuple("abc"[:classes]), part(labels[0], counts[0]), held, held)


KINDS: dict[str, dict[str, Any]] = {
    "normal": {},
    "mixture": {"prior": NormalMixture},
    "flow": {"prior": CouplingFlow},
    "codes": {"posterior": CategoricalCodes, "prior": UniformCodes},
    "sphere": {"posterior": PowerSpherical, "prior": HypersphericalUniform},
    "von Mises": {"posterior": VonMisesFisher, "prior": HypersphericalUniform},
    "full": {"posterior": FullNormal},
    "autoregressive": {"posterior": InverseAutoregressive},
    "point": {"posterior": PointMass},
    "labels": {"labels": True},
}
DIVIDED = {"mutual_information", "marginal_kl", "total_correlation", "dimension_wise_kl", "kl_per_latent"}
UNDIVIDED, UNEVEN = {"kl_per_latent", "dimension_wise_kl", "total_correlation"}, {"kl_per_latent", "dimension_wise_kl"}
LEFT_OUT = {
    "mixture": UNEVEN, "flow": UNEVEN,
    "sphere": UNDIVIDED, "von Mises": UNDIVIDED, "full": UNDIVIDED, "autoregressive": UNDIVIDED,
}  # fmt: skip


def model_of(kind: str) -> VAE:
    """A small model of 8x8 images in three classes."""
    torch.manual_seed(0)
    if kind == "semi":
        return SemiSupervised(latent=3, network=SMALL, classifier=SMALL)((1, 8, 8), 3).eval()
    return Flat(latent=3, network=SMALL, **KINDS[kind])((1, 8, 8), 3).eval()


@pytest.mark.parametrize("kind", [*KINDS, "semi"])
def test_every_kind_of_model(kind: str) -> None:
    images = made((torch.arange(60) % 3, torch.arange(40) % 3))
    subject = Subject(model_of(kind), TARGETS["binary"](), images, QUICK)
    if kind == "point":
        with pytest.raises(InapplicableError, match="point mass"):
            list(latents(subject))
    else:
        found = scores_of(latents, subject)
        parts = DIVIDED - LEFT_OUT.get(kind, set())
        extra = set() if kind in ("sphere", "von Mises") else {"active_units"}
        assert found.keys() == parts | extra | ({"codes_used", "perplexity"} if kind == "codes" else set())
        assert all(math.isfinite(score.value) for score in found.values())
        if kind in ("normal", "codes", "labels", "semi"):
            total = sum(found[name].value for name in ("mutual_information", "total_correlation", "dimension_wise_kl"))
            error = sum((found[name].error or 0) for name in ("mutual_information", "marginal_kl"))
            assert total == pytest.approx(found["kl_per_latent"].value, abs=5 * error + 1e-6)
            assert sum(found["kl_per_latent"].parts) == pytest.approx(found["kl_per_latent"].value)
            assert sum(found["dimension_wise_kl"].parts) == pytest.approx(found["dimension_wise_kl"].value)
    for metric, name in ((probe, "probe"), (neighbours, "neighbours")):
        found = scores_of(metric, subject)
        classifier = {"classifier"} if kind == "semi" and name == "probe" else set()
        assert found.keys() == {name, f"{name}_pca", f"{name}_pixels"} | classifier
        assert found[f"{name}_pca"].title.endswith("PCA, 3 components")
        assert {score.of_data for score in found.values()} == {True, False}
        assert ("told the labels" in found[name].warning) == (kind == "labels")
        for score in found.values():
            assert score.each is not None
            assert set(score.each.tolist()) <= {0, 1}
            assert score.interval is not None
            assert score.interval[0] <= score.value <= score.interval[1]


def test_codes_of_a_model_that_guesses_labels_are_not_told_them() -> None:
    model, images = model_of("semi"), made((torch.arange(60) % 3, torch.arange(40) % 3))
    assert isinstance(model, SemiVAE)
    shuffled = replace(
        images,
        test=Split(images.test.images, images.test.labels.flip(0) if images.test.labels is not None else None),
    )
    told, other = (scores_of(probe, Subject(model, GREY, which, QUICK)) for which in (images, shuffled))
    truth = images.test.labels
    assert truth is not None
    both = truth == truth.flip(0)  # where labels are the same in both, so is what was guessed
    assert told["probe"].each is not None
    assert other["probe"].each is not None
    assert np.array_equal(told["probe"].each[both.numpy()], other["probe"].each[both.numpy()])


def plain(images: ImageSet) -> Subject:
    """A model of one latent for some images."""
    torch.manual_seed(0)
    return Subject(Flat(latent=1, network=SMALL)(images.shape).eval(), GREY, images, FULL)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ((None, None), "no labels"),
        ((torch.arange(20) % 3, None), "no labels"),
        ((torch.arange(20) % 3, torch.arange(9) % 3 - 1), "not known"),
        ((torch.zeros(20).long(), torch.arange(9) % 3), "one class"),
    ],
)
def test_without_labels_nothing_is_told_of_them(labels: tuple[Tensor | None, Tensor | None], reason: str) -> None:
    for metric in (probe, neighbours):
        with pytest.raises(InapplicableError, match=reason):
            list(metric(plain(made(labels))))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64)])
def test_few_images_of_any_size_and_a_class_that_is_missing(shape: tuple[int, int, int]) -> None:
    images = made((torch.arange(7) % 3, torch.arange(5) % 2), shape=shape)
    subject = plain(images)
    for metric in (latents, probe, neighbours):
        for score in scores_of(metric, subject).values():
            assert math.isfinite(score.value)
    train = made((torch.arange(7) % 2, torch.arange(5) % 3), shape=shape)  # and one that only test images have
    found = scores_of(probe, plain(train))["probe"].each
    assert found is not None
    assert not found[2]


def test_images_that_are_all_the_same_are_no_trouble() -> None:
    images = made((torch.arange(12) % 3, torch.arange(6) % 3))
    for each in images.splits.values():
        assert isinstance(each.images, Tensor)
        each.images.fill_(9)
    for metric in (latents, probe, neighbours):
        found = scores_of(metric, plain(images))
        assert all(math.isfinite(score.value) for score in found.values())
    assert found["neighbours"].value == pytest.approx(1 / 3)


def test_what_is_measured_is_in_the_list() -> None:
    assert METRICS["reconstruction"].group == "Reconstruction"
    assert {name for name, metric in METRICS.items() if metric.group == "Representation"} == {
        "latents", "probe", "neighbours",
    }  # fmt: skip
