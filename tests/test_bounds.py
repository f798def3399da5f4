"""Bounds on log p(x), their gradients, the control of the rate, and schedules against exact mathematics."""

import copy
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from exact_models import LinearPosterior, linear_case, linear_model
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vaescope.conditional import Conditional
from vaescope.data.examples import Examples
from vaescope.distributions import diagonal_normal, mixture
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, DiagonalNormal
from vaescope.metrics import average
from vaescope.models import VAE, Flat, Site, draw
from vaescope.nets import MLP
from vaescope.objectives import (
    CIWAE,
    ELBO,
    IWAE,
    MIWAE,
    PIWAE,
    Capacity,
    Constant,
    Cyclical,
    DReG,
    FreeBits,
    Objective,
    Ramp,
    Renyi,
    Schedule,
    Sigmoid,
    StickingTheLanding,
    WarmupDecay,
    dimension_rates,
    exact_rate,
    log_weight,
)
from vaescope.priors import NormalMixture, Prior, StandardNormal

LOWER = [
    IWAE(1),
    IWAE(6),
    IWAE(4, begin=0.5),
    MIWAE(2, 3),
    MIWAE(3, 1),
    PIWAE(2, 3),
    PIWAE(1, 1),
    CIWAE(4, beta=0.3),
    Renyi(0.5, 4),
    Renyi(1.0, 4),
    Renyi(3.0, 4),
    StickingTheLanding(),
    StickingTheLanding(3),
    DReG(4),
    DReG(1),
]
BOUNDS = [*LOWER, Renyi(-2.0, 4)]
RATE_CONTROL = [FreeBits(groups=1), Capacity()]


def gradients(objective: Objective, model: nn.Module, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """The gradient of the loss for every parameter, with all randomness from one seed."""
    torch.manual_seed(seed)
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(objective(model, x)["loss"], list(parameters.values()), allow_unused=True)  # type: ignore[arg-type]
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(parameters.items(), found, strict=True)}


class Learned(nn.Module):
    """A normal posterior N(Gx + b, LL') with parameters, which starts as the exact one of a linear model."""

    def __init__(self, exact: LinearPosterior) -> None:
        super().__init__()
        self.gain = nn.Parameter(exact.gain.clone())
        self.offset = nn.Parameter(-exact.gain @ exact.mean)
        self.root = nn.Parameter(torch.linalg.cholesky(exact.covariance))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        loc = x.flatten(1) @ self.gain.T + self.offset
        return MultivariateNormal(loc, scale_tril=self.root.tril())


class Fixed(nn.Module):
    """A diagonal normal posterior with the same parameters for every image, or one row of them for each."""

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.loc, self.scale = nn.Parameter(loc), nn.Parameter(scale)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return diagonal_normal(self.loc.expand(len(x), -1), self.scale.expand(len(x), -1))


def vae(prior: nn.Module, posterior: nn.Module, likelihood: nn.Module) -> VAE:
    return VAE(prior, posterior, likelihood)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def linear() -> tuple[VAE, Tensor, Tensor]:
    """A linear model with a posterior that can be learned, images, and their exact log-likelihood."""
    model, x, exact = linear_case()
    return vae(model.prior, Learned(model.posterior), model.likelihood), x, exact  # type: ignore[arg-type]


def unit() -> VAE:
    """z ~ N(0, 1), x ~ N(z, 1), with the prior as the posterior: log p(1) = -1.5155121235."""
    one = torch.ones(1, 1).double()
    model = linear_model(one, torch.zeros(1).double(), 1.0)
    return vae(model.prior, Fixed(torch.zeros(1, 1).double(), one), model.likelihood)


ONE = torch.ones(1, 1, 1, 1).double()
LOG_P = -1.5155121235


@pytest.mark.parametrize("objective", BOUNDS, ids=repr)
def test_at_the_exact_posterior_every_bound_is_the_likelihood_of_every_image(
    linear: tuple[VAE, Tensor, Tensor], objective: Objective
) -> None:
    model, x, exact = linear
    for image, expected in zip(x[:10, None], exact[:10], strict=True):
        terms = objective(model, image)
        assert terms["bound"].item() == pytest.approx(expected.item(), abs=1e-9)
        assert terms["loss"].item() == -terms["bound"].item()


