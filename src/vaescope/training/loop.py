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
    allow_steady,
    at_work,
    choose,
    compiled,
    failed,
    keep_freed,
    steady,
)
from vaescope.errors import RunError, UsageError
from vaescope.models import VAE
from vaescope.objectives import Objective, Schedule, Terms, WarmupDecay, arrival
from vaescope.training.recorded import ROWS, Kept, Recorded
from vaescope.training.watch import Watch, check_terms, check_weights, validated

ADAMW: dict[str, Any] = {"lr": 0.005, "betas": (0.9, 0.99)}
"""The settings of the optimizer that a config gets if it names none: AdamW."""

MOST_THERE = 1 << 30
"""Bytes of validation images that are kept on a GPU; of more a part at a time is put there."""

MOST_STEPS = 10**12
"""More than any machine makes, and few enough for their number to be computed with."""


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
        back_off: The factor on the learning rates with which a run that broke down goes on from its last checkpoint,
            or null for it to stop.
        back_offs: How often at most.

    Raises:
        UsageError: For counts below 1 or above a trillion, or a factor that is not between 0 and 1.
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
    back_off: float | None = None
    back_offs: int = 3

    def __post_init__(self) -> None:
        counts = ("epochs", "steps", "validate_every", "patience", "log_every", "checkpoint_every", "keep", "back_offs")
        for name in counts:
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MOST_STEPS:
                raise UsageError(f"trainer.{name} is {value}: give a whole number from 1 to {MOST_STEPS:,}")
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"trainer.clip is {self.clip}: give a positive norm, such as 1.0, or null")
        if self.back_off is not None and not 0 < self.back_off < 1:
            raise UsageError(
                f"trainer.back_off is {self.back_off}: give a factor between 0 and 1, such as 0.5, or null"
            )

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
    allow_steady(engine, device)
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
    # what a machine was measured to be faster with need not be the same the next time
    bears = model.likelihood.family.bears_rounding and not engine.deterministic
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
        self.easing = 1.0
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
        factor = self.schedule(progress) * self.easing
        return [group["initial_lr"] * factor for group in self.optimizer.param_groups]

    def norm(self) -> Tensor | None:
        """The norm of the gradient, if it may not be any."""
        if self.clip is None:
            return None
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def step(
        self,
        model: VAE,
        batch: Examples,
        progress: float | Share,
        rates: Sequence[float | Tensor] | None = None,
        watch: Watch | None = None,
    ) -> Terms:
        """One step of the optimizer.

        Args:
            model: The model.
            batch: The batch.
            progress: The share of the run that is done.
            rates: The learning rate of every group of parameters; by default as the schedule says.
            watch: Looks at the step before it changes the weights.

        Returns:
            The terms of the batch before it.

        Raises:
            Breakdown: If who looks sees that something is not finite.
        """
        progress = cast(float, progress)  # an objective cannot tell: see Share
        for group, rate in zip(self.optimizer.param_groups, rates or self.rates(progress), strict=True):
            group["lr"] = rate
        terms = self.loss(model, batch.values, batch.context, progress) if watch is None else watch.terms()
        self.optimizer.zero_grad()  # not before: it shows what the gradient was where a loss is not finite
        terms["loss"].backward(inputs=self.parameters)  # and no others: a critic and a model never train each other
        norm = self.norm()
        if watch is not None:
            watch.gradients(norm)
        if self.clip is not None and norm is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
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
        back_offs: How often the run has gone back to a checkpoint to go on with lower learning rates.
        watch: What is looked at before a step that is not replayed changes the weights: the losses, the gradients too,
            or nothing. By default the losses on a CPU, and nothing on a GPU, which would have to be waited for.
        sound: The last step at which everything was looked at and finite.
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
    back_offs: int = 0
    watch: Literal["auto", "nothing", "losses", "gradients"] = "auto"
    sound: int = 0

    def __post_init__(self) -> None:
        if self.watch == "auto":
            self.watch = "losses" if self.batches.device.type == "cpu" else "nothing"
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
            terms = self.play(self.batches(self.step), self.share(self.step), watched=self.watch != "nothing")
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

    def play(
        self, batch: Examples, progress: float | Share, rates: Sequence[Tensor] = (), watched: bool = False
    ) -> Terms:
        """Lets every player make its step on a batch.

        Args:
            batch: The batch.
            progress: The share of the run that is done.
            rates: The learning rates of all of their groups; by default as their schedules say.
            watched: Whether each step is looked at before it changes the weights.
        """
        terms: Terms = {}
        with at_work(self.engine, self.nets or {}):
            for turn, player in enumerate(self.players):
                count = len(player.optimizer.param_groups)
                watch = Watch(self, turn, batch, cast(float, progress)) if watched else None
                terms |= player.step(self.model, batch, progress, rates[:count], watch)
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
    def easing(self) -> float:
        """The factor on all learning rates that is left of them after breakdowns, see ``trainer.back_off``."""
        return self.players[0].easing

    @easing.setter
    def easing(self, factor: float) -> None:
        for player in self.players:
            player.easing = factor

    @property
    def late(self) -> bool:
        """Whether what goes wrong may be noticed some steps too late."""
        return self.recorded is not None or self.watch == "nothing"

    @property
    def pixels(self) -> int:
        """The number of values of one image."""
        return math.prod(self.batches.images.shape[1:])

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
        Breakdown: If something is no longer finite, or the loss has blown up.
        RunError: If a parameter gets no gradient.
        UsageError: If it is to be deterministic, and an operation is not.
    """
    with steady(state.engine):
        return _fit(state, settings, validation, observers, interrupted)


def _fit(
    state: State,
    settings: Trainer,
    validation: Examples,
    observers: Sequence[Observer],
    interrupted: Callable[[], bool],
) -> Outcome:
    validate_every = settings.validate_every or state.batches.steps_per_epoch
    outcome: Outcome
    state.model.train()
    state.prepare()
    state.sound = state.step
    clock = Clock(state.seconds)
    if state.batches.device.type == "cuda" and 4 * len(validation) * state.pixels <= MOST_THERE:
        validation = validation.to(state.batches.device)
    for observer in observers:
        observer.started(state)
    if state.step == 0:
        validate(state, validation, observers)

    patience = math.inf if settings.patience is None else settings.patience
    seen: list[Terms] = []
    while state.step < state.total and state.stale < patience:
        terms = state.advance()
        if state.step == 1:
            check_gradients(state.model)
        state.seconds = clock()
        due = state.step % settings.checkpoint_every == 0
        seen += [terms] if state.late else []
        look = due or state.step % settings.log_every == 0 or state.step in (1, state.total)
        if seen and (look or len(seen) == ROWS // 2):
            check_terms(state, seen)  # on a GPU not after every step, because reading a value makes it wait
            seen = []

        for observer in observers:
            observer.stepped(state, terms)
        if state.step % validate_every == 0 or state.step == state.total:
            validate(state, validation, observers)
        state.seconds = clock()
        if due and state.step < state.total:
            keep(state, observers)
        if interrupted() and state.step < state.total and state.stale < patience:
            outcome = "interrupted"
            break
    else:
        outcome = "finished" if state.step == state.total else "stopped early"

    keep(state, observers)
    for observer in observers:
        observer.ended(state)
    return outcome


def keep(state: State, observers: Sequence[Observer]) -> None:
    """Has a checkpoint written, unless the weights are not worth it."""
    check_weights(state)
    for observer in observers:
        observer.checkpoint_due(state)


def validate(state: State, validation: Examples, observers: Sequence[Observer]) -> None:
    """Averages the objective over the validation images, and keeps the weights if they are the best."""
    terms = validated(state, validation)
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
