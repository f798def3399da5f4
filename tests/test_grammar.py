"""The grammar: every prior, posterior, likelihood, network and objective, in every combination that has a meaning.

What has a meaning trains on real images and its loss falls. What has none is refused before the first step, in one line
that says what to do.
"""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import partial, reduce
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from test_config import build, plain, spelled_out
from test_training import Losses

from vaescope import checkpoint, config, families, nets, objectives, priors
from vaescope.choices import components, keys_of
from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.errors import UsageError
from vaescope.experiment import begin
from vaescope.families import Family
from vaescope.metrics import average, negative_elbo
from vaescope.models import Flat, SemiSupervised
from vaescope.nets import Network
from vaescope.objectives import Adversarial, Objective
from vaescope.priors import Prior
from vaescope.run import validation_examples
from vaescope.training import State, Trainer, fit
from vaescope.training.breakdown import ill, retraced, weights


def of_kind(kind: type) -> list[str]:
    """The names of the components of one kind."""
    return [name for name, component in components().items() if issubclass(component, kind)]


LATENTS = [
    ("DiagonalNormal", "StandardNormal"),
    ("DiagonalNormal", "NormalMixture"),
    ("DiagonalNormal", "VampPrior"),
    ("DiagonalNormal", "AutoregressiveFlow"),
    ("DiagonalNormal", "CouplingFlow"),
    ("FullNormal", "StandardNormal"),
    ("InverseAutoregressive", "StandardNormal"),
    ("VonMisesFisher", "HypersphericalUniform"),
    ("PowerSpherical", "HypersphericalUniform"),
    ("CategoricalCodes", "UniformCodes"),
    ("PointMass", "NormalMixture"),
]
"""Posteriors with priors that they go with."""

LIKELIHOODS = {
    "Bernoulli": "binary",
    "ContinuousBernoulli": "grey",
    "Gaussian": "grey",
    "PixelGaussian": "grey",
    "OptimalGaussian": "centred",
    "Laplace": "centred",
    "DiscretisedLogistic": "grey",
    "LogisticMixture": "grey",
    "Categorical": "grey",
}
"""Likelihoods with targets that they can score."""

OBJECTIVES = of_kind(Objective)
SMALL = {
    "MLP": {"width": 16, "encoder_blocks": 2, "decoder_blocks": 2},
    "Conv": {"channels": 4},
    "ResConv": {"channels": 4},
    "DeepConv": {"widths": (4, 8)},
}


def network(name: str = "MLP") -> Network:
    """A small network."""
    return getattr(nets, name)(**SMALL.get(name, {}))


def flat(posterior: str, prior: str, likelihood: str = "Bernoulli", net: str = "MLP", **more: Any) -> Flat:
    """A small model of 3 latents from the names of its parts."""
    few = {"components": 9} if "components" in keys_of(components()[prior]) else {}
    small = partial(getattr(priors, prior), **few)
    return Flat(3, network(net), small, getattr(families, posterior), getattr(families, likelihood), **more)


def settings(model: Any, objective: Objective, targets: str = "binary", steps: int = 20) -> Config:
    """A config of a short run."""
    adam = partial(torch.optim.AdamW, lr=3e-3)
    trainer = Trainer(steps=steps, epochs=100, batch_size=50, optimizer=adam, device="cpu", checkpoint_every=10_000)
    return Config(ImageData("sample", targets=targets), model, objective, trainer)  # type: ignore[arg-type]


def make(name: str) -> Objective:
    """An objective with its defaults, and if it has a critic with a small one."""
    small = {"channels": 4, "levels": 2, "width": 16}
    kind = getattr(objectives, name)
    return kind(**{key: small[key] for key in small if issubclass(kind, Adversarial) and key in keys_of(kind)})


def refused(settings: Config, images: ImageSet) -> str:
    """What a run is refused with before its first step, or nothing."""
    try:
        begin(settings, images, torch.device("cpu"))
    except UsageError as error:
        return str(error)
    return ""


