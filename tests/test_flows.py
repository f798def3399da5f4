"""Laws of full covariances, of flows as posterior and prior, and of priors that are mixtures."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, Uniform, kl_divergence

from vaescope.config import Config, Trainer
from vaescope.data.dataset import ImageData
from vaescope.data.images import ImageSet
from vaescope.distributions import Flow, FullNormal, centre, diagonal_normal, mixture, quantiles, tempered
from vaescope.errors import UsageError
from vaescope.experiment import begin
from vaescope.families import CategoricalCodes, DiagonalNormal, Family, InverseAutoregressive
from vaescope.families import FullNormal as FullNormalFamily
from vaescope.models import VAE, Flat, draw, temper
from vaescope.nets import MLP
from vaescope.objectives import ELBO, exact_rate, log_weight
from vaescope.priors import AutoregressiveFlow, CouplingFlow, NormalMixture, Prior, StandardNormal, VampPrior

POSTERIORS: list[Callable[..., Family]] = [DiagonalNormal, FullNormalFamily, InverseAutoregressive]
COUPLED: list[Callable[..., Family]] = [FullNormalFamily, InverseAutoregressive]
FLOWS: list[Callable[..., Prior]] = [AutoregressiveFlow, CouplingFlow]
PRIORS: list[Callable[..., Prior]] = [StandardNormal, NormalMixture, AutoregressiveFlow, CouplingFlow, VampPrior]
MATTERING = [*((prior, DiagonalNormal) for prior in PRIORS), *((VampPrior, posterior) for posterior in COUPLED)]
"""The pairs in which a prior differs: only the VampPrior depends on the posterior."""
SHAPE = (1, 3, 4)


def stirred(module: nn.Module, scale: float = 0.1) -> nn.Module:
    """The module in double precision with every parameter moved at random, so that nothing is at its start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn_like(parameter)
    return module.double()


def flat(
    prior: Callable[..., Prior] = StandardNormal, posterior: Callable[..., Family] = DiagonalNormal, latent: int = 2
) -> VAE:
    """A small model of images of 3x4 pixels; the same one at every call."""
    torch.manual_seed(0)
    return Flat(latent=latent, network=MLP(width=16), prior=prior, posterior=posterior)(SHAPE)


def pictures(count: int = 8) -> Tensor:
    """Binary images of 3x4 pixels."""
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)).round()


def prior_of(kind: Callable[..., Prior], posterior: Callable[..., Family] = DiagonalNormal, latent: int = 2) -> Prior:
    """A prior, as part of a model, away from its start."""
    few = kind if kind not in (NormalMixture, VampPrior) else lambda latent: kind(latent, components=4)
    return stirred(flat(few, posterior, latent), 0.05).prior  # type: ignore[return-value]


def posterior_of(kind: Callable[..., Family], latent: int = 3, batch: tuple[int, ...] = (4,)) -> Distribution:
    """A posterior away from its start."""
    torch.manual_seed(0)
    family = stirred(kind((latent,)))
    return family(torch.randn(*batch, *family.inputs).double())  # type: ignore[operator, misc]


def mass(density: Distribution, edge: float = 9.0, count: int = 145) -> float:
    """The integral of a density of two latents, by quadrature."""
    grid = torch.linspace(-edge, edge, count, dtype=torch.float64)
    with torch.no_grad():
        values = density.log_prob(torch.cartesian_prod(grid, grid)).exp()
    return values.sum().item() * (2 * edge / (count - 1)) ** 2


# Densities


@pytest.mark.parametrize("kind", PRIORS)
def test_a_prior_integrates_to_one(kind: Callable[..., Prior]) -> None:
    assert mass(prior_of(kind)()) == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("kind", COUPLED)
def test_a_mixture_of_posteriors_integrates_to_one(kind: Callable[..., Family]) -> None:
    assert mass(prior_of(VampPrior, kind)(), count=145) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", COUPLED)
def test_a_posterior_integrates_to_one(kind: Callable[..., Family]) -> None:
    assert mass(posterior_of(kind, latent=2, batch=())) == pytest.approx(1, abs=2e-4)


