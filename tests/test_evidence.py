"""Likelihoods by importance weighting against exact ones, what says how tight they are, and what stands beside them."""

import copy
import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from data_helpers import FASHION, needs
from exact_models import LinearPosterior, Quadrature, linear_case, linear_model
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet, Split, load
from vaescope.data.targets import TARGETS, Target, irreducible_entropy
from vaescope.families import Bernoulli, Categorical, DiagonalNormal, DiscretisedLogistic, Gaussian, PointMass
from vaescope.metrics import importance_bound, importance_weights, weighing
from vaescope.metrics.bound import evidence, latent_rates
from vaescope.metrics.densities import divided, softplus_sum
from vaescope.metrics.floors import cross_entropy, floors, smoothed_histogram, smoothed_mean
from vaescope.metrics.importance import Weights, sums_of, together, weighed
from vaescope.metrics.likelihood import binarisation, iwae, loose, median_score, over_draws
from vaescope.metrics.score import InapplicableError, Score, mean_score, student
from vaescope.metrics.shown import shown
from vaescope.metrics.subject import Effort, Subject
from vaescope.models import VAE, Flat, SemiSupervised, aside, draw, given
from vaescope.nets import MLP, Conv, Linear
from vaescope.objectives import log_mean_exp, log_weight
from vaescope.priors import CouplingFlow, NormalMixture, StandardNormal, VampPrior

SHAPE = (1, 6, 7)


class Exact(LinearPosterior):
    """The exact posterior, as a part of a model."""

    family = DiagonalNormal((2,))


class Standard(nn.Module):
    """The prior as the posterior, of one latent."""

    family = DiagonalNormal((1,))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return StandardNormal(1).double()().expand((len(x),))


def unit() -> VAE:
    """z ~ N(0, 1), x ~ N(z, 1), with the prior as the posterior: log p(1) = -1.5155121235."""
    one = torch.ones(1, 1).double()
    model = linear_model(one, torch.zeros(1).double(), 1.0)
    return VAE(model.prior, Standard(), model.likelihood)  # type: ignore[arg-type]


def made(kind: str) -> tuple[VAE, Tensor | None]:
    """A model of some kind with larger weights than at its start, and the labels of four images."""
    torch.manual_seed(0)
    kinds: dict[str, Callable[[], VAE]] = {
        "mlp": lambda: Flat(3, MLP(16))(SHAPE),
        "relu": lambda: Flat(3, MLP(16, activation="relu", norm="layer"))(SHAPE),
        "conv": lambda: Flat(3, Conv(4, hidden=8))(SHAPE),
        "linear": lambda: Flat(3, Linear())(SHAPE),
        "labels": lambda: Flat(3, MLP(16), labels=True)(SHAPE, 4),
        "conv labels": lambda: Flat(3, Conv(4, hidden=8), labels=True)(SHAPE, 4),
        "semi": lambda: SemiSupervised(3, MLP(16), classifier=MLP(8))(SHAPE, 4),
        "mixture": lambda: Flat(3, MLP(16), prior=lambda d: NormalMixture(d, 5))(SHAPE),
        "vamp": lambda: Flat(3, MLP(16), prior=lambda d: VampPrior(d, 5))(SHAPE),
        "flow": lambda: Flat(3, MLP(16), prior=lambda d: CouplingFlow(d, 2, 8))(SHAPE),
        "logistic": lambda: Flat(3, MLP(16), likelihood=DiscretisedLogistic)(SHAPE),
        "gaussian": lambda: Flat(3, MLP(16), likelihood=Gaussian)(SHAPE),
    }
    model = kinds[kind]().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "posterior" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    labels = None if model.classes == 0 else torch.tensor([2, 0, 3, -1 if kind == "semi" else 1])
    return model, labels


BINARY = ("mlp", "relu", "conv", "linear", "labels", "conv labels", "semi", "mixture", "vamp", "flow")
KINDS = (*BINARY, "logistic", "gaussian")


