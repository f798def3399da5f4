"""Laws of the likelihoods, and of the distributions that they are made of."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vaescope import distributions
from vaescope.data.targets import TARGETS, Binary, Centred, Grey, TargetName
from vaescope.distributions import Levels, centre, logistic_at
from vaescope.errors import UsageError
from vaescope.experiment import check_likelihood
from vaescope.families import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Family,
    Gaussian,
    Laplace,
    LogisticMixture,
    OptimalGaussian,
    PixelGaussian,
    PixelLevels,
    PointMass,
)
from vaescope.metrics import bits_per_dim
from vaescope.models import Flat, draw

DENSITIES = [ContinuousBernoulli, Gaussian, Laplace, OptimalGaussian, PixelGaussian]
MASSES = [Categorical, DiscretisedLogistic, LogisticMixture]
LIKELIHOODS = [Bernoulli, *DENSITIES, *MASSES]

Kind = Callable[..., Family]


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def build(kind: Kind, shape: tuple[int, ...], **keys: Any) -> Family:
    """A likelihood as reports use it, in double precision."""
    torch.manual_seed(0)
    return kind(shape, **keys).double().eval()


def parameters(family: Family, *batch: int, spread: float = 1.0) -> Tensor:
    """Parameters around those of a grey image."""
    start = family.start(torch.full(family.shape, 0.4, dtype=torch.float64))
    return start + spread * torch.randn(*batch, *family.inputs, dtype=torch.float64)


def every_image(levels: int, shape: tuple[int, ...]) -> Tensor:
    """All images there are on so many levels."""
    values = torch.linspace(0, 1, levels, dtype=torch.float64)
    return torch.cartesian_prod(*[values] * math.prod(shape)).view(-1, *shape)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_likelihood_can_be_expanded(kind: Kind) -> None:
    family = build(kind, (3, 2, 2))
    d = family(parameters(family, 2, 5))
    wide = d.expand((4, 2, 5))
    x = (torch.rand(2, 5, 3, 2, 2, dtype=torch.float64) * 255).round() / 255
    assert (wide.batch_shape, wide.event_shape) == ((4, 2, 5), (3, 2, 2))
    assert torch.allclose(wide.log_prob(x), d.log_prob(x).expand(4, 2, 5), rtol=1e-12)
    assert wide.mean.shape == wide.sample().shape == (4, 2, 5, 3, 2, 2)
    assert d.sample((7,)).shape == (7, 2, 5, 3, 2, 2)
    assert d.log_prob(d.sample((7,))).shape == (7, 2, 5)


def test_the_training_form_of_the_optimal_gaussian_can_be_expanded() -> None:
    family = build(OptimalGaussian, (1, 2, 2)).train()
    d = family(parameters(family, 3)).expand((4, 3))
    x = torch.rand(4, 3, 1, 2, 2, dtype=torch.float64)
    assert d.log_prob(x).sum().item() == pytest.approx(d.expand((4, 3)).log_prob(x).sum().item())
    assert (d.batch_shape, d.sample().shape) == ((4, 3), x.shape)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_likelihood_trains_with_several_draws(kind: Kind) -> None:
    torch.manual_seed(0)
    model = Flat(latent=2, likelihood=kind)((3, 4, 4))
    x = (torch.rand(5, 3, 4, 4) * 255).round() / 255
    model.likelihood.start_at(x.mean(0))
    score = model(x, pick=draw(3)).likelihood.log_prob(x)
    assert score.shape == (3, 5)
    score.mean().backward()
    for name, parameter in model.likelihood.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (3, 1, 1), (1, 1, 2), (4, 1, 1)])
@pytest.mark.parametrize("kind", MASSES)
def test_masses_of_all_images_sum_to_one(kind: Kind, shape: tuple[int, ...], bits: int) -> None:
    family = build(kind, shape, bits=bits)
    total = family(parameters(family, 3, spread=2)).log_prob(every_image(2**bits, shape)[:, None]).exp().sum(0)
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", [DiscretisedLogistic, LogisticMixture])
def test_masses_sum_to_one_at_sixteen_bits(kind: Kind) -> None:
    family = build(kind, (1, 1, 1), bits=16)
    d = family(parameters(family, 1))
    assert d.log_prob(every_image(2**16, (1, 1, 1))).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("levels", [2, 3, 4, 256, 65536])
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("loc", [-50.0, 0.0, 0.301, 1.0, 1e4])
def test_a_discretised_logistic_sums_to_one_however_narrow_or_far(loc: float, scale: float, levels: int) -> None:
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        d = distributions.DiscretisedLogistic(*f64(loc, scale), levels, (low, high))
        mass = d.log_prob(torch.linspace(low, high, levels, dtype=torch.float64)).exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("levels", [256, 65536])
def test_a_mass_is_a_difference_of_logistic_functions(levels: int) -> None:
    d = distributions.DiscretisedLogistic(*f64(0.31, 0.07), levels)
    k = torch.arange(levels, dtype=torch.float64)
    below = ((k[:-1] + 0.5) / (levels - 1) - 0.31).div(0.07).sigmoid()
    expected = torch.cat((below, f64(1))) - torch.cat((f64(0), below))
    assert torch.allclose(d.log_prob(k / (levels - 1)).exp(), expected, rtol=0, atol=1e-15)


def test_the_known_mass_of_a_mixture() -> None:
    loc, scale = f64(-0.5, 0.4).view(2, 1, 1, 1), f64(0.05, 0.2).view(2, 1, 1, 1)
    logits, none = f64(0.3, 0.7).log().view(2, 1, 1), torch.zeros(2, 0, 1, 1, dtype=torch.float64)
    d = distributions.LogisticMixture(logits, loc, scale, none, 256, (-1.0, 1.0))
    x = torch.full((1, 1, 1), -1 + 2 * 100 / 255, dtype=torch.float64)
    assert -d.log_prob(x).item() == pytest.approx(6.634974225289, abs=1e-12)  # with 40 digits elsewhere


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (3, 1, 1)])
@pytest.mark.parametrize("kind", MASSES)
def test_samples_come_as_often_as_their_mass_says(kind: Kind, shape: tuple[int, ...]) -> None:
    family = build(kind, shape, bits=2)
    d, draws = family(parameters(family)), 200_000
    chance = d.log_prob(every_image(4, shape)).exp()
    places = 4 ** torch.arange(math.prod(shape) - 1, -1, -1)
    index = ((d.sample((draws,)).flatten(1) * 3).round().long() * places).sum(1)
    share = torch.bincount(index, minlength=len(chance)) / draws
    assert torch.all((share - chance).abs() <= 5 * (chance * (1 - chance) / draws).sqrt() + 5 / draws)


@pytest.mark.parametrize("keys", [{"bits": 2}, {"bits": 8}, {"bits": 16}])
def test_the_mean_of_a_mixture_with_one_channel_is_exact(keys: dict[str, int]) -> None:
    family = build(LogisticMixture, (1, 1, 1), **keys)
    d = family(parameters(family))
    values = every_image(2 ** keys["bits"], (1, 1, 1))
    exact = (d.log_prob(values).exp() * values.flatten()).sum().item()
    assert d.mean.item() == pytest.approx(exact, abs=1e-13)


@pytest.mark.parametrize("levels", [2, 3, 32, 256, 600])
def test_the_mean_of_a_discretised_logistic_is_the_sum_over_its_levels(levels: int) -> None:
    scale = torch.logspace(-5, 0.3, 121, dtype=torch.float64)[:, None]
    loc = torch.cat((torch.linspace(-1, 2, 61, dtype=torch.float64), f64(0, 0.5 / (levels - 1), 1)))
    loc = loc.expand(len(scale), -1).requires_grad_()
    d = distributions.DiscretisedLogistic(loc, scale.expand(loc.shape), levels)
    above = sum(((d.m - (k + 0.5)) / d.t).sigmoid() for k in range(levels - 1)) / (levels - 1)
    assert torch.allclose(d.mean, above, rtol=0, atol=1e-12)
    slopes = [torch.autograd.grad(mean.sum(), loc, retain_graph=True)[0] for mean in (d.mean, above)]
    assert torch.allclose(*slopes, rtol=1e-9, atol=1e-9)
    single = distributions.DiscretisedLogistic(loc.float(), d.scale.float(), levels).mean
    assert torch.allclose(single.double(), above, rtol=0, atol=2e-5)
    assert 0 <= single.min() <= single.max() <= 1


def test_the_mean_of_coupled_channels_is_what_it_says() -> None:
    """Every channel's mean where the channels before it are at theirs, by brute force over a channel at a time."""
    family = build(LogisticMixture, (3, 1, 1), components=2)
    d = family(parameters(family))
    assert isinstance(d, distributions.LogisticMixture)
    weights, means = d.logits.softmax(-3).flatten(), []
    values = torch.linspace(0, 1, 256, dtype=torch.float64)
    for c in range(3):
        rows = {0: [], 1: [0], 2: [1, 2]}[c]
        moves = [d.coupling[:, row].flatten() * m for row, m in zip(rows, means, strict=True)]
        loc = d.loc[:, c].flatten() + sum(moves, torch.zeros(2, dtype=torch.float64))
        one = distributions.DiscretisedLogistic(loc, d.scale[:, c].flatten())
        means.append((weights * one.log_prob(values[:, None]).exp()).sum(1) @ values)
    assert torch.allclose(d.mean.flatten(), torch.stack(means), atol=1e-12)


