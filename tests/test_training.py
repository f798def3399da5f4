"""The loop: repeatable, unchanged by who watches, resumable, and honest when it breaks."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaescope import checkpoint
from vaescope.collapse import Doctor
from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.engine import Engine
from vaescope.errors import RunError, UsageError
from vaescope.experiment import begin
from vaescope.metrics import average, negative_elbo
from vaescope.models import Flat, aside, encode
from vaescope.nets import MLP, Conv, Network
from vaescope.objectives import ELBO, Objective, Terms
from vaescope.observers import Checkpointer, MetricsLog, Recorder, frame_steps, read_lines
from vaescope.streams import stream
from vaescope.training import Observer, State, Trainer, fit


class Losses(Observer):
    """Remembers every loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, state: State, terms: Terms) -> None:
        self.losses.append(terms["loss"].item())


def settings(**trainer: object) -> Config:
    """A config that trains in a moment."""
    adam = partial(torch.optim.AdamW, lr=3e-3)
    base = {"batch_size": 25, "epochs": 5, "optimizer": adam, "log_every": 7, "checkpoint_every": 10}
    return Config(
        data=ImageData("sample"),
        model=Flat(network=MLP(width=32)),
        trainer=Trainer(**{**base, **trainer}),  # type: ignore[arg-type]
    )


def start(config: Config, images: ImageSet) -> State:
    """A fresh state."""
    return begin(config, images, torch.device("cpu"))


def validation(images: ImageSet) -> Examples:
    """The validation images."""
    return ImageData().target.evaluation([images.validation.images])[0]


def train(config: Config, images: ImageSet, observers: Sequence[Observer] = ()) -> tuple[list[float], State]:
    """All losses of a run, and where it ended."""
    state, losses = start(config, images), Losses()
    fit(state, config.trainer, validation(images), [losses, *observers])
    return losses.losses, state


def watchers(folder: Path, images: ImageSet) -> tuple[Doctor, MetricsLog, Recorder, Checkpointer]:
    """The observers of a real run."""
    shown = validation(images)
    doctor = Doctor(shown, lambda message: None)
    log = MetricsLog(folder / "metrics.jsonl", 7, doctor.numbers)
    recorder = Recorder(9, shown, shown[:4], ImageData().target)
    return doctor, log, recorder, Checkpointer(folder / "checkpoints", 3, [doctor, log, recorder])


def test_frames_are_as_precise_as_training_and_no_more(images: ImageSet) -> None:
    shown = validation(images)
    found = {}
    for precision in ("float32", "bfloat16"):
        state = begin(replace(settings(), engine=Engine(precision)), images, torch.device("cpu"))
        recorder = Recorder(9, shown, shown[:4], ImageData().target)
        recorder.validated(state, {"distortion": 0.0, "rate": 0.0})
        found[precision] = recorder.memory()
    exact, rounded = (found[name]["latents"].float() for name in ("float32", "bfloat16"))
    torch.testing.assert_close(exact[0], encode(state.model, shown), atol=1e-3, rtol=1e-3)  # half precision keeps them
    assert 0 < (exact - rounded).abs().max() < 0.03 * exact.std()  # 8 bits of products: three times 2 ** -7
    pixels = (found[name]["pictures"].int() for name in ("float32", "bfloat16"))
    assert torch.stack([*pixels]).diff(dim=0).abs().max() <= 3


def test_two_runs_of_one_seed_are_bit_identical(images: ImageSet) -> None:
    first, second = (train(settings(), images)[0] for _ in range(2))
    assert first == second
    assert len(first) == 40


def test_another_seed_is_another_run(images: ImageSet) -> None:
    config = settings()
    other = Config(data=config.data, model=config.model, trainer=config.trainer, seed=1)
    assert train(config, images)[0] != train(other, images)[0]


def test_who_watches_does_not_change_the_losses(images: ImageSet, tmp_path: Path) -> None:
    alone, state = train(settings(), images)
    watched, other = train(settings(), images, watchers(tmp_path, images))
    assert alone == watched
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name


def test_looking_aside_leaves_modes_and_random_numbers_as_they_were() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3))
    model[1].eval()
    whole = torch.nn.Sequential(model, torch.nn.Linear(3, 3))
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    before = [value.clone() for value in model.state_dict().values()]
    with aside(whole, seed=1):
        assert not model[0].training
        assert not torch.is_grad_enabled()
        model(torch.rand(4, 3))
    assert [model[0].training, model[1].training] == [True, False]
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))