def four(model: VAE, labels: Tensor | None) -> Examples:
    binary = torch.randint(2, (4, *SHAPE), generator=torch.Generator().manual_seed(1)).float()
    return Examples(binary, model.context(labels))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_the_distributions(kind: str) -> None:
    model, labels = made(kind)
    x = four(model, labels)
    with aside(model, 0):
        expected = log_weight(model(x.values, x.context, draw(50)), x.values)
    with aside(model, 0):
        found = weighing(model, x.values, x.context)(draw(50))
    assert found.shape == (50, 4)
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "conv", "mixture"])
def test_weights_of_one_draw_and_of_several_axes_of_draws(kind: str) -> None:
    model, labels = made(kind)
    x = four(model, labels)
    z = torch.randn(2, 5, 4, 3)
    with torch.no_grad():
        weights = weighing(model, x.values)
        assert weights(given(z)).shape == (2, 5, 4)
        assert torch.allclose(weights(given(z))[1, 3], weights(given(z[1, 3])), atol=1e-4)


def test_which_decoders_end_in_a_linear_layer() -> None:
    assert [divided(made(kind)[0].likelihood.net)[1] is None for kind in ("mlp", "linear", "conv")] == [
        False,
        False,
        True,
    ]
    trunk, last = divided(nn.Sequential(nn.Linear(2, 3), nn.Unflatten(-1, (1, 1, 3))))
    z = torch.randn(5, 2)
    assert last is not None
    assert torch.equal(trunk(z), z)
    assert divided(nn.Linear(2, 2))[1] is None


@pytest.mark.parametrize("pixels", [1, 3, 4, 5, 6, 784])
@pytest.mark.parametrize("scale", [0.1, 5.0, 30.0, 300.0])
def test_the_sum_of_softplus_is_right_however_large_the_logits_are(pixels: int, scale: float) -> None:
    logits = scale * torch.randn(pixels, 9, generator=torch.Generator().manual_seed(pixels))
    expected = torch.logaddexp(logits.double(), torch.zeros(()).double()).sum(0)
    assert torch.allclose(softplus_sum(logits.clone).double(), expected, rtol=1e-6, atol=1e-5)
    assert torch.allclose(softplus_sum(lambda: logits.T.clone().T).double(), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 7, 2000])
def test_at_the_exact_posterior_all_weights_are_the_likelihood(samples: int) -> None:
    model, x, exact = linear_case()
    posterior = Exact(model.likelihood.net[0].weight.detach(), model.likelihood.net[0].bias.detach(), 0.7)
    found = importance_weights(VAE(model.prior, posterior, model.likelihood), Examples(x[:20]), samples)  # type: ignore[arg-type]
    assert torch.allclose(found.bound, exact[:20], atol=1e-9)
    assert torch.allclose(found.elbo, exact[:20], atol=1e-9)
    assert torch.allclose(found.ess, torch.full((20,), float(samples)).double(), rtol=1e-9)


@pytest.mark.parametrize(("samples", "expected"), [(1, -1.9189385332), (2, -1.6534737866)])
def test_the_bound_has_the_mean_it_has_exactly(samples: int, expected: float) -> None:
    many = Examples(torch.ones(40_000, 1, 1, 1).double())
    found = importance_weights(unit(), many, samples, images=1000)
    assert abs(found.bound.mean() - expected) < 3 * found.bound.std() / 200
    assert abs(found.elbo.mean() + 1.9189385332) < 3 * found.elbo.std() / 200


def test_the_bound_is_too_low_by_what_the_effective_sample_size_says() -> None:
    samples, log_p = 100, -1.5155121235
    found = importance_weights(unit(), Examples(torch.ones(4000, 1, 1, 1).double()), samples)
    gap, error = log_p - found.bound.mean(), found.bound.std() / math.sqrt(4000)
    assert abs(gap - 0.1820587524 / samples) < 3 * error + 1e-4
    said = ((1 / found.ess - 1 / samples) / 2).mean()
    assert abs(said - 0.1820587524 / samples) < 2e-4


