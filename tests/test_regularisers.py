"""Objectives beyond bounds against brute force, quadrature and published formulas."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy
import pytest
import torch
from points import Points
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaescope.conditional import Conditional
from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, CategoricalCodes, DiagonalNormal, Gaussian
from vaescope.models import VAE, Site, Trace
from vaescope.nets import ms_ssim, ssim
from vaescope.nets.ssim import WEIGHTS, scales
from vaescope.objectives import (
    DIPVAE1,
    DIPVAE2,
    ELBO,
    MSSSIM,
    RAEL2,
    WAE,
    BetaTCVAE,
    InfoVAE,
    Objective,
    RAEGradientPenalty,
)
from vaescope.objectives.aggregate import Split, log_aggregate, log_weights, split
from vaescope.objectives.dip import covariance, off_diagonal
from vaescope.objectives.mmd import SCALES, Kernel, mmd
from vaescope.priors import NormalMixture, StandardNormal, UniformCodes

Make = Callable[..., VAE]
ALL = [BetaTCVAE(), DIPVAE1(), DIPVAE2(), InfoVAE(), WAE(), RAEL2(), RAEGradientPenalty(), MSSSIM()]
POINTS = [WAE(), RAEL2(), RAEGradientPenalty()]


def normals(count: int, latent: int, seed: int = 0) -> Independent:
    """Posteriors in double precision."""
    made = torch.Generator().manual_seed(seed)
    loc = torch.randn(count, latent, generator=made, dtype=torch.float64)
    scale = 0.3 + torch.rand(count, latent, generator=made, dtype=torch.float64)
    return diagonal_normal(loc, scale)


def standard(latent: int) -> Independent:
    return diagonal_normal(torch.zeros(latent).double(), torch.ones(latent).double())


# what the rate is made of


def by_quadrature(q: Independent, p: Distribution) -> tuple[Tensor, Split]:
    """The integral of q(z), and the exact mean of each part over all images and codes: sums over a grid of latents."""
    line = torch.linspace(-9, 9, 361, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)  # (G, 2)
    density = q.log_prob(z[:, None]).exp() * (line[1] - line[0]) ** 2 / q.batch_shape[0]  # (G, N)
    parts = []
    for index in range(q.batch_shape[0]):
        one = Independent(Normal(q.mean[index], q.stddev[index]), 1)
        part = split(Site(p, one.expand((len(z),)), z), q)
        parts.append([(density[:, index] * value).sum() for value in vars(part).values()])
    return density.sum(), Split(*torch.tensor(parts, dtype=torch.float64).sum(0))


def test_the_parts_of_the_rate_sum_to_it() -> None:
    q, p = normals(5, 2), standard(2)
    total, exact = by_quadrature(q, p)
    assert total.item() == pytest.approx(1, abs=1e-10)
    kl = torch.distributions.kl_divergence(q, p.expand((5,))).mean().item()
    assert sum(vars(exact).values()).item() == pytest.approx(kl, abs=1e-6)
    assert 0 < exact.mutual_information < math.log(5)
    assert exact.total_correlation > 0.01
    assert exact.dimension_wise > 0


def test_draws_average_to_the_parts_by_quadrature() -> None:
    torch.manual_seed(0)
    q, p = normals(5, 2), standard(2)
    _, exact = by_quadrature(q, p)
    found = split(Site(p, q, q.sample((20_000,))))
    for name, values in vars(found).items():
        assert values.shape == (20_000, 5)
        error = values.mean(1).std().item() / 20_000**0.5
        assert values.mean().item() == pytest.approx(getattr(exact, name).item(), abs=5 * error), name


def test_independent_latents_have_no_total_correlation() -> None:
    torch.manual_seed(0)
    grid = torch.cartesian_prod(*torch.randn(3, 4).double())  # every combination of four means a latent
    q = diagonal_normal(grid, torch.tensor([0.1, 0.5, 1.0]).double().expand_as(grid))
    found = split(Site(standard(3), q, q.sample((7,))))
    assert found.total_correlation.abs().max() < 1e-10


def test_the_total_correlation_of_dependent_normals() -> None:
    """Means from N(0, C) and noise s: the aggregate is N(0, C + s^2 I), whose total correlation is known."""
    rho, noise, count = 0.9, 0.5, 4096
    points = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(count).double().clamp(1e-6, 1 - 1e-6)
    spread = torch.linalg.cholesky(torch.tensor([[1, rho], [rho, 1]]).double())
    q = diagonal_normal(torch.special.ndtri(points) @ spread.T, torch.full((count, 2), noise).double())
    torch.manual_seed(0)
    some = torch.randperm(count)[:2000]
    z = q.sample()[some]
    values = torch.cat([torch.sub(*log_aggregate(part, q)) for part in z.split(500)])
    exact = -0.5 * math.log(1 - (rho / (1 + noise**2)) ** 2)
    assert values.mean().item() == pytest.approx(exact, abs=5 * values.std().item() / len(z) ** 0.5 + 0.01)


def test_a_batch_of_all_images_is_exact() -> None:
    q, weights = normals(6, 3), log_weights("mss", 6, 6, torch.ones(()).double())
    z = q.sample()
    assert torch.allclose(torch.stack(log_aggregate(z, q, weights)), torch.stack(log_aggregate(z, q)), atol=1e-12)
    shifted = log_aggregate(z, q, log_weights("mws", 6, 6, z))
    assert torch.allclose(shifted[0], log_aggregate(z, q)[0] - math.log(6), atol=1e-12)
    assert torch.allclose(shifted[1], log_aggregate(z, q)[1] - 3 * math.log(6), atol=1e-12)


def test_the_estimators_over_every_batch() -> None:
    """Stratified: the mean of the density is exact. Weighted: a lower bound in every batch."""
    q, batch = normals(7, 2), 3
    z = q.sample()[:1]  # a code of the first image, which is in every batch
    loc, scale = q.mean, q.stddev
    exact = log_aggregate(z, q)[0].exp().item()
    found: dict[str, list[float]] = {"mss": [], "mws": []}
    for others in combinations(range(1, 7), batch - 1):
        some = diagonal_normal(loc[[0, *others]], scale[[0, *others]])
        for name in ("mss", "mws"):
            weights = log_weights(name, batch, 7, z)[:1]
            found[name].append(log_aggregate(z, some, weights)[0].exp().item())
    assert sum(found["mss"]) / len(found["mss"]) == pytest.approx(exact, rel=1e-12)
    assert max(found["mws"]) < exact


def test_a_batch_of_images_with_independent_latents_has_hardly_any_total_correlation() -> None:
    """Sharp posteriors, many images: a plain average over the batch would put log B into every marginal."""
    torch.manual_seed(0)
    q = diagonal_normal(torch.randn(512, 2).double(), torch.full((512, 2), 0.5).double())
    weights = log_weights("mss", 512, 100_000, q.mean)
    found = split(Site(standard(2), q, q.sample((6,))), log_weights=weights)
    assert found.total_correlation.mean().item() == pytest.approx(0, abs=0.05)


def test_with_weights_of_one_it_is_a_draw_of_the_bound(tiny: Make, x: Tensor) -> None:
    model = tiny(latent=3)
    torch.manual_seed(5)
    terms = BetaTCVAE(beta=1.0)(model, x)
    torch.manual_seed(5)
    site = model(x).sites[0]
    assert site.q is not None
    ratio = (site.q.log_prob(site.z) - site.p.log_prob(site.z)).mean()
    assert terms["loss"].item() == pytest.approx((terms["distortion"] + ratio).item(), rel=1e-5)


def test_single_precision_is_enough_for_the_parts_and_the_discrepancy() -> None:
    torch.manual_seed(0)
    q = diagonal_normal(4 * torch.randn(64, 8), 0.05 + torch.rand(64, 8))
    z, twice = q.sample(), diagonal_normal(q.mean.double(), q.stddev.double())
    for single, double in zip(log_aggregate(z, q), log_aggregate(z.double(), twice), strict=True):
        assert torch.allclose(single.double(), double, rtol=1e-4, atol=1e-3)
    for kernel in ("imq", "rbf"):
        exact = mmd(z.double(), z.double().flip(1), kernel).item()
        assert mmd(z, z.flip(1), kernel).item() == pytest.approx(exact, abs=1e-5)


def test_latents_that_depend_on_one_another_are_refused() -> None:
    q = MultivariateNormal(torch.zeros(4, 2), torch.eye(2))
    with pytest.raises(UsageError, match="one by one"):
        log_aggregate(torch.zeros(4, 2), q)


# covariances


def test_the_penalties_on_the_covariance(tiny: Make, x: Tensor) -> None:
    model = tiny(latent=4)
    q = model.posterior(x)
    means, variances = q.mean.detach().double().numpy(), q.variance.detach().double().numpy()
    one = numpy.cov(means, rowvar=False, bias=True)
    for objective, matrix in ((DIPVAE1(3.0, 7.0), one), (DIPVAE2(3.0, 7.0), one + numpy.diag(variances.mean(0)))):
        terms = objective(model, x)
        off = sum(matrix[i, j] ** 2 for i in range(4) for j in range(4) if i != j)
        on = sum((matrix[i, i] - 1) ** 2 for i in range(4))
        assert terms["covariances"].item() == pytest.approx(off, rel=1e-4)
        assert terms["variances"].item() == pytest.approx(on, rel=1e-4)
        expected = terms["distortion"].item() + terms["rate"].item() + 3 * off + 7 * on
        assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_the_covariance_is_between_latents() -> None:
    values = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(covariance(values), torch.from_numpy(numpy.cov(values.numpy(), rowvar=False, bias=True)))
    assert off_diagonal(torch.tensor([[5.0, 1.0], [2.0, 7.0]])) == 5
    assert covariance(values[:1]).abs().max() == 0


# the maximum mean discrepancy


def kernel_by_hand(kernel: Kernel, x: Tensor, y: Tensor, scale: float) -> float:
    squared, width = (x - y).square().sum().item(), 2 * len(x) * scale**2
    return math.exp(-squared / width) if kernel == "rbf" else sum(s * width / (s * width + squared) for s in SCALES)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_discrepancy_against_a_double_loop(kernel: Kernel, scale: float) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(6, 3).double(), 1 + torch.randn(4, 3).double()

    def mean(first: Tensor, second: Tensor) -> float:
        pairs = [(a, b) for a in first for b in second if a is not b]
        return sum(kernel_by_hand(kernel, a, b, scale) for a, b in pairs) / len(pairs)

    xs, ys = torch.unbind(x), torch.unbind(y)
    expected = mean(xs, xs) + mean(ys, ys) - 2 * mean(xs, ys)  # type: ignore[arg-type]
    assert mmd(x, y, kernel, scale).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_discrepancy_has_no_bias_and_sees_differences(kernel: Kernel) -> None:
    torch.manual_seed(0)
    same = torch.stack([mmd(torch.randn(20, 2), torch.randn(20, 2), kernel) for _ in range(1000)])
    assert same.mean().item() == pytest.approx(0, abs=5 * same.std().item() / len(same) ** 0.5)
    assert same.min() < 0
    for other in (0.5 + torch.randn(2000, 2), 0.7 * torch.randn(2000, 2)):
        assert mmd(torch.randn(2000, 2), other, kernel) > 10 * same.std() / 100  # errors fall as 1/n


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_discrepancy_is_smooth_where_values_meet_and_far_away(kernel: Kernel) -> None:
    x = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1e4, -1e4]], requires_grad=True)
    value = mmd(x, torch.ones(3, 2), kernel)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert mmd(torch.ones(1, 2), torch.ones(1, 2), kernel).isfinite()


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_gradient_of_the_discrepancy(kernel: Kernel) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(5, 2).double().requires_grad_(), torch.randn(4, 2).double()
    assert torch.autograd.gradcheck(lambda x: mmd(x, y, kernel), x)


def test_the_weights_of_the_discrepancy(tiny: Make, x: Tensor) -> None:
    model = tiny()
    terms = InfoVAE(alpha=0.25, lam=10)(model, x)
    expected = terms["distortion"] + 0.75 * terms["rate"] + 9.25 * terms["mmd"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    torch.manual_seed(1)
    plain = InfoVAE(lam=1.0)(model, x)
    torch.manual_seed(1)
    assert plain["loss"].item() == pytest.approx(ELBO()(model, x)["loss"].item(), rel=1e-6)
    terms = WAE(weight=3.0)(model, x)
    assert terms["loss"].item() == pytest.approx((terms["distortion"] + 3 * terms["mmd"]).item(), rel=1e-6)


# regularised autoencoders


def test_the_penalty_on_the_weights_of_the_decoder(tiny: Make, x: Tensor) -> None:
    model = tiny(posterior=Points)
    terms = RAEL2(beta=0.5, decoder=0.25)(model, x)
    squares = sum((p.detach().double().numpy() ** 2).sum() for p in model.likelihood.net.parameters())
    codes = model.posterior.net(x).detach().double().numpy()
    assert terms["penalty"].item() == pytest.approx(squares, rel=1e-5)
    assert terms["code_size"].item() == pytest.approx((codes**2).sum(1).mean() / 2, rel=1e-5)
    expected = terms["distortion"] + 0.5 * terms["code_size"] + 0.25 * terms["penalty"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_penalty_on_the_gradient_is_that_of_the_jacobian_in_the_mean(tiny: Make) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 6), nn.Unflatten(-1, (1, 2, 3)))
    model = tiny().double()
    model.likelihood = Conditional(net, Bernoulli((1, 2, 3)), ndims=1).double()
    z = torch.randn(3, 2).double()
    jacobians = [torch.autograd.functional.jacobian(lambda v: model.likelihood(v).mean, one) for one in z]
    exact = torch.stack([j.square().sum() for j in jacobians]).mean().item()
    with torch.no_grad():
        found = torch.stack([RAEGradientPenalty().penalty(model, z) for _ in range(1000)])
    assert found.mean().item() == pytest.approx(exact, abs=5 * found.std().item() / 1000**0.5)
    assert found.std() > 0


def test_the_penalty_on_the_gradient_takes_batch_normalisation(tiny: Make, x: Tensor) -> None:
    model = tiny()
    layers = nn.Linear(2, 9), nn.BatchNorm1d(9), nn.SiLU(), nn.Linear(9, 784), nn.Unflatten(-1, (1, 28, 28))
    model.likelihood = Conditional(nn.Sequential(*layers), Bernoulli((1, 28, 28)), ndims=1)
    RAEGradientPenalty()(model, x)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.likelihood.net[1].running_mean.any()  # type: ignore[index,union-attr]
    assert model.likelihood.net[1].num_batches_tracked == 1  # type: ignore[index,union-attr]
    assert RAEGradientPenalty()(model.eval(), x)["loss"].isfinite()


def test_the_penalty_on_the_gradient_trains_the_decoder() -> None:
    """For one pixel, x = w z, the signs do not matter: the penalty is |w|^2, its gradient 2 w."""
    net = nn.Sequential(nn.Linear(2, 1), nn.Unflatten(-1, (1, 1, 1))).double()
    likelihood = Conditional(net, Gaussian((1, 1, 1)), ndims=1)
    model = VAE(StandardNormal(2), None, likelihood)  # type: ignore[arg-type]
    value = RAEGradientPenalty().penalty(model, torch.randn(4, 2).double())
    (gradient,) = torch.autograd.grad(value, net[0].weight)
    assert value.item() == pytest.approx(net[0].weight.square().sum().item(), rel=1e-12)
    assert torch.allclose(gradient, 2 * net[0].weight)


@pytest.mark.parametrize("objective", POINTS, ids=lambda o: type(o).__name__)
def test_a_learned_prior_is_fitted_without_touching_the_autoencoder(
    objective: Objective, tiny: Make, x: Tensor
) -> None:
    model = tiny(posterior=Points, prior=NormalMixture)
    terms = objective(model, x)
    codes = model.posterior(x).mean
    assert terms["cross_entropy"].item() == pytest.approx(-model.prior().log_prob(codes).mean().item(), rel=1e-5)
    autoencoder = [*model.posterior.parameters(), *model.likelihood.parameters()]
    assert all(g is None for g in torch.autograd.grad(terms["cross_entropy"], autoencoder, allow_unused=True))
    rest = terms["loss"] - terms["cross_entropy"]
    found = torch.autograd.grad(rest, list(model.prior.parameters()), allow_unused=True, retain_graph=True)
    assert all(g is None or not g.any() for g in found)
    fitted = torch.autograd.grad(terms["loss"], list(model.prior.parameters()))
    assert all(g.any() for g in fitted)
    assert "cross_entropy" not in objective(tiny(posterior=Points), x)


# structural similarity


def picture(side: int = 256) -> tuple[Tensor, Tensor]:
    """A synthetic image of two channels, and a changed one, with shape (1, 2, side, side)."""
    i = torch.arange(side, dtype=torch.float64)[:, None]
    j = i.T
    waves = 0.5 + 0.25 * (i / 7).sin() * (j / 11).cos() + 0.2 * (i * j / 900).cos()
    x = torch.stack([waves, 0.5 + 0.4 * ((i + 2 * j) / 5).sin()])[None]
    return x, 0.8 * x + 0.1 * (i * 1.3 + j * 0.7).sin() + 0.1


def test_the_similarity_against_another_implementation() -> None:
    """The values are those of pytorch-msssim 1.0 with its window in double precision."""
    x, y = picture()
    assert ssim(x, y).item() == pytest.approx(0.6571233162910317, abs=1e-12)
    assert ms_ssim(x, y).item() == pytest.approx(0.9254550922394594, abs=1e-12)
    assert ssim(x, y, 2.0).item() == pytest.approx(0.7253138198489493, abs=1e-12)
    assert ms_ssim(x, y, 2.0).item() == pytest.approx(0.9385484737273513, abs=1e-12)


def naive_ssim(x: numpy.ndarray, y: numpy.ndarray, span: float) -> float:
    """By the definition, place by place."""
    h, w = x.shape
    a, b = min(11, h), min(11, w)
    line = [numpy.exp(-0.5 * ((numpy.arange(n) - (n - 1) / 2) / 1.5) ** 2) for n in (a, b)]
    window = numpy.outer(*line) / numpy.outer(*line).sum()
    values = []
    for i in range(h - a + 1):
        for j in range(w - b + 1):
            s, t = x[i : i + a, j : j + b], y[i : i + a, j : j + b]
            ms, mt = (window * s).sum(), (window * t).sum()
            vs, vt = (window * (s - ms) ** 2).sum(), (window * (t - mt) ** 2).sum()
            cov = (window * (s - ms) * (t - mt)).sum()
            c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
            values.append((2 * ms * mt + c1) * (2 * cov + c2) / ((ms**2 + mt**2 + c1) * (vs + vt + c2)))
    return float(numpy.mean(values))


@pytest.mark.parametrize("shape", [(28, 28), (13, 20), (5, 30), (7, 4)])
def test_the_similarity_by_its_definition(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, *shape).double(), torch.rand(2, *shape).double()
    expected = numpy.mean([naive_ssim(a.numpy(), b.numpy(), 1.5) for a, b in zip(x, y, strict=True)])
    assert ssim(x, y, 1.5).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 5, 3, 33, 45), (1, 1, 1), (2, 1, 6, 40)])
def test_laws_of_similarity(measure: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, y = torch.rand(shape).double(), torch.rand(shape).double()
    assert measure(x, y).shape == shape[:-3]
    assert torch.allclose(measure(x, x), torch.ones(shape[:-3]).double())
    assert torch.allclose(measure(x, y), measure(y, x))
    assert (measure(x, y) < 1).all()
    near = measure(x, x + 0.1 * (y - x))
    assert (near > measure(x, y)).all()
    assert torch.allclose(measure(x.float(), y.float()).double(), measure(x, y), atol=1e-4)


def test_the_similarity_has_as_many_scales_as_fit() -> None:
    sides = [10, 11, 20, 21, 28, 41, 81, 160, 161, 1000]
    assert [scales(side, 1000) for side in sides] == [1, 1, 1, 2, 2, 3, 4, 4, 5, 5]
    torch.manual_seed(0)
    x, y = torch.rand(1, 1, 20, 20).double(), torch.rand(1, 1, 20, 20).double()
    assert ms_ssim(x, (x + y) / 2).item() == pytest.approx(ssim(x, (x + y) / 2).item() ** sum(WEIGHTS), abs=1e-12)


@pytest.mark.parametrize("other", ["equal", "constant", "noise", "negative"])
def test_the_gradient_of_the_similarity_is_finite(other: str) -> None:
    torch.manual_seed(0)
    noise = torch.rand(1, 1, 28, 28)
    x = noise.clone() if other == "negative" else torch.full((1, 1, 28, 28), 0.5)
    y = {"equal": x.clone(), "constant": torch.zeros_like(x), "noise": noise, "negative": 1 - x}[other]
    y.requires_grad_()
    value = ms_ssim(x, y).sum()
    (gradient,) = torch.autograd.grad(value, y)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_the_share_of_the_similarity(tiny: Make, x: Tensor) -> None:
    terms = MSSSIM(weight=0.25, beta=2.0)(tiny(), x)
    expected = 0.75 * terms["distortion"] + 0.25 * 784 * (1 - terms["ms_ssim"]) + 2 * terms["rate"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


# all of them


@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_every_parameter_gets_a_gradient(objective: Objective, tiny: Make, x: Tensor) -> None:
    for choices in ({}, {"prior": NormalMixture}, {"likelihood": Gaussian}):
        model = tiny(**choices)
        objective.check(model)
        terms = objective(model, x)
        assert {"loss", "distortion", "rate"} <= set(terms)
        assert all(value.shape == () and value.isfinite() for value in terms.values())
        terms["loss"].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_the_terms_are_the_same_without_gradients(objective: Objective, tiny: Make, x: Tensor) -> None:
    model = tiny()
    torch.manual_seed(3)
    wanted = {name: value.item() for name, value in objective(model, x).items()}
    torch.manual_seed(3)
    with torch.no_grad():
        assert {name: value.item() for name, value in objective(model, x).items()} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_the_distortion_and_the_rate_are_the_real_ones(objective: Objective, tiny: Make, x: Tensor) -> None:
    model = tiny()
    torch.manual_seed(4)
    plain = ELBO()(model, x)
    torch.manual_seed(4)
    terms = objective(model, x)
    assert terms["distortion"].item() == plain["distortion"].item()
    assert terms["rate"].item() == plain["rate"].item()


@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_one_image_is_a_batch(objective: Objective, tiny: Make, x: Tensor) -> None:
    model = tiny()
    terms = objective(model, x[:1])
    terms["loss"].backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_points_are_taken_or_refused(objective: Objective, tiny: Make, x: Tensor) -> None:
    model = tiny(posterior=Points)
    if objective not in POINTS:
        with pytest.raises(UsageError, match="RAEL2"):
            objective.check(model)
        return
    objective.check(model)
    terms = objective(model, x)
    assert "rate" not in terms
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_draws_without_a_gradient_of_their_own_have_no_split_rate(tiny: Make) -> None:
    """The mass of a code has no slope along it: what is left of the gradient of log q(z) - log p(z) is noise."""
    model = tiny(posterior=CategoricalCodes, prior=UniformCodes)
    with pytest.raises(UsageError, match="unbiased gradient"):
        BetaTCVAE().check(model)


def test_several_latent_variables_are_refused(tiny: Make, x: Tensor) -> None:
    class Two(VAE):
        def forward(self, *args: object, **choices: object) -> Trace:
            trace = super().forward(*args, **choices)  # type: ignore[arg-type]
            return Trace(trace.sites * 2, trace.likelihood)

    model = tiny()
    with pytest.raises(UsageError, match="one latent variable"):
        WAE()(Two(model.prior, model.posterior, model.likelihood), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BetaTCVAE(beta=-1.0),
        lambda: BetaTCVAE(images=1),
        lambda: DIPVAE1(off_diagonal=-1.0),
        lambda: DIPVAE2(diagonal=math.nan),
        lambda: InfoVAE(alpha=1.0),
        lambda: InfoVAE(alpha=0.5, lam=0.1),
        lambda: InfoVAE(scale=0.0),
        lambda: WAE(weight=math.inf),
        lambda: RAEL2(beta=-0.1),
        lambda: RAEGradientPenalty(decoder=-1.0),
        lambda: MSSSIM(weight=1.0),
        lambda: MSSSIM(span=0.0),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Objective]) -> None:
    with pytest.raises(UsageError):
        make()


def test_wide_posteriors_do_not_overflow() -> None:
    """Codes eight apart and scales of 1e-4, the bounds of the posterior, in single precision."""
    loc = torch.tensor([[-8.0, 8.0], [8.0, -8.0], [0.0, 0.0]], requires_grad=True)
    scale = torch.tensor([[1e-4, 2.0], [2.0, 1e-4], [1e-4, 1e-4]], requires_grad=True)
    q = DiagonalNormal((2,))  # for its bounds
    assert (q.smallest, q.largest, q.bound) == (1e-4, 2.0, 8.0)
    posterior = diagonal_normal(loc, scale)
    site = Site(diagonal_normal(torch.zeros(2), torch.ones(2)), posterior, posterior.rsample())
    total = torch.stack(list(vars(split(site)).values())).sum()
    gradients = torch.autograd.grad(total, (loc, scale))
    assert total.isfinite()
    assert all(g.isfinite().all() for g in gradients)


def test_what_is_minimised_is_put_into_words() -> None:
    words = {str(objective) for objective in [*ALL, DIPVAE1(1.0, 1.0), DIPVAE2(1.0, 1.0)]}
    assert len(words) == len(ALL) + 2
    assert not any(type(objective).__name__ in word for objective in ALL if objective != MSSSIM() for word in words)
