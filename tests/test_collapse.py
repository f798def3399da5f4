"""What the latents carry, against exact mathematics; a collapse is said and no more; schedules that cannot finish."""

import json
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from vaescope.collapse import EARLIEST, Doctor, findings, in_words
from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.distributions import Levels, PointMass, diagonal_normal
from vaescope.errors import UsageError
from vaescope.experiment import begin
from vaescope.families import CategoricalCodes, DiagonalNormal, FullNormal, InverseAutoregressive, PowerSpherical
from vaescope.families import PointMass as PointMassFamily
from vaescope.metrics import Anatomy, anatomy, examine
from vaescope.metrics.latents import aggregate_log_prob, divided_rate, normal_pairs
from vaescope.models import VAE, Flat, Site
from vaescope.nets import MLP
from vaescope.objectives import (
    ELBO,
    Constant,
    Cyclical,
    FreeBits,
    Objective,
    Ramp,
    Sigmoid,
    Terms,
    WarmupDecay,
    arrival,
    exact_rate,
    log_ratio,
    schedules_of,
)
from vaescope.observers import Checkpointer, MetricsLog, read_lines
from vaescope.priors import CouplingFlow, HypersphericalUniform, NormalMixture, StandardNormal, UniformCodes
from vaescope.training import Observer, Outcome, State, Trainer, fit


def normals(count: int, latents: int, seed: int = 0) -> Independent:
    """Overlapping normals in double precision."""
    rng = torch.Generator().manual_seed(seed)
    loc = torch.randn(count, latents, generator=rng, dtype=torch.float64)
    return diagonal_normal(loc, 0.2 + torch.rand(count, latents, generator=rng, dtype=torch.float64))


def standard(latents: int) -> Independent:
    """The standard normal in double precision."""
    return diagonal_normal(torch.zeros(latents).double(), torch.ones(latents).double())


def site(q: Distribution, p: Distribution, seed: int = 0) -> Site:
    """A site with a draw of each posterior."""
    torch.manual_seed(seed)
    return Site(p, q, q.sample())


# The numbers


@pytest.mark.parametrize("latents", [1, 3, 40])
def test_the_aggregate_is_the_mixture_of_all_posteriors(latents: int) -> None:
    q = normals(30, latents)
    z = q.sample((2,)).flatten(0, 1)
    full = MultivariateNormal(q.mean, q.variance.diag_embed(), validate_args=False)
    expected = MixtureSameFamily(Categorical(torch.ones(30).double()), q).log_prob(z)
    for posteriors in (q, full):  # the one as products of matrices, the other a part at a time
        assert torch.allclose(aggregate_log_prob(z, posteriors), expected, rtol=1e-10, atol=1e-10)


def test_the_products_of_matrices_keep_their_digits_where_scales_are_small() -> None:
    torch.manual_seed(0)
    loc, scale = 16 * torch.rand(20, 32).double() - 8, 1e-4 + 1e-3 * torch.rand(20, 32).double()
    z = loc + scale * torch.randn(20, 32).double()
    expected = Independent(Normal(loc, scale), 1).log_prob(z[:, None])
    assert torch.allclose(normal_pairs(z, loc, scale), expected, rtol=1e-6, atol=1e-3)


def test_single_precision_agrees_with_double() -> None:
    exact = site(normals(200, 8), standard(8))
    assert isinstance(exact.q, Independent)
    rounded = Site(
        diagonal_normal(torch.zeros(8), torch.ones(8)),
        diagonal_normal(exact.q.mean.float(), exact.q.stddev.float()),
        exact.z.float(),
    )
    assert divided_rate(rounded) == pytest.approx(divided_rate(exact), abs=1e-4)


@pytest.mark.parametrize("draws", [None, 7])
def test_the_rate_is_the_mutual_information_and_the_marginal_kl(draws: int | None) -> None:
    seen = site(normals(100, 4), standard(4))
    assert sum(divided_rate(seen, draws)) == pytest.approx(log_ratio(seen)[:draws].mean().item(), abs=1e-6)


