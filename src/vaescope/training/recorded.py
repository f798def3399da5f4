r"""A step of training that is recorded once on a GPU and then replayed, so that the host has next to nothing to do.

A step is some eighty small kernels, and to launch them from Python takes longer than to run them. A CUDA graph launches
all of them at once, but it repeats to the letter what it has seen: the same kernels, at the same addresses, with the
same numbers. So everything that changes from step to step lies on the device:

- The indices of the images, the learning rates and the values of the schedules are laid out for the next :data:`ROWS`
  steps, a :class:`Sheet` that a thread makes while the one before it is used. A counter on the device says which row is
  next.
- Random numbers come from generators that are registered with the graph, and go on as if each step had been made anew.
- The terms of a step are written to a table with :data:`ROWS` rows, of which observers are given views.

What Python decides is decided once, while a step is recorded. In place of the share of the run that is done an
objective therefore gets a :class:`Share`, which can be given to a schedule or compared with a number, and to which
nothing else can be done. A comparison bounds the steps that the recording holds for, and beyond them a new one is made:
an objective that changes halfway is recorded twice.

What cannot be recorded (batches from disk, values that the host has to look at, optimizers whose learning rate is a
number of the host) is done step by step as without this module, and the reason is told in one line.

References:
    | Accelerating PyTorch with CUDA Graphs, https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs
"""

import math
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from vaescope.engine import Share

if TYPE_CHECKING:
    from vaescope.training.loop import State

ROWS = 256
"""Steps that are laid out ahead, and steps for which the terms of one are kept."""

WARM_UP = 3
"""Steps that are made plainly first: they allocate what an optimizer remembers, and libraries choose their kernels."""


@dataclass(frozen=True)
class Sheet:
    """What changes from step to step, for the steps from one on.

    Args:
        indices: Which images, with shape (S, B).
        rates: The learning rate of every group of parameters, with shape (S, G).
        values: The value of every schedule that has not arrived, with shape (S, K).
    """

    indices: Tensor
    rates: Tensor
    values: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return (getattr(self, field.name) for field in fields(self))


def lay_out(state: "State", first: int, schedules: Sequence[Any]) -> Sheet:
    """The sheet from step ``first`` to the next whole number of sheets, or to the end of the run, on the CPU.

    It is pinned where there is a GPU, so that its copy waits for nothing.
    """
    device, precision = state.batches.device, next(state.model.parameters()).dtype
    steps = range(first, min(first - first % ROWS + ROWS, state.total))
    shares = [state.share(step) for step in steps]
    rates = [[rate for player in state.players for rate in player.rates(share)] for share in shares]
    values = [[schedule.at(share) for schedule in schedules] for share in shares]
    sheet = Sheet(
        state.batches.places(steps),
        torch.tensor(rates, dtype=precise(device)),
        torch.tensor(values, dtype=precision).reshape(len(steps), len(schedules)),
    )
    return Sheet(*(part.pin_memory() for part in sheet)) if device.type == "cuda" else sheet


class Kept:
    """Everything that a step changes, as it is now, to be put back."""

    def __init__(self, state: "State") -> None:
        modules = [state.model, *([] if state.critic is None else [state.critic])]
        tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
        memories = [t for player in state.players for slot in player.optimizer.state.values() for t in slot.values()]
        self.tensors = [(t, t.detach().clone()) for t in (*tensors, *memories) if isinstance(t, Tensor)]
        self.generators = [(g, g.get_state(), g.clone_state()) for g in generators(state)]

    @torch.no_grad()
    def restore(self, broken: bool = False) -> None:
        """Puts all of it back.

        Args:
            broken: Whether a recording broke off, which leaves generators on a GPU marked as being recorded: they get
                another state, with the same numbers to come.
        """
        for tensor, kept in self.tensors:
            tensor.copy_(kept)
        for generator, numbers, another in self.generators:
            if broken and generator.device.type == "cuda":
                generator.graphsafe_set_state(another)
            else:
                generator.set_state(numbers)


def generators(state: "State") -> list[torch.Generator]:
    """Where the random numbers of a step come from."""
    device = state.batches.device
    if device.type != "cuda":
        return [torch.default_generator, state.batches.noise]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, state.batches.noise, torch.cuda.default_generators[index]]


Record = Callable[["State", Callable[[], None]], Callable[[], None]]
"""From a step, which is called once for it to be recorded, to a function that replays it."""