def test_the_likelihood_of_every_image_is_that_of_quadrature() -> None:
    case = Quadrature()
    found = importance_weights(case.model(), Examples(case.images()), samples=1000, images=256)
    error = (1 / found.ess - 1 / 1000).sqrt()  # of the logarithm of a mean
    distance = (found.bound - case.log_likelihood()) / error
    assert distance.abs().max() < 4.5
    assert 0.85 < distance.square().mean() < 1.15
    assert found.bound.logsumexp(0).exp().item() == pytest.approx(1, abs=6e-3)
    assert (found.bound[[0, 255]] + 6.63554857).abs().max() < 3 * error[[0, 255]].max()


def test_what_is_kept_of_weights() -> None:
    torch.manual_seed(0)
    logs = 3 * torch.randn(12, 5).double() - 700
    whole = weighed(sums_of(logs), 12)
    assert torch.allclose(whole.bound, log_mean_exp(logs))
    assert torch.allclose(whole.elbo, logs.mean(0))
    weights = (logs + 700).exp()
    assert torch.allclose(whole.ess, weights.sum(0) ** 2 / (weights**2).sum(0))
    parts = weighed(together(together(sums_of(logs[:3]), sums_of(logs[3:4])), sums_of(logs[4:])), 12)
    for name in ("bound", "elbo", "ess"):
        assert torch.allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


def test_effective_sample_sizes_are_from_one_to_all() -> None:
    equal, one = torch.full((50, 1), -3.0), torch.full((50, 1), -900.0)
    one[7] = 200.0
    assert weighed(sums_of(torch.cat((equal, one), 1)), 50).ess.tolist() == pytest.approx([50, 1], rel=1e-12)
    some = torch.tensor([[1.0], [2.0], [-3.0]])
    assert torch.allclose(weighed(sums_of(some), 3).ess, weighed(sums_of(some + 80), 3).ess)