def test_both_parts_are_those_of_quadrature() -> None:
    """Four kinds of images, a thousand of each, so that the aggregate is a mixture of four normals on the line."""
    kinds = diagonal_normal(
        torch.tensor([[-2.0], [0.0], [0.3], [3.0]]).double(), torch.tensor([[0.3], [0.5], [1], [0.2]])
    )
    grid = torch.linspace(-12, 12, 20_001).double()[:, None]
    each, mixed = kinds.log_prob(grid[:, None]), aggregate_log_prob(grid, kinds)  # (G, 4), (G,)
    step = 24 / 20_000
    information = (each.exp() * (each - mixed[:, None])).sum().item() * step / 4
    marginal = (mixed.exp() * (mixed - standard(1).log_prob(grid))).sum().item() * step
    rate = exact_rate(Site(standard(1), kinds, kinds.mean))
    assert rate is not None
    assert information + marginal == pytest.approx(rate.mean().item(), abs=1e-6)
    many = diagonal_normal(kinds.mean.repeat(1000, 1), kinds.stddev.repeat(1000, 1))
    found = divided_rate(site(many, standard(1)))
    assert found[0] == pytest.approx(information, abs=5 * 1 / math.sqrt(4000))  # the terms vary by less than 1 nat
    assert found[1] == pytest.approx(marginal, abs=5 * 3 / math.sqrt(4000))  # and here by less than 3


def test_codes_that_are_certain_carry_the_entropy_of_their_use() -> None:
    index = torch.tensor([0] * 5 + [1] * 3 + [3] * 2)
    logits = torch.full((10, 1, 4), -80.0).double().scatter(2, index[:, None, None], 80.0)
    values = torch.linspace(-1, 1, 4).double()
    prior = Independent(Levels(torch.zeros(1, 4).double(), values), 1)
    seen = site(Independent(Levels(logits, values), 1), prior)
    entropy = -sum(share * math.log(share) for share in (0.5, 0.3, 0.2))
    assert divided_rate(seen) == pytest.approx((entropy, math.log(4) - entropy), abs=1e-9)


def test_a_collapse_carries_nothing_and_posteriors_apart_the_logarithm_of_their_number() -> None:
    same = diagonal_normal(torch.full((50, 3), 0.4).double(), torch.full((50, 3), 0.9).double())
    assert divided_rate(site(same, standard(3)))[0] == pytest.approx(0, abs=1e-12)
    apart = diagonal_normal(100.0 * torch.arange(50).double()[:, None], torch.ones(50, 1).double())
    assert divided_rate(site(apart, standard(1)))[0] == pytest.approx(math.log(50), abs=1e-9)


class Given(nn.Module):
    """A posterior that is given, whatever the images are."""

    def __init__(self, family: Any, q: Distribution) -> None:
        super().__init__()
        self.family, self.q, self.weight = family, q, nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return self.q


def with_posterior(family: Any, q: Distribution, prior: nn.Module) -> VAE:
    """A model that has this posterior for all N images."""
    return VAE(prior, Given(family, q), nn.Identity())  # type: ignore[arg-type]


def nothing(count: int) -> Examples:
    """As many images without a pixel."""
    return Examples(torch.zeros(count, 1, 0, 0))


