"""When training breaks down: at which step, which tensor was first, in one line, and how it may go on."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from test_recorded import tape
from test_training import Losses, settings, start, validation
from torch import Tensor, nn
from torch.distributions import Normal

from vaescope import checkpoint
from vaescope.config import Config
from vaescope.data.batches import Batches
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.data.rows import Mapped
from vaescope.data.targets import TargetName
from vaescope.engine import Engine
from vaescope.errors import UsageError
from vaescope.families import CategoricalCodes, Gaussian
from vaescope.models import Flat
from vaescope.nets import MLP
from vaescope.objectives import AdversarialAutoencoder, Terms
from vaescope.observers import Checkpointer
from vaescope.priors import UniformCodes
from vaescope.training import BackOff, Breakdown, State, Trainer, fit, retrace, with_back_off
from vaescope.training.recorded import Recorded, lay_out
from vaescope.training.watch import check_weights

Break = Callable[[State], None]
"""Prepares a state so that something is not finite from step 6 on, counted from 1."""

AT = 6
LATENT = "model.posterior.net.5"
HIDDEN = "model.likelihood.net.3.body.0"
TWO = AdversarialAutoencoder(width=16, layers=2)


def module(state: State, name: str) -> nn.Module:
    """A module by the name that a breakdown gives it."""
    root, _, rest = name.partition(".")
    top = state.critic if root == "critic" else state.model
    assert top is not None
    return top.get_submodule(rest)


def when_due(state: State, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Changes what it is given in training steps from the sixth on, when they are made and when they are made again."""

    def changed(value: Any) -> Any:
        due = state.step + 1 >= AT and torch.is_grad_enabled()
        return change(value) if due else value

    return changed