@pytest.mark.parametrize("kind", ["mlp", "semi"])
def test_how_the_work_is_divided_does_not_matter(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, labels = made(kind)
    x = four(model, labels)
    torch.manual_seed(4)
    normals, uniforms = torch.randn(60, 4, 3), torch.rand(60, 4)

    def same(part: Examples, count: int, before: int) -> Callable[..., Tensor]:
        place = next(i for i in range(4) if torch.equal(part.values[0], x.values[i]))
        rows, columns = slice(before, before + count), slice(place, place + len(part))

        def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
            assert q is not None
            if q.event_shape == (4,):  # labels
                label = (q.mean.cumsum(-1) < uniforms[rows, columns, None]).sum(-1).clamp(max=3)  # type: ignore[index]
                return one_hot(label, 4).float()
            return q.mean + q.stddev * normals[rows, columns]

        return pick

    whole = importance_weights(model, x, 60, draws=same)
    for decoded, images in ((1, 4), (8, 1), (30, 2), (1000, 3)):
        monkeypatch.setattr("vaescope.metrics.importance.DECODED", decoded)
        found = importance_weights(model, x, 60, images, draws=same)
        assert torch.allclose(found.bound, whole.bound, atol=1e-5)
        assert torch.allclose(found.ess, whole.ess, rtol=1e-4)
    assert torch.equal(importance_bound(model, x, 60, 3, draws=same), found.bound)


def test_a_seed_decides_all_and_training_is_left_alone() -> None:
    model, _ = made("mlp")
    x = four(model, None)
    model.train()
    state, told = torch.get_rng_state(), []
    first = importance_weights(model, x, 30, 2, seed=5, tick=lambda done, total: told.append((done, total)))
    assert torch.equal(first.bound, importance_weights(model, x, 30, 2, seed=5).bound)
    assert not torch.equal(first.bound, importance_weights(model, x, 30, 2, seed=6).bound)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert told == [(2, 4), (4, 4)]


def test_memory_does_not_grow_with_the_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = made("mixture")
    sizes = []

    def seen(logits: Callable[[], Tensor]) -> Tensor:
        sizes.append(logits().numel())
        return softplus_sum(logits)

    monkeypatch.setattr("vaescope.metrics.densities.softplus_sum", seen)
    importance_bound(model, four(model, None), 20_000, images=4)
    assert max(sizes) <= 1000 * 42
    tracemalloc.start()
    peaks = []
    for samples in (2000, 20_000):
        tracemalloc.reset_peak()
        importance_bound(model, four(model, None), samples, images=4)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 20_000


def test_the_interval_of_the_mean_holds_the_truth_as_often_as_it_says() -> None:
    case, size, sets = Quadrature(), 100, 1500
    exact = case.log_likelihood().detach()
    truth = -(exact.exp() * exact).sum().item()
    assert truth == pytest.approx(4.730313, abs=1e-6)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(exact.exp(), sets * size, replacement=True, generator=generator)
    bounds = importance_bound(case.model(), Examples(case.images()[chosen]), 10, images=10_000)
    gap = (exact[chosen] - bounds).mean().item()  # of a bound, whose interval is one of its own mean
    assert 0 < gap < 0.1
    covered = 0
    for each in -bounds.view(sets, size):
        low, high = mean_score("iwae", "", each, "", "").ends()  # type: ignore[misc]
        covered += low < truth + gap < high
    assert 0.93 < covered / sets < 0.97


def test_the_interval_of_the_mean_over_draws_and_that_of_a_median_hold_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    held = {"draws": 0, "median": 0}
    for _ in range(1500):
        low, high = next(over_draws(torch.randn(5, 1, generator=generator).double(), "")).ends()  # type: ignore[misc]
        held["draws"] += low < 0 < high
        low, high = median_score("m", "m", torch.rand(200, generator=generator).exp().double(), "").ends()  # type: ignore[misc]
        held["median"] += low < math.exp(0.5) < high
    assert 0.93 < held["draws"] / 1500 < 0.97
    assert 0.935 < held["median"] / 1500 < 0.975


@pytest.mark.parametrize("draws", [*range(2, 13), 20, 1000])
def test_students_quantiles(draws: int) -> None:
    t = torch.linspace(-1, 1, 100_001, dtype=torch.float64) * student(draws - 1)
    inside = torch.trapezoid(torch.distributions.StudentT(torch.tensor(draws - 1.0).double()).log_prob(t).exp(), t)
    assert inside.item() == pytest.approx(0.95, abs=1e-4)


# the metrics


def subject_of(
    model: VAE, target: str = "binary", effort: Effort | None = None, name: str = "sets", bits: int = 8, seed: int = 0
) -> Subject:
    source = np.random.default_rng(seed)
    top, kind = 2**bits - 1, np.uint8 if bits == 8 else np.uint16

    def split(count: int) -> Split:
        images = source.integers(0, top + 1, (count, *SHAPE)).astype(kind)
        return Split(torch.from_numpy(images), torch.from_numpy(source.integers(0, 4, count)))

    images = ImageSet(name, name, ("a", "b", "c", "d"), split(30), split(10), split(12))
    made_target: Target = TARGETS[target](bits)  # type: ignore[index]
    return Subject(model, made_target, images, effort or Effort("full", samples=40, draws=4))


def scores(metric: Callable, subject: Subject) -> dict[str, Score]:
    found = {score.name: score for score in metric(subject)}
    for score in found.values():
        assert len(score.title) <= 34
        assert math.isfinite(score.value)
        assert score.protocol
    return found


@pytest.mark.parametrize("kind", BINARY)
def test_the_bounds_of_the_metrics_are_in_order(kind: str) -> None:
    model, _ = made(kind)
    subject = subject_of(model)
    if kind == "semi":
        subject.images.test.labels[3] = -1  # type: ignore[index]
    elbo, tight, drawn, data = (scores(metric, subject) for metric in (evidence, iwae, binarisation, floors))
    assert tight["iwae"].value < elbo["negative_elbo"].value
    assert tight["iwae"].value + tight["iwae_gap"].value == pytest.approx(-importance_weights(
        model, subject.test, 40, seed=subject.seed_for("importance")).elbo.mean().item())  # fmt: skip
    assert "K = 40" in tight["iwae"].protocol
    assert 1 <= tight["effective_samples"].value <= 40
    assert ("iwae_bits" in tight, "negative_elbo_bits" in elbo) == (False, False)
    assert len(drawn["negative_elbo_draws"].parts) == 4
    assert np.std(drawn["negative_elbo_draws"].parts, ddof=1) == pytest.approx(drawn["binarisation_spread"].value)
    assert all(score.of_data for score in data.values())
    assert data["entropy"].value == pytest.approx(irreducible_entropy(subject.images.test.images))
    assert data["entropy"].value < data["independent_pixels"].value
    rate = elbo["rate"]
    assert len(rate.parts) == (3 if kind in ("mlp", "relu", "conv", "linear", "labels", "conv labels") else 0)
    if rate.parts:
        assert sum(rate.parts) == pytest.approx(rate.value, rel=1e-5)


def test_the_grey_expectation_is_the_mean_over_binarisations_where_images_change_nothing_else() -> None:
    model, _ = made("mlp")
    with torch.no_grad():
        for net in (model.posterior.net[1], model.likelihood.net[0]):  # type: ignore[index]
            net[0].weight.zero_()
    found = scores(binarisation, subject_of(model, effort=Effort("full", draws=100)))
    drawn = found["negative_elbo_draws"]
    assert drawn.error is not None
    assert abs(drawn.value - found["negative_elbo_grey"].value) < 3 * drawn.error
    assert drawn.error < 0.2 * found["negative_elbo_grey"].error  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "target", "levels"), [("logistic", "grey", True), ("gaussian", "centred", False)])