def test_a_normal_posterior_by_hand() -> None:
    """One latent at -1 or 1 with a scale of a half, one that is the prior, one that moves by a standard deviation of
    0.08 only, which is a variance below 0.01."""
    sign = torch.tensor([1.0, -1.0]).repeat(30)
    loc = torch.stack((sign, torch.zeros(60), 0.08 * sign), dim=1)
    q = diagonal_normal(loc, torch.tensor([0.5, 1, 1]).expand(60, 3))
    found = anatomy(with_posterior(DiagonalNormal((3,)), q, StandardNormal(3)), nothing(60))
    assert found.centre_variance == pytest.approx((1, 0, 0.0064), abs=1e-6)
    assert found.active_units == 1
    assert found.kl_per_latent == pytest.approx((0.5 * (1 + 0.25 - 1 - math.log(0.25)), 0, 0.0032), abs=1e-6)
    assert found.mutual_information is not None
    assert found.mutual_information <= math.log(60)
    assert (found.images, found.latents, found.codes, found.codes_used, found.perplexity) == (60, 3, None, None, None)


def test_codes_by_hand() -> None:
    """Latent 1 uses two of four levels equally, latent 2 always the same one."""
    index = torch.stack((torch.arange(40) % 2 * 3, torch.full((40,), 2)), dim=1)
    logits = torch.full((40, 2, 4), -80.0).scatter(2, index[..., None], 80.0)
    family = CategoricalCodes((2,), codes=4)
    found = anatomy(with_posterior(family, family(logits.flatten(1)), UniformCodes(2, codes=4)), nothing(40))
    assert (found.codes, found.codes_used) == (4, (2, 1))
    assert found.perplexity == pytest.approx((2, 1))
    assert found.mutual_information == pytest.approx(math.log(2), abs=1e-5)
    assert found.kl_per_latent == pytest.approx((math.log(4), math.log(4)), abs=1e-5)
    assert found.centre_variance == pytest.approx((1, 0))


def test_a_point_mass_has_neither_a_rate_nor_a_scale() -> None:
    found = anatomy(with_posterior(PointMassFamily((2,)), PointMass(torch.eye(2)), StandardNormal(2)), nothing(2))
    assert found == Anatomy(2, 2, (0.25, 0.25))
    assert "nats" not in in_words(found, ())


