"""The engine: every trick computes what the plain way does, within rounding, and one key switches it off."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from vaescope import checkpoint, experiment
from vaescope.config import Config
from vaescope.data.batches import Batches
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.data.rows import Mapped
from vaescope.data.targets import Binary
from vaescope.engine import (
    PLAIN,
    Engine,
    allow_steady,
    at_work,
    bernoulli_log_prob,
    keep_freed,
    memory,
    normal_kl,
    precision,
    steady,
    working,
)
from vaescope.engine.determinism import refusal
from vaescope.errors import UsageError
from vaescope.experiment import begin
from vaescope.families import Gaussian
from vaescope.metrics import negative_elbo
from vaescope.models import VAE, Flat
from vaescope.nets import MLP, Conv, Network
from vaescope.objectives import ELBO, Terms
from vaescope.priors import NormalMixture, StandardNormal
from vaescope.training import Observer, State, Trainer, fit, put

Tiny = Callable[..., VAE]
PRECISIONS = ("float32", "bfloat16")


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal values in double precision, with a gradient."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.requires_grad_()


def positive(*shape: int, seed: int = 0) -> Tensor:
    """Scales."""
    return random(*shape, seed=seed).detach().abs().add(0.1).requires_grad_()


def test_the_bernoulli_kernel_is_the_log_probability_with_its_derivatives() -> None:
    logits, x = random(2, 3, 1, 4, 5), torch.rand(3, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    score = partial(bernoulli_log_prob, ndims=3)
    expected = -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").flatten(2).sum(-1)
    torch.testing.assert_close(score(logits, x), expected)
    torch.testing.assert_close(score(logits, x.round()), Bernoulli(logits=logits).log_prob(x.round()).sum((-1, -2, -3)))
    assert gradcheck(score, (logits, x))
    assert gradgradcheck(score, (logits, x))


@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 88.0, 104.0, 1e4, 1e30])
def test_the_bernoulli_kernel_is_safe_for_every_logit(size: float) -> None:
    logits = torch.tensor([[size], [size], [-size], [-size]], requires_grad=True)
    x = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    found = bernoulli_log_prob(logits, x, 1)
    lost = math.log1p(math.exp(-min(size, 700)))
    expected = [-lost, -lost - size, -lost - size, -lost]
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-7)
    found.sum().backward()
    assert logits.grad is not None
    p = 1 / (1 + math.exp(-min(size, 700)))
    assert logits.grad.flatten().tolist() == pytest.approx([1 - p, -p, p, p - 1], rel=1e-6, abs=1e-7)


def test_the_kernel_of_the_rate_is_the_divergence_with_its_derivatives() -> None:
    parts = random(4, 3), positive(4, 3), random(3, seed=1), positive(3, seed=2)
    expected = kl_divergence(Normal(*parts[:2]), Normal(*parts[2:])).sum(-1)
    torch.testing.assert_close(normal_kl(*parts), expected)
    assert gradcheck(normal_kl, parts)
    assert gradgradcheck(normal_kl, parts)
    same = normal_kl(*parts[:2], *parts[:2])
    torch.testing.assert_close(same, torch.zeros_like(same))


def test_switches_hold_only_while_a_step_is_made() -> None:
    assert working() == PLAIN
    with at_work(Engine()):
        assert working() == Engine()
        with at_work(PLAIN):
            assert not working().kernels
        assert working().kernels
    assert working() == PLAIN


@pytest.mark.parametrize("prior", [StandardNormal, NormalMixture])
def test_terms_are_the_same_with_and_without_kernels(
    tiny: Tiny, x: Tensor, prior: Callable[[int], StandardNormal | NormalMixture]
) -> None:
    model = tiny(prior=prior)

    def terms(engine: Engine) -> tuple[dict[str, float], list[Tensor]]:
        torch.manual_seed(1)
        model.zero_grad()
        with at_work(engine):
            found = ELBO()(model, x)
            found["loss"].backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        return {name: value.item() for name, value in found.items()}, gradients

    (plain, slow), (fast, quick) = terms(PLAIN), terms(replace(PLAIN, kernels=True))
    assert fast == pytest.approx(plain, rel=1e-6)
    for one, other in zip(slow, quick, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def config(network: Network = MLP(width=32), **engine: object) -> Config:
    """A config of a few steps."""
    return Config(
        data=ImageData("sample"),
        model=Flat(network=network),
        trainer=Trainer(batch_size=25, steps=12),
        engine=replace(PLAIN, **engine),  # type: ignore[arg-type]
    )


def trained(settings: Config, images: ImageSet) -> tuple[list[float], State]:
    """The losses of all steps, and the state after them."""
    state = begin(settings, images, torch.device("cpu"))
    state.model.train()
    return [state.advance()["loss"].item() for _ in range(12)], state


@pytest.mark.parametrize(
    ("trick", "network", "within"),
    [
        ({"kernels": True}, MLP(width=32), 1e-4),
        ({"keep_memory": True}, MLP(width=32), 0),
        ({"read_ahead": 0}, MLP(width=32), 0),
        ({"channels_last": True}, Conv(channels=4, hidden=16), 1e-4),
        ({"precision": "bfloat16"}, MLP(width=32), 0.01),
        ({"precision": "bfloat16"}, Conv(channels=4, hidden=16), 0.01),
    ],
    ids=lambda value: str(value)[:40],
)
def test_losses_agree_with_and_without_a_trick(
    images: ImageSet, trick: dict[str, object], network: Network, within: float
) -> None:
    plain, _ = trained(config(network), images)
    fast, _ = trained(config(network, **trick), images)
    assert fast == pytest.approx(plain, rel=within, abs=0)
    assert (fast == plain) == (within == 0)


@pytest.mark.parametrize("ahead", [0, 1, 4, 50])
def test_images_on_disk_are_the_same_however_far_ahead_they_are_read(
    images: ImageSet, tmp_path: Path, ahead: int
) -> None:
    np.save(tmp_path / "rows.npy", images.train.images.numpy())
    kept = Batches(images.train.images, Binary(), 20, seed=0)
    read = Batches(Mapped(tmp_path / "rows.npy"), Binary(), 20, seed=0, ahead=ahead)
    assert all(torch.equal(kept(step).values, read(step).values) for step in range(25))


def remember(monkeypatch: pytest.MonkeyPatch, folder: Path, linear: float, convolution: float = 1.0) -> Path:
    """Lets the machine be one that was measured before. Returns what remembers it."""
    monkeypatch.setenv("VAESCOPE_CACHE", str(folder))
    path = folder / "precision.json"
    path.write_text(json.dumps({precision.machine(): {"linear": linear, "convolution": convolution}}))
    return path


def resolved(settings: Config, images: ImageSet) -> str:
    """The precision that training would take."""
    return begin(settings, images, torch.device("cpu")).engine.precision


def test_the_faster_precision_is_taken(images: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    auto = config(precision="auto")
    convolutional = replace(auto, model=Flat(network=Conv(channels=4, hidden=16)))
    remember(monkeypatch, tmp_path, 2.0, 0.5)
    assert resolved(auto, images) == "bfloat16"
    assert resolved(convolutional, images) == "float32"
    assert resolved(replace(auto, engine=PLAIN), images) == "float32"
    remember(monkeypatch, tmp_path, 1.1, 1.5)
    assert resolved(auto, images) == "float32"
    assert resolved(convolutional, images) == "bfloat16"


def test_a_likelihood_of_small_scales_is_not_rounded(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remember(monkeypatch, tmp_path, 9.0)
    grey = replace(config(precision="auto"), data=ImageData("sample", targets="grey"), model=Flat(likelihood=Gaussian))
    assert resolved(grey, images) == "float32"
    asked = replace(grey, engine=replace(PLAIN, precision="bfloat16"))
    assert resolved(asked, images) == "bfloat16"


@pytest.mark.parametrize("damaged", [None, "", "[]", "{", '{"a": 3}', '{"a": {"linear": "x", "convolution": 1}}'])
def test_the_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damaged: str | None) -> None:
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path))
    if damaged is not None:
        (tmp_path / "precision.json").write_text(damaged)
    found = precision.capability()
    assert all(0.05 < value < 50 for value in found.values())
    monkeypatch.setattr(precision, "_measured", lambda: pytest.fail("measured again"))
    assert precision.capability() == found


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "file"))
    found = precision.capability()
    monkeypatch.setattr(precision, "_measured", lambda: pytest.fail("measured again"))
    assert precision.capability() == found


def test_measuring_leaves_random_numbers_as_they_were() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    precision._measured()
    assert torch.equal(torch.rand(3), expected)


def test_what_is_reported_is_in_single_precision(images: ImageSet) -> None:
    _, state = trained(config(precision="bfloat16"), images)
    assert all(value.dtype == torch.float32 for value in state.model.parameters())
    shown = Examples(images.validation.images.float() / 255)
    found = negative_elbo(state.model, shown).negative_elbo
    plain = begin(config(), images, torch.device("cpu"))
    plain.model.load_state_dict(state.model.state_dict())
    assert found == negative_elbo(plain.model, shown).negative_elbo


def test_a_resumed_run_goes_on_in_its_own_precision(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remember(monkeypatch, tmp_path, 2.0)
    auto = config(precision="auto")
    whole, _ = trained(auto, images)
    state = begin(auto, images, torch.device("cpu"))
    state.model.train()
    first = [state.advance()["loss"].item() for _ in range(5)]
    state.keep_best(1.0)
    path = checkpoint.save(tmp_path / "checkpoints", state)
    remember(monkeypatch, tmp_path, 0.5)
    resumed = begin(auto, images, torch.device("cpu"))
    assert resumed.engine.precision == "float32"
    checkpoint.restore(path, resumed)
    resumed.model.train()
    assert first + [resumed.advance()["loss"].item() for _ in range(7)] == whole


def test_a_resumed_run_says_what_it_multiplies_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []
    monkeypatch.setattr(experiment, "conclude", lambda *_: None)
    auto, folder = config(precision="auto"), tmp_path / "run"
    remember(monkeypatch, tmp_path, 2.0)
    experiment.train(auto, "", folder, report=told.append, interrupted=lambda: True)
    remember(monkeypatch, tmp_path, 0.5)
    experiment.train(auto, "", folder, resume=True, report=told.append)
    assert [line for line in told if "multiplies" in line] == [
        "training multiplies in bfloat16, in which this machine is faster (engine.precision)",
        "training multiplies in bfloat16, as it did before (engine.precision)",
    ]


def test_a_checkpoint_of_another_precision_is_refused(images: ImageSet, tmp_path: Path) -> None:
    _, state = trained(config(), images)
    state.keep_best(1.0)
    path = checkpoint.save(tmp_path, state)
    file = path / "state.json"
    file.write_text(file.read_text().replace('"float32"', '"float8"'))
    checkpoint.seal(path)
    with pytest.raises(UsageError, match=r"cannot be resumed from \(precision is float8\)"):
        checkpoint.restore(path, begin(config(), images, torch.device("cpu")))


class Switches(Observer):
    """Remembers how torch is set, and the losses."""

    def __init__(self) -> None:
        self.seen: set[tuple[bool, ...]] = set()
        self.losses: list[float] = []

    def stepped(self, state: State, terms: Terms) -> None:
        self.seen.add(switches())
        self.losses.append(terms["loss"].item())


def switches() -> tuple[bool, ...]:
    """How torch is set."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    kind = torch.are_deterministic_algorithms_enabled(), warns, cudnn.deterministic, cudnn.benchmark
    return (*kind, cudnn.allow_tf32, matmul.allow_tf32)