@pytest.mark.parametrize("objective", LOWER, ids=repr)
def test_with_another_posterior_no_bound_is_above_the_likelihood(
    linear: tuple[VAE, Tensor, Tensor], objective: Objective
) -> None:
    torch.manual_seed(1)
    model, x, exact = linear
    worse = copy.deepcopy(model)
    worse.posterior.root.data *= 1.3
    worse.posterior.offset.data += 0.2
    with torch.no_grad():
        for image, limit in zip(x[:3, None], exact[:3], strict=True):
            found = torch.stack([objective(worse, image.repeat(200, 1, 1, 1))["bound"] for _ in range(20)])
            assert found.mean() < limit + 5 * found.std() / 20**0.5
            assert found.mean() > limit - 3  # and no more than a few nats below


def test_one_importance_weight_is_the_elbo_of_the_same_draw(linear: tuple[VAE, Tensor, Tensor]) -> None:
    model, x, _ = linear
    for objective in (IWAE(1), MIWAE(1, 1), CIWAE(1), Renyi(0.3, 1), StickingTheLanding(), DReG(1)):
        torch.manual_seed(0)
        expected = -log_weight(model(x), x).mean()
        torch.manual_seed(0)
        assert objective(model, x)["loss"].item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_expectation_of_the_importance_weighted_bound_by_quadrature() -> None:
    z = torch.linspace(-9, 9, 361, dtype=torch.float64)
    weights = log_weight(unit()(ONE, pick=lambda i, p, q: z[:, None, None]), ONE)[:, 0]
    mass = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (18 / 360)
    assert (IWAE(1).bound(weights[None]) @ mass).item() == pytest.approx(-1.9189385332, abs=1e-9)
    pairs = torch.cartesian_prod(weights, weights).T  # (2, N N)
    masses = torch.cartesian_prod(mass, mass).prod(1)
    assert (IWAE(2).bound(pairs) @ masses).item() == pytest.approx(-1.6534737866, abs=1e-9)


def test_the_gap_of_the_importance_weighted_bound_shrinks_as_one_over_k() -> None:
    """The first-order term of the weights has a known mean, so taking it away leaves the gap and little noise."""
    torch.manual_seed(0)
    k, gaps, model = 100, [], unit()
    with torch.no_grad():
        for _ in range(10):
            w = log_weight(model(ONE.expand(8000, 1, 1, 1), pick=draw(k)), ONE)  # (k, 8000)
            gaps.append((w - LOG_P).exp().mean(0) - 1 - (IWAE(k).bound(w) - LOG_P))
    gap = torch.cat(gaps)
    assert k * gap.mean().item() == pytest.approx(0.1820587524, abs=5 * k * gap.std().item() / len(gap) ** 0.5 + 0.002)


def test_bounds_rise_with_the_number_of_draws() -> None:
    torch.manual_seed(0)
    w = log_weight(unit()(ONE.expand(20_000, 1, 1, 1), pick=draw(8)), ONE).detach()
    bounds = [MIWAE(8 // k, k).bound(w) for k in (1, 2, 4, 8)]
    for lower, higher in pairwise(bounds):
        rise = higher - lower
        assert rise.mean() > 5 * rise.std() / len(rise) ** 0.5


WEIGHTS = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 9.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]).double().log().T  # (6, 2)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (IWAE(6).bound, math.log(4)),
        (MIWAE(2, 3).bound, (math.log(2) + math.log(6)) / 2),  # of (1, 2, 3) and (4, 5, 9)
        (MIWAE(3, 2).bound, (math.log(1.5) + math.log(3.5) + math.log(7)) / 3),
        (PIWAE(2, 3).bound, math.log(4)),
        (PIWAE(2, 3).mean_of_groups, (math.log(2) + math.log(6)) / 2),
        (CIWAE(6, beta=0.25).bound, 0.25 * math.log(1080) / 6 + 0.75 * math.log(4)),
        (Renyi(2.0, 6).bound, -math.log((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 9) / 6)),
        (Renyi(-1.0, 6).bound, math.log(136 / 6) / 2),
        (StickingTheLanding(6).bound, math.log(1080) / 6),
        (DReG(6).bound, math.log(4)),
    ],
)
def test_bounds_of_given_weights(found: Callable[[Tensor], Tensor], expected: float) -> None:
    assert found(WEIGHTS).tolist() == pytest.approx([expected, 0.0], abs=1e-14)