class Faulty(torch.autograd.Function):
    """Gives what it is given, and a gradient of which some values are not a number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        bad = gradients[0].clone()
        bad[0, :2] = math.nan
        return bad


def output(name: str, value: float = math.inf) -> Break:
    """Spoils what a module gives."""

    def spoilt(made: Tensor) -> Tensor:
        made = made.clone()
        made.view(-1)[:3] = value
        return made

    def prepare(state: State) -> None:
        change = when_due(state, spoilt)
        module(state, name).register_forward_hook(lambda part, given, made: change(made))

    return prepare


def gradient(name: str) -> Break:
    """Spoils the gradient of what a module gives."""

    def prepare(state: State) -> None:
        change = when_due(state, Faulty.apply)
        module(state, name).register_forward_hook(lambda part, given, made: change(made))

    return prepare


def scale(state: State) -> None:
    """Makes the scale of the likelihood infinite."""
    change = when_due(state, lambda p: Normal(p.mean, torch.full_like(p.mean, math.inf), validate_args=False))
    module(state, "model.likelihood.family").register_forward_hook(lambda part, given, made: change(made))


def weight(name: str) -> Break:
    """Spoils a weight before the sixth step."""

    def prepare(state: State) -> None:
        advance = state.advance

        def spoilt() -> Terms:
            if state.step + 1 == AT:
                with torch.no_grad():
                    module(state, name).weight.view(-1)[0] = math.nan  # type: ignore[operator, union-attr]
            return advance()

        state.advance = spoilt  # type: ignore[method-assign]

    return prepare


def verdict(state: State) -> None:
    """Spoils the loss of the critic, and nothing in its modules."""
    player = state.players[1]
    really = player.loss
    spoil = when_due(state, lambda terms: terms | {"loss": terms["loss"] * math.nan})
    player.loss = lambda *given: spoil(really(*given))


def critics_gradient(state: State) -> None:
    """Spoils a gradient of the critic where it makes its own step."""
    player, inside = state.players[1], []
    really, change = player.loss, when_due(state, Faulty.apply)

    def loss(*given: Any) -> Terms:
        inside.append(True)
        try:
            return really(*given)
        finally:
            inside.clear()

    player.loss = loss
    layer = module(state, "critic.features.1.0")
    layer.register_forward_hook(lambda part, given, made: change(made) if inside else made)


class Given:
    """The values of the images as they are."""

    def training(self, images: Tensor, noise: torch.Generator) -> Tensor:
        return images


def spoilt_image(state: State) -> None:
    """Puts a value that is not a number into an image of the sixth batch."""
    held = state.batches
    values = held.images[:].float() / 255  # type: ignore[union-attr]
    values[held.indices(AT - 1)[4], 0, 3, 5] = math.nan
    state.batches = Batches(values, Given(), held.size, 0)  # type: ignore[arg-type]


def streamed(prepare: Break) -> Break:
    """The same with images that are read from disk."""

    def both(state: State) -> None:
        prepare(state)
        held = state.batches
        with TemporaryDirectory() as folder:
            np.save(Path(folder) / "rows.npy", np.asarray(held.images))
            rows = Mapped(Path(folder) / "rows.npy")  # which stays open
        state.batches = Batches(rows, held.target, held.size, 0)

    return both


ONE = settings()


@dataclass(frozen=True)
class Case:
    """A fault and what is said of it.

    Args:
        prepare: Brings it about.
        culprit: What is named.
        words: What is said of it.
        step: The step at which it is noticed where the loss of every step is looked at.
        config: What is trained.
    """

    prepare: Break
    culprit: str
    words: str
    step: int = AT
    config: Config = ONE


def model(targets: TargetName = "binary", **choices: Any) -> Config:
    """A run of another model."""
    return replace(settings(), data=ImageData("sample", targets=targets), model=Flat(network=MLP(width=32), **choices))


BOTH = replace(settings(), objective=TWO)
ROUNDED = replace(settings(), engine=Engine("bfloat16"))
CODES = model(latent=3, posterior=CategoricalCodes, prior=UniformCodes)
SPREAD = "10 of 10 tensors of weights are not finite"

CASES = {
    "an image": Case(spoilt_image, "training images", "1 of 19,600 values is nan in training images, first in image "),
    "an output": Case(output(HIDDEN), HIDDEN, f"3 of 800 values are inf in the output of {HIDDEN}; try a lower"),
    "latents": Case(output(LATENT, math.nan), LATENT, f"3 of 100 values are nan in the output of {LATENT}; "),
    "a scale": Case(
        scale,
        "model.likelihood.family",
        "19,600 of 19,600 values are inf in the scale of model.likelihood.family; ",
        config=model("grey", likelihood=Gaussian),
    ),
    "a weight": Case(
        weight(HIDDEN),
        f"{HIDDEN}.weight",
        f"1 of 1,024 values is nan in {HIDDEN}.weight at step 5, though its gradient",
    ),
    "a gradient": Case(
        gradient(HIDDEN),
        f"{HIDDEN}.weight",
        f"values are nan in the gradient of {HIDDEN}.weight at step 6, and",
        AT + 1,
    ),
    "a gradient that is clipped": Case(
        gradient(HIDDEN),
        "model.likelihood.net.2",
        "values are nan in the gradient of the output of model.likelihood.net.2; try a lower learning rate",
        config=settings(clip=1.0),
    ),
    "a gradient, from disk": Case(streamed(gradient(HIDDEN)), f"{HIDDEN}.weight", "at step 6, and since then", AT + 1),
    "an image, from disk": Case(streamed(spoilt_image), "training images", "mend that image or leave it out"),
    "an output in bfloat16": Case(output(HIDDEN), HIDDEN, "engine.precision float32 (it is bfloat16)", config=ROUNDED),
    "chances to draw by": Case(output("model.posterior.net", math.nan), "model.posterior.net", "nan", config=CODES),
    "an output of the model of two": Case(output(HIDDEN), HIDDEN, "training of the model broke down", config=BOTH),
    "a weight of the critic": Case(
        weight("critic.features.0.0"), "critic.features.0.0.weight", "training of the model", config=BOTH
    ),
    "a gradient through the critic": Case(
        gradient("critic.features.1.0"),
        f"{LATENT}.weight",
        f"training of the critic broke down at step 6: 128 of 128 values are nan in the gradient of {LATENT}.weight",
        config=BOTH,
    ),
    "a gradient of the critic": Case(
        critics_gradient,
        "critic.features.1.0.weight",
        "in the gradient of critic.features.1.0.weight at step 6",
        AT + 1,
        BOTH,
    ),
    "the loss of the critic": Case(
        verdict, "loss", "training of the critic broke down at step 6: the loss is nan; try a lower", config=BOTH
    ),
}


def broken(case: Case, images: ImageSet, **changes: Any) -> tuple[Breakdown, State]:
    """How a run ends, and where."""
    config = replace(case.config, trainer=replace(case.config.trainer, **changes))
    state = start(config, images)
    case.prepare(state)
    with pytest.raises(Breakdown) as caught:
        fit(state, config.trainer, validation(images))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return caught.value, state


@pytest.mark.parametrize("name", CASES)
def test_what_was_first_is_named_with_its_step(name: str, images: ImageSet) -> None:
    case = CASES[name]
    found, _ = broken(case, images)
    assert (found.step, found.culprit) == (case.step, case.culprit)
    assert case.words in str(found)
    critics = name in ("a weight of the critic", "a gradient of the critic", "the loss of the critic")
    assert ("(objective.init_args.lr is 0.001)" in str(found)) == critics  # whose rate is to be lowered


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were(images: ImageSet) -> None:
    sound = start(settings(), images)
    while sound.step < AT - 1:
        sound.advance()
    _, state = broken(CASES["an output"], images)
    assert state.step == AT - 1
    for name, value in sound.model.state_dict().items():
        assert torch.equal(value, state.model.state_dict()[name]), name


@pytest.mark.parametrize("twice", [False, True], ids=["one player", "two players"])
def test_a_rate_that_is_far_too_high_diverges_and_is_told(twice: bool, images: ImageSet) -> None:
    config = settings(optimizer=partial(torch.optim.AdamW, lr=1e6))
    found, _ = broken(
        Case(lambda state: None, "", "", config=replace(config, objective=TWO) if twice else config), images
    )
    assert found.step <= 3
    assert "lower learning rate (trainer.optimizer.init_args.lr is 1e+06)" in str(found)


def test_a_number_that_comes_once_is_told_by_its_term(images: ImageSet) -> None:
    """The pass is healthy when it is made again."""

    def prepare(state: State) -> None:
        player, calls = state.players[0], iter(range(100))
        really = player.loss

        def loss(*given: Any) -> Terms:
            terms = really(*given)
            factor = math.nan if next(calls) == AT - 1 else 1.0
            return terms | {"rate": terms["rate"] * factor, "loss": terms["loss"] * factor}

        player.loss = loss

    found, _ = broken(Case(prepare, "", ""), images)
    assert (found.step, found.culprit) == (AT, "rate")
    assert "at step 6: the rate is nan; " in str(found)


@pytest.mark.parametrize("every", [1, 8])
def test_a_validation_is_looked_at_as_well(every: int, images: ImageSet) -> None:
    config = settings(validate_every=every)
    shown = validation(images)
    values = shown.values.clone()
    values[7, 0, 0, 0] = math.inf
    with pytest.raises(
        Breakdown, match=r"^validation broke down at step 0: 1 of [\d,]+ values is inf in validation images"
    ):
        fit(start(config, images), config.trainer, Examples(values))
    state = start(config, images)
    gradient(HIDDEN)(state)
    with pytest.raises(Breakdown) as caught:
        fit(state, config.trainer, shown)
    step = AT if every == 1 else AT + 1
    assert (caught.value.step, caught.value.culprit) == (step, f"{HIDDEN}.weight")
    assert "in the gradient of model.likelihood.net.3.body.0.weight at step 6, and since then" in str(caught.value)


# Noticed late


LATE = {
    "an image": ("training images", True),
    "an output": ("model.likelihood.net.3.body.0", False),
    "a weight": (f"{HIDDEN}.weight", False),
    "a gradient": ("model.likelihood.net.2", False),
    "an image, from disk": ("training images", True),
    "a gradient of the critic": ("critic.features.0.1", False),
    "the loss of the critic": ("loss", False),
}
"""What is named when the steps are made again, and whether it is known without that."""


@pytest.mark.parametrize(("name", "replayed"), [*((name, False) for name in LATE), ("a weight", True)])
def test_what_is_noticed_late_is_found_by_making_the_steps_again(name: str, replayed: bool, images: ImageSet) -> None:
    """As on a GPU, where the terms of most steps are not looked at. (A tape replays no hook, so only weights.)"""
    case, (culprit, known) = CASES[name], LATE[name]
    config = replace(case.config, trainer=replace(case.config.trainer, log_every=4))
    state = start(config, images)
    case.prepare(state)
    state.watch = "nothing"
    state.recorded = Recorded(pytest.fail, tape) if replayed else None
    with pytest.raises(Breakdown) as caught:
        fit(state, config.trainer, validation(images))
    found = caught.value
    assert "\n" not in str(found)
    assert found.exact == known
    if not known:
        assert found.step == case.step
        assert f"broke down by step {case.step} (at step 4 all was well): " in str(found)
    again = start(config, images)
    case.prepare(again)
    precise = retrace(again, found)
    assert precise.exact
    assert (precise.step, precise.culprit) == (AT, culprit)


@pytest.mark.parametrize(("factor", "words"), [(math.inf, "the loss is inf"), (1e9, "training diverged at step 6: ")])
def test_a_loss_that_is_well_again_when_it_is_looked_at_is_found(factor: float, words: str, images: ImageSet) -> None:
    config = settings(log_every=100, validate_every=100)
    state = start(config, images)
    state.watch = "nothing"
    player = state.players[0]
    really = player.loss

    def loss(*given: Any) -> Terms:
        terms = really(*given)
        with torch.no_grad():
            terms["loss"] *= factor if state.step + 1 == AT else 1.0
        return terms

    player.loss = loss
    with pytest.raises(Breakdown, match=words) as caught:
        fit(state, config.trainer, validation(images))
    assert caught.value.step == AT


def test_what_is_not_seen_again_is_told_as_it_was_noticed(images: ImageSet) -> None:
    found = Breakdown("it broke down", 8, exact=False)
    assert retrace(start(settings(), images), found) is found


@pytest.mark.parametrize("watch", ["nothing", "losses"])
@pytest.mark.parametrize("interrupted", [False, True], ids=["when due", "when interrupted"])
def test_a_checkpoint_is_never_written_from_weights_that_are_not_finite(
    watch: Any, interrupted: bool, images: ImageSet, tmp_path: Path
) -> None:
    config = settings(checkpoint_every=3, log_every=100, validate_every=100)
    state = start(config, images)
    state.watch = watch
    gradient(HIDDEN)(state)
    keeper = Checkpointer(tmp_path, 9, [])
    with pytest.raises(Breakdown, match=f"broke down .* {AT}.* in the gradient of {HIDDEN}.weight"):
        fit(state, config.trainer, validation(images), [keeper], lambda: interrupted and state.step == AT)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000003"]


def test_weights_are_looked_at_with_those_of_the_critic(images: ImageSet) -> None:
    state = start(BOTH, images)
    check_weights(state)
    with torch.no_grad():
        module(state, "critic.head").bias.fill_(math.inf)  # type: ignore[operator, union-attr]
    with pytest.raises(Breakdown, match=r"the value is inf in critic\.head\.bias from the start"):
        check_weights(state)


def test_a_breakdown_travels_between_processes() -> None:
    found = Breakdown("it broke down; try less", 3, "model", "output", True, "it broke down")
    other = copy.copy(found)  # which goes by what a pickle holds
    assert (str(other), vars(other)) == (str(found), vars(found))


# Going on


def fragile(config: Config, images: ImageSet, most: float) -> State:
    """A state whose gradient is spoilt from the sixth step on, as long as the learning rate is too high."""
    state = start(config, images)
    layer = module(state, HIDDEN)

    def hook(part: nn.Module, given: Any, made: Tensor) -> Tensor:
        due = state.step + 1 >= AT and torch.is_grad_enabled() and state.easing > most
        return Faulty.apply(made) if due else made  # type: ignore[no-any-return, no-untyped-call]

    layer.register_forward_hook(hook)
    return state


def backing_off(
    config: Config, images: ImageSet, folder: Path, most: float
) -> tuple[list[float], State, list[BackOff], str]:
    """The losses of a run that may go back to its checkpoints, where it ended, and what was told."""
    losses, told = Losses(), []
    keeper = Checkpointer(folder, 9, [])

    def restore() -> State:
        state = fragile(config, images, most)
        if (found := checkpoint.good(folder)) is not None:
            keeper.restore(found, state)
        del losses.losses[state.step :]
        return state

    def run(state: State) -> Any:
        return fit(state, config.trainer, validation(images), [losses, keeper])

    begun = restore()
    losses.losses += [math.nan] * begun.step  # which were made before
    outcome, state = with_back_off(run, restore, begun, config.trainer, told.append)
    return losses.losses, state, told, outcome


@pytest.mark.parametrize("every", [3, 100], ids=["from a checkpoint", "from the beginning"])
def test_a_run_goes_on_from_its_last_checkpoint_with_lower_rates(every: int, images: ImageSet, tmp_path: Path) -> None:
    config = settings(back_off=0.5, checkpoint_every=every)
    losses, state, told, outcome = backing_off(config, images, tmp_path, most=0.3)
    assert (outcome, state.step, state.easing, state.back_offs) == ("finished", 40, 0.25, 2)
    # where a checkpoint is due it is looked at before the next step
    where = (AT, 3) if every == 3 else (AT + 1, 0)
    assert [(t.step, t.back_to, t.easing, t.count) for t in told] == [(*where, 0.5, 1), (*where, 0.25, 2)]
    assert len(losses) == 40
    assert all(map(math.isfinite, losses))
    for line in map(str, told):
        assert f"in the gradient of {HIDDEN}.weight at step 6" in line
        assert f"; going on from step {where[1]} with learning rates times 0." in line
        assert "\n" not in line


def test_a_run_that_is_resumed_before_it_breaks_down_goes_back_as_it_did(images: ImageSet, tmp_path: Path) -> None:
    config = settings(back_off=0.5, checkpoint_every=3)
    whole, state, _, _ = backing_off(config, images, tmp_path / "whole", most=0.3)
    first = fragile(config, images, most=0.3)
    keeper = Checkpointer(tmp_path / "cut", 9, [])
    fit(first, config.trainer, validation(images), [keeper], lambda: first.step == 3)
    losses, resumed, told, _ = backing_off(config, images, tmp_path / "cut", most=0.3)
    assert losses[3:] == whole[3:]
    assert len(told) == 2
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_run_goes_back_no_more_often_than_it_may(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(Breakdown, match=r"lr is 0.003, and trainer\.back_off has brought it down to 0.00075\)"):
        backing_off(settings(back_off=0.5, back_offs=2), images, tmp_path, most=0.0)
    with pytest.raises(Breakdown, match=r"lr is 0.003\)"):
        backing_off(settings(), images, tmp_path, most=0.0)


def test_no_rate_mends_data(images: ImageSet) -> None:
    state, config = start(settings(), images), settings(back_off=0.5)
    spoilt_image(state)
    with pytest.raises(Breakdown, match="mend that image"):
        with_back_off(
            lambda state: fit(state, config.trainer, validation(images)),
            pytest.fail,
            state,
            config.trainer,
            pytest.fail,
        )


def test_all_learning_rates_obey_the_factor(images: ImageSet) -> None:
    state = start(BOTH, images)
    before, sheet = [player.rates(0.5) for player in state.players], lay_out(state, 0, [])
    state.easing = 0.5
    assert [player.rates(0.5) for player in state.players] == [[rate / 2 for rate in rates] for rates in before]
    assert torch.equal(lay_out(state, 0, []).rates, sheet.rates / 2)
    state.advance()
    assert state.players[1].optimizer.param_groups[0]["lr"] == state.players[1].rates(state.share(0))[0]


@pytest.mark.parametrize(
    ("key", "value"), [("back_off", 0), ("back_off", 1.0), ("back_off", math.nan), ("back_offs", 0)]
)
def test_what_a_run_may_do_is_checked(key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"^trainer\.{key} is {value}: give "):
        Trainer(**{key: value})  # type: ignore[arg-type]
