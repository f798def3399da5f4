"""Laws of latents that are not plain vectors: points of the sphere, single points, codes."""

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vaescope import distributions
from vaescope.choices import components
from vaescope.distributions import (
    Levels,
    PowerSpherical,
    VonMisesFisher,
    centre,
    diagonal_normal,
    nearest,
    tempered,
    unit,
)
from vaescope.distributions.bessel import log_mean_exp
from vaescope.distributions.zonal import Zonal
from vaescope.errors import UsageError
from vaescope.families import CategoricalCodes, Family, PointMass
from vaescope.families import PowerSpherical as PowerSphericalFamily
from vaescope.families import VonMisesFisher as VonMisesFisherFamily
from vaescope.models import VAE
from vaescope.objectives import ELBO
from vaescope.objectives.terms import exact_rate
from vaescope.priors import HypersphericalUniform, StandardNormal, UniformCodes

ZONAL = [VonMisesFisher, PowerSpherical]
SPHERICAL = [VonMisesFisherFamily, PowerSphericalFamily]
DIMENSIONS = [2, 3, 10, 64, 256]
CONCENTRATIONS = [0.1, 1.0, 10.0, 100.0, 1000.0]


def member(kind: type[Zonal], dim: int, concentration: float, dtype: torch.dtype = torch.float64) -> Zonal:
    """A distribution around a random direction."""
    loc = unit(torch.randn(dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)).to(dtype)
    return kind(loc, torch.tensor(concentration, dtype=dtype))


def expectation(kind: type[Zonal], dim: int, k: float, f: Callable[[Tensor], Tensor]) -> float:
    """The mean of f(cos theta), by quadrature over the angle with the density in its textbook form."""
    angle = torch.linspace(0, math.pi, 40_001, dtype=torch.float64)[1::2]  # midpoints
    statistic = angle.cos() if kind is VonMisesFisher else torch.log1p(angle.cos())
    log_density = (dim - 2) * angle.sin().log() + k * statistic
    density = (log_density - log_density.max()).exp()
    return ((density * f(angle.cos())).sum() / density.sum()).item()


@pytest.mark.parametrize(
    ("kind", "dim", "concentration", "expected"),
    [
        (VonMisesFisher, 3, 1.0, 0.1515959239),
        (VonMisesFisher, 3, 10.0, 1.9957323168),
        (VonMisesFisher, 10, 50.0, 8.3918992178),
        (VonMisesFisher, 20, 100.0, 16.9404170663),
        (VonMisesFisher, 2, 1.0, 0.2104756074),
        (PowerSpherical, 3, 10.0, 1.4888043637),
    ],
)
def test_divergence_from_the_uniform(kind: type[Zonal], dim: int, concentration: float, expected: float) -> None:
    found = kl_divergence(member(kind, dim, concentration), distributions.HypersphericalUniform(dim))
    assert found.item() == pytest.approx(expected, abs=2e-10)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_a_weak_concentration_costs_its_square(dim: int) -> None:
    for k in (1e-4, 1e-3):
        q = member(VonMisesFisher, dim, k)
        assert q.divergence().item() == pytest.approx(k**2 / (2 * dim), rel=1e-5)
    assert member(VonMisesFisher, dim, 0.0).divergence().item() == 0
    assert member(PowerSpherical, dim, 0.0).divergence().item() == pytest.approx(0, abs=1e-12)


def log_normaliser(dim: int, k: float) -> float:
    """log C_D(k) of the density C exp(k cos), with 40 digits."""
    with mpmath.workdps(40):
        v, k = mpmath.mpf(dim) / 2 - 1, mpmath.mpf(k)
        log_c = v * mpmath.log(k) - (v + 1) * mpmath.log(2 * mpmath.pi) - mpmath.log(mpmath.besseli(v, k))
        return float(log_c + k)  # of the density C exp(k (cos - 1))