@pytest.mark.parametrize("deterministic", [False, True])
def test_torch_is_deterministic_while_a_run_trains_and_then_as_it_was(deterministic: bool, images: ImageSet) -> None:
    before = switches()
    settings, watch = config(deterministic=deterministic), Switches()
    state = begin(settings, images, torch.device("cpu"))
    shown = Examples(images.validation.images.float() / 255)
    fit(state, settings.trainer, shown, [watch])
    assert watch.seen == {(True, False, True, False, False, False) if deterministic else before}
    assert switches() == before
    assert watch.losses == trained(config(), images)[0]  # on a CPU it changes nothing


class Unordered(ELBO):
    """An objective with an operation that has no deterministic form."""

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        torch.zeros(3).put_(torch.tensor([1, 1]), torch.ones(2))
        return super().__call__(model, x, context, progress)


def test_an_operation_that_is_not_deterministic_is_told_in_one_line(images: ImageSet) -> None:
    before = switches()
    settings = replace(config(deterministic=True), objective=Unordered())
    state = begin(settings, images, torch.device("cpu"))
    with pytest.raises(UsageError, match=r"^engine\.deterministic is true, but put_ .* set it to false") as caught:
        fit(state, settings.trainer, Examples(images.validation.images.float() / 255))
    assert "\n" not in str(caught.value)
    assert switches() == before
    assert "CUBLAS_WORKSPACE_CONFIG=:4096:8" in refusal("Deterministic behavior was enabled with ... CuBLAS")


