"""The command line as a user meets it: what comes out, where, and with which exit code."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from safetensors import safe_open

from vaescope import config
from vaescope.cli import VERBS, main
from vaescope.data.examples import Examples
from vaescope.data.idx import write_idx
from vaescope.data.pixels import decode
from vaescope.data.sources import NAMED
from vaescope.errors import UsageError
from vaescope.metrics import negative_elbo
from vaescope.nets import Conv
from vaescope.request import contents, parser
from vaescope.run import Run

PICTURES = {
    "training.png", "latent_space.png", "latent_representation.png", "reconstructions.png", "samples.png",
    "latent_activity.png", "traversals.png", "architecture.png", "latent_representation.gif", "latent_progression.gif",
}  # fmt: skip
OF_LABELS = {"classes.png"}
"""Drawn of models with labels only."""


def python(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs Python in a process of its own."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_help_is_instant_because_it_imports_no_torch() -> None:
    code = "import sys; from vaescope.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    done = python("-c", code)
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


def test_listing_sets_imports_no_torch() -> None:
    code = "import sys; from vaescope.cli import main; main(['data', 'list']); sys.exit('torch' in sys.modules)"
    done = python("-c", code)
    assert done.returncode == 0
    assert "fashion-mnist" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert f"vaescope {verb} " in capsys.readouterr().out.split("example:")[1]


def test_python_m_vaescope_works() -> None:
    assert python("-m", "vaescope", "--version").stdout.startswith("vaescope ")


def test_a_run_leaves_everything(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    assert names == {
        "config.yaml", "metrics.jsonl", "checkpoints", "model.safetensors", "frames.npz", "figures", "README.md",
        "history.jsonl", ".lock",
    }  # fmt: skip
    assert {path.name for path in (run_folder / "figures").iterdir()} == PICTURES
    for path in (run_folder / "figures").iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.width <= 1600
    splits = [json.loads(line)["split"] for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert splits[-1] == "test"
    assert splits.count("test") == 1
    with np.load(run_folder / "frames.npz", allow_pickle=False) as frames:
        assert frames["numbers"].shape == (6, 4)
        assert frames["latents"].shape == (6, 40, 2)
        assert frames["pictures"].shape == (6, 20, 1, 28, 28)
    with safe_open(run_folder / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["vaescope"])["shape"] == [1, 28, 28]
    for number in ("nats per image", "test −ELBO", "images/s"):
        assert number in (run_folder / "README.md").read_text()


def test_the_summary_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *TINY, "--trainer.steps", "3", "--out", str(tmp_path / "r"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    test = record["test"]
    assert test["negative_elbo"] == pytest.approx(test["distortion"] + test["rate"])
    assert record["steps"] == 3
    assert all(Path(path).exists() for path in record["figures"])


def test_a_loaded_run_scores_as_it_did(run_folder: Path) -> None:
    from vaescope.metrics import negative_elbo

    run = Run.load(run_folder)
    images = run.config.data.load()
    shown = run.config.data.target.evaluation([images.validation.images, images.test.images])[1]
    said = json.loads((run_folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert negative_elbo(run.model, shown).negative_elbo == pytest.approx(said["negative_elbo"], abs=1e-3)


def test_sample(run_folder: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        assert main(["sample", str(run_folder), "-n", "5", "-o", str(tmp_path / name)]) == 0
    a, b = (np.load(tmp_path / name)["images"] for name in ("a.npz", "b.npz"))
    assert a.shape == (5, 1, 28, 28)
    assert (a == b).all()
    assert main(["sample", str(run_folder), "-n", "4", "--temperature", "0", "-o", str(tmp_path / "c.npz")]) == 0
    c = np.load(tmp_path / "c.npz")["images"]
    assert (c == c[0]).all()
    assert main(["sample", str(run_folder), "-o", str(tmp_path / "d.png")]) == 0
    Image.open(tmp_path / "d.png").load()


def test_reconstruct_the_test_images_and_own_ones(run_folder: Path, tmp_path: Path) -> None:
    assert main(["reconstruct", str(run_folder), "-o", str(tmp_path / "a.png")]) == 0
    own = tmp_path / "own.npy"
    np.save(own, np.zeros((3, 28, 28), np.uint8))
    assert main(["reconstruct", str(run_folder), str(own), "-o", str(tmp_path / "b.png")]) == 0
    Image.open(tmp_path / "b.png").load()


def test_encode_is_deterministic_and_in_order(run_folder: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz", "c.csv"):
        assert main(["encode", str(run_folder), "-o", str(tmp_path / name)]) == 0
    a, b = (dict(np.load(tmp_path / name)) for name in ("a.npz", "b.npz"))
    assert a["mean"].shape == a["scale"].shape == (60, 2)
    assert all((a[name] == b[name]).all() for name in a)
    assert a["class"][0] == Run.load(run_folder).classes[a["label"][0]]
    assert (a["label"] == Run.load(run_folder).config.data.load().test.labels.numpy()).all()  # type: ignore[union-attr]
    with (tmp_path / "c.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean2"]) for row in rows] == pytest.approx(a["mean"][:, 1].tolist(), abs=1e-6)
    assert list(rows[0]) == ["index", "mean1", "mean2", "scale1", "scale2", "elbo", "label", "class"]


def test_rows_are_called_by_their_images_where_places_would_not_tell(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an array whose images are called 0, 1, 2 ...: with some left out, or some of them in the test split."""

    def names(*words: str) -> list[str]:
        assert main(["encode", str(run_folder), *words, "-o", str(tmp_path / "rows.csv")]) == 0
        with (tmp_path / "rows.csv").open() as file:
            return [row.get("name", "none") for row in csv.DictReader(file)]

    def decode_some(content: np.ndarray, *others: Any) -> np.ndarray:
        if content[0, 0, 0] == 255:
            raise UsageError("this one cannot be read")
        return decode(content, *others)

    monkeypatch.setattr("vaescope.data.asked.decode", decode_some)
    own, images = tmp_path / "own.npy", np.zeros((503, 28, 28), np.uint8)
    np.save(own, images)
    assert names(str(own)) == ["none"] * 503
    images[[3, 501], 0, 0] = 255
    np.save(own, images)
    assert names(str(own), "--skip-bad") == [str(k) for k in range(503) if k not in (3, 501)]
    np.save(own, np.full((2, 28, 28), 255, np.uint8))
    assert main(["reconstruct", str(run_folder), str(own), "--skip-bad"]) == 2
    assert "no image that can be read" in capsys.readouterr().err
    called = [str(7 * k) for k in range(60)]
    monkeypatch.setattr("vaescope.data.images.Split.names", lambda split: iter(called))
    assert names() == called


