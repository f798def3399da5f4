"""Laws of the distributions, priors and families."""

import math

import pytest
import torch
from torch.distributions import Gamma, kl_divergence

from vaescope.distributions import diagonal_normal, mixture, quantiles, tempered
from vaescope.errors import UsageError
from vaescope.families import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiagonalNormal,
    DiscretisedLogistic,
    Family,
    Gaussian,
    Laplace,
    LogisticMixture,
    OptimalGaussian,
    PixelGaussian,
)
from vaescope.priors import NormalMixture, Prior, StandardNormal

FAMILIES = [
    (DiagonalNormal, (3,)),
    (Bernoulli, (1, 2, 2)),
    (Categorical, (3, 2, 2)),
    (ContinuousBernoulli, (1, 2, 2)),
    (DiscretisedLogistic, (3, 2, 2)),
    (Gaussian, (1, 2, 2)),
    (Laplace, (1, 2, 2)),
    (LogisticMixture, (3, 2, 2)),
    (OptimalGaussian, (1, 2, 2)),
    (PixelGaussian, (3, 2, 2)),
]
PRIORS = [StandardNormal, NormalMixture]


@pytest.mark.parametrize(
    ("q", "p", "expected"), [((1.0, 0.5), (0.0, 1.0), 0.8181471806), ((0.0, 2.0), (1.0, 3.0), 0.1832428859)]
)
def test_kl_of_normals(q: tuple[float, float], p: tuple[float, float], expected: float) -> None:
    a, b = (diagonal_normal(*torch.tensor([d]).double().T) for d in (q, p))
    assert kl_divergence(a, b).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("prior", PRIORS)
def test_a_prior_integrates_to_one(prior: type[Prior]) -> None:
    torch.manual_seed(0)
    grid = torch.linspace(-12, 12, 481, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    density = prior(2).double()().log_prob(z).exp()
    assert density.sum().item() * (24 / 480) ** 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("prior", PRIORS)
def test_samples_of_a_prior_have_its_moments(prior: type[Prior]) -> None:
    torch.manual_seed(0)
    p = prior(3)()
    z = p.sample((200_000,))
    error = 5 * (p.variance.max().item() / len(z)) ** 0.5
    assert torch.allclose(z.mean(0), p.mean, atol=error)
    assert torch.allclose(z.var(0), p.variance, rtol=0.03)


def test_a_mixture_stays_normalised_when_its_logits_move() -> None:
    prior = NormalMixture(1, components=3).double()
    torch.nn.init.constant_(prior.logits, 7.0)
    z = torch.linspace(-15, 15, 3001, dtype=torch.float64)[:, None]
    assert prior().log_prob(z).exp().sum().item() * 0.01 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("family", "shape"), FAMILIES)
def test_a_family_starts_at_the_mean_asked_for(family: type[Family], shape: tuple[int, ...]) -> None:
    mean = torch.linspace(0.1, 0.9, math.prod(shape)).view(shape)
    built = family(shape)
    parameters = built.start(mean)
    assert parameters.shape == built.inputs
    assert torch.allclose(built(parameters).mean, mean, atol=5e-3)  # a posterior's mean is bounded