def test_what_else_goes_wrong_in_a_deterministic_run_is_left_as_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^no memory$"), steady(Engine(deterministic=True)):
        raise RuntimeError("no memory")
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_deterministic_run_is_told_to_cublas_first_and_measures_nothing(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "capability", lambda: pytest.fail("measured"))
    engine, gpu = Engine(deterministic=True), torch.device("cuda")
    assert put(tiny(), torch.device("cpu"), engine).precision == "float32"
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", {})
        allow_steady(engine, torch.device("cpu"))
        allow_steady(Engine(), gpu)
        assert os.environ == {}
        allow_steady(engine, gpu)
        assert os.environ == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
        allow_steady(engine, gpu)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # which will do, too


def test_what_a_network_gives_has_the_type_of_what_it_is_given() -> None:
    for dtype in (torch.float32, torch.float64):
        net = torch.nn.Linear(5, 3, dtype=dtype)
        assert all(precision.products(net, torch.ones(2, 5, dtype=dtype), p).dtype == dtype for p in PRECISIONS)


def test_a_run_in_half_precision_is_bit_identical_when_repeated(images: ImageSet) -> None:
    settings = config(precision="bfloat16", kernels=True)
    assert trained(settings, images)[0] == trained(settings, images)[0]


def test_fitting_in_half_precision_learns_as_well(images: ImageSet) -> None:
    reached = []
    for chosen in ("float32", "bfloat16"):
        settings = replace(config(precision=chosen), trainer=Trainer(batch_size=25, epochs=10))
        state = begin(settings, images, torch.device("cpu"))
        shown = settings.data.target.evaluation([images.validation.images])[0]
        assert fit(state, settings.trainer, shown) == "finished"
        reached.append(state.best)
    assert reached[1] == pytest.approx(reached[0], rel=0.01)


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_freed() in (True, False)
    assert keep_freed() == keep_freed()


def test_tf32_is_refused_where_it_would_change_nothing(images: ImageSet) -> None:
    with pytest.raises(UsageError, match=r"engine\.precision is tf32, in which only GPUs multiply: use auto"):
        begin(config(precision="tf32"), images, torch.device("cpu"))


@pytest.mark.parametrize(("most", "sizes"), [(1 << 30, [1 << 30]), (1 << 25, [1 << 30, 1 << 25])])
def test_older_c_libraries_keep_smaller_blocks(monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[int]) -> None:
    asked: list[tuple[int, int]] = []

    def mallopt(which: int, value: int) -> bool:
        asked.append((which, value))
        return which == memory.TRIM_THRESHOLD or value <= most

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    monkeypatch.setattr(memory.sys, "platform", "linux")
    assert keep_freed.__wrapped__()
    assert asked == [(memory.MMAP_THRESHOLD, size) for size in sizes] + [(memory.TRIM_THRESHOLD, 2**31 - 1)]


def test_reading_ahead_is_refused_below_zero() -> None:
    with pytest.raises(UsageError, match=r"engine\.read_ahead is -1: give a whole number of at least 0"):
        Engine(read_ahead=-1)