def test_streams_of_random_numbers_differ_by_seed_use_and_counter() -> None:
    uses = itertools.product(range(20), ("weights", "order", "targets"), [(), (0,), (1,)])
    seeds = {stream(seed, use, *counters) for seed, use, counters in uses}
    assert len(seeds) == 180
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(stream(0, "weights"))
    first = torch.rand(10_000)
    torch.manual_seed(stream(0, "latents"))
    assert abs(torch.corrcoef(torch.stack((first, torch.rand(10_000))))[0, 1]) < 0.05


def test_an_early_stop_stays_stopped(images: ImageSet) -> None:
    config = settings(epochs=50, patience=2, optimizer=partial(torch.optim.SGD, lr=0.0))
    state = start(config, images)
    assert fit(state, config.trainer, validation(images)) == "stopped early"
    at = state.step
    assert fit(state, config.trainer, validation(images)) == "stopped early"
    assert state.step == at


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    for step in (999_998, 999_999, 1_000_000):
        (tmp_path / f"step-{step:06d}").mkdir()
    checkpoint.rotate(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1000000"]


def test_validation_does_not_change_the_losses(images: ImageSet) -> None:
    assert train(settings(validate_every=1), images)[0] == train(settings(), images)[0]


@pytest.mark.parametrize(("network", "at"), [(MLP(width=32), 10), (MLP(width=32), 20), (Conv(4, 1, hidden=16), 10)])
def test_a_resumed_run_is_bit_identical(images: ImageSet, tmp_path: Path, network: Network, at: int) -> None:
    """The weights of convolutions lie channel by channel in memory, and so must what the optimizer remembers of them:
    its fused kernel walks through both as they lie."""
    adam = partial(torch.optim.AdamW, lr=3e-3, fused=isinstance(network, Conv))
    config = replace(settings(optimizer=adam), model=Flat(network=network))
    whole, state = train(config, images, watchers(tmp_path / "whole", images))
    stopped, losses = start(config, images), Losses()
    seen = watchers(tmp_path / "cut", images)
    fit(stopped, config.trainer, validation(images), [losses, *seen], lambda: stopped.step == at + 3)
    folder = sorted((tmp_path / "cut" / "checkpoints").iterdir())[-2]  # not the one of the interruption itself
    assert folder.name == f"step-{at:06d}"

    resumed, rest = start(config, images), Losses()
    again = watchers(tmp_path / "cut", images)
    again[-1].restore(folder, resumed)
    assert resumed.step == at
    fit(resumed, config.trainer, validation(images), [rest, *again])
    assert losses.losses[:at] + rest.losses == whole
    for name, value in state.best_weights.items():
        assert torch.equal(value, resumed.best_weights[name]), name
    lines = [read_lines(tmp_path / part / "metrics.jsonl") for part in ("whole", "cut")]
    without_time = [[{k: v for k, v in line.items() if k != "seconds"} for line in part] for part in lines]
    assert without_time[0] == without_time[1]


def test_training_lowers_the_bound(images: ImageSet) -> None:
    losses, state = train(settings(epochs=30), images)
    assert sum(losses[-8:]) / 8 < sum(losses[:8]) / 8 - 20
    assert state.best < average(ELBO(), start(settings(), images).model, validation(images))["loss"] - 20


def test_the_best_weights_are_those_of_the_best_validation(images: ImageSet) -> None:
    class Seen(Observer):
        def __init__(self) -> None:
            self.seen: list[tuple[float, int]] = []

        def validated(self, state: State, terms: dict[str, float]) -> None:
            self.seen.append((terms["loss"], state.step))

    watch = Seen()
    _, state = train(settings(), images, [watch])
    assert (state.best, state.best_step) == min(watch.seen)
    state.model.load_state_dict(state.best_weights)
    assert average(ELBO(), state.model, validation(images))["loss"] == pytest.approx(state.best, abs=1e-4)
    assert negative_elbo(state.model, validation(images)).negative_elbo == pytest.approx(state.best, abs=1e-3)


def test_steps_and_epochs_whichever_ends_first(images: ImageSet) -> None:
    assert len(train(settings(steps=11), images)[0]) == 11
    assert len(train(settings(steps=1000, epochs=1), images)[0]) == 8


def test_patience_stops_early(images: ImageSet) -> None:
    config = settings(epochs=50, patience=3, optimizer=partial(torch.optim.SGD, lr=0.0))
    state = start(config, images)
    assert fit(state, config.trainer, validation(images)) == "stopped early"
    assert state.step == 10 * 8 + 2 * 8  # validations count from the end of the warm-up on, a fifth of the run


class Broken(Objective):
    """An ELBO one of whose terms goes wrong at a step."""

    def __init__(self, value: float, at: int) -> None:
        self.value, self.at, self.calls = value, at, itertools.count(1)

    def __call__(self, model: object, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        terms = ELBO()(model, x)  # type: ignore[arg-type]
        if torch.is_grad_enabled() and next(self.calls) == self.at:
            terms["rate"] = terms["rate"] * self.value
            terms["loss"] = terms["distortion"] + terms["rate"]
        return terms


@pytest.mark.parametrize(
    ("value", "words"), [(math.nan, "broke down at step 6: the rate is nan"), (1e9, "diverged at step 6")]
)
def test_a_run_that_breaks_down_stops_at_once(images: ImageSet, value: float, words: str) -> None:
    config = settings()
    config = Config(data=config.data, model=config.model, objective=Broken(value, 6), trainer=config.trainer)
    with pytest.raises(RunError, match=words) as caught:
        train(config, images)
    assert "lower learning rate" in str(caught.value)


def test_a_parameter_without_a_gradient_is_named(images: ImageSet) -> None:
    state = start(settings(), images)
    state.model.register_parameter("forgotten", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(RunError, match="forgotten"):
        fit(state, settings().trainer, validation(images))


def test_frames_start_before_training_and_end_with_it() -> None:
    for total in (1, 5, 71, 200, 12_000):
        steps = frame_steps(total, 72)
        assert steps[0] == 0
        assert steps[-1] == total
        assert steps == sorted(set(steps))
        assert len(steps) == min(72, total + 1)
    gaps = [b - a for a, b in itertools.pairwise(frame_steps(12_000, 72))]
    assert gaps[0] == 1
    assert gaps[-1] > 100


def test_metrics_are_whole_lines_with_every_term(images: ImageSet, tmp_path: Path) -> None:
    train(settings(), images, watchers(tmp_path, images))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"train", "validation"}
    assert all({"step", "epoch", "loss", "distortion", "rate", "seconds"} <= line.keys() for line in lines)
    assert [line["step"] for line in lines if line["split"] == "train"] == [7, 14, 21, 28, 35, 40]
    assert [line["step"] for line in lines if line["split"] == "validation"] == [0, 8, 16, 24, 32, 40]


def test_checkpoints_are_rotated_and_hold_no_pickle(images: ImageSet, tmp_path: Path) -> None:
    train(settings(checkpoint_every=5), images, watchers(tmp_path, images))
    folders = sorted((tmp_path / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["step-000030", "step-000035", "step-000040"]
    endings = {file.suffix for folder in folders for file in folder.iterdir()}
    assert endings == {".safetensors", ".json", ""}


def test_a_full_disk_leaves_the_checkpoint_before_it(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(checkpoint_every=10)
    written = 0
    really = checkpoint.save_file

    def full(*args: object, **kwargs: object) -> None:
        nonlocal written
        written += 1
        if written == 9:  # in the middle of the second checkpoint
            raise OSError(28, "No space left on device")
        really(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match="/step-000020 was not written: the disk is full"):
        train(config, images, watchers(tmp_path, images))
    monkeypatch.undo()
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-000010"]
    state = start(config, images)
    checkpoint.restore(tmp_path / "checkpoints" / "step-000010", state)
    assert state.step == 10


def test_a_damaged_checkpoint_is_refused_in_one_line(images: ImageSet, tmp_path: Path) -> None:
    train(settings(), images, watchers(tmp_path, images))
    folder = checkpoint.good(tmp_path / "checkpoints")
    assert folder is not None
    cut = (
        "SHA256SUMS",
        "model.safetensors",
        "best.safetensors",
        "state.json",
        "random.safetensors",
        "optimizer-0.safetensors",
    )
    wrong = [("state.json", b"[]"), ("state.json", b'{"format": 1, "step": "x"}')]
    for name, content in [*((name, None) for name in cut), *wrong]:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
        with pytest.raises(UsageError, match="step-000040") as caught:
            checkpoint.restore(folder, start(settings(), images))
        assert "\n" not in str(caught.value)
        if name != "SHA256SUMS":  # and what bears the right hash is looked at as closely
            checkpoint.seal(folder)
            with pytest.raises(UsageError, match="step-000040") as caught:
                checkpoint.restore(folder, start(settings(), images))
            assert "\n" not in str(caught.value)
        (folder / name).write_bytes(whole)
        checkpoint.seal(folder)