@pytest.mark.parametrize(("family", "shape"), FAMILIES)
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_shapes_of_a_family(family: type[Family], shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
    built = family(shape)
    d = built(torch.randn(*batch, *built.inputs))
    assert d.batch_shape == batch
    assert d.event_shape == shape
    assert d.log_prob(torch.ones(*batch, *shape)).shape == batch


def test_a_bounded_posterior_survives_extreme_outputs() -> None:
    q = DiagonalNormal((2,))(torch.tensor([1e30, -1e30, 1e30, -1e30]))
    assert q.mean.tolist() == [8, -8]
    assert torch.isfinite(q.log_prob(q.sample()))
    assert torch.isfinite(kl_divergence(q, StandardNormal(2)()))


def test_a_bounded_posterior_is_the_plain_one_near_zero() -> None:
    h = 0.01 * torch.randn(4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(DiagonalNormal((2,))(h).mean, DiagonalNormal((2,), bound=None)(h).mean, rtol=1e-4)


def test_bernoulli_of_greys_is_the_expectation_over_binarisations() -> None:
    d = Bernoulli((1, 1, 3))(torch.tensor([[[0.5, -1.0, 2.0]]], dtype=torch.float64))
    grey = torch.tensor([0.2, 0.7, 1.0], dtype=torch.float64)
    binary = torch.cartesian_prod(*3 * [torch.tensor([0.0, 1.0], dtype=torch.float64)])  # all 8 images
    chance = torch.where(binary == 1, grey, 1 - grey).prod(-1)
    expected = chance @ d.log_prob(binary.view(8, 1, 1, 3))
    assert d.log_prob(grey.view(1, 1, 3)).item() == pytest.approx(expected.item(), abs=1e-12)


def test_quantiles_agree_with_samples() -> None:
    torch.manual_seed(0)
    p = torch.tensor([0.1, 0.5, 0.9])
    normal = diagonal_normal(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5]))
    exact = quantiles(normal, p)
    assert exact[0].tolist() == pytest.approx([-1.2815516, 0, 1.2815516], abs=1e-5)
    one = mixture(torch.zeros(1), diagonal_normal(normal.mean[None], normal.stddev[None]))
    assert torch.allclose(quantiles(one, p), exact, atol=1e-5)
    two = mixture(torch.tensor([0.0, 1.0]), diagonal_normal(torch.randn(2, 3), torch.rand(2, 3) + 0.1))
    assert torch.allclose(quantiles(two, p), torch.quantile(two.sample((400_000,)), p, dim=0).T, atol=0.02)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_temperature_multiplies_the_scale(temperature: float) -> None:
    torch.manual_seed(0)
    loc, scale = torch.tensor([[-3.0], [5.0]]), torch.tensor([[1.0], [0.2]])
    p = tempered(mixture(torch.tensor([30.0, 0.0]), diagonal_normal(loc, scale)), temperature)
    z = p.sample((20_000,))  # of the first component, but for a chance of 1e-13
    assert z.mean().item() == pytest.approx(-3, abs=0.03)
    assert z.std().item() == pytest.approx(temperature, abs=0.03)


def test_a_family_without_a_scale_refuses_a_temperature() -> None:
    with pytest.raises(UsageError, match="temperature"):
        tempered(Gamma(1.0, 1.0), 0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormalMixture(2, components=0),
        lambda: Gaussian((1, 1, 1), scale=0.0),
        lambda: DiagonalNormal((2,), bound=-1.0),
    ],
)
def test_what_cannot_be_built_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("dims", "smallest"), [(1, 1.0), (5, 0.1), (40, 1e-4)])
def test_the_density_of_a_mixture_of_normals_is_that_of_its_components_laid_out(dims: int, smallest: float) -> None:
    torch.manual_seed(0)
    logits, loc = torch.randn(7).double(), torch.randn(7, dims).double()
    scale = smallest + torch.rand(7, dims).double() * smallest
    fast = mixture(logits.requires_grad_(), diagonal_normal(loc.requires_grad_(), scale.requires_grad_()))
    components = torch.distributions.Independent(torch.distributions.Normal(loc, scale), 1)
    laid_out = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), components)
    z = laid_out.sample(torch.Size((3, 4))).requires_grad_()
    assert fast.log_prob(z).shape == (3, 4)
    assert torch.allclose(fast.log_prob(z), laid_out.log_prob(z), atol=1e-6)
    assert torch.allclose(fast.log_prob(z.float()).double(), laid_out.log_prob(z.float().double()), rtol=1e-6)
    ours, theirs = (torch.autograd.grad(p.log_prob(z).sum(), (z, logits, loc, scale)) for p in (fast, laid_out))
    for mine, expected in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
