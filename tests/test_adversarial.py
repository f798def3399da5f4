"""Objectives with a critic: who trains whom, and what the critic learns."""

import math
from collections.abc import Callable

import pytest
import torch
from points import Points
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vaescope.distributions import diagonal_normal
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, Gaussian, VonMisesFisher
from vaescope.models import VAE, Flat, Site, Trace
from vaescope.nets import image_critic, vector_critic
from vaescope.objectives import ELBO, VAEGAN, Adversarial, AdversarialAutoencoder, FactorVAE
from vaescope.objectives.critics import share_right, taken_for_made, taken_for_real
from vaescope.objectives.factor_vae import shuffled
from vaescope.priors import HypersphericalUniform, NormalMixture

Make = Callable[..., VAE]
SHAPE = (1, 28, 28)
ALL: list[Adversarial] = [
    FactorVAE(width=16, layers=2),
    AdversarialAutoencoder(width=16, layers=2),
    VAEGAN(channels=4, levels=2),
]


def name(objective: object) -> str:
    return type(objective).__name__


def gradients(value: Tensor, module: nn.Module) -> list[Tensor | None]:
    """One for each parameter of a module, none where there is no path to it."""
    return list(torch.autograd.grad(value, list(module.parameters()), allow_unused=True, retain_graph=True))


# critics


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 37), (2, 1, 5)])
@pytest.mark.parametrize("levels", [1, 3])
def test_critics_of_images_of_any_size(shape: tuple[int, int, int], levels: int) -> None:
    critic, x = image_critic(shape, 4, levels), torch.rand(6, *shape)
    assert critic(x).shape == (6, 1)
    assert torch.allclose(critic(x)[2:4], critic(x[2:4]), atol=1e-6)  # nothing is averaged over a batch
    assert torch.equal(critic.head(critic.features(x)), critic(x))


def test_a_critic_does_not_halve_what_is_one_pixel_already() -> None:
    """Its channels double at every level: a few levels too many take all of the memory there is."""
    assert image_critic((1, 28, 17), 1, 5)(torch.rand(2, 1, 28, 17)).shape == (2, 1)
    with pytest.raises(UsageError, match=r"critic has 6 levels.*28x17 images can be halved 5 times"):
        image_critic((1, 28, 17), 1, 6)


def test_critics_of_codes() -> None:
    critic = vector_critic(5, width=7, layers=3, outputs=2)
    assert critic(torch.rand(6, 5)).shape == (6, 2)
    assert [tuple(p.shape) for p in critic.parameters() if p.dim() == 2] == [(7, 5), (7, 7), (7, 7), (2, 7)]


def test_the_losses_of_the_game() -> None:
    """Against the logarithms of probabilities, and finite where these are 0 or 1."""
    logits = torch.tensor([-3.0, -0.5, 0.0, 2.0]).double()
    chance = logits.sigmoid()
    assert taken_for_real(logits).item() == pytest.approx(-chance.log().mean().item())
    assert taken_for_made(logits).item() == pytest.approx(-(1 - chance).log().mean().item())
    assert share_right(logits, torch.tensor([-1.0, 1.0])).item() == pytest.approx((1 / 4 + 1 / 2) / 2)
    sure = torch.tensor([-1e4, 1e4], requires_grad=True)
    for loss in (taken_for_real(sure), taken_for_made(sure)):
        assert loss.isfinite()
        assert torch.autograd.grad(loss, sure)[0].isfinite().all()


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_the_optimizer_is_that_of_the_critic(objective: Adversarial, tiny: Make) -> None:
    critic = objective.critic(tiny(), SHAPE)
    (group,) = objective.optimizer(critic).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in critic.parameters()]
    assert (group["lr"], group["betas"]) == (objective.lr, (0.5, 0.9))  # type: ignore[attr-defined]


# who trains whom