KINDS: dict[str, dict[str, Any]] = {
    "normal": {},
    "mixture prior": {"prior": NormalMixture},
    "codes": {"posterior": CategoricalCodes, "prior": UniformCodes},
    "sphere": {"posterior": PowerSpherical, "prior": HypersphericalUniform},
    "full normal": {"posterior": FullNormal},
    "inverse autoregressive": {"posterior": InverseAutoregressive},
    "flow prior": {"prior": CouplingFlow},
    "point": {"posterior": PointMassFamily},
    "labels": {"labels": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_posterior_can_be_looked_at_and_stays_as_it_is(kind: str, images: ImageSet) -> None:
    torch.manual_seed(0)
    model = Flat(latent=5, network=MLP(width=16), **KINDS[kind])((1, 28, 28), 10)
    shown = Examples(images.validation.images / 255, model.context(images.validation.labels))
    before = torch.get_rng_state()
    first, second = examine(model, shown), examine(model, shown)
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert json.loads(json.dumps(first.numbers()))
    assert len(first.centre_variance) == first.latents == 5
    assert (first.mutual_information is None) == (kind == "point")
    assert first.mutual_information is None or first.mutual_information <= math.log(first.images) + 1e-6
    assert (first.kl_per_latent is None) == (kind not in ("normal", "codes", "labels"))
    assert (first.active_units is None) == (kind in ("sphere", "point"))
    assert (first.codes_used is None) == (kind != "codes")


# What is said of them


def seen(active: int, latents: int, information: float = 6.0, **others: Any) -> Anatomy:
    """The anatomy of a model with so many active latents, all others dead."""
    carried = [1.0] * active + [0.0] * (latents - active)
    kl = {"kl_per_latent": tuple(carried), "mutual_information": information, "active_units": active}
    return Anatomy(1000, latents, tuple(carried), **{**kl, **others})


HEALTHY = {
    "all in use": seen(2, 2),
    "one of two": seen(1, 2, 2.0),
    "no more needed": seen(20, 32),
    "few of many": seen(12, 256),
    "a mixture prior": seen(20, 20, kl_per_latent=None),
    "an autoencoder": Anatomy(1000, 2, (1e-6, 0.0)),
    "a sphere": seen(0, 9, active_units=None, kl_per_latent=None),
    "too few images": replace(seen(0, 8, 0.0), images=2),
    "a code or two": seen(2, 2, codes=8, codes_used=(7, 8), perplexity=(6.0, 8.0)),
    "too few images for so many codes": seen(2, 2, codes=256, codes_used=(150, 90), perplexity=(6.0, 8.0)),
}
ILL = {
    "all": (seen(0, 32, 0.0), "all 32 latents carry nothing"),
    "all but two": (seen(2, 32, 4.0), "30 of 32 latents carry nothing"),
    "all but four of many": (seen(4, 500), "496 of 500 latents"),
    "nothing said at a rate": (seen(8, 8, 0.05), "below 0.1 nats"),
    "a sphere": (seen(9, 9, 0.0, active_units=None, kl_per_latent=None), "next to nothing of the image"),
    "an autoencoder": (Anatomy(1000, 2, (0.0, 0.0)), "one value for every image"),
    "codes": (seen(2, 2, codes=8, codes_used=(8, 5), perplexity=(8.0, 4.0)), "3 of 8 codes of latent 2 are never used"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_a_healthy_model(name: str) -> None:
    assert findings(HEALTHY[name], ELBO()) == ()


@pytest.mark.parametrize("name", ILL)
def test_what_is_wrong_is_said_in_one_line_with_a_remedy(name: str) -> None:
    found, words = ILL[name]
    (finding,) = findings(found, ELBO())
    assert words in finding.text
    assert "try " in finding.text
    assert "\n" not in finding.text
    assert ("KL" in finding.text) <= (found.kl_per_latent is not None)
    assert "needs no more" not in in_words(found, (finding,))


def test_a_large_weight_of_the_rate_is_named_first() -> None:
    (finding,) = findings(seen(0, 4, 0.0), ELBO(beta=500))
    assert "objective.beta is 500" in finding.text
    assert "objective.beta" not in findings(seen(0, 4, 0.0), ELBO())[0].text
    assert "more nats for free" in findings(seen(0, 4, 0.0), FreeBits())[0].text
    assert "warm" not in findings(seen(0, 4, 0.0), PlainObjective())[0].text


def test_latents_that_are_not_needed_are_a_number_and_no_warning() -> None:
    words = in_words(seen(20, 32), ())
    assert words.startswith("20 of 32 active, the model needs no more")
    assert "mutual information 6.00 nats (at most log 1,000 = 6.91)" in words
    assert "no more" not in in_words(replace(seen(20, 32), images=31), ())  # of so few images nothing is known
    assert "no more" not in in_words(seen(0, 32), ())


# While a model trains


class Blind(nn.Module):
    """A decoder that does not look at its latents."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        return self.net(0 * z)


class Losses(Observer):
    """Remembers every loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, state: State, terms: Terms) -> None:
        self.losses.append(terms["loss"].item())


SMALL, BOUND, CYCLES = Flat(network=MLP(width=32)), ELBO(), ELBO(warmup=Cyclical(cycles=4))


def settings(objective: Objective = BOUND, model: Flat = SMALL, **trainer: Any) -> Config:
    """A run of 25 epochs of 8 steps, which takes a second."""
    adam = partial(torch.optim.AdamW, lr=3e-3)
    base = {"batch_size": 25, "epochs": 25, "optimizer": adam, "checkpoint_every": 50}
    return Config(data=ImageData("sample"), model=model, objective=objective, trainer=Trainer(**{**base, **trainer}))


def start(config: Config, images: ImageSet, blind: bool = False) -> tuple[State, Examples]:
    """The state before the first step, and the validation images."""
    state = begin(config, images, torch.device("cpu"))
    if blind:
        state.model.likelihood.net = Blind(state.model.likelihood.net)
    shown = config.data.target.evaluation([images.validation.images])[0]
    return state, shown.conditioned(state.model.context(images.validation.labels))


def train(config: Config, images: ImageSet, blind: bool = False) -> tuple[list[str], Anatomy, list[float]]:
    """What the doctor said, what was found in the end, and all losses."""
    state, validation = start(config, images, blind)
    said: list[str] = []
    doctor, losses = Doctor(validation, said.append), Losses()
    fit(state, config.trainer, validation, [doctor, losses])
    assert doctor.latest is not None
    return said, doctor.latest, losses.losses


def test_a_healthy_run_is_told_nothing_and_is_not_changed_by_being_looked_at(images: ImageSet) -> None:
    said, found, watched = train(settings(), images)
    assert said == []
    assert found.active_units == 2
    assert found.mutual_information is not None
    assert found.mutual_information > 1
    state, validation = start(settings(), images)
    alone = Losses()
    fit(state, settings().trainer, validation, [alone])
    assert alone.losses == watched


@pytest.mark.parametrize("blind", [True, False], ids=["a decoder that ignores the latents", "a huge weight"])
def test_a_collapse_is_told_once_when_the_warm_up_has_arrived(blind: bool, images: ImageSet) -> None:
    config = settings(ELBO(beta=1 if blind else 1000, warmup=Ramp(0.5, 1.0, share=0.7)), Flat(8, MLP(width=32)))
    said, found, _ = train(config, images, blind)
    assert len(said) == 1
    assert said[0].startswith("warning: step 144: all 8 latents carry nothing")  # 0.7 of 200 steps are 140
    assert found.active_units == 0
    assert found.mutual_information == pytest.approx(0, abs=0.02)


def test_a_run_that_has_hardly_begun_is_told_nothing(images: ImageSet) -> None:
    short = settings(ELBO(beta=1000, warmup=Constant()), epochs=(EARLIEST - 1) // 8)
    assert train(short, images)[0] == []


class Lame(CategoricalCodes):
    """Codes of which two of eight cannot be reached."""

    def forward(self, h: Tensor) -> Distribution:
        never = torch.tensor([0.0, 0, 0, 1, 1, 0, 0, 0]).repeat(self.shape[0])
        return super().forward(h - 1e4 * never)


def test_codes_that_are_never_used_are_told_where_images_suffice_to_say_so(images: ImageSet) -> None:
    state, validation = start(settings(model=Flat(4, MLP(width=32), posterior=Lame, prior=UniformCodes)), images)
    state.step = state.total
    said: list[str] = []
    for times in (1, 3):  # 40 images are too few for eight codes
        assert not [text for text in said if "codes go unused" in text]
        Doctor(Examples(validation.values.repeat(times, 1, 1, 1)), said.append).validated(state, {})
    assert len([text for text in said if "codes go unused" in text]) == 1


def test_a_resumed_run_writes_the_same_lines_and_does_not_repeat_itself(images: ImageSet, tmp_path: Path) -> None:
    config = settings(ELBO(beta=1000, warmup=Constant()))
    said: list[str] = []

    def run(folder: Path, stop: int, resume: bool = False) -> Outcome:
        state, validation = start(config, images)
        doctor = Doctor(validation, said.append)
        log = MetricsLog(folder / "metrics.jsonl", 50, doctor.numbers)
        keeper = Checkpointer(folder / "checkpoints", 9, [doctor, log])
        if resume:
            keeper.restore(folder / "checkpoints" / "step-000150", state)
        return fit(state, config.trainer, validation, [doctor, log, keeper], lambda: state.step == stop)

    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    assert run(tmp_path / "whole", -1) == "finished"
    assert len(said) == 1
    assert run(tmp_path / "cut", 157) == "interrupted"
    assert run(tmp_path / "cut", -1, resume=True) == "finished"
    assert said == said[:1] * 2
    whole, cut = (
        [
            {key: value for key, value in line.items() if key != "seconds"}
            for line in read_lines(tmp_path / name / "metrics.jsonl")
        ]
        for name in ("whole", "cut")
    )
    assert whole == cut


def test_the_numbers_stand_in_the_validation_lines_the_summary_and_the_card(run_folder: Path) -> None:
    lines = read_lines(run_folder / "metrics.jsonl")
    for line in lines:
        known = line.keys() & {"active_units", "mutual_information", "kl_per_latent"}
        assert len(known) == (3 if line["split"] == "validation" else 0)
    last = [line for line in lines if line["split"] == "validation"][-1]
    assert len(last["kl_per_latent"]) == 2
    card = (run_folder / "README.md").read_text()
    assert "of 2 active" in card
    assert "| warning |" not in card  # after 30 steps nobody can tell
    assert "figures/latent_activity.png" in card


# Schedules that cannot finish


@dataclass(frozen=True)
class Nested(Objective):
    """An objective that holds another one."""

    inner: Objective = CYCLES

    def __call__(self, *words: Any, **others: Any) -> Terms:
        return self.inner(*words, **others)


def test_schedules_are_found_wherever_they_are() -> None:
    assert [name for name, _ in schedules_of(Nested(), "objective")] == ["objective.inner.warmup"]
    assert [name for name, _ in schedules_of(Trainer(), "trainer")] == ["trainer.schedule"]


@pytest.mark.parametrize(
    ("objective", "schedule", "words"),
    [
        (
            ELBO(warmup=Cyclical(cycles=4)),
            WarmupDecay(),
            "objective.warmup Cyclical needs at least 8 steps for its 4 cycles",
        ),
        (Nested(), WarmupDecay(), "objective.inner.warmup Cyclical"),
        (ELBO(), Cyclical(cycles=10), "trainer.schedule Cyclical needs at least 20 steps for its 10 cycles"),
    ],
)
def test_a_schedule_that_cannot_finish_is_refused(
    objective: Objective, schedule: Any, words: str, images: ImageSet
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        start(settings(objective, schedule=schedule, steps=7), images)
    assert "but the run has 7: " in str(caught.value)
    assert "\n" not in str(caught.value)
    start(settings(objective, schedule=schedule, steps=20), images)


SCHEDULES = {
    Constant(): 0.0,
    Ramp(share=0.3): 0.3,
    Sigmoid(share=0.6): 0.6,
    Cyclical(cycles=4, share=0.5): 0.875,
    WarmupDecay(): 1.0,
}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_stays_as_it_is_from_its_arrival_on_and_not_before(schedule: Any) -> None:
    there = SCHEDULES[schedule]
    assert schedule.arrival == pytest.approx(there)
    assert {schedule(there + (1 - there) * i / 9) for i in range(10)} == {schedule(1.0)}
    assert not there or schedule(there - 0.02) != schedule(1.0)


def test_an_objective_has_arrived_when_the_last_of_its_schedules_has() -> None:
    assert arrival(Nested()) == 0.875
    assert arrival(PlainObjective()) == 0


class PlainObjective(Objective):
    """An objective without a schedule."""

    def __call__(self, *words: Any, **others: Any) -> Terms:
        return ELBO()(*words, **others)


@pytest.mark.parametrize(("warmup", "stopped"), [(Constant(), 3 * 8), (Ramp(share=0.5), 100 + 4 + 2 * 8)])
def test_a_run_is_not_ended_before_its_warm_up(warmup: Any, stopped: int, images: ImageSet) -> None:
    """Nothing is learned, so that no validation is better than the first one. Of 200 steps 100 are warm-up, and the
    first validation after it is at step 104."""
    config = settings(ELBO(warmup=warmup), patience=3, optimizer=partial(torch.optim.SGD, lr=0.0))
    state, validation = start(config, images)
    assert fit(state, config.trainer, validation) == "stopped early"
    assert state.step == stopped
