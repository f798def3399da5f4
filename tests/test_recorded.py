"""Steps that are recorded and replayed. There need not be a GPU: a tape of torch's operations stands for its graphs.

Like a graph it repeats the operations it has seen, on the same tensors, and runs none of the Python around them; and it
refuses to look at a value while it records.
"""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vaescope import checkpoint
from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.images import ImageSet
from vaescope.engine import Carrier, Engine, Share, at_work, bring
from vaescope.engine.compiled import Compiled
from vaescope.experiment import begin
from vaescope.metrics import average
from vaescope.models import Flat
from vaescope.nets import MLP, Conv
from vaescope.objectives import (
    CIWAE,
    ELBO,
    IWAE,
    AdversarialAutoencoder,
    Capacity,
    Constant,
    Cyclical,
    FreeBits,
    Objective,
    Ramp,
    Sigmoid,
    WarmupDecay,
)
from vaescope.observers import Average, MetricsLog, read_lines
from vaescope.run import validation_examples
from vaescope.training import Observer, State, Trainer, fit
from vaescope.training import recorded as module
from vaescope.training.recorded import WARM_UP, Kept, Recorded

CPU = torch.device("cpu")


class Tape(TorchDispatchMode):
    """Notes every operation with what it was given and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.notes.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Does all of it again; what is no view of another tensor is put where it was before."""
        for func, args, kwargs, result in self.notes:
            again = func(*args, **kwargs)
            given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.untyped_storage().data_ptr() not in given:
                    old.copy_(new)


def tape(state: State, step: Callable[[], None]) -> Callable[[], None]:
    """Records a step without making it, as a graph does."""
    kept, made = Kept(state), Tape()
    try:
        with made:
            step()
    finally:
        kept.restore()

    @torch.no_grad()
    def replay() -> None:
        made.replay()

    return replay


class Losses(Observer):
    """Remembers every loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, state: State, terms: dict[str, Tensor]) -> None:
        self.losses.append(terms["loss"].item())


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets of seven steps, so that a short run has several."""
    monkeypatch.setattr(module, "ROWS", 7)


def settings(objective: Objective | None = None, model: Flat | None = None, **trainer: Any) -> Config:
    """A run of three epochs of eight steps."""
    base = {"batch_size": 25, "epochs": 3, "optimizer": partial(torch.optim.AdamW, lr=3e-3), "log_every": 6}
    return Config(
        data=ImageData("sample"),
        model=model or Flat(network=MLP(width=32)),
        objective=objective or ELBO(),
        trainer=Trainer(**{**base, **trainer}),
    )


def start(config: Config, images: ImageSet, recorded: bool = True) -> tuple[State, list[str]]:
    """A fresh state whose steps are replayed or not, and what was reported."""
    told: list[str] = []
    state = begin(config, images, CPU, told.append)
    state.recorded = Recorded(told.append, tape) if recorded else None
    return state, told


def train(
    config: Config, images: ImageSet, recorded: bool, *observers: Observer
) -> tuple[list[float], State, list[str]]:
    """All losses of a run, where it ended and what was reported."""
    losses = Losses()
    state, told = start(config, images, recorded)
    shown = validation_examples(state.model, config.data.target, images)
    fit(state, config.trainer, shown, [losses, *observers])
    return losses.losses, state, told


def same(config: Config, images: ImageSet) -> list[str]:
    """Whether a run of replayed steps is that of plain ones to the last bit. Returns what it reported."""
    plain, one, _ = train(config, images, recorded=False)
    replayed, other, told = train(config, images, recorded=True)
    assert plain == replayed
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    return told