def graph(state: "State", step: Callable[[], None]) -> Callable[[], None]:
    """Records a step as a CUDA graph."""
    recording = torch.cuda.CUDAGraph()
    for generator in generators(state)[1:]:
        recording.register_generator_state(generator)
    # other threads may allocate meanwhile: they read batches or draw pictures
    with torch.cuda.graph(recording, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        step()
    return recording.replay


@contextmanager
def beside(device: torch.device) -> Iterator[None]:
    """Within the block work is put on a stream of its own, as recording needs it."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream(device).wait_stream(stream)


@contextmanager
def unwatched(device: torch.device) -> Iterator[None]:
    """Within the block it is an error to wait for the GPU, which no recording can do."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@contextmanager
def borrowed(optimizers: Sequence[Optimizer], capturing: bool) -> Iterator[None]:
    """Within the block settings of optimizers may be changed, and after it they are as they were.

    Args:
        optimizers: The optimizers.
        capturing: Whether their steps are recorded by a GPU, which they want to be told, and only then.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    kept = [{**group} for group in groups]
    for group in groups:
        group |= {"capturable": True} if capturing and "capturable" in group else {}
    try:
        yield
    finally:
        for group, before in zip(groups, kept, strict=True):
            group.update(before)


class Recorded:
    """Makes the steps of a run by replaying one.

    Args:
        report: Is told in one line if that cannot be done.
        record: How a step is recorded.
    """

    def __init__(self, report: Callable[[str], None], record: Record = graph) -> None:
        self.report, self.record = report, record
        self.plain: float = WARM_UP
        self.replay: Callable[[], None] | None = None
        self.until, self.next = math.inf, -1
        self.schedules: dict[Hashable, int] = {}
        self.reader = ThreadPoolExecutor(1, "lay-out")
        self.ahead: Future[Sheet] | None = None

    def step(self, state: "State") -> dict[str, Tensor] | None:
        """Makes one step and returns its terms; or nothing, where it is to be made plainly."""
        if self.plain:
            self.plain -= 1
            return None
        if (self.replay is None or state.share(state.step) >= self.until) and not self._recorded(state):
            return None
        if self.next != state.step or state.step % ROWS == 0:
            self._lay_out(state)
        assert self.replay is not None
        self.replay()
        self.next = state.step + 1
        return self.rows[state.step % ROWS]

    def forget(self) -> None:
        """Drops the recording, whose tensors are no longer those of the run."""
        self.replay = None

    def _recorded(self, state: "State") -> bool:
        """Records a step of a run. If that fails everything is as before, and the reason is told."""
        device, kept, self.replay, self.ahead, self.next = state.batches.device, Kept(state), None, None, -1
        try:
            check(state)
            with beside(device):
                self._rehearse(state)  # libraries may still load and choose kernels, which waits for them
                with unwatched(device):
                    self._rehearse(state)
                kept.restore()
                self._prepare(state)
                share = Share(state.share(state.step), lambda schedule: self.now[self.schedules[schedule]])
                self.replay = self.record(state, lambda: self._make(state, share))
        except Exception as error:  # of any library: without a recording everything works, if more slowly
            kept.restore(broken=True)
            self.plain = math.inf
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self.report(f"steps are made one by one, not replayed as a graph: {reason}")
            return False
        return True

    def _rehearse(self, state: "State") -> None:
        """Makes a step that can be recorded, with numbers of the host: it shows what schedules and terms there are."""
        device, like = state.batches.device, next(state.model.parameters())
        self.schedules = {}

        def value(schedule: Any) -> Tensor:
            self.schedules.setdefault(schedule, len(self.schedules))
            return torch.full((), schedule.at(share.value), dtype=like.dtype, device=device)

        share = Share(state.share(state.step), value)
        of_host = [rate for player in state.players for rate in player.rates(share.value)]
        rates = torch.stack([torch.full((), rate, dtype=precise(device), device=device) for rate in of_host])
        places = torch.arange(state.batches.size, device=device)
        self.names = tuple(self._played(state, places, rates, share))
        self.groups, self.until = len(of_host), share.until

    def _prepare(self, state: "State") -> None:
        """Makes room on the device for a sheet, and for the terms of as many steps."""
        device, like = state.batches.device, next(state.model.parameters())
        self.sheet = Sheet(
            torch.zeros(ROWS, state.batches.size, dtype=torch.int64, device=device),
            torch.zeros(ROWS, self.groups, dtype=precise(device), device=device),
            torch.zeros(ROWS, len(self.schedules), dtype=like.dtype, device=device),
        )
        self.row = torch.zeros(1, dtype=torch.int64, device=device)
        self.table = torch.zeros(ROWS, len(self.names), dtype=like.dtype, device=device)
        self.rows = [dict(zip(self.names, row.unbind(), strict=True)) for row in self.table]

    def _make(self, state: "State", share: Share) -> None:
        """The step that is recorded: it takes a row of the sheet and writes one of the table."""
        places, rates, values = (part.index_select(0, self.row).squeeze(0) for part in self.sheet)
        self.now = values.unbind()
        terms = self._played(state, places, rates, share)
        self.table.index_copy_(0, self.row, torch.stack([term.to(self.table.dtype) for term in terms.values()])[None])
        self.row.add_(1)

    def _played(self, state: "State", places: Tensor, rates: Tensor, share: Share) -> dict[str, Tensor]:
        """One step with these images and learning rates."""
        capturing = places.is_cuda and torch.cuda.is_current_stream_capturing()
        with borrowed([player.optimizer for player in state.players], capturing):
            return state.play(state.batches.chosen(places), share, rates.unbind())

    def _lay_out(self, state: "State") -> None:
        """Puts the next sheet on the device, and has the one after it made."""
        order = list(self.schedules)
        known = self.ahead if self.next == state.step else None
        sheet = lay_out(state, state.step, order) if known is None else known.result()
        first, following = state.step % ROWS, state.step - state.step % ROWS + ROWS
        for there, part in zip(self.sheet, sheet, strict=True):
            there[first : first + len(part)].copy_(part, non_blocking=True)
        self.row.fill_(first)
        self.ahead = self.reader.submit(lay_out, state, following, order) if following < state.total else None


def precise(device: torch.device) -> torch.dtype:
    """The type of a learning rate: the fused optimizers of torch read single precision on a GPU, double on a CPU."""
    return torch.float32 if device.type == "cuda" else torch.float64


def check(state: "State") -> None:
    """Refuses a run whose steps cannot be recorded.

    Raises:
        RuntimeError: With the reason.
    """
    if not isinstance(state.batches.images, Tensor):
        raise RuntimeError("the batches are read from disk")
    for player in state.players:
        kind = type(player.optimizer).__name__
        if not isinstance(player.optimizer, Adam | AdamW | SGD) or not all(
            g["fused"] for g in player.optimizer.param_groups
        ):
            raise RuntimeError(f"{kind} takes its learning rate from the host: use AdamW, which is fused by default")