CONTINUOUS = [
    distributions.ContinuousBernoulli(f64(-200, -20, -0.31, -0.29, -1e-3, 0, 1e-9, 0.299, 0.301, 2, 50)),
    distributions.DiscretisedLogistic(f64(-0.2, 0.001, 0.3, 0.5, 0.9), f64(0.1, 1e-4, 0.2, 1.5, 0.003)),
    Levels(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).double(), f64(-2, -1, 0, 0.5, 3)),
]


@pytest.mark.parametrize("d", CONTINUOUS, ids=lambda d: type(d).__name__)
def test_samples_have_the_mean_and_the_variance(d: Distribution) -> None:
    torch.manual_seed(0)
    z = d.sample((100_000,))
    assert torch.all((z.mean(0) - d.mean).abs() <= 5 * (d.variance / len(z)).sqrt() + 1e-12)
    spread = (z - d.mean).square()
    assert torch.all((spread.mean(0) - d.variance).abs() <= 5 * spread.std(0) / len(z) ** 0.5 + 1e-12)


@pytest.mark.parametrize("kind", DENSITIES)
def test_a_density_integrates_to_one(kind: Kind) -> None:
    family = build(kind, (1, 1, 1))
    d = family(parameters(family, 4, spread=0.5))
    low, high = (0, 1) if family.support == "unit interval" else (-8, 9)
    x = torch.linspace(low, high, 170_001, dtype=torch.float64)
    total = torch.trapezoid(d.log_prob(x.view(-1, 1, 1, 1, 1)).exp(), x, dim=0)
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-5)


