"""Who looks whether training is still sound, and when.

On a CPU to read a value costs nothing. So the loss of a step is looked at *before* it changes the weights, and what
went wrong can be seen in them (:class:`Watch`). On a GPU, and where steps are replayed, to read a value is to wait:
there the terms are looked at where a line of metrics.jsonl is written (:func:`check_terms`), some steps too late, and
:func:`~vaescope.training.back_off.retrace` makes the steps since the last checkpoint again to see which one it was.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.engine import at_work
from vaescope.errors import UsageError
from vaescope.metrics import average
from vaescope.objectives import Terms
from vaescope.training.breakdown import (
    Breakdown,
    Culprit,
    counted,
    ill,
    in_terms,
    in_values,
    in_weights,
    nearest,
    number,
    retraced,
    weights,
)
from vaescope.training.recorded import Kept, generators

if TYPE_CHECKING:
    from vaescope.training.loop import State

BLOW_UP = 10.0
"""A loss above the first one by this many times its size (or by as many nats a pixel) has diverged."""

LARGE = 100.0
"""Values of images above this are worth a word when training breaks down."""

Some = TypeVar("Some", bound=Mapping[str, Tensor] | Mapping[str, float])


def finite(look: Callable[[], Some], broke: Callable[[Mapping[str, Tensor | float]], Breakdown | None]) -> Some:
    """Terms whose loss is a finite number.

    Args:
        look: Gives the terms.
        broke: From terms that are not finite, or none where there are none, to what to raise.

    Raises:
        Breakdown: If it is not.
    """
    try:
        terms = look()
    except (ValueError, RuntimeError) as error:  # of torch, which does not draw with chances that are no numbers
        found = None if isinstance(error, UsageError) else broke({})
        if found is None:
            raise
        raise found from error
    if not math.isfinite(number(terms["loss"])) and (found := broke(terms)):
        raise found
    return terms


class Watch:
    """Looks at the step of one player before it changes the weights.

    Args:
        state: Where the run stands.
        turn: The number of the player.
        batch: The batch.
        progress: The share of the run that is done.
    """

    def __init__(self, state: "State", turn: int, batch: Examples, progress: float) -> None:
        self.state, self.turn, self.batch, self.progress = state, turn, batch, progress
        self.player = state.players[turn]
        self.random = [(generator, generator.get_state()) for generator in generators(state)]

    def terms(self) -> Terms:
        """The terms of the batch.

        Raises:
            Breakdown: If its loss is not finite or has blown up.
        """
        terms = finite(self._terms, self._broke)
        if self.turn == 0:
            check_size(self.state, terms["loss"].item(), self.state.step + 1)
        return terms

    def gradients(self, norm: Tensor | None) -> None:
        """Looks at the gradients if their norm is known and not finite, or if nothing is to be missed.

        Args:
            norm: The norm of all of them.

        Raises:
            Breakdown: If one is not finite.
        """
        if self.state.watch != "gradients" and (norm is None or norm.isfinite()):
            return
        own = {id(parameter) for parameter in self.player.parameters}
        named = {name: p.grad for name, p in weights(self.state).items() if id(p) in own}
        faulty = {name: gradient for name, gradient in named.items() if gradient is not None and ill(gradient)}
        if faulty:
            trail = retraced(self.state, self._backward)
            name = nearest(faulty, trail.order)
            only = Culprit("gradient", name, f"{counted(faulty[name])} in the gradient of {name}")
            raise self._lost(trail.first or only)

    def _terms(self) -> Terms:
        return self.player.loss(self.state.model, self.batch.values, self.batch.context, self.progress)

    def _again(self) -> Terms:
        """The same with the same random numbers, by the networks themselves where they are compiled."""
        for generator, numbers in self.random:
            generator.set_state(numbers)
        with at_work(self.state.engine):
            return self._terms()

    def _backward(self) -> None:
        """Goes back, too, and leaves the gradients as they are."""
        torch.autograd.grad(self._again()["loss"], self.player.parameters, allow_unused=True)

    def _broke(self, terms: Mapping[str, Tensor | float]) -> Breakdown | None:
        culprit = in_batch(self.state, self.batch, self.state.step)
        culprit = culprit or in_pass(self.state, self._again, terms, self.state.step, self.turn)
        return None if culprit is None else self._lost(culprit)

    def _lost(self, culprit: Culprit) -> Breakdown:
        scale = self.batch.values.abs().max().item()
        return lost(self.state, culprit, self.state.step + 1, doing(self.state, self.turn), self.turn, scale=scale)


def in_batch(state: "State", batch: Examples, step: int) -> Culprit | None:
    """The first image of a training batch that is not finite.

    Args:
        state: Where the run stands.
        batch: The batch.
        step: Its number, counted from 0.
    """
    places = state.batches.indices(step)
    return in_values(batch, "training", lambda row: int(places[row]))


def in_pass(
    state: "State", look: Callable[[], object], terms: Mapping[str, Tensor | float], step: int, turn: int = 0
) -> Culprit | None:
    """The first of weights, what modules give, and terms that is not finite.

    Args:
        state: Where the run stands.
        look: Makes the pass again.
        terms: What came of it.
        step: The last step that is done.
        turn: How many players have made the next one already.
    """
    trail = retraced(state, look)
    return in_weights(state, trail.order, step, turn) or trail.first or in_terms(terms)


def check_terms(state: "State", seen: Sequence[Terms]) -> None:
    """Looks at the terms of the last steps, which have changed the weights already.

    Args:
        state: Where the run stands.
        seen: The terms of each step since the last look, in nats per image.

    Raises:
        Breakdown: If the loss of a player is not finite, or that of the model has blown up.
    """
    names = [f"{player.prefix}loss" for player in state.players]
    losses = torch.stack([terms[name] for terms in seen for name in names]).view(len(seen), len(names))
    for step, (terms, row) in enumerate(zip(seen, losses.tolist(), strict=True), state.step - len(seen) + 1):
        for turn, loss in enumerate(row):
            if not math.isfinite(loss) and (found := noticed(state, step, terms, turn)):
                raise found
        check_size(state, row[0], step)
    state.sound = state.step


def check_weights(state: "State") -> None:
    """Looks at all weights, before they are kept.

    Raises:
        Breakdown: If one is not finite.
    """
    if any(map(ill, weights(state).values())) and (found := noticed(state, state.step)):
        raise found


def noticed(
    state: "State", step: int, terms: Mapping[str, Tensor | float] = MappingProxyType({}), turn: int = 0
) -> Breakdown | None:
    """The breakdown that is noticed after a step.

    Args:
        state: Where the run stands.
        step: The step at which there is a sign of it, counted from 1.
        terms: Its terms.
        turn: Which player's they are.
    """

    def look() -> Terms:
        batch = state.batches(max(step - 1, 0))
        with at_work(state.engine):
            return state.players[turn].loss(state.model, batch.values, batch.context, state.share(step - 1))

    found = in_past(state, step)
    if found is None and (culprit := in_pass(state, look, terms, step)):
        found = lost(state, culprit, step, doing(state, turn), turn, exact=not state.late)
    return found


def in_past(state: "State", step: int) -> Breakdown | None:
    """What is not finite in a batch since the last look and up to a step, where not every step is looked at."""
    kept, found = Kept(state), None
    for place in range(state.sound, step) if state.late else ():
        if culprit := in_batch(state, state.batches(place), place):
            found = lost(state, culprit, place + 1, doing(state, 0))
            break
    kept.restore()
    return found


def validated(state: "State", validation: Examples) -> dict[str, float]:
    """The average of the terms over the validation images.

    Args:
        state: Where the run stands.
        validation: The images.

    Raises:
        Breakdown: If the loss is not finite.
    """

    def look() -> dict[str, float]:
        return average(state.objective, state.model, validation)

    def broke(terms: Mapping[str, Tensor | float]) -> Breakdown | None:
        found = in_past(state, state.step)
        culprit = in_values(validation, "validation") if found is None else None
        if found is None and (culprit := culprit or in_pass(state, look, terms, state.step)):
            found = lost(state, culprit, state.step, "validation", exact=not state.late)
        return found

    return finite(look, broke)


def check_size(state: "State", loss: float, step: int) -> None:
    """Stops a run that diverges.

    Args:
        state: Where the run stands.
        loss: The loss of a batch, in nats per image.
        step: Its step, counted from 1.

    Raises:
        Breakdown: If the loss has blown up.
    """
    if state.first_loss is None:
        state.first_loss = loss
    if loss - state.first_loss > BLOW_UP * max(abs(state.first_loss), state.pixels):
        size = f"{loss:,.1f}" if loss < 1e9 else f"{loss:.3g}"
        finding = (
            f"training diverged at step {step:,}: the loss is {size} nats per image, "
            f"but it began at {state.first_loss:,.1f}"
        )
        raise Breakdown(f"{finding}; {advice(state)}", step, finding=finding)


def doing(state: "State", turn: int) -> str:
    """What a player is at, in words."""
    if len(state.players) == 1:
        return "training"
    return f"training of the {state.players[turn].prefix.strip('_') or 'model'}"


def lost(
    state: "State",
    culprit: Culprit,
    step: int,
    during: str,
    turn: int = 0,
    exact: bool = True,
    scale: float = 0.0,
) -> Breakdown:
    """What to raise.

    Args:
        state: Where the run stands.
        culprit: What was found.
        step: The step of which it is, counted from 1.
        during: What was done.
        turn: Which player did it.
        exact: Whether it began there.
        scale: The largest value of the batch.
    """
    exact = exact or culprit.kind == "data"
    place = f"at step {step:,}" if exact else f"by step {step:,} (at step {state.sound:,} all was well)"
    finding = f"{during} broke down {place}: {culprit.words}"
    if culprit.kind in ("weights", "gradient"):
        turn = int(culprit.name.startswith("critic."))  # whose they are, whoever came across them
    remedy = "mend that image or leave it out" if culprit.kind == "data" else advice(state, turn, scale)
    return Breakdown(f"{finding}; {remedy}", step, culprit.name, culprit.kind, exact, finding)


def advice(state: "State", turn: int = 0, scale: float = 0.0) -> str:
    """What to try when training breaks down.

    Args:
        state: Where the run stands.
        turn: Whose learning rate may be too high.
        scale: The largest value of the batch.
    """
    player = state.players[turn]
    rate = player.optimizer.param_groups[0]["initial_lr"]
    key = "objective.init_args.lr" if player.prefix else "trainer.optimizer.init_args.lr"
    lowered = "" if state.easing == 1 else f", and trainer.back_off has brought it down to {rate * state.easing:g}"
    tries = [f"a lower learning rate ({key} is {rate:g}{lowered})"]
    if player.clip is None and not player.prefix:
        tries.append("trainer.clip 1.0")
    if player.schedule.at(0.0) > 0:
        tries.append("a warm-up (trainer.schedule WarmupDecay)")
    if state.engine.precision != "float32":
        tries.append(f"engine.precision float32 (it is {state.engine.precision})")
    if LARGE < scale < math.inf:
        tries.append(f"data of a smaller scale (values reach {scale:,.0f})")
    return f"try {' or '.join(filter(None, (', '.join(tries[:-1]), tries[-1])))}"