def falls(settings: Config, images: ImageSet) -> State:
    """Trains, and checks that the validation loss is lower after it. (The loop itself stops at terms that are not
    finite, and at parameters without a gradient.)"""
    state = begin(settings, images, torch.device("cpu"))
    validation = validation_examples(state.model, settings.data.target, images)

    def loss() -> float:
        return sum(average(settings.objective, state.model, validation, seed)["loss"] for seed in range(5))

    before = loss()
    fit(state, settings.trainer, validation)
    assert loss() < before
    nothing = retraced(state, lambda: state.play(state.batches(0), 0.5)).first
    assert nothing is None  # a breakdown would be blamed on it
    assert not any(map(ill, weights(state).values()))
    return state


def test_every_component_is_in_the_tables() -> None:
    named = {name for pair in LATENTS for name in pair} | set(LIKELIHOODS)
    assert set(of_kind(Prior)) | set(of_kind(Family)) == named


def pairs() -> Iterator[Any]:
    """Every objective with all latents. The quick tests take all objectives with the first and two with every one."""
    for name, (posterior, prior) in product(OBJECTIVES, LATENTS):
        quick = name in ("ELBO", "WAE") or (posterior, prior) == LATENTS[0]
        identity = f"{name}-{posterior}-{prior}"
        yield pytest.param(name, posterior, prior, id=identity, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("name", "posterior", "prior"), list(pairs()))
def test_every_pair_of_model_and_objective_trains_or_is_refused(
    name: str, posterior: str, prior: str, images: ImageSet
) -> None:
    chosen = settings(flat(posterior, prior), make(name))
    if refusal := refused(chosen, images):
        assert "\n" not in refusal
        assert any(remedy in refusal for remedy in ("use ", "give ", "set ")), refusal
    else:
        falls(chosen, images)


@pytest.mark.parametrize("prior", ["StandardNormal", "NormalMixture", "CouplingFlow"])
def test_a_model_that_classifies_trains_with_every_kind_of_prior(prior: str, images: ImageSet) -> None:
    model = flat("DiagonalNormal", prior)
    semi = SemiSupervised(3, network(), model.prior, model.posterior, model.likelihood, classifier=network())
    chosen = settings(semi, make("M2"))
    falls(replace(chosen, data=replace(chosen.data, labelled=0.5)), images)


SLOW = [pytest.param(name, marks=pytest.mark.slow) if name == "Categorical" else name for name in LIKELIHOODS]


@pytest.mark.parametrize("likelihood", SLOW)
def test_every_likelihood_trains(likelihood: str, images: ImageSet) -> None:
    falls(settings(flat("DiagonalNormal", "StandardNormal", likelihood), make("ELBO"), LIKELIHOODS[likelihood]), images)


@pytest.mark.parametrize("net", of_kind(Network))
def test_every_network_trains_also_with_labels(net: str, images: ImageSet) -> None:
    falls(settings(flat("DiagonalNormal", "StandardNormal", net=net, labels=True), make("ELBO")), images)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_resumes_where_it_stopped(name: str, images: ImageSet, tmp_path: Path) -> None:
    models = [*(flat(*pair) for pair in LATENTS), SemiSupervised(3, network(), classifier=network())]
    runs = (settings(model, make(name), steps=12) for model in models)
    chosen = next(run for run in runs if not refused(run, images))
    state = begin(chosen, images, torch.device("cpu"))
    validation, whole = validation_examples(state.model, chosen.data.target, images), Losses()
    fit(state, chosen.trainer, validation, [whole])
    stopped, first = begin(chosen, images, torch.device("cpu")), Losses()
    fit(stopped, chosen.trainer, validation, [first], lambda: stopped.step == 5)
    path = checkpoint.save(tmp_path, stopped)
    resumed, second = begin(chosen, images, torch.device("cpu")), Losses()
    checkpoint.restore(path, resumed)
    fit(resumed, chosen.trainer, validation, [second])
    assert first.losses + second.losses == whole.losses
    assert len(whole.losses) == 12