def maps() -> list[Flow]:
    """Flows away from their start."""
    priors = [prior_of(kind, latent=latent)() for kind in FLOWS for latent in (2, 5)]
    return [*priors, posterior_of(InverseAutoregressive, 5, ()), prior_of(AutoregressiveFlow, latent=1)()]  # type: ignore[list-item]


@pytest.mark.parametrize("index", range(6))
def test_the_determinant_of_a_flow_is_that_of_its_jacobian(index: int) -> None:
    flow = maps()[index]
    for start in 2 * torch.randn(5, *flow.event_shape).double():
        value, stretch = flow.transform.call_and_ladj(start)
        jacobian = torch.autograd.functional.jacobian(flow.transform, start)
        assert stretch.item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-8)  # type: ignore[arg-type]
        assert torch.allclose(flow.transform.inv(value), start, atol=1e-8)
        assert not torch.allclose(value, start, atol=1e-4)


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("latent", [2, 7])
def test_a_flow_prior_starts_as_the_standard_normal(kind: Callable[..., Prior], latent: int) -> None:
    z = 3 * torch.randn(50, latent)
    assert torch.allclose(kind(latent)().log_prob(z), StandardNormal(latent)().log_prob(z), atol=1e-4)


@pytest.mark.parametrize("kind", COUPLED)
@pytest.mark.parametrize("latent", [1, 2, 64])
def test_a_posterior_starts_as_the_diagonal_normal(kind: Callable[..., Family], latent: int) -> None:
    family, plain = kind((latent,)), DiagonalNormal((latent,))
    h, z = torch.zeros(4, *family.inputs), torch.randn(4, latent)
    h[:, : 2 * latent] = torch.randn(4, 2 * latent)
    q, p = family(h), plain(h[:, : 2 * latent])
    assert torch.allclose(q.log_prob(z), p.log_prob(z), rtol=1e-4)
    assert torch.allclose(centre(q), p.mean)


@pytest.mark.parametrize("kind", COUPLED)
def test_a_posterior_starts_around_the_mean_asked_for(kind: Callable[..., Family]) -> None:
    family, mean = kind((3,)), torch.tensor([0.1, -0.5, 0.9])
    parameters = family.start(mean)
    assert parameters.shape == family.inputs
    assert torch.allclose(centre(family(parameters)), mean, atol=5e-3)  # the mean is bounded


# Draws


@pytest.mark.parametrize("kind", COUPLED)
def test_draws_of_a_posterior_have_its_density(kind: Callable[..., Family]) -> None:
    """The mean of p(z) / q(z) over draws is one for every density p; so it is for some that lie elsewhere in q."""
    torch.manual_seed(0)
    q = posterior_of(kind, latent=2, batch=())
    z = q.sample((20_000,))
    for shift in (-0.5, 0.5):
        p = diagonal_normal(z.mean(0) + shift * z.std(0), 0.5 * z.std(0))
        weights = (p.log_prob(z) - q.log_prob(z)).exp()
        assert weights.mean().item() == pytest.approx(1, abs=5 * weights.std().item() / len(z) ** 0.5)


@pytest.mark.parametrize("kind", [AutoregressiveFlow, CouplingFlow, VampPrior])
def test_draws_of_a_prior_have_the_moments_of_its_density(kind: Callable[..., Prior]) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        p = prior_of(kind)()
        grid = torch.linspace(-9, 9, 145, dtype=torch.float64)
        points = torch.cartesian_prod(grid, grid)
        weights = p.log_prob(points).exp() * (18 / 144) ** 2
        z = p.sample((20_000,))
    for power in (1, 2):
        moment, values = weights @ points**power, z**power
        assert ((values.mean(0) - moment).abs() < 5 * values.std(0) / len(z) ** 0.5).all()
    cross = z.prod(-1)
    assert cross.mean().item() == pytest.approx(
        (weights @ points.prod(-1)).item(), abs=5 * cross.std().item() / 20_000**0.5
    )


SHAPES = [
    ((), (), ()),
    ((), (), (7,)),
    ((4,), (4,), ()),
    ((4,), (4,), (7,)),
    ((4,), (3, 4), (2,)),
    ((1,), (5,), (2, 3)),
]


