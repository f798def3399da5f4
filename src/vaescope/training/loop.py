"""The training loop.

One loop serves every model and objective. What must be the same in every run of a seed, the weights, the batches and
the random numbers, is in :class:`State`, which is also what a checkpoint holds. What may be added or left out,
pictures, metrics files, a progress bar, is an :class:`Observer`: it is shown the state after every step and cannot
change it, so the losses are the same to the last bit with and without it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from vaescope.clock import Clock
from vaescope.conditional import Conditional
from vaescope.data.batches import Batches
from vaescope.data.examples import Examples
from vaescope.data.fetch import Report, log
from vaescope.engine import (
    LONG,
    PLAIN,
    Engine,
    Share,
    at_work,
    choose,
    compiled,
    failed,
    keep_freed,
)
from vaescope.errors import RunError, UsageError
from vaescope.metrics import average
from vaescope.models import VAE
from vaescope.objectives import Objective, Schedule, Terms, WarmupDecay, arrival
from vaescope.training.recorded import Kept, Recorded

ADAMW: dict[str, Any] = {"lr": 0.005, "betas": (0.9, 0.99)}
"""The settings of the optimizer that a config gets if it names none: AdamW."""

BLOW_UP = 10.0
"""A loss above the first one by this many times its size (or by as many nats a pixel) has diverged."""


MOST_THERE = 1 << 30
"""Bytes of validation images that are kept on a GPU; of more a part at a time is put there."""


@dataclass(frozen=True)
class Trainer:
    """How to train.

    Args:
        epochs: How many times to go through the training images.
        steps: The number of steps at most; whichever of epochs and steps is reached first ends the run.
        batch_size: Images a step.
        optimizer: Any torch optimizer with its settings.
        schedule: The factor on the learning rate as training goes on.
        clip: The largest norm that the gradient may have, or null for any.
        validate_every: Steps between two validations; by default once an epoch.
        patience: How many validations without a better loss end the run early, or null for never. They count from
            where the warm-up of the objective has arrived.
        log_every: Steps that one line of metrics.jsonl averages over.
        checkpoint_every: Steps between two checkpoints.
        keep: How many checkpoints to keep.
        device: Where to train; auto takes a GPU if there is one.

    Raises:
        UsageError: For counts below 1.
    """

    epochs: int = 16
    steps: int | None = None
    batch_size: int = 256
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = partial(AdamW, **ADAMW)
    schedule: Schedule = WarmupDecay()
    clip: float | None = None
    validate_every: int | None = None
    patience: int | None = None
    log_every: int = 50
    checkpoint_every: int = 2000
    keep: int = 3
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "validate_every", "patience", "log_every", "checkpoint_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"trainer.{name} is {value}: give a whole number of at least 1")
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"trainer.clip is {self.clip}: give a positive norm, such as 1.0, or null")

    def total(self, steps_per_epoch: int) -> int:
        """The number of steps of the whole run."""
        steps = self.epochs * steps_per_epoch
        return steps if self.steps is None else min(steps, self.steps)

    def find_device(self) -> torch.device:
        """The device to train on.

        Raises:
            UsageError: If a GPU is asked for and there is none.
        """
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise UsageError("trainer.device is cuda, but torch finds no GPU here: use cpu or auto")
        return torch.device("cuda" if there and self.device != "cpu" else "cpu")


def put(model: VAE, device: torch.device, engine: Engine) -> Engine:
    """Puts a model where it is to be trained, with its weights laid out as they are fastest there.

    Args:
        model: The model.
        device: Where to.
        engine: What may be done to be faster.

    Returns:
        The engine with everything decided that it leaves to the machine.

    Raises:
        UsageError: For a precision that the device does not have.
    """
    if engine.precision == "tf32" and device.type != "cuda":
        raise UsageError("engine.precision is tf32, in which only GPUs multiply: use auto, float32 or bfloat16")
    model.to(device)
    if engine.channels_last and any(isinstance(module, nn.Conv2d) for module in model.modules()):
        # convolutions are up to twice as fast with the channel innermost
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if engine.keep_memory and device.type == "cpu":
        keep_freed()
    if engine.precision != "auto":
        return engine
    bears = model.likelihood.family.bears_rounding
    return replace(engine, precision=choose(model, device) if bears else "float32")


Loss = Callable[[VAE, Tensor, Tensor | None, float], Terms]
"""From a model, images, their context and the share of the run that is done to terms."""


class Player:
    """Who minimises what: one for a VAE, two where a model and a critic play against each other.

    Args:
        loss: What to minimise.
        modules: The modules whose parameters this player may change. Gradients reach no others.
        optimizer: From parameters to an optimizer.
        schedule: The factor on its learning rate as training goes on.
        clip: The largest norm that the gradient may have.
        prefix: What the names of the player's terms begin with.

    Raises:
        UsageError: For an optimizer that is set to be differentiable.
    """

    def __init__(
        self,
        loss: Loss,
        modules: Sequence[nn.Module],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Schedule,
        clip: float | None = None,
        prefix: str = "",
    ) -> None:
        self.loss, self.schedule, self.clip, self.prefix = loss, schedule, clip, prefix
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self.optimizer = optimizer(self.parameters)
        if any(group.get("differentiable") for group in self.optimizer.param_groups):
            raise UsageError("the optimizer is set to be differentiable, which training cannot use: leave that key out")
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            if group.get("fused", False) is None and not group["foreach"]:
                group["fused"] = True  # one kernel for all parameters, unless the config has chosen otherwise

    def rates(self, progress: float) -> list[float]:
        """The learning rate of every group of parameters."""
        factor = self.schedule(progress)
        return [group["initial_lr"] * factor for group in self.optimizer.param_groups]

    def step(
        self, model: VAE, batch: Examples, progress: float | Share, rates: Sequence[float | Tensor] | None = None
    ) -> Terms:
        """One step of the optimizer.

        Args:
            model: The model.
            batch: The batch.
            progress: The share of the run that is done.
            rates: The learning rate of every group of parameters; by default as the schedule says.

        Returns:
            The terms of the batch before it.
        """
        progress = cast(float, progress)  # an objective cannot tell: see Share
        for group, rate in zip(self.optimizer.param_groups, rates or self.rates(progress), strict=True):
            group["lr"] = rate
        terms = self.loss(model, batch.values, batch.context, progress)
        self.optimizer.zero_grad()
        terms["loss"].backward(inputs=self.parameters)  # and no others: a critic and a model never train each other
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return {self.prefix + name: value.detach() for name, value in terms.items()}


@dataclass
class State:
    """Where a run stands.

    Args:
        model: The model.
        objective: What is validated.
        players: Who trains it.
        batches: The training batches.
        total: The number of steps of the whole run.
        step: The number of steps done.
        best: The lowest validation loss so far, in nats per image.
        best_step: The step at which it was reached.
        best_weights: The weights at that step.
        stale: The number of validations since then, once the schedules of the objective have arrived.
        seconds: The time spent in the loop so far, observers included.
        first_loss: The loss of the very first batch, against which divergence is judged.
        critic: The model's opponent, where it has one.
        engine: How the steps are made fast, with nothing left to decide.
        report: Is told in one line what of that cannot be done.
        recorded: Replays the steps; where they are made one by one there is none. By default on GPUs.
        nets: What is called in place of networks that are compiled, see :meth:`prepare`.
    """

    model: VAE
    objective: Objective
    players: Sequence[Player]
    batches: Batches
    total: int
    step: int = 0
    best: float = math.inf
    best_step: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    critic: nn.Module | None = None
    engine: Engine = PLAIN
    report: Report = log
    recorded: Recorded | None = None
    nets: Mapping[nn.Module, Callable[[Tensor], Tensor]] | None = None

    def __post_init__(self) -> None:
        if self.engine.graphs and self.batches.device.type == "cuda" and self.recorded is None:
            self.recorded = Recorded(self.report)

    def advance(self) -> Terms:
        """Makes one step: every player in turn, on one batch.

        Returns:
            The terms of the batch before it: scalars on the device, which may be written anew after
            :data:`~vaescope.training.recorded.ROWS` steps. Who needs them longer takes a copy.
        """
        self.prepare()
        terms = None if self.recorded is None else self.recorded.step(self)
        if terms is None:
            terms = self.play(self.batches(self.step), self.share(self.step))
        self.step += 1
        return terms

    def prepare(self) -> None:
        """Compiles the networks where that is worth it, before the first step. It changes nothing else."""
        if self.nets is not None:
            return
        self.nets = {}
        worth = self.batches.device.type == "cuda" and self.total - self.step >= LONG
        if self.engine.compile == "always" or (self.engine.compile == "auto" and worth):
            kept = Kept(self)
            try:
                self.nets = compiled((m.net for m in self.model.modules() if isinstance(m, Conditional)), self.report)
                self._rehearse()
            except Exception as error:  # of a compiler: without it everything works, if more slowly
                self.nets = {}
                self.report(failed(error))
            kept.restore()

    def _rehearse(self) -> None:
        """Goes forward and backward once, because torch compiles what it is shown."""
        batch, share = self.batches(self.step), self.share(self.step)
        with at_work(self.engine, self.nets or {}):
            for player in self.players:
                player.loss(self.model, batch.values, batch.context, share)["loss"].backward(inputs=player.parameters)
                player.optimizer.zero_grad()

    def play(self, batch: Examples, progress: float | Share, rates: Sequence[Tensor] = ()) -> Terms:
        """Lets every player make its step on a batch, with learning rates for all of their groups if they are given."""
        terms: Terms = {}
        with at_work(self.engine, self.nets or {}):
            for player in self.players:
                count = len(player.optimizer.param_groups)
                terms |= player.step(self.model, batch, progress, rates[:count])
                rates = rates[count:]
        return terms

    def share(self, step: int) -> float:
        """The share of the run that is done in the middle of a step: no run is all warm-up or all end."""
        return (step + 0.5) / self.total

    @property
    def epoch(self) -> float:
        """The number of epochs done, with its fraction."""
        return self.step / self.batches.steps_per_epoch

    @property
    def settled(self) -> bool:
        """Whether the schedules of the objective have arrived, so that it stays what it is to the end."""
        return self.step >= arrival(self.objective) * self.total

    def keep_best(self, loss: float) -> None:
        """Takes note of a validation loss, and of the weights if it is the lowest so far."""
        if loss < self.best or not self.best_weights:
            self.best, self.best_step, self.stale = loss, self.step, 0
            self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        elif self.settled:
            self.stale += 1  # not before: while a weight still rises, what is minimised is not what is validated


class Observer:
    """Is shown a run as it goes on, and changes nothing. Every method does nothing unless it is overridden."""

    name: ClassVar[str] = "observer"
    """Under which a checkpoint keeps what it remembers."""

    def started(self, state: State) -> None:
        """Before the first step, also of a resumed run."""

    def stepped(self, state: State, terms: Terms) -> None:
        """After every step, with the terms of its batch, see :meth:`State.advance`."""

    def validated(self, state: State, terms: dict[str, float]) -> None:
        """After every validation, with its terms."""

    def checkpoint_due(self, state: State) -> None:
        """After every ``checkpoint_every`` steps and at the end."""

    def ended(self, state: State) -> None:
        """After the last step, also of a run that was interrupted."""

    def memory(self) -> dict[str, Tensor]:
        """What a resumed run needs to go on as if it had not stopped."""
        return {}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Goes on from what :meth:`memory` gave."""