def test_scores_of_greys_are_in_bits_too(kind: str, target: str, levels: bool) -> None:
    model, _ = made(kind)
    subject = subject_of(model, target)
    elbo, tight, data = (scores(metric, subject) for metric in (evidence, iwae, floors))
    for score, other in ((elbo["negative_elbo"], elbo["negative_elbo_bits"]), (tight["iwae"], tight["iwae_bits"])):
        step = 0.0 if levels else math.log2(255 / 2)
        assert other.value == pytest.approx(score.value / (42 * math.log(2)) + step)
        assert other.each is not None
        assert other.each.mean() == pytest.approx(other.value)
        assert other.error == pytest.approx(other.each.std(ddof=1) / math.sqrt(12))
        assert ("density" in other.protocol) != levels
    assert data["independent_pixels"].unit == "bits/dim"
    assert 7.8 < data["independent_pixels"].value < 8.2  # random levels
    with pytest.raises(InapplicableError, match="greys"):
        list(binarisation(subject))


def test_a_bernoulli_likelihood_of_greys_has_an_entropy_but_no_bits() -> None:
    subject = subject_of(made("mlp")[0], "grey")
    assert set(scores(floors, subject)) == {"entropy", "independent_pixels"}
    assert set(scores(evidence, subject)) == {"negative_elbo", "distortion", "rate"}


def test_what_does_not_apply_says_why() -> None:
    points = Flat(3, MLP(8), posterior=PointMass)(SHAPE)
    for metric in (iwae, binarisation):
        with pytest.raises(InapplicableError, match="point mass"):
            list(metric(subject_of(points)))
    assert set(scores(evidence, subject_of(points))) == {"distortion"}
    deep = Flat(3, MLP(8), likelihood=lambda shape: DiscretisedLogistic(shape, 16))((1, 24, 24))
    subject = subject_of(made("logistic")[0], "grey", bits=16)
    subject.images = ImageSet("a", "a", (), *(Split(torch.zeros(3, 1, 24, 24, dtype=torch.uint16)),) * 3)
    subject.model = deep
    with pytest.raises(InapplicableError, match=r"65,536 levels"):
        list(floors(subject))