@pytest.mark.parametrize("kind", COUPLED)
@pytest.mark.parametrize(("batch", "expanded", "samples"), SHAPES)
def test_shapes_of_draws_and_of_what_is_remembered_of_them(
    kind: Callable[..., Family], batch: tuple[int, ...], expanded: tuple[int, ...], samples: tuple[int, ...]
) -> None:
    q = posterior_of(kind, 3, batch).expand(torch.Size(expanded))
    assert q.batch_shape == expanded
    z = q.rsample(torch.Size(samples))
    assert z.shape == (*samples, *expanded, 3)
    known, computed = q.log_prob(z), q.log_prob(z.clone())
    assert known.shape == (*samples, *expanded)
    assert torch.allclose(known, computed, atol=1e-8)
    assert centre(q).shape in ((*expanded, 3), (*batch, 3))


@pytest.mark.parametrize("kind", [*FLOWS, VampPrior])
@pytest.mark.parametrize("samples", [(), (5,), (7, 5)])
def test_shapes_of_priors(kind: Callable[..., Prior], samples: tuple[int, ...]) -> None:
    p = prior_of(kind)()
    assert (p.batch_shape, p.event_shape) == ((), (2,))
    z = p.sample(torch.Size(samples))
    assert z.shape == (*samples, 2)
    assert torch.allclose(p.log_prob(z), p.log_prob(z.clone()), atol=1e-8)
    assert p.log_prob(z).shape == samples


@pytest.mark.parametrize("make", [lambda: posterior_of(InverseAutoregressive), lambda: prior_of(AutoregressiveFlow)()])
def test_what_is_remembered_is_that_of_the_last_draw(make: Callable[[], Flow]) -> None:
    flow = make()
    first, second = flow.rsample((3,)), flow.rsample((3,))
    for z in (first, second):
        assert torch.allclose(flow.log_prob(z), flow.log_prob(z.clone()), atol=1e-8)
    assert not torch.allclose(flow.log_prob(first), flow.log_prob(second))