@pytest.mark.parametrize("objective", ALL, ids=name)
@pytest.mark.parametrize("prior", [None, NormalMixture])
def test_the_critics_loss_has_no_path_to_the_model(
    objective: Adversarial, prior: type | None, tiny: Make, x: Tensor
) -> None:
    model = tiny() if prior is None else tiny(prior=prior)
    critic = objective.critic(model, SHAPE)
    terms = objective.challenge(critic, model, x)
    assert all(g is None for g in gradients(terms["loss"], model))
    found = gradients(terms["loss"], critic)
    assert all(g is not None and g.isfinite().all() and g.any() for g in found)
    assert 0 <= terms["accuracy"] <= 1


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_a_step_of_either_side_leaves_the_other_as_it_is(objective: Adversarial, tiny: Make, x: Tensor) -> None:
    model = tiny()
    critic = objective.critic(model, SHAPE)
    before = {key: value.clone() for key, value in (model.state_dict() | critic.state_dict()).items()}
    objective.challenge(critic, model, x)["loss"].backward()
    assert all(p.grad is None for p in model.parameters())
    critic.zero_grad()
    loss = objective(model, x, critic=critic)["loss"]
    found = gradients(loss, model)
    assert all(g is not None and g.isfinite().all() for g in found)
    assert all(p.grad is None for p in critic.parameters())
    after = model.state_dict() | critic.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_batch_normalisation_counts_every_batch_once(objective: Adversarial, tiny: Make, x: Tensor) -> None:
    """What the critic looks at and what is made for it leave no trace in the statistics of the model."""
    statistics = []
    for played in (ELBO(), objective):
        model = tiny()
        model.posterior.net.append(nn.BatchNorm1d(4))
        model.likelihood.net.insert(0, nn.BatchNorm1d(2))
        critic = objective.critic(model, SHAPE)
        torch.manual_seed(1)
        if played is objective:
            objective(model, x, critic=critic)
            objective.challenge(critic, model, x)
        else:
            played(model, x)
        statistics.append(dict(model.named_buffers()))
    plain, found = statistics
    assert all(torch.equal(value, found[name]) for name, value in plain.items())


def test_the_total_correlation_trains_the_encoder_alone(tiny: Make, x: Tensor) -> None:
    model, objective = tiny(), ALL[0]
    value = objective(model, x, critic=objective.critic(model, SHAPE))["total_correlation"]
    assert all(g is not None and g.any() for g in gradients(value, model.posterior))
    assert all(g is None for g in gradients(value, model.likelihood))


def test_the_verdict_on_codes_trains_the_encoder_alone(tiny: Make, x: Tensor) -> None:
    model, objective = tiny(prior=NormalMixture), ALL[1]
    value = objective(model, x, critic=objective.critic(model, SHAPE))["adversarial"]
    assert all(g is not None and g.any() for g in gradients(value, model.posterior))
    assert all(g is None for g in gradients(value, model.likelihood))
    assert all(g is None for g in gradients(value, model.prior))


def test_the_verdict_on_images_trains_the_decoder_alone(tiny: Make, x: Tensor) -> None:
    model, objective = tiny(), ALL[2]
    terms = objective(model, x, critic=objective.critic(model, SHAPE))
    assert all(g is None for g in gradients(terms["adversarial"], model.posterior))
    assert all(g is not None and g.any() for g in gradients(terms["adversarial"], model.likelihood))
    for part in (model.posterior, model.likelihood):
        assert all(g is not None and g.any() for g in gradients(terms["similarity"], part))


def test_the_prior_of_an_adversarial_autoencoder_is_fitted_to_its_codes(tiny: Make, x: Tensor) -> None:
    model, objective = tiny(posterior=Points, prior=NormalMixture), ALL[1]
    terms = objective(model, x)
    autoencoder = nn.ModuleList([model.posterior, model.likelihood])
    assert all(g is None for g in gradients(terms["cross_entropy"], autoencoder))
    assert all(g is not None and g.any() for g in gradients(terms["loss"], model.prior))


# the terms


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_without_a_critic_its_terms_are_left_out(objective: Adversarial, tiny: Make, x: Tensor) -> None:
    model = tiny()
    torch.manual_seed(3)
    plain = ELBO()(model, x)
    for critic in (None, objective.critic(model, SHAPE)):
        torch.manual_seed(3)
        terms = objective(model, x, critic=critic)
        assert terms["distortion"].item() == plain["distortion"].item()
        assert terms["rate"].item() == plain["rate"].item()
        assert all(value.shape == () and value.isfinite() for value in terms.values())
        own = set(terms) - {"loss", "distortion", "rate"}
        assert bool(own) == (critic is not None)


