"""The terms and the ELBO against exact mathematics."""

import math

import pytest
import torch
from exact_models import Quadrature, linear_case, linear_model
from torch import Tensor, nn

from vaescope.conditional import Conditional
from vaescope.data.examples import Examples
from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families import Bernoulli
from vaescope.metrics import negative_elbo
from vaescope.models import VAE, draw
from vaescope.objectives import ELBO, Constant, Ramp, WarmupDecay, distortion, log_weight, rate
from vaescope.priors import NormalMixture, StandardNormal


@pytest.fixture
def linear() -> tuple[VAE, Tensor, Tensor]:
    """A linear model, images, and their exact log-likelihood."""
    return linear_case()


@pytest.mark.parametrize("samples", [None, 1, 7])
def test_at_the_exact_posterior_every_weight_is_the_likelihood(
    linear: tuple[VAE, Tensor, Tensor], samples: int | None
) -> None:
    model, x, exact = linear
    weights = log_weight(model(x, pick=draw(samples)), x)
    assert torch.allclose(weights, exact.expand_as(weights), atol=1e-10)


def test_the_elbo_of_another_posterior_is_below_the_likelihood(linear: tuple[VAE, Tensor, Tensor]) -> None:
    model, x, exact = linear
    posterior = model.posterior

    class Wider(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> object:
            q = posterior(x)
            return diagonal_normal(q.mean, 1.5 * q.stddev)

    worse = VAE(model.prior, Wider(), model.likelihood)  # type: ignore[arg-type]
    bound = torch.stack([-distortion(t, x) - rate(t) for t in (worse(x) for _ in range(2000))]).mean(0)
    assert (bound < exact - 0.1).all()


def ppca(images: Tensor, latent: int) -> tuple[Tensor, Tensor, float]:
    """The maximum-likelihood weights, mean and noise scale (Tipping and Bishop, 1999)."""
    mean = images.mean(0)
    values, vectors = torch.linalg.eigh((images - mean).T @ (images - mean) / len(images))
    noise = values[:-latent].mean()
    weight = vectors[:, -latent:] * (values[-latent:] - noise).sqrt()
    return weight, mean, noise.sqrt().item()


@pytest.mark.slow
def test_probabilistic_pca_of_fashion_mnist() -> None:
    """The log-likelihoods of the exact linear model with 10 latents, known to four digits."""
    from real import fashion_mnist

    train, test = (split.double().flatten(1) / 255 for split in fashion_mnist())
    weight, mean, scale = ppca(train, 10)
    assert scale**2 == pytest.approx(0.02468580, abs=1e-8)
    model = linear_model(weight, mean, scale)
    for images, expected in ((train, 314.8061), (test, 315.1629)):
        x = images.view(-1, 1, 1, 784)
        found = torch.cat([log_weight(model(part), part) for part in x.split(5000)]).mean().item()
        assert found == pytest.approx(expected, abs=1e-4)


def test_the_enumerable_model() -> None:
    exact = Quadrature().log_likelihood()
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-10)
    assert exact[0].item() == pytest.approx(-6.63554857, abs=1e-8)
    assert exact[-1].item() == pytest.approx(-6.63554857, abs=1e-8)
    assert -(exact.exp() @ exact).item() == pytest.approx(4.730313, abs=1e-6)


def test_importance_weights_average_to_the_likelihood_of_the_enumerable_model() -> None:
    torch.manual_seed(0)
    model, x = Quadrature().model(), Quadrature().images()
    with torch.no_grad():
        w = log_weight(model(x, pick=draw(20_000)), x)  # (20000, 256)
    estimate = w.logsumexp(0) - math.log(len(w))
    error = (w - estimate).exp().std(0) / len(w) ** 0.5
    assert ((estimate - Quadrature().log_likelihood()).abs() < 5 * error).all()


def test_the_reported_bound_is_below_the_likelihood_of_the_enumerable_model() -> None:
    exact = Quadrature().log_likelihood()
    bound = negative_elbo(Quadrature().model(), Examples(Quadrature().images().repeat(200, 1, 1, 1)))
    assert -bound.negative_elbo + 5 * bound.standard_error < exact.mean()
    assert bound.negative_elbo == pytest.approx(bound.distortion + bound.rate, abs=1e-9)


def test_a_rate_without_closed_form_is_estimated_without_bias() -> None:
    torch.manual_seed(0)
    loc, scale = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, 0.8]])
    one = NormalMixture(2, components=1)  # as a mixture it has no closed form, yet it is a normal
    torch.nn.init.zeros_(one.loc)

    class Fixed(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> object:
            return diagonal_normal(loc.expand(len(x), 2), scale.expand(len(x), 2))

    likelihood = Conditional(nn.Sequential(nn.Linear(2, 4), nn.Unflatten(-1, (1, 2, 2))), Bernoulli((1, 2, 2)), ndims=1)
    x = torch.zeros(200_000, 1, 2, 2)
    exact, estimate = (rate(VAE(p, Fixed(), likelihood)(x)) for p in (StandardNormal(2), one))  # type: ignore[arg-type]
    assert estimate.mean().item() == pytest.approx(exact.mean().item(), abs=5 * estimate.std().item() / 447)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_beta_weighs_the_rate(tiny: object, x: Tensor, beta: float) -> None:
    torch.manual_seed(0)
    terms = ELBO(beta=beta)(tiny(), x)  # type: ignore[operator]
    assert terms["loss"].item() == pytest.approx((terms["distortion"] + beta * terms["rate"]).item(), rel=1e-6)


def test_a_warm_up_scales_beta_and_has_arrived_by_default(tiny: object, x: Tensor) -> None:
    objective = ELBO(beta=2.0, warmup=Ramp(start=0.0, share=0.5))
    model = tiny()  # type: ignore[operator]
    for progress, weight in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (1.0, 2.0)):
        torch.manual_seed(0)
        terms = objective(model, x, progress=progress)
        assert terms["loss"].item() == pytest.approx((terms["distortion"] + weight * terms["rate"]).item(), rel=1e-6)
    torch.manual_seed(0)
    assert objective(model, x)["loss"] == terms["loss"]


def test_schedules() -> None:
    assert [Constant(3.0)(p) for p in (0, 0.5, 1)] == [3, 3, 3]
    assert [Ramp(0.1, 1.1, 0.2)(p) for p in (0, 0.1, 0.2, 1)] == pytest.approx([0.1, 0.6, 1.1, 1.1])
    assert Ramp(0.0, 1.0, share=0.0)(0.0) == 1
    assert [WarmupDecay(0.1, 0.2)(p) for p in (0, 0.05, 0.1, 0.55, 1)] == pytest.approx([0, 0.5, 1, 0.6, 0.2])
    assert WarmupDecay(0.0)(0.0) == 1


@pytest.mark.parametrize("make", [lambda: ELBO(beta=-1.0), lambda: Ramp(share=1.5), lambda: WarmupDecay(share=-0.1)])
def test_what_cannot_be_meant_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("prior", [StandardNormal, NormalMixture])
def test_every_parameter_gets_a_gradient(tiny: object, x: Tensor, prior: type) -> None:
    model = tiny(prior=prior)  # type: ignore[operator]
    ELBO()(model, x)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
