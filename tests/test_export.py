"""Models that travel: the programs do what the model does, and say what they are."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from test_grammar import LATENTS, LIKELIHOODS, network
from torch import Tensor

from vaescope import export as exporting
from vaescope import families, priors
from vaescope.cli import main
from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.distributions import DiscretisedLogistic
from vaescope.errors import RunError
from vaescope.export import BATCHES, TOLERANCE, decoder_module, encoder_module, export, pickles, real_images
from vaescope.models import Flat, SemiSupervised, aside, encode
from vaescope.nets import Network
from vaescope.optional import hushed
from vaescope.run import Run, validation_examples

ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "travel.md").read_text()


@pytest.fixture(scope="module")
def travelled(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with both kinds of files in its export folder."""
    copy = tmp_path_factory.mktemp("travel") / "tiny"
    shutil.copytree(run_folder, copy, ignore=shutil.ignore_patterns("checkpoints", "figures", "frames.npz"))
    for form in ("onnx", "torch"):
        assert main(["export", str(copy), "--format", form]) == 0
    return copy


def onnx(path: Path, **given: Tensor) -> dict[str, Tensor]:
    """What an ONNX file makes of inputs."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in given.items()})
    return {out.name: torch.from_numpy(array) for out, array in zip(session.get_outputs(), found, strict=True)}


def program(path: Path, **given: Tensor) -> dict[str, Tensor]:
    """What a torch program makes of inputs."""
    return torch.export.load(path).module()(*given.values())


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and (a - b).abs().max().item() <= TOLERANCE


FORMS = [(onnx, ".onnx"), (program, ".pt2")]


@pytest.mark.parametrize(("read", "ending"), FORMS)
@pytest.mark.parametrize("count", [1, 5])
def test_the_programs_do_what_the_run_does(
    read: Callable[..., dict[str, Tensor]], ending: str, count: int, travelled: Path
) -> None:
    run = Run.load(travelled)
    images = run.config.data.load()
    examples = validation_examples(run.model, run.config.data.target, images)[:count]
    found = read(travelled / "export" / f"encoder{ending}", images=examples.values)
    assert list(found) == ["mean", "scale"]
    assert close(found["mean"], encode(run.model, examples))
    with aside(run.model, 0):
        assert close(found["scale"], run.model.infer(examples.values).stddev)
        decoded = run.model.likelihood(found["mean"]).mean
    back = read(travelled / "export" / f"decoder{ending}", latents=found["mean"])
    assert list(back) == ["images"]
    assert close(back["images"], decoded)
    assert not back["images"].requires_grad


def test_a_file_says_what_it_is(travelled: Path) -> None:
    session = ort.InferenceSession(travelled / "export" / "decoder.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert about["run"] == "tiny"
    assert about["half"] == "decoder"
    assert json.loads(about["shape"]) == [1, 28, 28]
    assert len(json.loads(about["classes"])) == 10
    assert (about["targets"], about["bits"], about["latents"]) == ("binary", "1", "2")
    assert "as they are" in about["normalisation"]
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("latents", ["batch", 2])]
    extra = {"vaescope.json": ""}
    torch.export.load(travelled / "export" / "decoder.pt2", extra_files=extra)
    assert json.loads(extra["vaescope.json"]) == about


def test_a_torch_program_holds_no_pickle(travelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that does is found out, before it is read."""

    def never(*given: Any, **named: Any) -> None:
        raise AssertionError("unpickled")

    path = travelled / "export" / "encoder.pt2"
    assert pickles(path) == []
    made, example = encoder_module(Run.load(travelled))
    torch.export.save(torch.export.export(made, tuple(example.values())), tmp_path / "with.pt2")
    monkeypatch.setattr("pickle.Unpickler", never)
    monkeypatch.setattr("pickle.loads", never)
    monkeypatch.setattr("torch.load", never)
    exporting.read_torch(path)
    assert len(pickles(tmp_path / "with.pt2")) == 1  # torch pickles the inputs that it was traced with
    with pytest.raises(RunError, match="pickle"):
        exporting.read_torch(tmp_path / "with.pt2")