def test_the_draws_of_a_group_stay_together(linear: tuple[VAE, Tensor, Tensor]) -> None:
    _, x, _ = linear
    model = copy.deepcopy(linear[0])
    model.posterior.root.data *= 2
    torch.manual_seed(0)
    w = log_weight(model(x, pick=draw(6)), x)
    by_hand = sum(w[3 * m : 3 * m + 3, b].exp().mean().log() for m in range(2) for b in range(50)) / 100
    torch.manual_seed(0)
    assert MIWAE(2, 3)(model, x)["bound"].item() == pytest.approx(by_hand.item(), abs=1e-12)  # type: ignore[union-attr]
    torch.manual_seed(0)
    terms = PIWAE(2, 3)(model, x)
    assert terms["posterior_bound"].item() == pytest.approx(by_hand.item(), abs=1e-12)  # type: ignore[union-attr]
    assert terms["bound"].item() == pytest.approx(w.exp().mean(0).log().mean().item(), abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MIWAE(1, 4), IWAE(4)),
        (MIWAE(4, 1), CIWAE(4, beta=1.0)),
        (PIWAE(1, 4), IWAE(4)),
        (CIWAE(4, beta=0.0), IWAE(4)),
        (Renyi(0.0, 4), IWAE(4)),
        (Renyi(1.0, 4), MIWAE(4, 1)),
        (Renyi(1 + 1e-12, 4), MIWAE(4, 1)),
        (Renyi(1 - 1e-12, 4), MIWAE(4, 1)),
    ],
    ids=repr,
)
def test_special_cases_have_the_same_value_and_gradient(
    tiny: object, x: Tensor, one: Objective, other: Objective
) -> None:
    model, x = tiny(prior=NormalMixture).double(), x.double()  # type: ignore[operator]
    assert average(one, model, Examples(x))["loss"] == pytest.approx(
        average(other, model, Examples(x))["loss"], rel=1e-8
    )
    found, expected = gradients(one, model, x), gradients(other, model, x)
    for name in expected:
        assert torch.allclose(found[name], expected[name], rtol=1e-6, atol=1e-9), name


def test_partial_importance_weighting_splits_the_gradient(tiny: object, x: Tensor) -> None:
    model, x = tiny(prior=NormalMixture).double(), x.double()  # type: ignore[operator]
    found = gradients(PIWAE(2, 3), model, x)
    posterior, rest = gradients(MIWAE(2, 3), model, x), gradients(IWAE(6), model, x)
    for name, gradient in found.items():
        mine, others = (posterior, rest) if name.startswith("posterior.") else (rest, posterior)
        assert torch.allclose(gradient, mine[name], rtol=1e-9, atol=1e-12), name
        assert not torch.allclose(gradient, others[name], rtol=1e-3), name


class Borrowed(Prior):
    """The mean of the posteriors of learned images, whose parameters are the posterior's own."""

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.images = nn.Parameter(torch.rand(3, 1, 28, 28))

    def borrow(self, posterior: Callable[[Tensor], Distribution], support: str, shape: tuple[int, ...]) -> None:
        self.lender = (posterior,)  # in a tuple, so that its parameters are not listed twice

    def forward(self, context: Tensor | None = None) -> Distribution:
        return mixture(self.images.new_zeros(3), self.lender[0](self.images))


@pytest.mark.parametrize("objective", [IWAE(3), StickingTheLanding(2), DReG(3), PIWAE(2, 2)], ids=repr)
def test_a_prior_that_borrows_the_posterior_gets_the_gradient_of_both_uses(
    tiny: object, x: Tensor, objective: Objective
) -> None:
    together, x = tiny(prior=Borrowed).double(), x.double()  # type: ignore[operator]
    apart = copy.deepcopy(together)
    apart.prior.other = copy.deepcopy(together.posterior)
    apart.prior.lender = (apart.prior.other,)
    expected = gradients(objective, apart, x)
    for name, gradient in gradients(objective, together, x).items():
        other = expected.get(name.replace("posterior.", "prior.other.")) if name.startswith("posterior.") else None
        total = expected[name] if other is None else expected[name] + other
        assert torch.allclose(gradient, total, rtol=1e-9, atol=1e-12), name
        assert gradient.abs().max() > 0, name