ADVERSARIAL = [name for name in OBJECTIVES if issubclass(components()[name], Adversarial)]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_player_moves_and_reaches_its_own_modules_alone(name: str, images: ImageSet) -> None:
    state = begin(settings(flat(*LATENTS[0]), make(name)), images, torch.device("cpu"))
    assert state.critic is not None
    sides = [dict(state.model.named_parameters()), dict(state.critic.named_parameters())]
    for turn, player in enumerate(state.players):
        own, other = sides[turn], sides[1 - turn]
        before = [{key: value.detach().clone() for key, value in side.items()} for side in (own, other)]
        for value in other.values():
            value.grad = None
        player.step(state.model, state.batches(0), 0.5)
        assert all(not torch.equal(value, before[0][key]) for key, value in own.items() if value.grad.any())  # type: ignore[union-attr]
        assert all(value.grad is not None for value in own.values())
        assert all(value.grad is None and torch.equal(value, before[1][key]) for key, value in other.items())


@pytest.mark.slow
def test_a_linear_vae_reaches_the_optimum_of_principal_component_analysis() -> None:
    """The recipe, on the images it was trained on: the maximum of the likelihood is known to four digits."""
    from real import PLACES, fashion_mnist

    train, _ = fashion_mnist()
    root = next(place for place in PLACES["fashion-mnist"] if place.exists())
    recipe = Path(__file__).parent.parent / "configs" / "linear.yaml"
    chosen = build(["--config", str(recipe), "--data.root", str(root), "--trainer.device", "cpu"])
    images = chosen.data.load()
    state = begin(chosen, images, torch.device("cpu"))
    fit(state, chosen.trainer, validation_examples(state.model, chosen.data.target, images))
    state.model.load_state_dict(state.best_weights)
    bound = -negative_elbo(state.model, Examples(train[:, None] / 255)).negative_elbo  # type: ignore[operator]
    assert 314.8061 - 0.5 < bound < 314.8061 + 0.05  # the bound is estimated with one draw for each image


KEY = {Prior: "model.prior", Family: "model.likelihood", Network: "model.network", Objective: "objective"}


@pytest.mark.parametrize(
    "names", list(zip_longest(*map(of_kind, KEY))), ids=lambda names: " ".join(filter(None, names))
)
def test_every_component_comes_back_from_a_kept_config(names: tuple[str | None, ...]) -> None:
    """One of each kind together, as long as there are others."""
    asked = {key: name for key, name in zip(KEY.values(), names, strict=True) if name}
    kept = spelled_out(plain([word for key, name in asked.items() for word in (f"--{key}", name)]))
    assert spelled_out(kept) == kept
    for key, name in asked.items():
        found = reduce(lambda part, step: part[step] if step in part else part["init_args"][step], key.split("."), kept)
        assert found["class_path"].split(".")[-1] == name
        assert set(found.get("init_args", {})) == set(keys_of(components()[name]))


@pytest.mark.parametrize(("posterior", "prior"), LATENTS, ids=str)
def test_two_models_built_in_one_process_are_the_same(posterior: str, prior: str) -> None:
    description = flat(posterior, prior)

    def build() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return description((1, 28, 28)).state_dict()

    first, second = build(), build()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", components())
def test_no_component_keeps_a_mutable_default(name: str) -> None:
    for parameter in inspect.signature(components()[name]).parameters.values():
        assert not isinstance(parameter.default, list | dict | set), f"{name} {parameter.name}"


def test_a_config_with_another_class_in_place_is_another_model() -> None:
    base = settings(flat("DiagonalNormal", "StandardNormal"), make("ELBO"))
    assert replace(base, objective=make("IWAE")) != base
    assert config.Config() == config.Config()