def test_the_snippets_of_the_page_run(travelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(travelled / "export")
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        assert len(snippet.splitlines()) <= 7
        known: dict[str, Any] = {}
        exec(compile(snippet, "travel.md", "exec"), known)
        assert known["mean"].shape == (16, 2)
        assert known["pictures"].shape == (16, 1, 28, 28)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports that write a word instead of tracing, and are as far from the model as it says."""

    def write(form: str, path: Path, *rest: Any) -> list[str]:
        path.write_text("new")
        return []

    monkeypatch.setattr(exporting, "write", write)
    monkeypatch.setattr(exporting, "compare", lambda *given: {"mean": 0.0})


def test_an_export_replaces_its_own_kind_alone(
    fast: None, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("encoder.onnx", "encoder.pt2"):
        (folder / name).write_text("old")
    words = ["export", str(run_folder), "-o", str(folder), "--format", "torch"]
    assert main(words) == 0
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"encoder.onnx": "old", "encoder.pt2": "new", "decoder.pt2": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (folder / "notes.txt").touch()
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"vaescope: {folder} is not a folder of an export, it holds notes.txt: give another -o\n"
    assert "give another -o" in refused(export, Run.load(run_folder), folder / "notes.txt")


@pytest.mark.parametrize("wrong", [2e-4, float("nan")])
def test_nothing_is_left_of_a_program_that_differs(
    wrong: float, travelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = exporting.read_onnx

    def worse(path: Path) -> Callable[..., dict[str, Tensor]]:
        """Differs for batches of two alone."""
        right = read(path)
        return lambda given: {k: v + wrong * (len(v) == 2) for k, v in right(given).items()}

    monkeypatch.setattr(exporting, "read_onnx", worse)
    monkeypatch.setattr(
        exporting, "write", lambda form, path, *_: shutil.copy(travelled / "export" / path.name, path) and ["mean"]
    )
    assert main(["export", str(travelled), "-o", str(tmp_path / "out")]) == 1
    assert "encoder.onnx was not kept: its mean differs" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_what_has_no_such_form_is_refused(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.load(run_folder)
    family = type(run.model.likelihood.family)
    forward = family.forward
    monkeypatch.setattr(family, "forward", lambda self, h: forward(self, h if h.sum() > 0 else -h))
    said = refused(export, run, tmp_path / "out", "torch")
    assert "the decoder has no torch form" in said
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = refused(export, Run.load(run_folder), tmp_path / "out")
    assert said == "this needs onnxruntime: pip install 'vaescope[export]'"
    assert not list(tmp_path.iterdir())


def test_without_its_data_a_run_is_tried_on_samples(run_folder: Path) -> None:
    run = Run.load(run_folder)
    shown, title = real_images(run)
    assert "validation images" in title
    assert set(shown["images"].unique().tolist()) == {0, 1}
    elsewhere = made(run.model, data=ImageData("fashion-mnist", Path("nowhere")))
    drawn, title = real_images(elsewhere)  # fetches nothing
    assert "samples" in title
    for images in (shown["images"], drawn["images"]):
        assert images.shape == (max(BATCHES), 1, 28, 28)
        assert images.dtype == torch.float32
        assert images.min() >= 0
        assert images.max() <= 1


def made(model: torch.nn.Module, targets: str = "binary", data: ImageData | None = None) -> Run:
    """A run of a model that was never trained, all of whose weights are moved so that none is without effect."""
    settings = Config(data or ImageData("sample", targets=targets))  # type: ignore[arg-type]
    return Run(Path("runs/untrained"), settings, model.eval(), (1, 28, 28), tuple("abcdefghij"), 1, 0.0)  # type: ignore[arg-type]


def moved(model: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


NETWORKS = ["MLP", "Conv", "ResConv", "DeepConv", "Linear"]


def parts() -> Iterator[Any]:
    """Every likelihood, posterior and network in some model."""
    latents = dict(reversed(LATENTS)).items()
    for (likelihood, target), (posterior, prior), net in zip(
        LIKELIHOODS.items(), cycle(latents), cycle(NETWORKS), strict=False
    ):
        yield pytest.param(likelihood, target, posterior, prior, net, id=f"{likelihood}-{posterior}-{net}")


def check(run: Run, form: str, read: Callable[..., dict[str, Tensor]], folder: Path) -> None:
    """The programs give what the run's own model does, on real images in the interval of its targets."""
    files = export(run, folder, form).files  # type: ignore[arg-type]
    seen, _ = real_images(run)
    low, high = run.config.data.target.interval
    x = low + (high - low) * seen["images"]
    conditioned = "labels" in encoder_module(run)[1]
    labels = {"labels": seen["labels"]} if conditioned else {}
    context = run.model.context(seen["labels"]) if conditioned else None
    found = read(files[0], images=seen["images"], **labels)
    assert close(found["mean"], encode(run.model, Examples(x, context)))
    with aside(run.model, 0):
        q = run.model.infer(x, context)
        if type(run.model.posterior.family).__name__ in ("PointMass", "InverseAutoregressive"):
            assert "scale" not in found
        else:
            assert close(found["scale"], q.stddev)
        labels = {"labels": seen["labels"]} if run.model.classes else {}
        mean = run.model.likelihood(found["mean"], run.model.context(seen["labels"])).mean
    back = read(files[1], latents=found["mean"], **labels)["images"]
    assert close(back, ((mean - low) / (high - low)).clamp(0, 1))
    assert back.std() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("likelihood", "target", "posterior", "prior", "net"), list(parts()))