RUNS = {
    "warm-up": settings(),
    "cyclical": settings(ELBO(warmup=Cyclical(cycles=3)), schedule=WarmupDecay(0.3, 0.1)),
    "sigmoid": settings(ELBO(warmup=Sigmoid()), clip=1.0),
    "several draws": settings(IWAE(samples=3)),
    "two phases": settings(IWAE(samples=3, begin=0.5)),
    "ciwae": settings(CIWAE(samples=3)),
    "capacity": settings(
        Capacity(nats=16.0)
    ),  # a power of two: the product of another and its warm-up would be rounded twice
    "free bits": settings(FreeBits()),
    "convolutions": settings(model=Flat(network=Conv(4, 1, hidden=16)), epochs=2),
    "normalised": settings(model=Flat(network=MLP(width=16, norm="batch", dropout=0.2))),
    "labels": settings(model=Flat(network=MLP(width=16), labels=True), epochs=2),
    "sgd": settings(optimizer=partial(torch.optim.SGD, lr=1e-4, momentum=0.9), epochs=2),
    "critic": settings(AdversarialAutoencoder(), epochs=2),
}


@pytest.mark.parametrize("name", RUNS)
def test_replayed_steps_are_plain_steps_to_the_last_bit(name: str, images: ImageSet) -> None:
    assert same(RUNS[name], images) == []


def test_most_steps_are_replayed_and_an_objective_that_changes_is_recorded_again(images: ImageSet) -> None:
    times: list[int] = []

    def counted(state: State, step: Callable[[], None]) -> Callable[[], None]:
        times.append(state.step)
        return tape(state, step)

    for objective, expected in ((ELBO(), [WARM_UP]), (IWAE(samples=2, begin=0.5), [WARM_UP, 12])):
        times.clear()
        state, told = start(settings(objective), images)
        state.recorded = Recorded(told.append, counted)
        while state.step < state.total:
            state.advance()
        assert times == expected
        assert told == []


def test_a_resumed_run_goes_on_to_the_last_bit(images: ImageSet, tmp_path: Path) -> None:
    """Plain steps stop in the middle of a sheet and of an epoch, and replayed ones go on; then the other way round."""
    config = settings()
    whole, _, _ = train(config, images, recorded=False)
    for recorded in (True, False):
        first, losses = start(config, images, recorded)[0], []
        while first.step < 12:
            losses.append(first.advance()["loss"].item())
        first.keep_best(losses[-1])
        path = checkpoint.save(tmp_path / str(recorded), first)
        second, told = start(config, images, not recorded)
        checkpoint.restore(path, second)
        while second.step < second.total:
            losses.append(second.advance()["loss"].item())
        assert losses == whole
        assert told == []


def test_metrics_are_those_of_plain_steps(images: ImageSet, tmp_path: Path) -> None:
    lines = []
    for recorded in (True, False):
        path = tmp_path / f"{recorded}.jsonl"
        train(settings(), images, recorded, MetricsLog(path, 6))
        lines.append([{key: value for key, value in line.items() if key != "seconds"} for line in read_lines(path)])
    assert lines[0] == lines[1]


class Counting(Objective):
    """An objective that looks at a value, or at the share of the run, after it has drawn and changed what it can."""

    def __init__(self, look: Callable[[Tensor, float], object]) -> None:
        self.look = look

    def __call__(
        self, model: Any, x: Tensor, context: Tensor | None = None, progress: float = 1.0
    ) -> dict[str, Tensor]:
        terms = ELBO(warmup=Constant())(model, x)
        self.look(terms["loss"], progress)
        return terms