@pytest.mark.parametrize(
    ("objective", "plain"), [(StickingTheLanding(), IWAE(1)), (DReG(4), IWAE(4))], ids=["landing", "dreg"]
)
def test_at_the_exact_posterior_nothing_is_left_of_a_gradient_through_the_draws(
    linear: tuple[VAE, Tensor, Tensor], objective: Objective, plain: Objective
) -> None:
    model, x, _ = linear
    for name, gradient in gradients(objective, model, x).items():
        if name.startswith("posterior."):
            assert gradient.abs().max() < 1e-12, name
    assert gradients(plain, model, x)["posterior.offset"].abs().max() > 1e-2


def estimates(objective: Objective, model: VAE, x: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    """Independent estimates of the gradient for every parameter, with shape (count, ...)."""
    found = [gradients(objective, model, x, seed + i) for i in range(count)]
    return {name: torch.stack([f[name] for f in found]) for name in found[0]}


@pytest.mark.parametrize(
    ("objective", "plain"), [(StickingTheLanding(2), CIWAE(2, beta=1.0)), (DReG(4), IWAE(4))], ids=["landing", "dreg"]
)
def test_a_gradient_through_the_draws_has_the_mean_of_the_plain_one_and_less_noise(
    objective: Objective, plain: Objective
) -> None:
    torch.manual_seed(0)
    model, x, _ = linear_case()
    prior = NormalMixture(2, components=2).double()
    far = vae(prior, Learned(model.posterior), model.likelihood)  # type: ignore[arg-type]
    far.posterior.root.data *= 1.3
    far.posterior.offset.data += 0.2
    many = x[:1].expand(1000, 1, 1, 6)
    found, expected = estimates(objective, far, many, 40, 0), estimates(plain, far, many, 40, 1000)
    for name in expected:
        error = (found[name].var(0) / 40 + expected[name].var(0) / 40).sqrt()
        assert ((found[name].mean(0) - expected[name].mean(0)).abs() <= 5 * error + 1e-12).all(), name
    near = vae(model.prior, Learned(model.posterior), model.likelihood)  # type: ignore[arg-type]
    near.posterior.root.data *= 1.02
    found, expected = estimates(objective, near, x, 30, 0), estimates(plain, near, x, 30, 0)
    for name in ("posterior.gain", "posterior.offset"):
        assert found[name].var(0).sum() < 0.1 * expected[name].var(0).sum(), name


def test_the_bound_of_renyi_falls_with_its_order() -> None:
    weights = 3 * torch.randn(5, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    orders = [-8.0, -1.0, 0.0, 0.5, 0.999, 1.0, 1.001, 2.0, 9.0]
    bounds = torch.stack([Renyi(alpha, 5).bound(weights) for alpha in orders])
    assert (bounds.diff(dim=0) < 0).all()
    assert torch.allclose(Renyi(1 + 1e-12, 5).bound(weights), weights.mean(0), atol=1e-9)
    assert torch.allclose(Renyi(-500.0, 5).bound(weights), weights.amax(0), atol=math.log(5) / 500)


@pytest.mark.parametrize("objective", [b for b in BOUNDS if b.repeats], ids=repr)
def test_extreme_weights_give_finite_bounds_and_gradients(objective: Objective) -> None:
    exact = torch.linspace(-1e4, 1e4, objective.draws)[:, None].double()  # type: ignore[attr-defined]
    exact = torch.cat((exact, exact.flip(0), 1e-3 * exact), dim=1)
    single = exact.float().requires_grad_()
    found = objective.bound(single)  # type: ignore[attr-defined]
    (gradient,) = torch.autograd.grad(found.sum(), single)
    assert gradient.isfinite().all()
    assert torch.allclose(gradient.sum(0), torch.ones(3), atol=1e-5)  # all weights larger, the bound as much larger
    assert torch.allclose(found.double(), objective.bound(exact), rtol=1e-5, atol=1e-4)  # type: ignore[attr-defined]


LOC = torch.tensor([[0.0, 1.0, 0.2, 2.0], [0.0, 3.0, 0.2, 0.0]]).double()
SCALE = torch.tensor([[1.0, 1.0, 1.0, 0.5], [0.9, 1.0, 1.0, 1.0]]).double()
KL = (LOC**2 + SCALE**2 - 1) / 2 - SCALE.log()  # (2, 4)


def blank() -> VAE:
    """Two images with known rates, and a decoder that says nothing: the distortion is 4 log 2."""
    layer = nn.Linear(4, 4).double()
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    likelihood = Conditional(nn.Sequential(layer, nn.Unflatten(-1, (1, 2, 2))), Bernoulli((1, 2, 2)), ndims=1)
    return vae(StandardNormal(4).double(), Fixed(LOC.clone(), SCALE.clone()), likelihood)


def test_rates_of_single_latents_sum_to_the_rate() -> None:
    trace = blank()(torch.zeros(2, 1, 2, 2).double())
    (site,) = trace.sites
    each = dimension_rates(site)
    assert each is not None
    assert torch.allclose(each, KL, atol=1e-14)
    assert torch.allclose(each.sum(-1), exact_rate(site), atol=1e-14)  # type: ignore[arg-type]
    assert dimension_rates(Site(NormalMixture(4).double()(), site.q, site.z)) is None
    image = diagonal_normal(torch.zeros(2, 3, 3), torch.ones(2, 3, 3), 3)
    assert dimension_rates(Site(image, image.expand((5,)), image.sample((5,)))).shape == (5, 18)  # type: ignore[union-attr]


@pytest.mark.parametrize("groups", [None, 2, 1])
@pytest.mark.parametrize("nats", [0.0, 0.7, 3.0, 100.0])
def test_free_bits_as_the_formula_says(groups: int | None, nats: float) -> None:
    model, x = blank(), torch.zeros(2, 1, 2, 2).double()
    terms = FreeBits(nats, groups, beta=2.0, warmup=Ramp(0.0, 1.0, share=1.0))(model, x, progress=0.5)
    single = KL.mean(0).tolist()
    sums = {None: single, 2: [single[0] + single[1], single[2] + single[3]], 1: [sum(single)]}[groups]
    paid = sum(max(nats, value) for value in sums)
    assert terms["paid_rate"].item() == pytest.approx(paid, abs=1e-12)
    assert terms["rate"].item() == pytest.approx(sum(single), abs=1e-12)
    assert terms["loss"].item() == pytest.approx(4 * math.log(2) + 2.0 * 0.5 * paid, abs=1e-12)
    terms["loss"].backward()
    size = 4 // len(sums)
    for group, value in enumerate(sums):
        pull = model.posterior.loc.grad[:, size * group : size * (group + 1)]
        assert (pull.abs().sum() > 0) == (value > nats and bool(LOC[:, size * group : size * (group + 1)].any()))


@pytest.mark.parametrize(("progress", "capacity"), [(0.0, 0.0), (0.25, 3.0), (0.5, 6.0), (1.0, 6.0)])
def test_capacity_as_the_formula_says(progress: float, capacity: float) -> None:
    rate = KL.sum(1).mean().item()
    assert 3.0 < rate < 6.0  # the cases lie on both sides
    terms = Capacity(nats=6.0, gamma=10.0)(blank(), torch.zeros(2, 1, 2, 2).double(), progress=progress)
    assert terms["capacity"].item() == capacity
    assert terms["loss"].item() == pytest.approx(4 * math.log(2) + 10 * abs(rate - capacity), abs=1e-12)


@pytest.mark.parametrize("prior", [StandardNormal, NormalMixture, Borrowed])
@pytest.mark.parametrize("objective", [*BOUNDS, *RATE_CONTROL, FreeBits(nats=0.0)], ids=repr)
def test_every_parameter_gets_a_gradient(tiny: object, x: Tensor, prior: type, objective: Objective) -> None:
    model = tiny(prior=prior)  # type: ignore[operator]
    if objective == FreeBits(nats=0.0) and prior is not StandardNormal:
        for refusal in (objective.check, lambda model: objective(model, x)):
            with pytest.raises(UsageError, match="groups 1"):
                refusal(model)
        return
    objective.check(model)
    terms = objective(model, x)
    terms["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(value.dim() == 0 and value.isfinite() for value in terms.values())
    assert {"loss", "distortion", "rate"} <= terms.keys()


@pytest.mark.parametrize("objective", [*BOUNDS, *RATE_CONTROL], ids=repr)
def test_distortion_and_rate_are_those_of_the_elbo(tiny: object, x: Tensor, objective: Objective) -> None:
    model = tiny()  # type: ignore[operator]
    model.posterior.net[-1].bias.data[2:] = -9.0  # small scales, so that every draw gives about the same
    found, expected = average(objective, model, Examples(x)), average(ELBO(), model, Examples(x))
    assert found["rate"] == pytest.approx(expected["rate"], rel=1e-6)
    assert found["distortion"] == pytest.approx(expected["distortion"], rel=1e-3)


def test_one_draw_goes_with_batch_normalisation_and_counts_every_batch_once(tiny: object, x: Tensor) -> None:
    statistics = []
    for objective in (ELBO(), IWAE(1), StickingTheLanding(), DReG(1), PIWAE(1, 1)):
        model = tiny()  # type: ignore[operator]
        model.posterior.net.append(nn.BatchNorm1d(4))
        model.likelihood.net.insert(0, nn.BatchNorm1d(2))
        objective.check(model)
        objective(model, x)["loss"].backward()
        statistics.append(dict(model.named_buffers()))
    for other in statistics[1:]:
        assert all(torch.equal(value, other[name]) for name, value in statistics[0].items())


class Point(DiagonalNormal):
    """A posterior that is a point."""

    degenerate = True


class Rough(DiagonalNormal):
    """A posterior whose draws have a biased gradient."""

    pathwise = False


class Tangled(DiagonalNormal):
    """A posterior whose latents depend on one another."""

    factorised = False

    def forward(self, h: Tensor) -> Distribution:
        q = super().forward(h)
        return MultivariateNormal(q.mean, scale_tril=q.stddev.diag_embed(), validate_args=False)


@pytest.mark.parametrize("objective", [*BOUNDS, *RATE_CONTROL], ids=repr)
def test_models_without_what_an_objective_needs_are_refused(tiny: object, objective: Objective) -> None:
    with pytest.raises(UsageError, match=r"needs log q\(z\|x\)"):
        objective.check(tiny(posterior=Point))  # type: ignore[operator]
    normalised = tiny()  # type: ignore[operator]
    normalised.likelihood.net.insert(0, nn.BatchNorm1d(2))
    refuses(objective, normalised, "batch normalisation", objective.repeats)
    refuses(objective, tiny(posterior=Rough), "unbiased", not isinstance(objective, (FreeBits, Capacity, ELBO)))  # type: ignore[operator]
    dropped = tiny()  # type: ignore[operator]
    dropped.posterior.net.append(nn.Dropout(0.0))
    objective.check(dropped)
    dropped.posterior.net[-1].p = 0.1
    refuses(objective, dropped, "dropout", isinstance(objective, (StickingTheLanding, DReG, PIWAE)))


def refuses(objective: Objective, model: VAE, message: str, expected: bool) -> None:
    if expected:
        with pytest.raises(UsageError, match=message):
            objective.check(model)
    else:
        objective.check(model)


@pytest.mark.parametrize(
    ("choices", "groups", "message"),
    [
        ({"prior": NormalMixture}, None, "NormalMixture"),
        ({"prior": NormalMixture}, 2, "groups 1"),
        ({"prior": NormalMixture}, 1, None),
        ({"posterior": Tangled}, None, "Tangled"),
        ({"posterior": Tangled}, 1, None),
        ({"posterior": Tangled}, 3, "groups 1"),
        ({}, 4, "cannot cut 6 latents into 4"),
        ({}, 3, None),
        ({}, None, None),
    ],
)
def test_free_bits_refuse_latents_without_rates_of_their_own(
    choices: dict, groups: int | None, message: str | None
) -> None:
    model = Flat(latent=6, network=MLP(width=8), **choices)((1, 4, 4))
    state = torch.get_rng_state()
    refuses(FreeBits(groups=groups), model, message or "", message is not None)
    assert torch.equal(state, torch.get_rng_state())
    assert model.training


@pytest.mark.parametrize(
    "make",
    [
        lambda: IWAE(0),
        lambda: IWAE(2.5),  # type: ignore[arg-type]
        lambda: MIWAE(groups=0),
        lambda: MIWAE(samples=0),
        lambda: PIWAE(groups=-1),
        lambda: CIWAE(beta=1.5),
        lambda: CIWAE(beta=math.nan),
        lambda: CIWAE(samples=0),
        lambda: Renyi(alpha=math.nan),
        lambda: Renyi(alpha=math.inf),
        lambda: Renyi(samples=0),
        lambda: StickingTheLanding(samples=0),
        lambda: DReG(samples=math.nan),  # type: ignore[arg-type]
        lambda: FreeBits(nats=-1.0),
        lambda: FreeBits(nats=math.nan),
        lambda: FreeBits(groups=0),
        lambda: FreeBits(beta=-1.0),
        lambda: Capacity(nats=-1.0),
        lambda: Capacity(gamma=math.nan),
        lambda: Cyclical(cycles=0),
        lambda: Cyclical(share=1.1),
        lambda: Cyclical(end=math.nan),
        lambda: Sigmoid(steepness=0.0),
        lambda: Sigmoid(steepness=math.inf),
        lambda: Sigmoid(middle=-0.1),
        lambda: Sigmoid(start=-1.0),
        lambda: Ramp(end=math.nan),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=r"\w+ got [a-z]+ \S+: give a"):
        make()


SCHEDULES = [
    Constant(0.7),
    Ramp(0.1, 0.7, 0.3),
    Cyclical(0.1, 0.7, cycles=3, share=0.4),
    Cyclical(end=0.7, share=1.0),
    Cyclical(end=0.7, cycles=7, share=0.0),
    Sigmoid(0.1, 0.7, share=0.9),
    Sigmoid(end=0.7, share=1.0, middle=0.0, steepness=1e6),
    Sigmoid(end=0.7, share=1.0, middle=1.0, steepness=1e6),
    Sigmoid(end=0.7, share=0.0),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_stay_within_their_values_and_arrive(schedule: Schedule) -> None:
    values = [schedule(i / 1000) for i in range(1001)]
    assert values[-1] == 0.7
    assert 0 <= min(values) <= max(values) == 0.7
    steps = schedule.shortest
    assert all(0 <= schedule((step + 0.5) / steps) <= 0.7 for step in range(steps))


def test_a_cyclical_schedule_cycles() -> None:
    schedule = Cyclical(start=1.0, end=3.0, cycles=4, share=0.5)
    for cycle in range(4):
        shares = (0.0, 0.25, 0.5, 0.75)
        assert [schedule((cycle + share) / 4) for share in shares] == pytest.approx([1, 2, 3, 3]), cycle
    assert schedule(1.0) == 3.0
    values = [schedule((step + 0.5) / 400) for step in range(400)]
    falls = [step for step in range(1, 400) if values[step] < values[step - 1]]
    assert falls == [100, 200, 300]
    assert schedule.shortest == 8
    short = [schedule((step + 0.5) / 8) for step in range(8)]
    assert short == pytest.approx([2, 3] * 4)  # in every cycle one step that rises and one that has risen


def test_a_sigmoid_is_a_logistic_that_arrives() -> None:
    schedule = Sigmoid(start=1.0, end=3.0, share=0.5, middle=0.3, steepness=8.0)

    def logistic(done: float) -> float:
        return 1 / (1 + math.exp(-8 * (done - 0.3)))

    for done in (0.0, 0.1, 0.3, 0.7, 1.0):
        expected = 1 + 2 * (logistic(done) - logistic(0)) / (logistic(1) - logistic(0))
        assert schedule(done / 2) == pytest.approx(expected, abs=1e-14)
    assert schedule(0.0) == 1.0
    assert schedule(0.5) == schedule(1.0) == 3.0
    assert Sigmoid(share=1.0)(0.5) == pytest.approx(0.5)  # symmetric about its middle
    assert Sigmoid(share=1.0, steepness=1e-4)(0.2) == pytest.approx(0.2, abs=1e-6)  # a straight line
    assert [schedule.shortest for schedule in (Constant(), Ramp(), WarmupDecay(), schedule)] == [1, 1, 1, 1]


def test_before_its_beginning_the_bound_is_the_elbo(tiny: Callable[..., VAE], x: Tensor) -> None:
    late, model = IWAE(5, begin=0.7), tiny()
    for progress, objective in ((0.1, ELBO()), (0.69, ELBO()), (0.7, IWAE(5)), (1.0, IWAE(5))):
        torch.manual_seed(0)
        expected = objective(model, x, progress=progress)["loss"]
        torch.manual_seed(0)
        terms = late(model, x, progress=progress)
        assert terms["loss"] == expected
        assert list(terms) == list(late(model, x))  # which a log averages over steps
    with pytest.raises(UsageError, match="begin"):
        IWAE(5, begin=1.5)