def test_every_part_of_the_grammar_travels(
    likelihood: str, target: str, posterior: str, prior: str, net: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    small: Network = network(net)
    model = Flat(3, small, getattr(priors, prior), getattr(families, posterior), getattr(families, likelihood))(
        (1, 28, 28)
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = made(moved(model), target)
    check(run, "onnx", onnx, tmp_path / "onnx")
    if likelihood in ("OptimalGaussian", "Categorical"):  # what torch traces is the first step to ONNX
        check(run, "torch", program, tmp_path / "torch")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [partial(Flat, labels=True), SemiSupervised], ids=["labels", "classifier"])
def test_models_that_know_labels_travel(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = made(moved(kind(3, network())((1, 28, 28), 10)), "grey")
    check(run, "onnx", onnx, tmp_path / "out")
    shown, _ = real_images(run)
    if "labels" not in encoder_module(run)[1]:
        found = onnx(tmp_path / "out" / "encoder.onnx", images=shown["images"])["probabilities"]
        with aside(run.model, 0):
            assert close(found, run.model.classify(shown["images"]).probs)  # type: ignore[attr-defined]
    latents = decoder_module(run)[1]["latents"][:1].expand(10, -1).contiguous()
    every = onnx(tmp_path / "out" / "decoder.onnx", latents=latents, labels=torch.arange(10))["images"]
    assert np.ptp(every.numpy(), axis=0).max() > 0.01  # labels matter


@pytest.mark.slow
def test_a_mean_of_levels_is_the_same_in_onnx_wherever_it_lies(tmp_path: Path) -> None:
    class Mean(torch.nn.Module):
        def forward(self, loc: Tensor, scale: Tensor) -> Tensor:
            return DiscretisedLogistic(loc, scale).mean

    grid = torch.cartesian_prod(torch.linspace(-0.5, 1.5, 41), torch.logspace(-3, 0, 13))
    loc, scale = grid.unbind(1)
    with hushed("torch.onnx"):
        torch.onnx.export(Mean(), (loc, scale), tmp_path / "mean.onnx", dynamo=True, verbose=False)
    (found,) = onnx(tmp_path / "mean.onnx", loc=loc, scale=scale).values()
    assert close(found, Mean()(loc, scale))