def test_figures_draws_the_same_pictures_again(run_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / run_folder.name
    shutil.copytree(run_folder, copy)
    shutil.rmtree(copy / "figures")
    assert main(["figures", str(copy)]) == 0
    for name in PICTURES:
        assert (copy / "figures" / name).read_bytes() == (run_folder / "figures" / name).read_bytes(), name


@pytest.mark.parametrize("latent", [1, pytest.param(3, marks=pytest.mark.slow), 5])
def test_other_numbers_of_latents_are_drawn(latent: int, tmp_path: Path) -> None:
    words = ["--model.latent", str(latent), "--trainer.epochs", "1", "--out", str(tmp_path / "r")]
    assert main(["train", *TINY, *words]) == 0
    assert {path.name for path in (tmp_path / "r" / "figures").iterdir()} == PICTURES


def test_other_models_run_to_the_end(tmp_path: Path) -> None:
    words = ["--model.network", "Conv", "--model.network.channels", "4", "--model.network.hidden", "8"]
    words += ["--model.prior", "NormalMixture", "--model.likelihood", "Gaussian", "--data.targets", "grey"]
    tiny = [word for word in TINY if word not in ("--model.network.width", "32")]
    assert main(["train", *tiny, *words, "--trainer.epochs", "1", "--out", str(tmp_path / "r")]) == 0


def test_an_autoencoder_runs_to_the_end_without_a_word_of_a_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model.posterior", "PointMass", "--objective", "RAEL2", "--trainer.epochs", "1"]
    assert main(["train", *TINY, *words, "--out", str(tmp_path / "r")]) == 0
    assert {path.name for path in (tmp_path / "r" / "figures").iterdir()} == PICTURES
    said = capsys.readouterr()
    assert "validation distortion" in said.err
    assert "each image in one point: there is no rate" in said.out


def test_images_of_any_size_without_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 3, 9, 13), dtype=np.uint8))
    words = ["--data.name", "idx", "--data.root", str(tmp_path), "--trainer.batch_size", "10", *TINY[4:]]
    assert main(["train", *words, "--trainer.epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert {path.name for path in (tmp_path / "r" / "figures").iterdir()} == PICTURES


@pytest.mark.usefixtures("undrawn")
def test_one_test_image_is_scored_without_a_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 1)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 9, 9), dtype=np.uint8))
    words = ["--data", str(tmp_path), "--trainer.batch_size", "10", *TINY[4:], "--figures.frames", "0"]
    assert main(["train", *words, "--trainer.epochs", "1", "--out", str(tmp_path / "r")]) == 0
    said = capsys.readouterr().out.split("test −ELBO")[1].splitlines()[0]
    assert "±" not in said
    assert json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])["standard_error"] is None