def test_the_continuous_bernoulli_is_right_for_all_logits() -> None:
    logits = f64(-1e4, -300, -20, -1, -0.31, -0.29, -1e-3, 0, 1e-12, 0.01, 0.299, 0.301, 5, 40, 1e3, 1e4)
    d = distributions.ContinuousBernoulli(logits)
    node, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(64))
    edges = torch.cat((f64(0), torch.logspace(-8, math.log10(0.5), 60, dtype=torch.float64)))
    width = edges.diff()
    half = (edges[:-1, None] + width[:, None] * (node + 1) / 2).flatten()  # many short pieces near both ends
    x, w = torch.cat((half, 1 - half)), (width[:, None] * weight / 2).flatten().repeat(2)
    density = d.log_prob(x[:, None]).exp() * w[:, None]
    mean = (density * x[:, None]).sum(0)
    assert torch.allclose(density.sum(0), torch.ones_like(logits), rtol=0, atol=1e-9)
    assert torch.allclose(d.mean, mean, rtol=0, atol=1e-9)
    assert torch.allclose(d.variance, (density * (x[:, None] - mean).square()).sum(0), rtol=1e-3, atol=1e-12)


def test_known_values_of_the_continuous_bernoulli() -> None:
    p = f64(0.3, 0.1, 0.9, 0.499)
    d = distributions.ContinuousBernoulli(p.logit())
    constant = d.log_prob(torch.zeros(4, dtype=torch.float64)).exp() / (1 - p)
    assert constant.tolist() == pytest.approx([2.1182446510, 2.7465307217, 2.7465307217, 2.0000026667], abs=1e-10)
    assert d.mean[0].item() == pytest.approx(0.4302225011, abs=1e-10)