Outcome = Literal["finished", "stopped early", "interrupted"]


def fit(
    state: State,
    settings: Trainer,
    validation: Examples,
    observers: Sequence[Observer] = (),
    interrupted: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Trains from where ``state`` stands to the end.

    Args:
        state: Where the run stands; it is changed in place.
        settings: How to train.
        validation: The validation images.
        observers: Who is shown the run.
        interrupted: Is asked after every step whether to stop there.

    Raises:
        RunError: If a term is no longer finite, the loss has blown up, or a parameter gets no gradient.
    """
    validate_every = settings.validate_every or state.batches.steps_per_epoch
    pixels = math.prod(state.batches.images.shape[1:])
    outcome: Outcome
    state.model.train()
    state.prepare()
    clock = Clock(state.seconds)
    if state.batches.device.type == "cuda" and 4 * len(validation) * pixels <= MOST_THERE:
        validation = validation.to(state.batches.device)
    for observer in observers:
        observer.started(state)
    if state.step == 0:
        validate(state, validation, observers)

    patience = math.inf if settings.patience is None else settings.patience
    while state.step < state.total and state.stale < patience:
        terms = state.advance()
        if state.step == 1:
            check_gradients(state.model)
        state.seconds = clock()
        if state.batches.device.type == "cpu" or state.step % settings.log_every == 0 or state.step in (1, state.total):
            # on a GPU not after every step, because reading a value makes it wait
            check_terms(state, terms, pixels)

        for observer in observers:
            observer.stepped(state, terms)
        if state.step % validate_every == 0 or state.step == state.total:
            validate(state, validation, observers)
        state.seconds = clock()
        if state.step % settings.checkpoint_every == 0 and state.step < state.total:
            for observer in observers:
                observer.checkpoint_due(state)
        if interrupted() and state.step < state.total and state.stale < patience:
            outcome = "interrupted"
            break
    else:
        outcome = "finished" if state.step == state.total else "stopped early"

    for observer in observers:
        observer.checkpoint_due(state)
    for observer in observers:
        observer.ended(state)
    return outcome


def validate(state: State, validation: Examples, observers: Sequence[Observer]) -> None:
    """Averages the objective over the validation images, and keeps the weights if they are the best."""
    terms = average(state.objective, state.model, validation)
    if not math.isfinite(terms["loss"]):
        raise RunError(f"the validation loss is {terms['loss']} at step {state.step:,}; {advice(state)}")
    state.keep_best(terms["loss"])
    for observer in observers:
        observer.validated(state, terms)


def check_gradients(model: nn.Module) -> None:
    """Refuses to go on when a parameter that should be trained got no gradient from the first step."""
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if missing:
        raise RunError(
            f"{len(missing)} parameters get no gradient from the objective, the first of them {missing[0]}: "
            "every part of the model must take part in the loss"
        )


def advice(state: State) -> str:
    """What to try when training breaks down."""
    rate = state.players[0].optimizer.param_groups[0]["initial_lr"]
    return f"try a lower learning rate (trainer.optimizer.init_args.lr is {rate:g}) or trainer.clip 1.0"


def check_terms(state: State, terms: Terms, pixels: int) -> None:
    """Stops a run whose loss is no longer a number or has blown up.

    Args:
        state: Where the run stands.
        terms: The terms of the last batch, in nats per image.
        pixels: The number of values of one image, as the scale of a loss that begins near zero.
    """
    loss = terms["loss"].item()
    if state.first_loss is None:
        state.first_loss = loss
    if not math.isfinite(loss):
        culprit = next((name for name, v in terms.items() if name != "loss" and not v.isfinite()), "loss")
        raise RunError(
            f"training broke down at step {state.step:,}: the {culprit} is {terms[culprit].item()}; {advice(state)}"
        )
    if loss - state.first_loss > BLOW_UP * max(abs(state.first_loss), pixels):
        raise RunError(
            f"training diverged at step {state.step:,}: the loss is {loss:,.1f} nats per image, "
            f"but it began at {state.first_loss:,.1f}; {advice(state)}"
        )