def test_no_animation_is_drawn_where_none_is_wanted(tmp_path: Path) -> None:
    words = [
        "--trainer.epochs",
        "1",
        "--figures.frames",
        "0",
        "--figures.explorer",
        "false",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(["train", *TINY[:8], *words]) == 0
    assert not list((tmp_path / "r" / "figures").glob("*.gif"))
    assert not (tmp_path / "r" / "frames.npz").exists()


@pytest.mark.slow
def test_resume_after_an_interruption_gives_the_uninterrupted_run(tmp_path: Path) -> None:
    """A run killed by Ctrl-C leaves with 130, a checkpoint and pictures, and goes on to the same end."""
    words = ["train", *TINY, "--trainer.epochs", "40", "--trainer.checkpoint_every", "20", "--figures.frames", "0"]
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-m", "vaescope", *words, "--out", str(cut)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(cut.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert (cut / "figures" / "training.png").exists()
    assert main(["train", "--resume", str(cut)]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    a, b = (json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]) for folder in (cut, whole))
    assert a == b


@pytest.mark.usefixtures("undrawn")
def test_a_run_does_not_go_on_with_other_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 9, 9), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images[:50])
    few = ["--trainer.steps", "8", "--trainer.checkpoint_every", "4", "--figures.frames", "0", "--model.latent", "2"]
    few += ["--figures.explorer", "false"]
    assert main(["train", "--data", str(tmp_path / "x.npy"), *few, "--out", str(tmp_path / "run")]) == 0
    (tmp_path / "run" / "model.safetensors").unlink()  # as if it had been cut off before its end
    np.save(tmp_path / "x.npy", images)
    assert main(["train", "--resume", str(tmp_path / "run")]) == 2
    assert "images, but now there are" in capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of a mistake: one line, exit code 2, nothing on standard output."""
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("vaescope: ")
    assert said.err.count("\n") == 1
    return said.err


def test_mistakes_are_told_in_one_line(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("no folder")
    run = str(run_folder)
    for words, expected in {
        ("trian",): "did you mean train?",
        ("train", "--data", "fashion-mnits"): "fashion-mnist",
        ("train", "--data", "./nowhere"): "does not exist",
        ("train", "--data"): "--data needs a name",
        ("train", *TINY, "--trainer.batch_size", "500"): "200 training images",
        ("train", *TINY, "--model.likelihood", "Gaussian"): "data.targets to grey",
        ("train", *TINY, "--data.targets", "centred"): "values in [0, 1]",
        ("train", *TINY, "--out", run): "exists already",
        ("train", *TINY, "--out", str(file / "below")): "cannot be made",
        ("train", "--resume", str(tmp_path)): "no run folder",
        ("train", "--resume", run, "--seed", "1"): "has seed 0, and --resume goes on with its config",
        ("train", "--resume", run, "--data", "mnist"): "leave out --data",
        ("train", "--resume", run, "--out", "other"): "leave out --out",
        ("migrate", str(tmp_path)): "no run folder",
        ("train", *TINY, "--seed", "-1"): "2**63",
        ("train", *TINY, "--seed", "99999999999999999999"): "2**63",
        ("train", *TINY, "--trainer.optimizer.lr", "-1"): "the optimizer cannot be built",
        ("train", *TINY, "--trainer.optimizer.class_path", "LBFGS"): "there is no optimizer LBFGS",
        ("train", *TINY, "--trainer.optimizer.differentiable", "true"): "differentiable",
        ("train", *TINY, "--model.latent", "100000000000"): "the model cannot be built",
        (
            "train",
            *TINY,
            "--model.posterior",
            "Bernoulli",
        ): "use the prior StandardNormal and the posterior DiagonalNormal",
        ("train", *TINY, "--figures.grid", "100000"): "from 2 to 50",
        ("train", *TINY, "--trainer", "other.yaml"): "--trainer other.yaml is no key",
        ("train", "--data", str(tmp_path)): "holds no pictures",
        ("train", "--resume", run): "is finished",
        ("sample", str(tmp_path)): "no run folder",
        ("sample", run, "-n", "0"): "from 1 to 1,000,000",
        ("sample", run, "-n", "100000000000"): "from 1 to 1,000,000",
        ("sample", run, "--seed", "99999999999999999999"): "given",
        ("sample", run, "--temperature", "-1"): "from 0 to 100",
        ("sample", run, "-o", str(file / "x.png")): "cannot be written",
        ("sample", run, "-o", "a.jpeg"): ".png or .npz",
        ("sample",): "required",
        ("encode", run, "-o", "a.txt"): ".npz or .csv",
        ("encode", run, str(file), "-o", "a.npz"): str(file),
        ("encode", run, "-o", str(file / "a.npz")): "cannot be written",
        ("reconstruct", run, "nowhere.png"): "nowhere.png",
        ("data", "fetch", "mnits"): "mnist",
        ("data", "check", "mnist", "--root", str(tmp_path)): "vaescope data fetch mnist",
        ("data", "fetch", "mnist", "--root", str(file)): str(file),
        ("data", "lust"): "invalid choice",
        ("data", "list", "bogus"): "unrecognized",
        ("data", "fetch", "idx"): "your own files",
    }.items():
        assert expected in refused(capsys, *words), words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]  # nothing half-written


def test_a_gpu_is_not_refused_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from vaescope.training import Trainer

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Trainer(device="auto").find_device().type == "cuda"
    assert Trainer(device="cpu").find_device().type == "cpu"


def test_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ("train", *TINY, "--trainer.device", "cuda", "--out", str(tmp_path / "r"))
    assert "no GPU" in refused(capsys, *words)


DAMAGE = [
    ("model.safetensors", b"\x10" * 100, "sample", "damaged"),
    ("model.safetensors", None, "sample", "no weights yet"),
    ("config.yaml", b"model: os.system\n", "sample", "there is no model os.system"),
    ("config.yaml", b"model: {class_path: Flat, init_args: {latent: 3}}\n", "sample", "does not fit"),
    ("metrics.jsonl", b"garbage\n", "figures", "metrics.jsonl is damaged"),
    ("metrics.jsonl", b"{}\n", "figures", "metrics.jsonl is damaged"),
    ("metrics.jsonl", b'{"step": 1, "split": "train"}\n', "figures", "metrics.jsonl is damaged"),
    ("metrics.jsonl", b'{"step": "x", "split": "test"}\n', "figures", "metrics.jsonl is damaged"),
    ("metrics.jsonl", b"", "figures", "metrics.jsonl holds no curve to draw"),
    ("metrics.jsonl", None, "figures", "metrics.jsonl holds no curve to draw"),
    ("frames.npz", b"PK", "figures", "frames.npz cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "verb", "words"), DAMAGE)
def test_a_damaged_run_is_refused(
    name: str,
    content: bytes | None,
    verb: str,
    words: str,
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    assert words in refused(capsys, verb, str(copy))


FORMS = [
    "model: {class_path: Flat, init_args: {prior: {class_path: %s, init_args: {command: touch it}}}}",
    "trainer: {optimizer: {class_path: %s, init_args: {command: touch it}}}",
    "model: %s",
    "objective: %s",
    "trainer: {optimizer: %s}",
    "model: {class_path: Flat, init_args: {network: %s}}",
    "trainer: %s",
    "config: %s",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["vaescope.run.os.system", "evil.Thing", "evil.yaml"])
def test_a_config_runs_no_code(
    form: str,
    name: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither as a file, however it is named on the command line, nor as part of a run folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('it').touch()\nThing = object\n")
    (tmp_path / "evil.yaml").write_text("optimizer: {class_path: evil.Thing}\nmodel: evil.Thing\n")
    (tmp_path / "c.yaml").write_text(form % name + "\n")
    for words in (["--config", "c.yaml"], ["--config=c.yaml"], ["-c", "c.yaml"], ["-cc.yaml"]):
        refused(capsys, "train", *words, *TINY, "--out", "r")
    shutil.copytree(run_folder, tmp_path / "copy")
    shutil.copy("c.yaml", tmp_path / "copy" / "config.yaml")
    refused(capsys, "sample", "copy")
    refused(capsys, "train", "--model.prior", name, *TINY)
    refused(capsys, "train", f"--trainer.optimizer={name}", *TINY)
    refused(capsys, "train", "--model", f"{{class_path: Flat, init_args: {{prior: {name}}}}}", *TINY)
    refused(capsys, "train", "--model.init_args", f"{{prior: {name}}}", *TINY)
    assert not (tmp_path / "it").exists()
    assert not (tmp_path / "r").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_scored_once_and_can_be_finished_after_a_crash(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    assert "is finished" in refused(capsys, "train", "--resume", f"{copy}/")  # as tab completion spells it
    (copy / "model.safetensors").unlink()  # as if it had crashed before writing it
    assert main(["train", f"--resume={copy}/"]) == 0
    lines = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines].count("test") == 1
    assert (copy / "model.safetensors").read_bytes() == (run_folder / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_two_processes_make_the_same_run(tmp_path: Path) -> None:
    words = ["train", *TINY, "--trainer.steps", "12", "--figures.frames", "0", "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert python("-m", "vaescope", *words, str(tmp_path / "b")).returncode == 0
    a, b = (tmp_path / name / "model.safetensors" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()


def test_a_folder_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    shipped = NAMED["sample"].shipped
    assert shipped is not None
    for file in shipped.glob("*images*.gz"):
        shutil.copy(file, tmp_path)
    assert contents(tmp_path) == "idx"  # without its labels it is not the set that we know
    for file in shipped.glob("*labels*.gz"):
        shutil.copy(file, tmp_path)
    assert contents(tmp_path) == "sample"


def test_what_encode_writes_averages_to_the_score(run_folder: Path, tmp_path: Path) -> None:
    assert main(["encode", str(run_folder), "-o", str(tmp_path / "a.npz")]) == 0
    said = json.loads((run_folder / "metrics.jsonl").read_text().splitlines()[-1])
    run = Run.load(run_folder)
    x = Examples(torch.cat([part.examples.values for part in run.test_images()]))
    scores = np.array([negative_elbo(run.model, x, seed=seed).negative_elbo for seed in range(20)])
    assert scores[0] == pytest.approx(said["negative_elbo"], abs=1e-3)
    assert -np.load(tmp_path / "a.npz")["elbo"].mean() == pytest.approx(scores.mean(), abs=4 * scores.std())


def test_a_component_chosen_on_the_command_line_has_its_own_defaults() -> None:
    chosen = config.parse(parser(), ["--model.network", "Conv"]).model.init_args.network.init_args
    assert chosen.channels == Conv().channels


@pytest.mark.usefixtures("undrawn")
def test_the_default_run_folder_is_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", *TINY, "--trainer.steps", "1", "--figures.frames", "0"]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["main", "main-2"]


def test_data_check_takes_a_folder_for_what_train_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, count in (("train", 8), ("t10k", 4)):
        write_idx(tmp_path / "four" / f"{part}-images-idx3-ubyte", np.zeros((count, 9, 9), np.uint8))
    (tmp_path / "mnist").mkdir()
    for k in range(4):
        Image.fromarray(np.full((9, 9), k, np.uint8)).save(tmp_path / "mnist" / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "check", "four"]) == main(["data", "check", "mnist"]) == 0
    said = capsys.readouterr().out
    assert "images of 1x9x9" in said
    assert "mnist: 4 images" in said


def test_data_check_and_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "sample", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["train"]["count"] == 200
    assert main(["data", "list", "--json"]) == 0
    assert {"fashion-mnist", "mnist", "sample", "sprites"} == {
        row["name"] for row in json.loads(capsys.readouterr().out)
    }
    assert main(["data", "fetch", "sample"]) == 0


def test_more_images_than_are_read_at_once_are_reconstructed(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vaescope.figures import tiles

    shown: list[int] = []
    monkeypatch.setattr(tiles, "comparison", lambda path, *images, **named: shown.extend(map(len, images)))
    np.save(tmp_path / "many.npy", np.zeros((1203, 28, 28), np.uint8))
    for count in ("1201", "7", "5000"):
        assert main(["reconstruct", str(run_folder), str(tmp_path / "many.npy"), "-n", count]) == 0
    assert shown == [1201, 1201, 7, 7, 1203, 1203]