LOOKS: dict[str, tuple[Callable[[Tensor, float], object], str]] = {
    "at a value": (lambda loss, progress: loss.item(), "not permitted when stream is capturing"),
    "at the share": (lambda loss, progress: loss * progress, "unsupported operand"),
    "at its root": (lambda loss, progress: math.sqrt(progress), "must be real number"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_cannot_be_recorded_is_told_in_one_line_and_changes_nothing(name: str, images: ImageSet) -> None:
    look, reason = LOOKS[name]
    told = same(settings(Counting(look), Flat(network=MLP(width=16, norm="batch", dropout=0.2)), epochs=2), images)
    assert len(told) == 1
    assert told[0].startswith("steps are made one by one, not replayed as a graph: ")
    assert reason in told[0]
    assert "\n" not in told[0]


def test_optimizers_with_a_learning_rate_of_the_host_are_told(images: ImageSet) -> None:
    told = same(settings(optimizer=partial(torch.optim.RMSprop, lr=1e-3), epochs=1), images)
    assert len(told) == 1
    assert "RMSprop takes its learning rate from the host" in told[0]


def test_streamed_batches_are_told(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = start(settings(), images)
    monkeypatch.setattr(state.batches, "images", object())
    with pytest.raises(RuntimeError, match="read from disk"):
        module.check(state)


def test_settings_of_optimizers_stay_numbers(images: ImageSet) -> None:
    """A checkpoint writes them as JSON."""
    state, _ = start(settings(), images)
    for _ in range(10):
        state.advance()
    group = state.players[0].optimizer.param_groups[0]
    assert isinstance(group["lr"], float)
    assert group["capturable"] is False


def test_a_share_is_compared_and_nothing_else() -> None:
    share = Share(0.4, lambda schedule: torch.tensor(5.0))
    assert share < 0.7
    assert not share >= 0.6
    assert share > 0.1
    assert share <= 0.9
    assert share.until == 0.6
    ramp = Ramp(share=0.5)
    assert torch.is_tensor(ramp(share))  # type: ignore[arg-type]
    assert Ramp(share=0.3)(share) == 1.0  # type: ignore[arg-type]
    for use in (float, lambda s: s * 2, lambda s: 2 - s, lambda s: torch.ones(()) * s, math.tanh):
        with pytest.raises(TypeError):
            use(share)  # type: ignore[operator]


@pytest.mark.parametrize("other", [0.25, 0.5, 0.75])
def test_a_share_is_compared_as_the_number_that_it_is(other: float) -> None:
    def compared(share: Any) -> list[bool]:
        return [share < other, share <= other, share > other, share >= other]

    share = Share(0.5, lambda schedule: torch.zeros(()))
    assert compared(share) == compared(0.5)
    assert share.until > 0.5


def test_an_average_is_the_sum_in_double_precision_however_long() -> None:
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    average, expected = Average(), torch.zeros((), dtype=torch.float64)
    for value in values:
        average.add({"loss": value})
        expected = value + expected
    whole = average.memory()
    assert average.take() == {"loss": expected.item() / 1000}
    average.recall(whole)
    assert average.take() == {"loss": expected.item() / 1000}


def test_the_places_of_many_steps_are_those_of_each(images: ImageSet) -> None:
    batches = start(settings(), images)[0].batches
    expected = torch.stack([batches.indices(step) for step in range(5, 29)])
    assert torch.equal(batches.places(range(5, 29)), expected)


# Networks that are compiled


def losses(images: ImageSet, engine: Engine, steps: int = 8) -> tuple[list[float], State, list[str]]:
    """The losses of the first steps of a run with some switches of the engine."""
    told: list[str] = []
    state = begin(replace(settings(), engine=engine), images, CPU, told.append)
    state.model.train()
    return [state.advance()["loss"].item() for _ in range(steps)], state, told


def test_what_cannot_be_compiled_is_told_in_one_line_and_changes_nothing(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(net: torch.nn.Module, **options: object) -> Callable[[Tensor], Tensor]:
        def call(x: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler\nwas found")

        return call

    plain, _, _ = losses(images, Engine("float32", compile="never"))
    monkeypatch.setattr(torch, "compile", broken)
    fallen, _, told = losses(images, Engine("float32", compile="always"))
    assert fallen == plain
    assert told == ["networks are not compiled: no C++ compiler was found"] * 2  # encoder and decoder
    auto, _, told = losses(images, Engine("float32", compile="auto"))
    assert auto == plain
    assert told == []


def test_a_fault_of_the_network_is_no_fault_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda net, **options: net)
    told: list[str] = []
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Compiled(torch.nn.Linear(3, 2), told.append)(torch.zeros(1, 4))
    assert told == []


def test_compiling_is_for_steps_of_training_only(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def noted(net: torch.nn.Module, **options: object) -> Callable[[Tensor], Tensor]:
        def call(x: Tensor) -> Tensor:
            seen.append(torch.is_grad_enabled())
            y: Tensor = net(x)
            return y

        return call

    monkeypatch.setattr(torch, "compile", noted)
    plain, whole, _ = losses(images, Engine("float32", compile="never"))
    same, state, _ = losses(images, Engine("float32", compile="always"))
    assert same == plain
    assert seen == [True] * 2 * (8 + 1)  # once more to be compiled
    assert list(state.model.state_dict()) == list(whole.model.state_dict())
    seen.clear()
    average(ELBO(), state.model, validation_examples(state.model, ImageData().target, images))
    assert seen == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, for what it uses of itself
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles for a CPU with a C++ compiler: there is none")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_networks_agree_within_rounding(images: ImageSet, precision: Literal["float32", "bfloat16"]) -> None:
    plain, _, _ = losses(images, Engine(precision, compile="never"))
    compiled, _, told = losses(images, Engine(precision, compile="always"))
    assert told == []
    assert compiled == pytest.approx(plain, rel=1e-5 if precision == "float32" else 1e-3)


def test_tf32_holds_in_a_step_only() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    with at_work(Engine("tf32")):
        assert torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 == before


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch has no newer switch")
def test_the_newer_switch_of_torch_is_left_as_it_is() -> None:
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        with at_work(Engine("tf32")):
            assert matmul.fp32_precision == "tf32"
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


# What only a GPU does, asked of stand-ins


def test_a_graph_knows_its_generators_and_lets_other_threads_allocate(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    class Graph:
        def register_generator_state(self, generator: torch.Generator) -> None:
            done.append(generator)

        def replay(self) -> None:
            done.append("replayed")

    @contextmanager
    def capture(graph: Graph, **options: object) -> Iterator[None]:
        done.append(options["capture_error_mode"])
        yield
        done.append("captured")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    state, _ = start(settings(), images)
    module.graph(state, lambda: done.append("step"))()
    assert done == [state.batches.noise, "thread_local", "step", "captured", "replayed"]


def test_a_failed_recording_gives_generators_on_a_gpu_another_state(images: ImageSet) -> None:
    class Generator:
        device = torch.device("cuda")
        current, marked = "old", True

        def graphsafe_set_state(self, other: str) -> None:
            self.current, self.marked = other, False

        def set_state(self, numbers: str) -> None:
            self.current = numbers

    kept = Kept(start(settings(), images)[0])
    for broken, expected in ((True, ("clone", False)), (False, ("numbers", True))):
        generator = Generator()
        kept.generators = [(generator, "numbers", "clone")]  # type: ignore[list-item]
        kept.restore(broken)
        assert (generator.current, generator.marked) == expected


def test_copies_to_where_a_tensor_is_are_the_tensor() -> None:
    value = torch.arange(6).view(2, 3)
    assert bring(value)() is value
    assert Carrier(CPU).send(value)() is value


def test_what_is_carried_is_waited_for_on_the_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Stream:
        def __init__(self, name: object = None) -> None:
            self.name = name

        def record_event(self) -> str:
            done.append("recorded")
            return "event"

        def wait_event(self, event: str) -> None:
            done.append(f"{self.name} waits for {event}")

    class Value:
        def pin_memory(self) -> "Value":
            done.append("pinned")
            return self

        def to(self, device: torch.device, non_blocking: bool) -> "Value":
            done.append(f"sent to {device.type}")
            return self

        def record_stream(self, stream: Stream) -> None:
            done.append(f"used by {stream.name}")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("the step"))
    take = Carrier(torch.device("cuda")).send(Value())  # type: ignore[arg-type]
    assert done == ["pinned", "sent to cuda", "recorded"]
    take()
    assert done[3:] == ["the step waits for event", "used by the step"]
