"""The command line as a user meets it: what comes out, where, and with which exit code."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from PIL import Image
from safetensors import safe_open

from vaescope.cli import VERBS, main
from vaescope.run import Run

PICTURES = {
    "training.png", "latent_space.png", "latent_representation.png", "reconstructions.png", "samples.png",
    "traversals.png", "architecture.png", "latent_representation.gif", "latent_progression.gif",
}  # fmt: skip


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
    values = run.config.data.target.evaluation([images.validation.images, images.test.images])[1]
    said = json.loads((run_folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert negative_elbo(run.model, values).negative_elbo == pytest.approx(said["negative_elbo"], abs=1e-3)


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
    assert (a["label"] == Run.load(run_folder).config.data.load().test.labels.numpy()).all()  # type: ignore[union-attr]
    with (tmp_path / "c.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean2"]) for row in rows] == pytest.approx(a["mean"][:, 1].tolist(), abs=1e-6)
    assert list(rows[0]) == ["index", "mean1", "mean2", "scale1", "scale2", "elbo", "label"]


def test_figures_draws_the_same_pictures_again(run_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / run_folder.name
    shutil.copytree(run_folder, copy)
    shutil.rmtree(copy / "figures")
    assert main(["figures", str(copy)]) == 0
    for name in PICTURES:
        assert (copy / "figures" / name).read_bytes() == (run_folder / "figures" / name).read_bytes(), name


@pytest.mark.parametrize("latent", [1, 3, 5])
def test_other_numbers_of_latents_are_drawn(latent: int, tmp_path: Path) -> None:
    words = ["--model.latent", str(latent), "--trainer.epochs", "1", "--out", str(tmp_path / "r")]
    assert main(["train", *TINY, *words]) == 0
    assert {path.name for path in (tmp_path / "r" / "figures").iterdir()} == PICTURES


def test_other_models_run_to_the_end(tmp_path: Path) -> None:
    words = ["--model.network", "Conv", "--model.network.channels", "4", "--model.network.hidden", "8"]
    words += ["--model.prior", "NormalMixture", "--model.likelihood", "Gaussian", "--data.targets", "grey"]
    tiny = [word for word in TINY if word not in ("--model.network.width", "32")]
    assert main(["train", *tiny, *words, "--trainer.epochs", "1", "--out", str(tmp_path / "r")]) == 0


def test_images_of_any_size_without_labels(tmp_path: Path) -> None:
    from vaescope.data.idx import write_idx

    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 3, 9, 13), dtype=np.uint8))
    words = ["--data.name", "idx", "--data.root", str(tmp_path), "--trainer.batch_size", "10", *TINY[4:]]
    assert main(["train", *words, "--trainer.epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert {path.name for path in (tmp_path / "r" / "figures").iterdir()} == PICTURES


def test_no_animation_is_drawn_where_none_is_wanted(tmp_path: Path) -> None:
    words = ["--trainer.epochs", "1", "--figures.frames", "0", "--out", str(tmp_path / "r")]
    assert main(["train", *TINY[:6], *words]) == 0
    assert not list((tmp_path / "r" / "figures").glob("*.gif"))
    assert not (tmp_path / "r" / "frames.npz").exists()


def test_resume_after_an_interruption_gives_the_uninterrupted_run(tmp_path: Path) -> None:
    """A run killed by Ctrl-C leaves with 130, a checkpoint and pictures, and goes on to the same end."""
    words = ["train", *TINY, "--trainer.epochs", "60", "--trainer.checkpoint_every", "50"]
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
        ("train", "--data", "./nowhere"): "no folder",
        ("train", "--data"): "--data needs a name",
        ("train", *TINY, "--trainer.batch_size", "500"): "200 training images",
        ("train", *TINY, "--model.likelihood", "Gaussian"): "data.targets to grey",
        ("train", *TINY, "--data.targets", "centred"): "values in [0, 1]",
        ("train", *TINY, "--out", run): "exists already",
        ("train", *TINY, "--out", str(file / "below")): "cannot be made",
        ("train", "--resume", str(tmp_path)): "no run folder",
        ("train", "--resume", run, "--seed", "1"): "--seed cannot be given",
        ("train", "--resume", run): "is finished",
        ("train", *TINY, "--trainer.device", "cuda"): "no GPU",
        ("sample", str(tmp_path)): "no run folder",
        ("sample", run, "-n", "0"): "at least 1",
        ("sample", run, "--temperature", "-1"): "at least 0",
        ("sample", run, "-o", "a.jpeg"): ".png or .npz",
        ("sample",): "required",
        ("encode", run, "-o", "a.txt"): ".npz or .csv",
        ("encode", run, str(file), "-o", "a.npz"): str(file),
        ("reconstruct", run, "nowhere.png"): "nowhere.png",
        ("data", "fetch", "mnits"): "mnist",
        ("data", "check", "mnist", "--root", str(tmp_path)): "vaescope data fetch mnist",
        ("data", "fetch", "mnist", "--root", str(file)): str(file),
        ("data", "lust"): "invalid choice",
    }.items():
        assert expected in refused(capsys, *words), words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]  # nothing half-written


def test_a_gpu_is_not_refused_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from vaescope.train import Trainer

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Trainer(device="auto").find_device().type == "cuda"
    assert Trainer(device="cpu").find_device().type == "cpu"


def test_a_damaged_run_is_told_in_one_line(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    (copy / "model.safetensors").write_bytes(b"\x10" * 100)
    assert "damaged" in refused(capsys, "sample", str(copy))
    (copy / "model.safetensors").unlink()
    assert "no weights yet" in refused(capsys, "sample", str(copy))
    (copy / "config.yaml").write_text("model:\n  class_path: os.system\n")
    shutil.copy(run_folder / "model.safetensors", copy)
    assert "os.system" in refused(capsys, "sample", str(copy))


def test_the_default_run_folder_is_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", *TINY, "--trainer.steps", "1", "--figures.frames", "0"]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["main", "main-2"]


def test_data_check_and_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "sample", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["train"]["count"] == 200
    assert main(["data", "list", "--json"]) == 0
    assert {"fashion-mnist", "mnist", "sample"} == {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert main(["data", "fetch", "sample"]) == 0