def test_the_weights_of_the_terms(tiny: Make, x: Tensor) -> None:
    model = tiny()
    factor, codes = FactorVAE(gamma=3.0, width=8, layers=1), AdversarialAutoencoder(weight=3.0, width=8, layers=1)
    images = VAEGAN(pixels=0.5, beta=2.0, similarity=3.0, adversarial=5.0, channels=2, levels=1)
    t = factor(model, x, critic=factor.critic(model, SHAPE))
    assert t["loss"].item() == pytest.approx((t["distortion"] + t["rate"] + 3 * t["total_correlation"]).item())
    t = codes(model, x, critic=codes.critic(model, SHAPE))
    assert t["loss"].item() == pytest.approx((t["distortion"] + 3 * t["adversarial"]).item())
    t = images(model, x, critic=images.critic(model, SHAPE))
    expected = 0.5 * t["distortion"] + 2 * t["rate"] + 3 * t["similarity"] + 5 * t["adversarial"]
    assert t["loss"].item() == pytest.approx(expected.item())
    t = images(model, x)
    assert t["loss"].item() == pytest.approx((0.5 * t["distortion"] + 2 * t["rate"]).item())


def test_the_distance_in_features(tiny: Make, x: Tensor) -> None:
    model, objective = tiny(), VAEGAN(channels=4, levels=2)
    critic = objective.critic(model, SHAPE)
    torch.manual_seed(2)
    found = objective(model, x, critic=critic)["similarity"].item()
    torch.manual_seed(2)
    images = model(x).likelihood.mean
    expected = sum(0.5 * (critic.features(a[None]) - critic.features(b[None])).square().sum().item()  # type: ignore[operator]
                   for a, b in zip(x, images, strict=True)) / len(x)  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-4)
    with pytest.raises(UsageError, match="features"):
        objective(model, x, critic=nn.Flatten())


def test_a_critic_of_images_sees_reconstructions_and_samples(tiny: Make, x: Tensor) -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1).sum(1, keepdim=True)

    VAEGAN().challenge(Watching(), tiny(), x)
    real, made = seen
    assert torch.equal(real, x)
    assert made.shape == (32, *SHAPE)
    assert not made.requires_grad


@pytest.mark.parametrize("objective", ALL[1:], ids=name)
def test_a_critic_learns_what_is_real_and_its_opponent_to_pass_for_it(
    objective: Adversarial, tiny: Make, x: Tensor
) -> None:
    """Against a model that stands still a critic wins, and then gives codes or images of the model a bad verdict."""
    torch.manual_seed(0)
    model = tiny()
    with torch.no_grad():
        model.posterior.net[-1].bias.add_(2.0)  # codes far from the prior
    critic = objective.critic(model, SHAPE)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    before = objective(model, x, critic=critic)["adversarial"]
    for _ in range(60):
        terms = objective.challenge(critic, model, x)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert terms["accuracy"] > 0.8
    assert terms["loss"] < 0.5
    assert objective(model, x, critic=critic)["adversarial"] > before + 0.5
    real = x if isinstance(objective, VAEGAN) else torch.randn(200, 2)
    assert critic(real).mean() > 0.5


# shuffling, and the ratio of densities


def test_the_total_correlation_of_a_sphere_is_infinite() -> None:
    """Shuffled codes lie beside the sphere: the two densities that the critic compares have nowhere in common."""
    torch.manual_seed(0)
    z = VonMisesFisher((3,))(torch.zeros(50, 4)).sample()
    assert (shuffled(z).norm(dim=-1) - 1).abs().mean().item() > 0.1
    with pytest.raises(UsageError, match="DiagonalNormal"):
        FactorVAE().check(Flat(3, posterior=VonMisesFisher, prior=HypersphericalUniform)(SHAPE))
    FactorVAE().check(Flat(3)(SHAPE))


def test_shuffling_keeps_every_latent_and_breaks_their_ties() -> None:
    torch.manual_seed(0)
    z = torch.randn(2000, 1).expand(2000, 3).contiguous()
    mixed = shuffled(z)
    assert torch.equal(mixed.sort(0).values, z.sort(0).values)
    off = torch.corrcoef(mixed.T) - torch.eye(3)
    assert off.abs().max() < 5 / 2000**0.5
    assert (mixed != z).float().mean() > 0.99
    first = torch.stack([shuffled(torch.arange(3.0)[:, None])[0, 0] for _ in range(3000)])
    assert torch.bincount(first.long(), minlength=3) / 3000 == pytest.approx([1 / 3] * 3, abs=5 * 0.0087)