@pytest.mark.parametrize("dim", [2, 3, 4, 7, 10, 49, 50, 51, 64, 256])
def test_the_density_of_von_mises_and_fisher(dim: int) -> None:
    for k in (1e-3, 0.1, 1.0, 10.0, 50.0, 300.0, 1e3, 1e4):
        q = member(VonMisesFisher, dim, k)
        torch.manual_seed(0)
        z = torch.stack((q.sample(), unit(torch.randn(dim).double())))
        expected = k * ((z * q.loc).sum(-1) - 1) + log_normaliser(dim, k)
        assert torch.allclose(q.log_prob(z), expected, rtol=0, atol=1e-8)
        single = member(VonMisesFisher, dim, k, torch.float32).log_prob(z.float()).double()
        assert torch.allclose(single, expected, rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_the_derivatives_of_the_log_normaliser_are_ratios_of_bessel_functions(dim: int) -> None:
    for k in (1e-3, 1.0, 30.0, 1e3, 1e4):
        x = torch.tensor(k, dtype=torch.float64, requires_grad=True)
        value, mean = log_mean_exp(x, dim)
        with mpmath.workdps(40):
            v = mpmath.mpf(dim) / 2 - 1
            ratio = mpmath.besseli(v + 1, k) / mpmath.besseli(v, k)
            variance = 1 - ratio**2 - (dim - 1) * ratio / k
        assert mean.item() == pytest.approx(float(ratio), rel=1e-10)
        assert torch.autograd.grad(value, x, retain_graph=True)[0].item() == pytest.approx(float(ratio), rel=1e-10)
        assert torch.autograd.grad(mean, x)[0].item() == pytest.approx(float(variance), rel=1e-6)


@pytest.mark.parametrize("kind", ZONAL)
@pytest.mark.parametrize("concentration", [0.0, 0.5, 20.0])
def test_a_density_integrates_to_one(kind: type[Zonal], concentration: float) -> None:
    n = 1000
    around = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    circle = torch.stack((around.cos(), around.sin()), -1)
    assert member(kind, 2, concentration).log_prob(circle).exp().sum().item() * 2 * math.pi / n == pytest.approx(
        1, abs=1e-6
    )
    height = torch.linspace(-1, 1, 2 * n + 1, dtype=torch.float64)[1::2]  # a sphere has as much surface at each height
    up, turn = torch.meshgrid(height, around[::10], indexing="ij")
    flat = (1 - up.square()).sqrt()
    sphere = torch.stack((flat * turn.cos(), flat * turn.sin(), up), -1)
    total = member(kind, 3, concentration).log_prob(sphere).exp().sum().item() * 4 * math.pi / turn.numel()
    assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_the_uniform_distribution_of_the_sphere(dim: int) -> None:
    torch.manual_seed(0)
    p = distributions.HypersphericalUniform(dim)
    z = p.sample((20_000,))
    assert torch.allclose(z.norm(dim=-1), torch.ones(len(z)), atol=1e-6)
    assert (z.mean(0).abs() < 5 / (dim * len(z)) ** 0.5).all()
    assert torch.allclose(z.var(0), p.variance.expand(dim), rtol=0.06)
    surface = {2: 2 * math.pi, 3: 4 * math.pi, 10: math.pi**5 / 12}.get(dim)
    if surface is not None:
        assert p.log_prob(z).exp().mean().item() == pytest.approx(1 / surface, rel=1e-5)
    assert p.entropy().item() == pytest.approx(-p.log_prob(z[0]).item())


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ZONAL)
def test_draws_lie_on_the_sphere_and_have_the_moments(kind: type[Zonal], dim: int) -> None:
    torch.manual_seed(0)
    for k in CONCENTRATIONS:
        q = member(kind, dim, k)
        z = q.sample((2000,))
        assert torch.allclose(z.norm(dim=-1), torch.ones(len(z)).double(), atol=1e-12)
        assert ((z.mean(0) - q.mean).abs() < 5 * (q.variance / len(z)).sqrt()).all()
        assert z.var(0).sum().item() == pytest.approx(q.variance.sum().item(), rel=0.2)
        cosine = z @ q.loc
        mean, variance = q.cosine()
        assert mean.item() == pytest.approx(expectation(kind, dim, k, lambda w: w), rel=1e-3)
        assert variance.item() == pytest.approx(expectation(kind, dim, k, torch.square) - mean.item() ** 2, rel=1e-2)
        assert cosine.mean().item() == pytest.approx(mean.item(), abs=5 * (variance.item() / len(z)) ** 0.5)


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ZONAL)
def test_entropy_and_divergence_are_means_of_the_density(kind: type[Zonal], dim: int) -> None:
    torch.manual_seed(0)
    p = distributions.HypersphericalUniform(dim, torch.float64)
    for k in CONCENTRATIONS:
        q = member(kind, dim, k)
        z = q.sample((2000,))
        log_q = q.log_prob(z)
        error = 5 * log_q.std().item() / len(z) ** 0.5
        assert q.entropy().item() == pytest.approx(-log_q.mean().item(), abs=error)
        assert kl_divergence(q, p).item() == pytest.approx((log_q - p.log_prob(z)).mean().item(), abs=error)


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ZONAL)
def test_the_gradient_of_the_divergence(kind: type[Zonal], dim: int) -> None:
    for value in CONCENTRATIONS:
        step = 1e-4 * value
        k = torch.tensor([value, value - step, value + step], dtype=torch.float64, requires_grad=True)
        divergence = kind(unit(torch.ones(dim).double()), k).divergence()
        (found,) = torch.autograd.grad(divergence[0], k)
        assert found[0].item() == pytest.approx((divergence[2] - divergence[1]).item() / (2 * step), rel=1e-5)


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ZONAL)
@pytest.mark.parametrize("f", [lambda w: w, lambda w: (2 * w).exp()], ids=["cosine", "exponential"])
def test_the_gradient_of_draws_for_the_concentration(
    kind: type[Zonal], dim: int, f: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    for value in (0.1, 10.0, 1000.0):
        loc = member(kind, dim, value).loc
        k = torch.full((2000,), value, dtype=torch.float64, requires_grad=True)
        (each,) = torch.autograd.grad(f(kind(loc, k).rsample() @ loc).sum(), k)
        step = 1e-3 * value
        up, down = (expectation(kind, dim, value + s, f) for s in (step, -step))
        error = 5 * each.std().item() / len(each) ** 0.5
        assert error < 0.5 * each.mean().abs().item()
        assert each.mean().item() == pytest.approx((up - down) / (2 * step), abs=error)


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ZONAL)
def test_the_gradient_of_draws_for_the_direction(kind: type[Zonal], dim: int) -> None:
    """Of E[z . c] = A(k) mu . c and of E[(z . c)^2], where mu is a vector that was normalised."""
    torch.manual_seed(0)
    for k in (0.1, 10.0, 1000.0):
        m = 3 * torch.randn(dim).double()
        c = torch.randn(dim).double()
        many = m.expand(10_000 // (1 + dim // 10), dim).clone().requires_grad_()
        concentration = torch.tensor(k, dtype=torch.float64)
        mean, variance = kind(unit(m), concentration).cosine()
        across = (1 - variance - mean**2) / (dim - 1)  # E zz' = across I + (E w^2 - across) mu mu'
        tangent = (c - (c @ unit(m)) * unit(m)) / m.norm()
        for power, expected in (
            (1, mean * tangent),
            (2, 2 * (variance + mean**2 - across) * (c @ unit(m)) * tangent),
        ):
            z = kind(unit(many), concentration.expand(len(many))).rsample()
            (each,) = torch.autograd.grad((z @ c).pow(power).sum(), many)
            error = 5 * each.std(0) / len(each) ** 0.5 + 1e-9
            assert ((each.mean(0) - expected).abs() < error).all()


@pytest.mark.parametrize("kind", ZONAL)
@pytest.mark.parametrize("dim", [2, 3, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_concentrations_have_values_and_gradients(kind: type[Zonal], dim: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    k = torch.tensor([0.0, 1e-30, 1e-8, 1e4, 1e6, 1e12, 1e30], dtype=dtype, requires_grad=True)
    m = torch.randn(len(k), dim, dtype=dtype, requires_grad=True)
    q = kind(unit(m), k)
    z = q.rsample((3,))
    opposite = -q.loc.detach()
    values = (
        z,
        q.log_prob(z),
        q.log_prob(opposite),
        q.log_prob(q.loc),
        q.divergence(),
        q.entropy(),
        q.mean,
        q.variance,
    )
    for value in values:
        assert value.isfinite().all()
        for gradient in torch.autograd.grad(value.sum(), (k, m), retain_graph=True, allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    assert torch.allclose(z.norm(dim=-1), torch.ones(3, len(k), dtype=dtype), atol=1e-5)


def test_a_concentration_that_is_not_a_number_ends() -> None:
    assert member(VonMisesFisher, 3, math.nan).sample((2,)).isnan().any()


def test_the_same_distribution_in_single_and_double_precision() -> None:
    for kind, dim, k in product(ZONAL, DIMENSIONS, CONCENTRATIONS):
        single, double = (member(kind, dim, k, dtype) for dtype in (torch.float32, torch.float64))
        for name in ("mean", "variance"):
            assert torch.allclose(getattr(single, name).double(), getattr(double, name), rtol=1e-5, atol=1e-7)
        assert single.divergence().item() == pytest.approx(double.divergence().item(), rel=1e-6)


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-7, 1e-5, 1.0, 1e30])
def test_a_direction_for_every_vector(length: float) -> None:
    v = (length * torch.tensor([-0.6, 0.8, 0.0])).requires_grad_()
    u = unit(v)
    assert u.norm().item() == pytest.approx(1, abs=1e-6)
    if length > 1e-6:
        assert torch.allclose(u, torch.tensor([-0.6, 0.8, 0.0]), atol=1e-6)
    (gradient,) = torch.autograd.grad(u[1], v)
    assert gradient.isfinite().all()
    assert length > 1e6 or gradient.abs().sum() > 0.1  # also at zero there is a way out


@pytest.mark.parametrize("family", [*SPHERICAL, CategoricalCodes, PointMass])
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_shapes(family: type[Family], batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    built = family((3,))
    q = built(torch.randn(*batch, *built.inputs))
    for d, shape in ((q, batch), (q.expand((4, *batch)), (4, *batch))):
        assert d.batch_shape == shape
        assert d.event_shape == (3,)
        assert d.mean.shape == d.variance.shape == centre(d).shape == (*shape, 3)
        z = d.rsample((7,))
        assert z.shape == (7, *shape, 3)
        assert nearest(d, z).shape == z.shape
        assert tempered(d, 0.0).sample((7,)).shape == z.shape if family is not CategoricalCodes else True
        if not built.degenerate:
            assert d.log_prob(z).shape == (7, *shape)
            assert d.log_prob(d.sample()).shape == d.entropy().shape == shape


@pytest.mark.parametrize("family", SPHERICAL)
def test_a_network_may_give_anything(family: type[Family]) -> None:
    built = family((4,))
    h = torch.tensor(list(product([0.0, 1e-30, -1e30, 1e30], repeat=2)))
    h = torch.cat((h[:, :1].expand(-1, 4), h[:, 1:]), -1).requires_grad_()  # the vector and the concentration
    q = built(h)
    assert (q.concentration >= built.smallest).all()
    assert (q.concentration <= built.smallest + built.largest).all()
    z = q.rsample((3,))
    value = (z * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum() + q.log_prob(z).sum() + q.divergence().sum()
    value.backward()
    assert value.isfinite()
    assert h.grad.isfinite().all()
    assert (h.grad[0] != 0).any()  # a network that starts at zero can move


def test_the_softplus_and_its_bound() -> None:
    h = torch.tensor([0.0, 1.0, 0.0, 2.0])
    assert torch.allclose(VonMisesFisherFamily((3,))(h).concentration, 3 * h[3].exp().add(1).log() + 1e-3, rtol=1e-5)
    assert VonMisesFisherFamily((3,), largest=5.0)(h * 1e3).concentration.item() == pytest.approx(5.001)
    assert torch.allclose(VonMisesFisherFamily((3,))(h).loc, h[:3])
    assert VonMisesFisherFamily((3,)).start(h[:3]).tolist() == [0, 1, 0, 0]


PAIRS = [
    (VonMisesFisherFamily, HypersphericalUniform),
    (PowerSphericalFamily, HypersphericalUniform),
    (CategoricalCodes, UniformCodes),
    (partial(CategoricalCodes, codes=3), partial(UniformCodes, codes=3)),
]


@pytest.mark.parametrize(("posterior", "prior"), PAIRS)
def test_a_model_trains(tiny: Callable[..., VAE], x: Tensor, posterior: object, prior: object) -> None:
    model = tiny(latent=4, posterior=posterior, prior=prior)
    objective = ELBO()
    objective.check(model)
    site = model(x).sites[0]
    rate = exact_rate(site)
    assert rate is not None
    assert rate.shape == (len(x),)
    assert (rate >= 0).all()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = objective(model, x)["loss"]
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    z = model(pick=lambda i, p, q: p.sample((3,))).sites[0].z
    assert torch.allclose(nearest(site.q, z), z, atol=1e-6)  # what the prior gives is in the support


@pytest.mark.parametrize("family", SPHERICAL)
@pytest.mark.parametrize(
    ("choices", "remedy"),
    [
        ({}, "HypersphericalUniform"),
        ({"prior": StandardNormal}, "HypersphericalUniform"),
        ({"prior": HypersphericalUniform, "latent": 1}, "2 dimensions"),
    ],
)
def test_a_sphere_with_another_prior_is_refused(
    tiny: Callable[..., VAE], family: type[Family], choices: dict[str, object], remedy: str
) -> None:
    with pytest.raises(UsageError, match=remedy):
        tiny(posterior=family, **choices)


def test_other_codes_are_refused(tiny: Callable[..., VAE]) -> None:
    with pytest.raises(UsageError, match="UniformCodes with as many codes"):
        tiny(posterior=CategoricalCodes, prior=partial(UniformCodes, codes=4))
    with pytest.raises(UsageError, match="real line"):
        tiny(prior=HypersphericalUniform)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VonMisesFisherFamily((1,)),
        lambda: VonMisesFisherFamily((3,), largest=0.0),
        lambda: PowerSphericalFamily((3,), largest=1e9),
        lambda: PowerSphericalFamily((1, 28, 28)),
        lambda: HypersphericalUniform(1),
        lambda: CategoricalCodes((2,), codes=1),
        lambda: CategoricalCodes((1, 28, 28)),
        lambda: UniformCodes(2, codes=1),
    ],
)
def test_what_cannot_be_built_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()


def test_a_point_mass(tiny: Callable[..., VAE], x: Tensor) -> None:
    loc = torch.randn(5, 3, requires_grad=True)
    q = PointMass((3,))(loc)
    assert (q.rsample((2,)) == loc).all()
    assert (q.mean == loc).all()
    assert (q.variance == 0).all()
    assert torch.autograd.grad(q.rsample((2,)).sum(), loc)[0].unique().tolist() == [2]
    with pytest.raises(NotImplementedError, match="no density"):
        q.log_prob(loc)
    with pytest.raises(NotImplementedError):
        kl_divergence(q, diagonal_normal(torch.zeros(3), torch.ones(3)))
    with pytest.raises(UsageError, match="PointMass does not have"):
        ELBO().check(tiny(posterior=PointMass))
    assert PointMass((3,)).start(loc[0]) is not None


@pytest.mark.parametrize("codes", [2, 3, 5])
def test_codes_against_all_of_them(codes: int) -> None:
    torch.manual_seed(0)
    latent = 3
    family, prior = CategoricalCodes((latent,), codes).double(), UniformCodes(latent, codes).double()
    h = torch.randn(4, *family.inputs).double()
    q, p = family(h), prior()
    values = [-1 + 2 * k / (codes - 1) for k in range(codes)]
    z = torch.tensor(list(product(values, repeat=latent))).double()[:, None]  # (K^D, 1, D)
    log_q, log_p = q.log_prob(z.expand(-1, 4, -1)), p.log_prob(z)
    assert torch.allclose(log_q.exp().sum(0), torch.ones(4).double())
    assert torch.allclose(log_p, torch.full_like(log_p, -latent * math.log(codes)))
    assert torch.allclose(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum(0))
    assert torch.allclose(q.mean, (log_q.exp()[..., None] * z).sum(0))


def test_the_gradient_of_codes_is_that_of_the_mean() -> None:
    torch.manual_seed(0)
    family = CategoricalCodes((3,), codes=4)
    h = torch.randn(6, *family.inputs, requires_grad=True)
    weight = torch.randn(6, 3)
    z = family(h).rsample()
    assert torch.allclose(nearest(family(h), z), z, atol=1e-6)
    drawn, mean = (torch.autograd.grad((weight * value).sum(), h)[0] for value in (z, family(h).mean))
    assert torch.allclose(drawn, mean)


def test_codes_start_at_a_mean() -> None:
    mean = torch.tensor([-1.0, -0.3, 0.0, 0.9])
    family = CategoricalCodes((4,))
    parameters = family.start(mean)
    assert parameters.shape == family.inputs
    assert torch.allclose(family(parameters).mean, mean, atol=2e-3)


@pytest.mark.parametrize("kind", ZONAL)
def test_the_views_of_the_sphere(kind: type[Zonal]) -> None:
    torch.manual_seed(0)
    q = member(kind, 3, 5.0)
    assert (centre(q) == q.loc).all()
    colder = tempered(q, 0.5)
    assert isinstance(colder, kind)
    assert colder.concentration.item() == 20
    angles = [
        torch.acos(d.sample((100_000,)) @ d.loc).std()
        for d in (member(kind, 3, 400.0), tempered(member(kind, 3, 400.0), 0.5))
    ]
    assert (angles[1] / angles[0]).item() == pytest.approx(0.5, abs=0.01)
    assert torch.allclose(tempered(q, 0.0).rsample((4,)), q.loc.expand(4, 3))
    z = torch.randn(100, 3).double()
    found = nearest(q, z)
    others = distributions.HypersphericalUniform(3, torch.float64).sample((1000,))
    assert ((z - found).norm(dim=-1) <= (z - others[:, None]).norm(dim=-1).amin(0)).all()
    assert nearest(q, torch.zeros(3)).tolist() == [1, 0, 0]


def test_the_views_of_the_uniform_distributions() -> None:
    p = HypersphericalUniform(3)()
    assert centre(p).tolist() == [1, 0, 0]
    assert torch.allclose(nearest(p, torch.tensor([0.0, 3.0, 4.0])), torch.tensor([0.0, 0.6, 0.8]))
    for uniform in (p, UniformCodes(3)()):
        assert tempered(uniform, 1.0).sample((2,)).shape == (2, 3)
        assert uniform.expand((4,)).sample((2,)).shape == (2, 4, 3)
        assert uniform.expand((4,)).mean.shape == (4, 3)
        with pytest.raises(UsageError, match="use temperature 1"):
            tempered(uniform, 0.5)


def test_the_nearest_value_of_others() -> None:
    z = torch.tensor([-3.0, -0.4, 0.1, 0.9])
    normal: Distribution = diagonal_normal(torch.zeros(4), torch.ones(4))
    assert nearest(normal, z) is z
    assert nearest(UniformCodes(4, codes=3)(), z).tolist() == [-1, 0, 0, 1]
    assert nearest(Levels(torch.zeros(2), torch.tensor([0.0, 1.0])), z).tolist() == [0, 0, 0, 1]


def test_a_config_finds_the_family_and_the_prior() -> None:
    found = components()
    assert found["VonMisesFisher"] is VonMisesFisherFamily
    assert found["PowerSpherical"] is PowerSphericalFamily
    assert found["HypersphericalUniform"] is HypersphericalUniform
    assert {"PointMass", "CategoricalCodes", "UniformCodes"} <= set(found)
    assert not {"Zonal", "Levels"} & set(found)