def test_a_bound_with_few_effective_samples_is_called_loose() -> None:
    bound = torch.zeros(10).double()
    sizes = torch.tensor([2.0] * 6 + [500.0] * 4).double()
    assert "below 10 for 60% of the images" in (said := loose(Weights(bound, bound, sizes), 500))
    assert f"{0.6 * (1 / 2 - 1 / 500) / 2:.2f} nats" in said
    assert "--samples" in said
    assert loose(Weights(bound, bound, sizes.flip(0) + 8.0), 500) == ""
    assert scores(iwae, subject_of(made("linear")[0], effort=Effort("full", samples=5)))["iwae"].warning


def test_independent_pixels_by_hand() -> None:
    images = torch.tensor([[0, 255], [0, 51], [102, 255]], dtype=torch.uint8).view(3, 1, 1, 2)
    p = smoothed_mean(images, 255)
    assert p.tolist() == pytest.approx([1.4 / 5, 3.2 / 5])
    table = smoothed_histogram(images, 256)
    assert torch.allclose(table.sum(1), torch.ones(2).double())
    assert table[0, 0] == 3 / 259
    assert table[1, 51] == 2 / 259
    assert table[1, 52] == 1 / 259
    black = torch.zeros(1, 2).double()
    assert cross_entropy(black, torch.tensor([0.0, 0.5])).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("samples", [1, 2])
def test_one_image_and_one_latent_are_enough(samples: int) -> None:
    model = Flat(1, MLP(8))(SHAPE).eval()
    subject = subject_of(model, effort=Effort("full", test=1, train=2, samples=samples, draws=1))
    for metric in (evidence, iwae, binarisation, floors):
        for score in scores(metric, subject).values():
            assert score.error is None or math.isfinite(score.error)
    assert len(latent_rates(model, subject.test)) == 1


def test_a_draw_that_is_not_the_one_of_the_literature_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(made("mlp")[0], name="mnist")
    assert shown(subject) == (subject.target.shown, "")  # fewer images than those of the literature
    monkeypatch.setattr("vaescope.metrics.shown.IMAGES", len(subject.test))
    words, wrong = shown(subject)
    assert words == subject.target.shown
    assert "not the one of the fixed draw" in wrong
    for metric, name in ((evidence, "negative_elbo"), (iwae, "iwae"), (floors, "oracle")):
        assert wrong in scores(metric, subject)[name].warning
    subject = subject_of(made("mlp")[0], name="mnist", effort=Effort("quick", test=5))
    assert shown(subject) == (subject.target.shown, "")


@needs(FASHION)
@pytest.mark.slow
def test_the_numbers_of_fashion_mnist() -> None:
    images = load("fashion-mnist", FASHION)
    model = Flat(2, MLP(16))((1, 28, 28)).eval()
    found = scores(floors, Subject(model, TARGETS["binary"](), images))
    assert found["entropy"].value == pytest.approx(189.858, abs=5e-4)
    assert found["oracle"].value == pytest.approx(189.8686, abs=5e-5)
    assert "MD5 e4212d83…" in found["oracle"].protocol
    assert not found["oracle"].warning
    assert found["independent_pixels"].value == pytest.approx(385.021, abs=5e-4)
    grey = Flat(2, MLP(16), likelihood=Categorical)((1, 28, 28)).eval()
    bits = scores(floors, Subject(grey, TARGETS["grey"](), images))["independent_pixels"]
    assert bits.value == pytest.approx(4.589, abs=2e-3)


def test_the_kernel_is_for_bernoulli_likelihoods_alone() -> None:
    model, _ = made("mlp")
    other = copy.deepcopy(model)
    other.likelihood.family = Gaussian(SHAPE)
    x = four(model, None)
    with aside(other, 0):
        expected = log_weight(other(x.values, None, draw(3)), x.values)
    with aside(other, 0):
        assert torch.allclose(weighing(other, x.values)(draw(3)), expected, atol=1e-4)
    assert isinstance(model.likelihood.family, Bernoulli)