class Given(nn.Module):
    """A model whose codes are the two pixels of its images; it fits FactorVAE's view of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.likelihood = Bernoulli((1, 1, 2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Trace:
        z = x.flatten(1)
        q, p = diagonal_normal(z, torch.ones_like(z)), diagonal_normal(torch.zeros(2), torch.ones(2))
        return Trace((Site(p, q, z),), self.likelihood(z[:, None, None]))


RHO = 0.8
TIED = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, RHO], [RHO, 1.0]]))
CORRELATION = -0.5 * math.log(1 - RHO**2)


def test_the_best_critic_gives_the_total_correlation() -> None:
    torch.manual_seed(0)

    class Best(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.stack((TIED.log_prob(z), diagonal_normal(torch.zeros(2), torch.ones(2)).log_prob(z)), dim=1)

    z = TIED.sample((20_000,))
    found = FactorVAE()(Given(), z.view(-1, 1, 1, 2), critic=Best())["total_correlation"]  # type: ignore[arg-type]
    # the log-ratio is -log(1 - rho^2)/2 plus a quadratic form of variance rho^2
    assert found.item() == pytest.approx(CORRELATION, abs=5 * RHO / 20_000**0.5)


def test_a_trained_critic_comes_near_the_total_correlation() -> None:
    torch.manual_seed(0)
    objective = FactorVAE(width=32, layers=2, lr=5e-3)
    critic = vector_critic(2, 32, 2, outputs=2)
    optimizer = objective.optimizer(critic)
    for _ in range(400):
        terms = objective.challenge(critic, Given(), TIED.sample((512,)).view(-1, 1, 1, 2))  # type: ignore[arg-type]
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    x = TIED.sample((20_000,)).view(-1, 1, 1, 2)
    found = objective(Given(), x, critic=critic)["total_correlation"].item()  # type: ignore[arg-type]
    assert found == pytest.approx(CORRELATION, abs=0.1)
    assert terms["accuracy"] > 0.6


# the game


@pytest.mark.parametrize("objective", ALL, ids=name)
@pytest.mark.parametrize("choices", [{}, {"prior": NormalMixture}, {"likelihood": Gaussian}, {"posterior": Points}])
def test_alternating_steps(objective: Adversarial, choices: dict[str, object], tiny: Make, x: Tensor) -> None:
    model = tiny(**choices)
    if "posterior" in choices and not objective.takes_points:
        with pytest.raises(UsageError, match="RAEL2"):
            objective.check(model)
        return
    objective.check(model)
    critic = objective.critic(model, SHAPE)
    ours, theirs = torch.optim.Adam(model.parameters(), lr=1e-3), objective.optimizer(critic)
    first = {key: value.clone() for key, value in (model.state_dict() | critic.state_dict()).items()}
    for _ in range(5):
        terms = objective(model, x, critic=critic)
        found = torch.autograd.grad(terms["loss"], list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), found, strict=True):
            parameter.grad = gradient
        ours.step()
        answer = objective.challenge(critic, model, x)
        theirs.zero_grad()
        answer["loss"].backward()
        theirs.step()
        assert all(value.isfinite() for value in (terms | answer).values())
        assert ("rate" in terms) == ("posterior" not in choices)
    last = model.state_dict() | critic.state_dict()
    still = [key for key, value in first.items() if torch.equal(last[key], value)]
    assert still == []


@pytest.mark.parametrize("objective", ALL, ids=name)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_batches(objective: Adversarial, count: int, tiny: Make, x: Tensor) -> None:
    model = tiny()
    critic = objective.critic(model, SHAPE)
    for terms in (objective(model, x[:count], critic=critic), objective.challenge(critic, model, x[:count])):
        assert all(value.isfinite() for value in terms.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda: FactorVAE(gamma=-1.0),
        lambda: FactorVAE(layers=0),
        lambda: AdversarialAutoencoder(weight=math.nan),
        lambda: AdversarialAutoencoder(lr=0.0),
        lambda: VAEGAN(pixels=0.0),
        lambda: VAEGAN(similarity=-1.0),
        lambda: VAEGAN(levels=0),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Adversarial]) -> None:
    with pytest.raises(UsageError):
        make()


def test_what_is_minimised_is_put_into_words() -> None:
    assert [str(objective) for objective in ALL] == [
        "−ELBO + 10 × total correlation",
        "distortion + 10 × a critic's verdict on the codes",
        "1 × distortion + 1 × rate + 1 × distance in a critic's features + 1 × its verdict",
    ]
