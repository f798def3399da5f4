"""Annealed importance sampling and its Hamiltonian transitions, against models whose likelihood is known exactly."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from data_helpers import refused
from exact_models import Quadrature, linear_case
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.data.targets import TARGETS
from vaescope.families import (
    CategoricalCodes,
    DiagonalNormal,
    DiscretisedLogistic,
    Gaussian,
    InverseAutoregressive,
    PointMass,
    PowerSpherical,
)
from vaescope.metrics import Annealing, annealed, annealed_bound, annealed_log_weights, simulated_bounds
from vaescope.metrics.annealed import ais, linear, sigmoidal
from vaescope.metrics.hamiltonian import Hamiltonian, Path, Point, Tuning, hamiltonian, leapfrog
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import InapplicableError
from vaescope.metrics.subject import QUICK, Subject
from vaescope.models import VAE, Flat, SemiSupervised
from vaescope.nets import MLP
from vaescope.priors import AutoregressiveFlow, HypersphericalUniform, NormalMixture, UniformCodes, VampPrior

LITTLE = replace(QUICK, samples=4, chains=2, anneal=3, annealed=3)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# --- the ladder with perfect transitions: p(z) = N(0, 1), p(x|z) = N(z, 1), x = 1

LOG_P = -1.5155121235
CONSTANT = math.log(2 * math.pi) / 2
ONE = Path(lambda z: -z.square().sum(-1) / 2 - CONSTANT, lambda z: -(1 - z).square().sum(-1) / 2 - CONSTANT)


def perfect(path: Path, point: Point, beta: float) -> Point:
    """A draw of f_beta itself, N(beta / (1 + beta), 1 / (1 + beta))."""
    return path.at(beta / (1 + beta) + torch.randn_like(point.z) / math.sqrt(1 + beta))


def mean_within(values: Tensor, expected: float, errors: float = 4) -> bool:
    error = values.std().item() / math.sqrt(values.numel())
    return abs(values.mean().item() - expected) < errors * error


@pytest.mark.parametrize(("steps", "expected"), [(1, -1.9189385), (2, -1.6967164), (10, -1.5478018), (100, -1.5186475)])
def test_perfect_transitions_give_the_weights_of_the_exact_ladder(steps: int, expected: float) -> None:
    weights = annealed_log_weights(ONE, torch.randn(20_000, 1, 1).double(), linear(steps), perfect)
    assert mean_within(weights, expected)
    assert mean_within((weights - LOG_P).exp(), 1)
    assert weights.std().item() / math.sqrt(20_000) < 0.01


def test_backwards_the_mean_weight_is_one_over_p() -> None:
    posterior = 0.5 + torch.randn(20_000, 1, 1).double() / math.sqrt(2)
    weights = annealed_log_weights(ONE, posterior, linear(10).flip(0), perfect)
    assert mean_within((weights + LOG_P).exp(), 1)
    assert -weights.mean().item() > LOG_P + 0.01


def test_schedules_rise_from_zero_to_one() -> None:
    for betas in (linear(20), sigmoidal(20), sigmoidal(1)):
        assert betas[0] == 0
        assert betas[-1] == 1
        assert (betas.diff() > 0).all()
    assert torch.allclose(sigmoidal(20) + sigmoidal(20).flip(0), torch.ones(21, dtype=torch.float64))
    assert sigmoidal(20).diff()[0] < linear(20).diff()[0] < sigmoidal(20).diff()[10]


# --- Hamiltonian transitions

COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 2.0]]).double()
TARGET = MultivariateNormal(torch.tensor([1.0, -2.0]).double(), COVARIANCE, validate_args=False)
WIDE = MultivariateNormal(torch.zeros(2).double(), 9 * torch.eye(2).double(), validate_args=False)
NORMAL = Path(WIDE.log_prob, lambda z: TARGET.log_prob(z) - WIDE.log_prob(z))
BENT = Path(WIDE.log_prob, lambda z: -(z[..., 1] - z[..., 0].square()).square() - z[..., 0].square())


def test_a_point_knows_every_density_and_gradient_of_the_path() -> None:
    z = torch.randn(3, 4, 2).double().requires_grad_()
    mixed = 0.7 * WIDE.log_prob(z) + 0.3 * TARGET.log_prob(z)
    point = NORMAL.at(z)
    torch.testing.assert_close(point.log_density(0.3), mixed)
    torch.testing.assert_close(point.slope(0.3), torch.autograd.grad(mixed.sum(), z)[0])


def test_leapfrog_comes_back_when_it_is_turned_around() -> None:
    start, velocity = BENT.at(torch.randn(5, 3, 2).double()), torch.randn(5, 3, 2).double()
    size = torch.tensor([0.1, 0.2]).double()
    end, last = leapfrog(BENT, start, velocity, 0.6, size, 12)
    back, turned = leapfrog(BENT, end, -last, 0.6, size, 12)
    assert (end.z - start.z).abs().min() > 1e-3
    torch.testing.assert_close(back.z, start.z, atol=1e-10, rtol=0)
    torch.testing.assert_close(turned, -velocity, atol=1e-10, rtol=0)


def test_leapfrog_preserves_volumes_and_nearly_energy() -> None:
    size = torch.tensor([0.05, 0.1]).double()

    def moved(state: Tensor) -> Tensor:
        end, last = leapfrog(BENT, BENT.at(state[:, None, :2]), state[:, None, 2:], 0.6, size, 8)
        return torch.cat((end.z, last), -1)[:, 0]

    state, step = torch.randn(1, 4).double(), 1e-5
    change = step * torch.eye(4).double()
    jacobian = (moved(state + change) - moved(state - change)) / (2 * step)
    assert abs(torch.linalg.det(jacobian).item()) == pytest.approx(1, abs=1e-6)

    def energy(state: Tensor) -> Tensor:
        return state[:, 2:].square().sum(-1) / 2 - BENT.at(state[:, None, :2]).log_density(0.6)[:, 0]

    assert (energy(moved(state)) - energy(state)).abs().item() < 0.05


@pytest.mark.parametrize("size", [0.3, 1.3])
def test_transitions_leave_a_gaussian_as_it_is(size: float) -> None:
    """Even with long steps, half of which are refused. Chains that start elsewhere come to the same moments."""
    for z in (TARGET.sample((3000, 1)), torch.full((3000, 1, 2), 4.0).double()):
        point, chances = NORMAL.at(z), []
        for _ in range(15):
            point, chance = hamiltonian(NORMAL, point, 1.0, torch.tensor(size).double(), 5)
            chances.append(chance)
        assert (size < 0.5) == (torch.cat(chances).mean() > 0.9)
        x = point.z[:, 0] - TARGET.mean
        for i in range(2):
            assert mean_within(x[:, i], 0)
            for j in range(2):
                assert mean_within(x[:, i] * x[:, j], COVARIANCE[i, j].item())


def test_steps_that_are_far_too_long_are_refused() -> None:
    start = BENT.at(torch.randn(5, 3, 2).double())
    end, chance = hamiltonian(BENT, start, 1.0, torch.tensor(1e3).double(), 10)
    assert torch.equal(end.z, start.z)
    assert torch.equal(chance, torch.zeros(5, 3).double())


def test_sizes_are_found_for_each_image_at_every_density() -> None:
    """The images differ by how wide their posteriors are, and the start is wrong about it for one of them."""
    wide = torch.tensor([0.1, 1.0, 10.0]).double()[:, None]
    path = Path(lambda z: -(z / wide).square().sum(-1) / 2, lambda z: -3.5 * (z / wide).square().sum(-1))
    scale = torch.tensor([0.1, 1.0, 1.0]).double()[:, None].expand(3, 4)
    pilot = Tuning(scale, {}, 5)
    annealed_log_weights(path, wide * torch.randn(8, 3, 4).double(), linear(150), pilot)
    assert list(pilot.sizes) == linear(150)[1:-1].tolist()
    final = Hamiltonian(scale, pilot.sizes, 5)
    annealed_log_weights(path, wide * torch.randn(50, 3, 4).double(), linear(150), final)
    assert ((final.acceptance() - 0.65).abs() < 0.12).all(), final.acceptance()
    first, last = next(iter(pilot.sizes.values())), list(pilot.sizes.values())[-1]
    assert (last[:2] < 0.7 * first[:2]).all()  # the last density is narrower by a factor of sqrt(8)
    assert last[2] > 3 * last[1]


# --- models with an exact likelihood


def linear_model() -> tuple[VAE, Tensor, Tensor]:
    """Probabilistic PCA with its exact posterior, which is told to be on the real line."""
    model, x, exact = linear_case()
    model.posterior.family = DiagonalNormal((2,))
    return model, x, exact


def test_from_the_exact_posterior_every_weight_is_exact() -> None:
    model, x, exact = linear_model()
    found = annealed_bound(model, Examples(x), Annealing(3, 2, 2))
    torch.testing.assert_close(found.weights, exact.expand(2, -1), atol=1e-9, rtol=0)


@pytest.mark.parametrize("schedule", [linear, sigmoidal])
def test_from_the_prior_the_weights_of_a_linear_model_have_the_exact_mean(schedule: Callable[[int], Tensor]) -> None:
    model, x, exact = linear_model()
    found = annealed_bound(model, Examples(x[:20]), Annealing(30, 40, 3, "prior", schedule))
    assert mean_within((found.weights - exact[:20]).exp().mean(0), 1, errors=3)
    off = found.bound() - exact[:20]
    assert off.abs().mean() < 0.3
    assert ((found.acceptance > 0.4) & (found.acceptance < 0.9)).all()


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_the_likelihood_of_binary_images_is_met(start: Any) -> None:
    quadrature = Quadrature()
    chosen = torch.arange(0, 256, 8)
    exact = quadrature.log_likelihood()[chosen]
    found = annealed_bound(quadrature.model(), Examples(quadrature.images()[chosen]), Annealing(8, 50, 3, start))
    ratio = (found.weights - exact).exp()
    assert mean_within(ratio.mean(0), 1, errors=3)
    error = ratio.std(0) / math.sqrt(50)
    assert (((ratio.mean(0) - 1).abs() / error) < 4.5).all()
    assert exact[0].item() == pytest.approx(-6.63554857)


def test_what_is_simulated_is_enclosed_and_more_steps_enclose_it_more_tightly() -> None:
    model, _, _ = linear_model()
    layer, scale = model.likelihood.net[0], 0.7
    covariance = layer.weight @ layer.weight.T + scale**2 * torch.eye(6).double()
    marginal = MultivariateNormal(layer.bias.detach(), covariance.detach())
    gaps = []
    for steps in (2, 30):
        found = simulated_bounds(model, 100, how=Annealing(steps, 3, 4, "prior"))
        exact = marginal.log_prob(found.images.flatten(1))
        below, above = exact - found.lower(), found.upper() - exact
        for off in (below, above):
            assert off.mean() > -3 * off.std() / 10
        gaps.append((below.mean().item(), above.mean().item()))
    assert gaps[0][0] > gaps[1][0] + 0.1
    assert gaps[0][1] > gaps[1][1] + 0.1


def test_images_and_chains_that_do_not_fit_together_are_taken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, exact = linear_model()
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(annealed, "TOGETHER", 3)
    found = annealed_bound(
        model, Examples(x[:3]), Annealing(5, 7, 2), tick=lambda done, total: told.append((done, total))
    )
    torch.testing.assert_close(found.weights, exact[:3].expand(7, -1), atol=1e-9, rtol=0)
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    simulated_bounds(model, 2, how=Annealing(5, 7, 2), tick=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]


# --- models as they are trained


def test_the_seed_decides_and_training_goes_on_untouched(tiny: Callable[..., VAE], x: Tensor) -> None:
    model = tiny().train()
    model.likelihood.requires_grad_(False)
    learned = [parameter.requires_grad for parameter in model.parameters()]
    before = torch.random.get_rng_state()
    one, again, other = (annealed_bound(model, Examples(x[:3]), Annealing(3, 2, 2), seed) for seed in (5, 5, 6))
    assert torch.equal(one.weights, again.weights)
    assert not torch.equal(one.weights, other.weights)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == learned
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("choices", "targets"),
    [
        ({}, "binary"),
        ({"labels": True, "posterior": partial(InverseAutoregressive, transforms=1)}, "binary"),
        ({"prior": NormalMixture, "likelihood": DiscretisedLogistic}, "grey"),
        ({"prior": AutoregressiveFlow, "likelihood": Gaussian}, "centred"),
        ({"prior": VampPrior}, "grey"),
    ],
)
def test_the_metric_measures_models_of_many_kinds(choices: dict, targets: Any, images: ImageSet) -> None:
    model = Flat(2, MLP(width=16), **choices)((1, 28, 28), len(images.classes))
    scores = {score.name: score for score in ais(Subject(model, TARGETS[targets](), images, LITTLE))}
    assert list(scores) == ["nll", "importance", "acceptance", "simulated_forward", "simulated_backward", "gap"]
    assert all(math.isfinite(score.value) and score.count == 3 for score in scores.values())
    assert all(len(score.title) <= 34 for score in scores.values())
    assert scores["nll"].each is not None
    assert scores["gap"].each is None
    assert scores["gap"].value == pytest.approx(scores["simulated_forward"].value - scores["simulated_backward"].value)
    assert "2 annealed chains from q(z|x) in 3 linear steps" in scores["nll"].protocol
    assert "one sample" not in scores["nll"].protocol


def test_where_there_are_no_such_chains_the_reason_is_told(images: ImageSet) -> None:
    reasons = {
        "sphere": Flat(3, MLP(width=16), HypersphericalUniform, PowerSpherical),
        "8 codes": Flat(2, MLP(width=16), UniformCodes, CategoricalCodes),
        "point mass": Flat(2, MLP(width=16), posterior=PointMass),
        "label": SemiSupervised(2, MLP(width=16)),
    }
    for reason, architecture in reasons.items():
        model = architecture((1, 28, 28), len(images.classes))
        with pytest.raises(InapplicableError, match=reason):
            list(ais(Subject(model, TARGETS["binary"](), images, LITTLE)))
        assert reason in refused(annealed_bound, model, Examples(torch.zeros(1, 1, 28, 28)))
        assert reason in refused(simulated_bounds, model, 1)


def test_what_keeps_the_bound_from_being_trusted_is_told() -> None:
    exact, weighted = torch.full((20,), -90.0), torch.full((20,), -90.0)
    none, some, much = torch.zeros(20), torch.full((20,), 0.5), torch.full((20,), 1.5)
    assert annealed._doubts(exact, weighted, some) == ""
    assert "1.5 nats apart" in annealed._doubts(exact, weighted, much)
    one = torch.cat((torch.full((1,), 33.0), torch.zeros(15)))
    assert "1 of 16: q(z|x) may miss" in annealed._doubts(exact, weighted, one)
    assert "tighter by 0.50 nats" in annealed._doubts(exact - 0.5, weighted, none)
    assert annealed._refusals(torch.tensor([0.5, 0.7])) == ""
    assert "1 of 3 images" in annealed._refusals(torch.tensor([0.5, 0.7, 0.2]))


def test_it_has_to_be_asked_for_and_settings_that_are_none_are_refused() -> None:
    assert METRICS["ais"].asked
    assert "steps is 1" in refused(Annealing, 1)
    assert "chains is 0" in refused(Annealing, 10, 0)
    assert "leapfrogs is 0" in refused(Annealing, 10, 10, 0)