def test_a_draw_of_a_flow_is_scored_without_inverting_it(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = posterior_of(InverseAutoregressive, 20)
    z = flow.rsample()
    monkeypatch.setattr(flow, "transform", None)
    assert flow.log_prob(z).isfinite().all()
    with pytest.raises(AttributeError):
        flow.log_prob(z.clone())


@pytest.mark.parametrize("gradients", [True, False])
def test_the_gradient_of_a_remembered_log_probability_is_that_of_the_computed_one(gradients: bool) -> None:
    family = stirred(InverseAutoregressive((3,)))
    h = torch.randn(4, *family.inputs).double().requires_grad_()  # type: ignore[misc]
    q = family(h)
    z = q.rsample((2,)) if gradients else q.sample((2,))
    known, computed = (torch.autograd.grad(q.log_prob(v).sum(), h, retain_graph=True)[0] for v in (z, z.clone()))
    assert torch.allclose(known, computed, atol=1e-8)
    assert known.abs().max() > 1e-3


# Full covariances


def covariances(count: int = 6, size: int = 3) -> FullNormal:
    torch.manual_seed(0)
    lower = torch.randn(count, size, size).double().tril(-1) + torch.diag_embed(torch.rand(count, size).double() + 0.2)
    return FullNormal(torch.randn(count, size).double(), lower)


def test_kl_of_a_full_normal_is_that_of_torch() -> None:
    q = covariances()
    m, s = torch.randn(6, 3).double(), torch.rand(6, 3).double() + 0.2
    p = MultivariateNormal(m, scale_tril=torch.diag_embed(s))
    assert torch.allclose(kl_divergence(q, diagonal_normal(m, s)), kl_divergence(q, p))
    other = FullNormal(m, covariances().scale_tril.flip(0))
    plain = [MultivariateNormal(d.loc, scale_tril=d.scale_tril) for d in (q, other)]
    assert torch.allclose(kl_divergence(q, other), kl_divergence(*plain))


def test_kl_of_a_full_normal_is_the_mean_log_ratio() -> None:
    q, p = covariances(), diagonal_normal(torch.tensor([0.3, -1.0, 2.0]).double(), torch.tensor([0.5, 1.5, 2]).double())
    z = q.sample((20_000,))
    ratio = q.log_prob(z) - p.log_prob(z)  # (50000, 6)
    assert ((ratio.mean(0) - kl_divergence(q, p)).abs() < 5 * ratio.std(0) / len(z) ** 0.5).all()


@pytest.mark.parametrize(
    ("q", "p", "expected"), [((1.0, 0.5), (0.0, 1.0), 0.8181471806), ((0.0, 2.0), (1.0, 3.0), 0.1832428859)]
)
def test_kl_of_full_normals_with_one_latent(q: tuple[float, float], p: tuple[float, float], expected: float) -> None:
    (m, s), (loc, scale) = torch.tensor(q).double(), torch.tensor(p).double()
    full = FullNormal(m[None], s[None, None])
    assert kl_divergence(full, diagonal_normal(loc[None], scale[None])).item() == pytest.approx(expected, abs=1e-10)


def test_no_closed_form_is_claimed_for_other_priors() -> None:
    uniform = torch.distributions.Independent(Uniform(torch.zeros(3), torch.ones(3)), 1)
    with pytest.raises(NotImplementedError):
        kl_divergence(covariances(1), uniform)


def test_the_scales_of_a_full_normal_are_its_standard_deviations() -> None:
    family, plain = FullNormalFamily((5,)), DiagonalNormal((5,))
    h = 3 * torch.randn(100, *family.inputs)
    q = family(h)
    assert torch.allclose(q.stddev, plain(h[:, :10]).stddev, rtol=1e-4)
    assert torch.allclose(q.mean, plain(h[:, :10]).mean)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_full_normal_reaches_strong_correlations(sign: float) -> None:
    q = FullNormalFamily((2,))(torch.tensor([0.0, 0.0, 0.0, 0.0, sign * 1e3]))
    assert (q.covariance_matrix[0, 1] / q.stddev.prod()).item() * sign > 0.99


# Numbers


@pytest.mark.parametrize("kind", COUPLED)
@pytest.mark.parametrize("latent", [1, 2, 16, 64])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_extreme_outputs_of_a_network_leave_everything_finite(
    kind: Callable[..., Family], latent: int, size: float
) -> None:
    torch.manual_seed(0)
    family = kind((latent,))
    stirred(family, 0.1).float()
    h = (size * torch.randn(32, *family.inputs).sign()).requires_grad_()
    q = family(h)
    own, other = q.rsample((3,)), torch.randn(32, latent)
    for value in (q.log_prob(own), q.log_prob(other), StandardNormal(latent)().log_prob(own)):
        assert value.isfinite().all()
        (gradient,) = torch.autograd.grad(value.sum(), h, retain_graph=True)
        assert gradient.isfinite().all()
    if kind is FullNormalFamily:
        kl = kl_divergence(q, StandardNormal(latent)())
        assert torch.autograd.grad(kl.sum(), h)[0].isfinite().all()


def test_the_worst_full_normal_stays_finite() -> None:
    """All correlations at their bounds with the signs that make the inverse of A grow fastest."""
    for latent in (2, 5, 13, 32, 64):
        family = FullNormalFamily((latent,))
        h = torch.full((1, *family.inputs), -1e4)
        h[:, ::2][:, :latent] = 1e4
        h[:, latent:] = -1e4
        h.requires_grad_()
        value = family(h).log_prob(torch.full((1, latent), -20.0))
        assert value.isfinite()
        assert torch.autograd.grad(value.sum(), h)[0].isfinite().all()


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_flow_priors_are_finite_far_out(kind: Callable[..., Prior], size: float) -> None:
    prior = prior_of(kind, latent=4).float()
    z = torch.tensor([[size, -size, size, 0], [0, 0, 0, size], [8, -8, 8, -8]]).requires_grad_()
    value = prior().log_prob(z)
    value.sum().backward()
    assert value.isfinite().all()
    for tensor in (z, *prior.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("latent", [2, 16])
def test_single_precision_agrees_with_double_for_priors(kind: Callable[..., Prior], latent: int) -> None:
    prior = prior_of(kind, latent=latent)
    z = 2 * torch.randn(50, latent)
    prior = copy.deepcopy(prior)
    exact = prior().log_prob(z.double())
    if kind is VampPrior:
        prior._lender[0].float()  # type: ignore[union-attr, operator]
    assert torch.allclose(prior.float()().log_prob(z).double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", COUPLED)
@pytest.mark.parametrize("latent", [2, 16])
def test_single_precision_agrees_with_double_for_posteriors(kind: Callable[..., Family], latent: int) -> None:
    family = stirred(kind((latent,)))
    h, z = torch.randn(20, *family.inputs), torch.randn(20, latent)  # type: ignore[misc]
    exact = family(h.double()).log_prob(z.double())
    assert torch.allclose(family.float()(h).log_prob(z).double(), exact, rtol=1e-3, atol=1e-2)


# Temperature and quantiles


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_temperature_multiplies_the_noise_of_a_flow(temperature: float) -> None:
    flow = prior_of(AutoregressiveFlow)()
    z = tempered(flow, temperature).sample((20_000,))
    noise = flow.transform.inv(z)  # type: ignore[attr-defined]
    assert noise.mean(0).abs().max().item() < 0.03
    assert torch.allclose(noise.std(0), torch.tensor(temperature).double(), atol=0.03)


def test_temperature_multiplies_the_scale_of_a_full_normal() -> None:
    q = covariances()
    assert torch.allclose(tempered(q, 0.5).covariance_matrix, q.covariance_matrix / 4)
    assert torch.equal(tempered(q, 0.0).sample(), q.mean)
    assert torch.allclose(tempered(q, 1.0).log_prob(q.mean), q.log_prob(q.mean))


@pytest.mark.parametrize(("kind", "posterior"), MATTERING)
def test_without_temperature_a_prior_gives_its_centres(
    kind: Callable[..., Prior], posterior: Callable[..., Family]
) -> None:
    with torch.no_grad():
        p = prior_of(kind, posterior)()
        z = temper(0.0, 50)(0, p, None)
        expected = centre(p.component_distribution) if hasattr(p, "component_distribution") else centre(p)[None]
    assert (z[:, None] - expected).abs().amax(-1).amin(1).max().item() < 1e-8


@pytest.mark.parametrize(("kind", "posterior"), MATTERING)
def test_quantiles_of_priors(kind: Callable[..., Prior], posterior: Callable[..., Family]) -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.1, 0.5, 0.9]).double()
    with torch.no_grad():
        p = prior_of(kind, posterior)()
        found = quantiles(p, chances)
        z = p.sample((20_000,))
    assert found.shape == (2, 3)
    below = (z[..., None] <= found).double().mean(0)
    assert torch.allclose(below, chances.expand(2, 3), atol=5 * (2 * 0.25 / 20_000) ** 0.5)


def test_the_centre_of_a_mixture_is_its_mean() -> None:
    p = mixture(torch.randn(4), diagonal_normal(torch.randn(5, 4, 3), torch.rand(5, 4, 3)))
    assert torch.equal(centre(p), p.mean)


# Models


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_every_pair_trains(prior: Callable[..., Prior], posterior: Callable[..., Family]) -> None:
    model, x = flat(prior, posterior, latent=3), pictures()
    model.prior.start_at(x)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    moved = set()
    for _ in range(5):
        optimizer.zero_grad()
        ELBO()(model, x)["loss"].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            moved |= {name} if parameter.grad.any() else set()
        optimizer.step()
    assert moved == set(dict(model.named_parameters()))
    assert log_weight(model(x, pick=draw(6)), x).shape == (6, len(x))


@pytest.mark.parametrize("posterior", COUPLED)
@pytest.mark.parametrize("prior", [AutoregressiveFlow, CouplingFlow, VampPrior])
@pytest.mark.parametrize("latent", [1, 64])
def test_one_latent_and_many(prior: Callable[..., Prior], posterior: Callable[..., Family], latent: int) -> None:
    if prior is CouplingFlow and latent == 1:
        with pytest.raises(UsageError, match="use the prior AutoregressiveFlow"):
            flat(prior, posterior, latent)
        return
    model = flat(prior, posterior, latent)
    ELBO()(model, pictures())["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.prior().sample((2,)).shape == (2, latent)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_the_rate_is_exact_where_both_are_normal(prior: Callable[..., Prior], posterior: Callable[..., Family]) -> None:
    (site,) = flat(prior, posterior)(pictures()).sites
    assert (exact_rate(site) is not None) == (prior is StandardNormal and posterior is not InverseAutoregressive)


@pytest.mark.parametrize(("prior", "posterior"), MATTERING)
def test_a_model_is_copied_and_kept_whole(prior: Callable[..., Prior], posterior: Callable[..., Family]) -> None:
    model, x = flat(prior, posterior), pictures()
    for first, second in zip(model.state_dict().items(), flat(prior, posterior).state_dict().items(), strict=True):
        assert first[0] == second[0]
        assert torch.equal(first[1], second[1])
    places = [tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values() if tensor.numel()]
    assert len(places) == len(set(places)), "safetensors keeps no tensors that share memory"
    stirred(model).float()
    copied, loaded = copy.deepcopy(model), flat(prior, posterior)
    loaded.load_state_dict(model.state_dict())
    z = torch.randn(5, 2)
    expected = model.prior().log_prob(z)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # what was copied must not look at the original any more
    for other in (copied, loaded):
        assert torch.equal(other.prior().log_prob(z), expected)
        assert torch.isfinite(ELBO()(other, x)["loss"])


# The VampPrior, and mixtures


class Standard(nn.Module):
    """A posterior that is N(0, I) for every image."""

    def forward(self, x: Tensor) -> Distribution:
        return diagonal_normal(torch.zeros(len(x), 3), torch.ones(len(x), 3))


def test_one_pseudo_input_whose_posterior_is_standard_gives_the_standard_prior() -> None:
    prior = VampPrior(3, components=1)
    prior.borrow(Standard(), DiagonalNormal((3,)), SHAPE)
    z = 3 * torch.randn(100, 3)
    assert torch.allclose(prior().log_prob(z), StandardNormal(3)().log_prob(z), atol=1e-5)


def test_a_vamp_prior_is_the_mean_of_the_posteriors_at_its_pseudo_inputs() -> None:
    model, x, z = flat(lambda latent: VampPrior(latent, components=8)), pictures(), torch.randn(20, 2)
    model.prior.start_at(x)
    expected = model.posterior(x).log_prob(z[:, None]).logsumexp(1) - math.log(8)
    assert torch.allclose(model.prior().log_prob(z), expected, atol=1e-5)
    with torch.no_grad():
        model.posterior.net[-1].bias += 0.5  # type: ignore[index]
    expected = model.posterior(x).log_prob(z[:, None]).logsumexp(1) - math.log(8)
    assert torch.allclose(model.prior().log_prob(z), expected, atol=1e-5), "the encoder changed, the prior did not"


def test_pseudo_inputs_are_no_part_of_the_posterior_nor_it_of_them() -> None:
    model = flat(VampPrior)
    assert [name for name in model.state_dict() if name.startswith("prior.")] == ["prior.logits", "prior.inputs"]
    assert len({id(module) for module in model.modules()}) == len(list(model.modules()))


def test_pseudo_inputs_start_at_images_and_differ() -> None:
    prior, x = flat(lambda latent: VampPrior(latent, components=20)).prior, pictures(8)
    prior.start_at(x)
    assert torch.equal(prior.inputs[:8], x)  # type: ignore[index]
    assert torch.allclose(prior.inputs[8:16], x, atol=0.1)  # type: ignore[index]
    assert torch.unique(prior.inputs.detach(), dim=0).shape[0] == 20  # type: ignore[union-attr, operator]
    prior.start_at(pictures(50))
    assert torch.equal(prior.inputs, pictures(50)[:20])  # type: ignore[arg-type]


def test_a_run_starts_pseudo_inputs_at_its_training_images(images: ImageSet) -> None:
    model = Flat(network=MLP(width=16), prior=VampPrior)
    settings = Config(data=ImageData("sample", targets="grey"), model=model, trainer=Trainer(batch_size=20))
    prior = begin(settings, images, torch.device("cpu")).model.prior
    assert torch.equal(prior.inputs, images.train.images[:100] / 255)  # type: ignore[arg-type]


def test_pseudo_inputs_of_a_labelled_model_are_refused() -> None:
    with pytest.raises(UsageError, match="use the prior NormalMixture, or no labels"):
        Flat(network=MLP(width=16), prior=VampPrior, labels=True)((1, 28, 28), classes=3)


def test_pseudo_inputs_at_binary_images_move() -> None:
    model, x = flat(VampPrior), pictures()
    model.prior.start_at(x)
    ELBO()(model, x)["loss"].backward()
    gradient = model.prior.inputs.grad  # type: ignore[union-attr]
    assert (gradient[:8] != 0).all()  # type: ignore[index]


@pytest.mark.parametrize("kind", [NormalMixture, VampPrior])
@pytest.mark.parametrize("latent", [2, 32])
def test_no_component_of_a_mixture_starts_dead(kind: Callable[..., Prior], latent: int) -> None:
    """Every component is the one that some value of the prior belongs to, and gets a share of its gradient."""
    model = flat(lambda d: kind(d, components=20), latent=latent)
    z = model.prior().sample((2000,))
    model.prior().log_prob(z).sum().backward()
    p = model.prior()
    belongs = (p.component_distribution.log_prob(z[:, None]) + p.mixture_distribution.logits).softmax(-1)
    assert belongs.mean(0).min().item() > 0.2 / 20
    parameter = model.prior.loc if kind is NormalMixture else model.prior.inputs
    assert (parameter.grad.flatten(1).abs().amax(1) > 0).all()  # type: ignore[union-attr, operator]


def test_the_start_of_a_normal_mixture_is_what_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.randn(5, 2)
    torch.manual_seed(3)
    state = NormalMixture(2, components=5).state_dict()
    assert list(state) == ["logits", "loc", "log_scale"]
    assert torch.equal(state["loc"], expected)
    assert not state["logits"].any()
    assert not state["log_scale"].any()


def test_the_density_of_a_mixture_is_bounded_at_points_that_coincide() -> None:
    """Codes without noise may leave a latent unused, all of them at one number: there a normal would grow forever."""
    prior, z = NormalMixture(2, components=3), torch.zeros(5, 2)
    with torch.no_grad():
        prior.loc.zero_()
        prior.log_scale.fill_(-200.0)
    value = prior().log_prob(z)
    assert value.max().item() < 2 * 9
    value.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in prior.parameters())


# What is refused


class Point(DiagonalNormal):
    """A family without a density."""

    degenerate = True


class Normalised(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(1))


MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: VampPrior(2, components=0), "at least 1"),
    (lambda: VampPrior(2)(), "as the prior of a model"),
    (lambda: flat(VampPrior, Point), "Point has no density"),
    (lambda: flat(VampPrior, CategoricalCodes), "UniformCodes"),
    (lambda: VampPrior(2).borrow(Normalised(), DiagonalNormal((2,)), SHAPE), "layer, group or none"),
    (lambda: flat(VampPrior).prior(torch.zeros(4, 10)), "NormalMixture"),
    (lambda: AutoregressiveFlow(2, transforms=0), "at least 1"),
    (lambda: AutoregressiveFlow(2, width=0), "at least 1"),
    (lambda: CouplingFlow(1), "AutoregressiveFlow"),
    (lambda: CouplingFlow(2, transforms=1), "at least 2"),
    (lambda: FullNormalFamily((2,), bound=0.0), "positive"),
    (lambda: FullNormalFamily((2, 3, 3)), "DiagonalNormal"),
    (lambda: InverseAutoregressive((2, 3, 3)), "DiagonalNormal"),
    (lambda: InverseAutoregressive((2,), transforms=0), "at least 1"),
    (lambda: InverseAutoregressive((2,), context=0), "at least 1"),
]


@pytest.mark.parametrize(("make", "words"), MISTAKES)
def test_what_cannot_be_built_is_refused_with_a_remedy(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