def test_quantiles_of_the_continuous_bernoulli_invert_its_distribution() -> None:
    logits = f64(-100, -5, -0.29, -1e-3, 0, 0.29, 0.31, 4, 100)
    u = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None]
    x = distributions.ContinuousBernoulli(logits).icdf(u)
    safe = logits.where(logits != 0, 1e-12)
    assert torch.allclose(torch.expm1(safe * x) / torch.expm1(safe), u.expand_as(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", DENSITIES)
def test_the_gradient_of_a_draw_is_that_of_its_parameters(kind: Kind) -> None:
    family = build(kind, (1, 2, 2))
    assert family.pathwise

    def drawn(h: Tensor) -> Tensor:
        torch.manual_seed(3)
        return family(h).rsample((6,))

    assert torch.autograd.gradcheck(drawn, parameters(family).requires_grad_(), atol=1e-5)


def test_the_gradient_of_a_drawn_level_is_that_of_the_mean() -> None:
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    d = Levels(logits, f64(-2, -1, 0, 0.5, 3))
    z, weight = d.rsample((4,)), torch.randn(4, 3, dtype=torch.float64)
    assert d.has_rsample
    assert torch.isin(z.detach().round(decimals=9), d.values).all()
    straight = torch.autograd.grad((weight * z).sum(), logits, retain_graph=True)[0]
    assert torch.allclose(straight, torch.autograd.grad((weight.sum(0) * d.mean).sum(), logits)[0])


def test_as_many_levels_elsewhere_are_others() -> None:
    one, other = (Levels(torch.zeros(2, 3), torch.tensor(values)) for values in ([-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="infinite"):
        kl_divergence(one, other)


def test_levels_are_a_categorical_distribution_with_values() -> None:
    torch.manual_seed(0)
    values = f64(-2, -1, 0, 0.5, 3)
    p, q = (Levels(torch.randn(3, 5, dtype=torch.float64), values) for _ in range(2))
    assert torch.allclose(p.log_prob(values[:, None]).exp().sum(0), torch.ones(3, dtype=torch.float64))
    assert torch.equal(p.log_prob(values[:, None] + 0.2), p.log_prob(values[:, None]))  # the nearest level
    assert torch.allclose(kl_divergence(p, q), (p.probs * (p.probs / q.probs).log()).sum(-1))
    assert torch.allclose(p.entropy(), -(p.probs * p.probs.log()).sum(-1))
    assert torch.equal(centre(p), values[p.probs.argmax(-1)])
    assert torch.equal(centre(torch.distributions.Independent(p, 1)), centre(p))
    assert torch.allclose(p.expand((2, 3)).mean, p.mean.expand(2, 3), rtol=1e-14)
    with pytest.raises(ValueError, match="infinite"):
        kl_divergence(p, Levels(torch.zeros(4), f64(0, 1, 2, 3)))


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_gradient_of_the_score_is_right(kind: Kind) -> None:
    keys = {"bits": 2} if issubclass(kind, PixelLevels) else {}  # type: ignore[arg-type]
    family = build(kind, (2, 1, 2), **keys)
    x = (torch.rand(3, 2, 1, 2, dtype=torch.float64) * 3).round() / 3
    h = parameters(family, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: family(h).log_prob(x), h)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_single_precision_agrees_with_double(kind: Kind) -> None:
    family = build(kind, (2, 3, 3))
    h = parameters(family, 8, spread=3)
    x = (torch.rand(8, 2, 3, 3, dtype=torch.float64) * 255).round() / 255
    exact, mean = family(h).log_prob(x), family(h).mean
    family.float()
    assert torch.allclose(family(h.float()).log_prob(x.float()).double(), exact, rtol=1e-4, atol=1e-3)
    assert torch.allclose(family(h.float()).mean.double(), mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", LIKELIHOODS)
@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_a_likelihood_survives_extreme_outputs(kind: Kind, value: float) -> None:
    family = kind((3, 2, 2)).eval()
    mixed = torch.full(family.inputs, value).requires_grad_()
    signs = (-1.0) ** torch.arange(mixed.numel()).view(mixed.shape)
    for h in (mixed, mixed * signs):
        for x in (torch.zeros(3, 2, 2), torch.ones(3, 2, 2), torch.full((3, 2, 2), 128 / 255)):
            d = family(h)
            score = d.log_prob(x)
            (slope,) = torch.autograd.grad(score, mixed, retain_graph=True)
            assert torch.isfinite(score)
            assert torch.isfinite(slope).all()
            assert torch.isfinite(d.mean).all()
            assert torch.isfinite(d.sample()).all()


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
@pytest.mark.parametrize("log_scale", [-1e4, 1e4])
def test_a_learned_scale_does_not_overflow(kind: Kind, log_scale: float) -> None:
    family = kind((1, 2, 2))
    torch.nn.init.constant_(family.log_scale, log_scale)
    score = family(torch.zeros(1, 2, 2)).log_prob(torch.tensor([0.0, 0.3, 0.5, 1.0]).view(1, 2, 2))
    score.backward()
    assert torch.isfinite(score)
    assert torch.isfinite(family.log_scale.grad)


@pytest.mark.parametrize("logits", [0.0, 1e-20, 0.3, 88.0, -1e4, 1e4])
def test_moments_and_draws_of_the_continuous_bernoulli_have_gradients(logits: float) -> None:
    a = torch.tensor(logits, requires_grad=True)
    d = distributions.ContinuousBernoulli(a)
    for value in (d.mean, d.variance, d.rsample((9,)).sum(), d.icdf(torch.tensor([0.0, 1.0])).sum()):
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, a)[0])


@pytest.mark.parametrize(
    ("kind", "bits"),
    [(kind, 8) for kind in LIKELIHOODS]
    + [(kind, bits) for kind in MASSES for bits in (1, 2, 16) if (kind, bits) != (Categorical, 16)],
)
def test_a_likelihood_starts_near_any_mean(kind: Kind, bits: int) -> None:
    levels = issubclass(kind, PixelLevels)  # type: ignore[arg-type]
    family = build(kind, (2, 2, 3), **({"bits": bits} if levels else {})).float()
    mean = torch.tensor([0, 1e-6, 0.004, 0.05, 0.2, 0.4, 0.5, 0.6, 0.9, 0.99, 0.999, 1]).view(2, 2, 3)
    start = family.start(mean)
    assert start.shape == family.inputs
    assert torch.allclose(family(start).mean, mean, rtol=0, atol=0.03 if bits < 3 else 0.011)


def test_a_logistic_cut_off_has_the_mean_asked_for() -> None:
    mean, scale = f64(0.001, 0.03, 0.3, 0.9, 0.999), 0.1
    loc = logistic_at(mean, scale)
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    above = torch.sigmoid((loc[:, None] - x) / scale)
    assert torch.allclose(torch.trapezoid(above, x), mean, rtol=0, atol=1e-9)


def test_the_components_of_a_mixture_start_unlike_one_another() -> None:
    family = build(LogisticMixture, (1, 1, 1))
    d = family(family.start(torch.full((1, 1, 1), 0.4, dtype=torch.float64)))
    assert isinstance(d, distributions.LogisticMixture)
    assert d.scale.flatten().unique().numel() == 5


def test_the_optimal_scale_is_the_best_there_is() -> None:
    torch.manual_seed(0)
    family = OptimalGaussian((1, 3, 3)).double().train()
    h, x = torch.rand(2, 4, 1, 3, 3, dtype=torch.float64), torch.rand(4, 1, 3, 3, dtype=torch.float64)
    found = family(h).log_prob(x)
    scales = torch.linspace(0.05, 1.5, 1451).tolist()
    brute = max(Gaussian((1, 3, 3), scale).double()(h).log_prob(x).sum().item() for scale in scales)
    assert found.shape == (2, 4)
    assert found.sum().item() >= brute
    assert found.sum().item() == pytest.approx(brute, abs=1e-3)


def test_the_gradient_at_the_optimal_scale_is_that_of_the_closed_form() -> None:
    family = OptimalGaussian((1, 2, 2)).double().train()
    h, x = torch.rand(5, 1, 2, 2, dtype=torch.float64, requires_grad=True), torch.rand(5, 1, 2, 2).double()
    (ours,) = torch.autograd.grad(-family(h).log_prob(x).sum(), h)
    (closed,) = torch.autograd.grad(x.numel() / 2 * (x - h).square().mean().log(), h)
    assert torch.allclose(ours, closed)


def test_what_is_reported_of_an_optimal_scale_does_not_look_at_the_batch() -> None:
    torch.manual_seed(0)
    family = OptimalGaussian((1, 2, 2))
    h, x = torch.zeros(64, 1, 2, 2), 0.3 * torch.randn(64, 1, 2, 2)
    for _ in range(3):
        family(h).log_prob(x)
    assert family.variance.item() == pytest.approx(x.square().mean().item(), rel=1e-5)
    state = {name: value.clone() for name, value in family.state_dict().items()}
    family.eval()
    alone, together = family(h[:1]).log_prob(x[:1]), family(h).log_prob(torch.cat((x[:1], 5 * x[1:])))[:1]
    fixed = Gaussian((1, 2, 2), family.variance.item() ** 0.5)(h[:1]).log_prob(x[:1])
    assert torch.allclose(alone, together)
    assert torch.allclose(alone, fixed)
    family.train()
    with torch.no_grad():  # looking at a model is not training it
        family(h).log_prob(5 * x)
    assert all(torch.equal(value, state[name]) for name, value in family.state_dict().items())
    assert list(family.parameters()) == []
    twin = OptimalGaussian((1, 2, 2))
    twin.load_state_dict(state)
    assert torch.equal(twin.eval()(h).log_prob(x), family.eval()(h).log_prob(x))


def test_an_optimal_scale_is_no_posterior() -> None:
    """A posterior scored at the scale of its own draws is another one than they came from: no bound would hold."""
    with pytest.raises(UsageError, match="DiagonalNormal"):
        Flat(posterior=OptimalGaussian)((1, 4, 4))


def test_the_running_scale_follows_the_batches() -> None:
    family = OptimalGaussian((1, 1, 1))
    h = torch.zeros(1, 1, 1, 1)
    for value in (1.0, 2.0, 3.0):
        family(h).log_prob(h + value)
    assert family.variance.item() == pytest.approx((1 + 4 + 9) / 3)
    for _ in range(2000):
        family(h).log_prob(h + 0.5)
    assert family.variance.item() == pytest.approx(0.25, rel=1e-4)
    assert torch.isfinite(family(h).log_prob(h))  # no error at all


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_uniform_model_costs_its_bits(bits: int) -> None:
    shape = (3, 2, 2)
    levels = 2**bits
    nats = 12 * bits * math.log(2)
    family = DiscretisedLogistic(shape, bits=bits)
    assert bits_per_dim(nats, family, (0, 1), levels, shape) == pytest.approx(bits)
    if bits <= 8:
        even = Categorical(shape, bits=bits)
        score = -even(torch.zeros(even.inputs)).log_prob(torch.rand(shape)).item()
        assert bits_per_dim(score, even, (0, 1), levels, shape) == pytest.approx(bits, rel=1e-5)
    if bits == 1:
        assert bits_per_dim(nats, Bernoulli(shape), (0, 1), 2, shape) == pytest.approx(1)
        return
    # a density of 1 on [0, 1] gives each of the levels a mass of one step
    step = bits_per_dim(0.0, ContinuousBernoulli(shape), (0, 1), levels, shape)
    assert step == pytest.approx(math.log2(levels - 1))
    # the same density on [-1, 1] is 1 / 2 everywhere
    wide = bits_per_dim(12 * math.log(2), Gaussian(shape), (-1, 1), levels, shape)
    assert wide == pytest.approx(step)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
def test_bits_of_a_density_are_near_those_of_the_mass(low: float, high: float) -> None:
    """A logistic density that is wide beside a step, and the same logistic discretised."""
    width = high - low
    loc, scale = f64(low + 0.4 * width, 0.1 * width)
    values = torch.linspace(low, high, 256, dtype=torch.float64)[20:180]
    y = (values - loc) / scale
    density = (y + scale.log() - 2 * torch.nn.functional.logsigmoid(y)).mean().item()
    mass = -distributions.DiscretisedLogistic(loc, scale, 256, (low, high)).log_prob(values).mean().item()
    shape = (1, 1, 1)
    bits = bits_per_dim(density, Gaussian(shape), (low, high), 256, shape)
    assert bits == pytest.approx(bits_per_dim(mass, DiscretisedLogistic(shape), (low, high), 256, shape), abs=1e-3)


@pytest.mark.parametrize(
    ("family", "levels"),
    [(Bernoulli, 256), (Gaussian, 2), (ContinuousBernoulli, 2), (DiscretisedLogistic, 2), (Categorical, 1024)],
)
def test_there_are_no_bits_of_what_is_no_code(family: Kind, levels: int) -> None:
    assert bits_per_dim(100.0, family((1, 2, 2)), (0, 1), levels, (1, 2, 2)) is None


@pytest.mark.parametrize("target", [Binary(), Grey(), Centred()])
def test_targets_have_the_levels_they_say(target: Any) -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(40).view(40, 1, 16, 16)
    values = target.training(images, torch.Generator().manual_seed(0)).unique()
    assert torch.allclose(values, torch.linspace(*target.interval, target.levels), atol=1e-6)


def check(family: Kind, name: TargetName, **keys: Any) -> None:
    made = Flat(latent=2, likelihood=lambda shape: family(shape, **keys))((1, 2, 2))
    check_likelihood(made, TARGETS[name](), name)


@pytest.mark.parametrize("family", MASSES)
@pytest.mark.parametrize(
    ("name", "bits", "remedy"),
    [
        ("binary", 8, "set data.targets to grey, or the likelihood to Bernoulli"),
        ("binary", 1, "the likelihood to Bernoulli"),
        ("centred", 8, "set data.targets to grey"),
        ("grey", 5, "set model.likelihood.bits to 8"),
    ],
)
def test_levels_that_the_targets_do_not_have_are_refused(
    family: Kind, name: TargetName, bits: int, remedy: str
) -> None:
    with pytest.raises(UsageError, match=remedy) as refused:
        check(family, name, bits=bits)
    assert "\n" not in str(refused.value)
    check(family, "grey", bits=8)


@pytest.mark.parametrize("family", DENSITIES)
def test_densities_of_binary_targets_are_refused(family: Kind) -> None:
    with pytest.raises(UsageError, match=r"set data\.targets to grey"):
        check(family, "binary")
    check(family, "grey")


@pytest.mark.parametrize("name", ["binary", "grey", "centred"])
def test_a_point_is_no_likelihood(name: TargetName) -> None:
    with pytest.raises(UsageError, match="the likelihood PointMass has no density"):
        check(PointMass, name)


def test_a_density_of_the_unit_interval_is_not_sent_to_binary_targets() -> None:
    with pytest.raises(UsageError, match=r"set data\.targets to grey, or"):
        check(ContinuousBernoulli, "centred")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Laplace((1, 1, 1), scale=-1.0), "Laplace got scale -1.0"),
        (lambda: Laplace((1, 1, 1), scale=math.nan), "such as 0.1"),
        (lambda: Gaussian((1, 1, 1), scale=math.inf), "such as 0.1"),
        (lambda: PixelGaussian((1, 1, 1), smallest=0.0), "such as 0.01"),
        (lambda: PixelGaussian((1, 1, 1), smallest=1.0), "below 1"),
        (lambda: DiscretisedLogistic((1, 1, 1), bits=0), "from 1 to 16"),
        (lambda: DiscretisedLogistic((1, 1, 1), bits=17), "from 1 to 16"),
        (lambda: LogisticMixture((1, 1, 1), components=0), "at least 1"),
        (lambda: Categorical((1, 1, 1), bits=9), "choose LogisticMixture"),
    ],
)
def test_keys_that_make_no_likelihood_are_refused(make: Callable[[], Family], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bits", [3, 16])
def test_level_families_say_their_levels(bits: int) -> None:
    family = DiscretisedLogistic((1, 1, 1), bits=bits)
    assert family.support == f"{2**bits} levels"
    assert not family.density
    assert not family.pathwise
