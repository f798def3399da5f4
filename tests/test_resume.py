"""A run that goes on: from where, with what, and what is refused. That it goes on exactly is in test_training.py."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import vaescope as vs
from tests.conftest import TINY
from vaescope import checkpoint, files
from vaescope.cli import main
from vaescope.cli.train import BATCH, Interruption
from vaescope.config import Config, differences
from vaescope.data.batches import Batches
from vaescope.data.images import ImageSet
from vaescope.errors import RunError, UsageError
from vaescope.experiment import begin, make_folder
from vaescope.files import OLD, alone, remove_leftovers
from vaescope.history import moved, note, read_history
from vaescope.models import Flat
from vaescope.nets import MLP
from vaescope.observers import read_lines
from vaescope.terminal import tell
from vaescope.training import State, Trainer

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """A finished run of three epochs, to be changed."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@pytest.fixture
def state(images: ImageSet) -> State:
    """The beginning of a run."""
    small = Config(model=Flat(network=MLP(width=16)), trainer=Trainer(batch_size=20))
    return begin(small, images, torch.device("cpu"))


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run but for what is measured."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(folder / "metrics.jsonl")]


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of a mistake, in one line."""
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    run: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "model.safetensors").unlink()
    (run / "metrics.jsonl").write_text('{"step": 0, "epoch": 0.0, "split": "valida')
    (run / "figures" / ".samples.7-8.tmp.png").write_text("half")
    assert main(["train", "--resume", str(run)]) == 0
    assert "holds no checkpoint yet: beginning anew" in capsys.readouterr().err
    assert (run / "model.safetensors").read_bytes() == (run_folder / "model.safetensors").read_bytes()
    assert (run / "frames.npz").read_bytes() == (run_folder / "frames.npz").read_bytes()
    assert without_seconds(run) == without_seconds(run_folder)
    assert not list(run.rglob(".*.tmp*"))


def test_a_finished_run_can_be_trained_longer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = without_seconds(run)
    assert "more --trainer.epochs" in refusal(capsys, "train", "--resume", str(run))
    assert "more --trainer.epochs" in refusal(capsys, "train", "--resume", str(run), "--trainer.epochs", "2")
    assert main(["train", "--resume", str(run), "--trainer.epochs", "4"]) == 0
    lines = without_seconds(run)
    assert lines[: len(before) - 1] == before[:-1]  # all but the test, which was scored anew
    assert [line["step"] for line in lines if line["split"] == "validation"] == [0, 10, 20, 30, 40]
    assert [line["split"] for line in lines].count("test") == 1
    assert "epochs: 4" in (run / "config.yaml").read_text()
    events = read_history(run)
    assert [line["event"] for line in events] == ["begun", "finished", "extended", "finished"]
    assert events[2]["changed"] == {"trainer.epochs": [3, 4]}
    assert "is finished" in refusal(capsys, "train", "--resume", str(run))
    shutil.rmtree(run / "checkpoints")
    assert "no checkpoint from which" in refusal(capsys, "train", "--resume", str(run), "--trainer.epochs", "5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.latent", "3"], "has model.init_args.latent 2"),
        (["--seed=1"], "has seed 0"),
        (["--config", "configs/latent32.yaml"], "has "),
        (["--trainer.optimizer.lr", "0.1"], "has trainer.optimizer.init_args.lr"),
        (["--out", "elsewhere"], "leave out --out"),
        (["--data=mnist"], "leave out --data"),
        (["--skip-bad"], "leave out --skip-bad"),
    ],
)
def test_the_config_of_a_run_stays(run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "train", "--resume", str(run), *words)
    assert said in told
    assert "leave out" in told or "trainer.epochs, trainer.steps, trainer.patience" in told


def test_a_run_can_be_trained_longer_from_python(run: Path) -> None:
    with pytest.raises(UsageError, match="is finished"):
        vs.resume(run, verbose=False)
    longer = vs.resume(run, keys={"trainer.epochs": 4, "trainer.keep": 1}, verbose=False)
    assert longer.origin.steps == 40
    assert len(list((run / "checkpoints").iterdir())) == 1


def test_what_is_the_same_is_no_change(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", str(run / "config.yaml"), "--seed", "0", "--trainer.keep", "9"]
    assert "is finished" in refusal(capsys, "train", *words, "--resume", str(run))


def test_differences_of_configs() -> None:
    assert differences("a: 1\nb: {c: 2, d: 3}", "a: 1\nb: {c: 4}") == {"b.c": (2, 4), "b.d": (3, None)}
    assert not differences("a: ELBO", "a: {class_path: ELBO}")


def test_other_images_are_known(state: State) -> None:
    rows = state.batches.images
    other = rows[:].clone()
    other[-1, 0, 0, 0] ^= 1
    same, changed = (Batches(images, state.batches.target, 20, 0) for images in (rows[:].clone(), other))
    assert same.fingerprint == state.batches.fingerprint != changed.fingerprint
    labelled = Batches(rows, state.batches.target, 20, 0, torch.zeros(len(rows), 3))
    assert labelled.fingerprint != same.fingerprint


def saved(folder: Path, state: State, *steps: int) -> list[Path]:
    """Checkpoints of some steps."""
    state.keep_best(1.0)
    paths = []
    for state.step in steps:
        paths.append(checkpoint.save(folder, state))
    return paths


def damage(path: Path) -> None:
    """Flips a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: damage(path / "optimizer-0.safetensors"),
        lambda path: damage(path / "state.json"),
        lambda path: damage(path / "SHA256SUMS"),
        lambda path: (path / "best.safetensors").unlink(),
        lambda path: (path / "state.json").unlink(),
        lambda path: (path / "more").write_text(""),
        lambda path: [file.unlink() for file in path.iterdir()],
    ],
)
def test_a_damaged_checkpoint_is_passed_over_in_one_line(
    spoil: Callable[[Path], Any], state: State, tmp_path: Path
) -> None:
    first, second = saved(tmp_path, state, 10, 20)
    spoil(second)
    said: list[str] = []
    assert checkpoint.good(tmp_path, said.append) == first
    assert len(said) == 1
    assert "step-000020 is damaged" in said[0]
    assert "\n" not in said[0]
    checkpoint.remove_after(tmp_path, 10)
    assert list(tmp_path.iterdir()) == [first]
    spoil(first)
    with pytest.raises(UsageError, match="none of the 1 checkpoints"):
        checkpoint.good(tmp_path)


def test_a_checkpoint_that_is_in_the_way_damaged_is_written_anew(state: State, tmp_path: Path) -> None:
    (path,) = saved(tmp_path, state, 10)
    times = path.stat().st_mtime_ns
    saved(tmp_path, state, 10)
    assert path.stat().st_mtime_ns == times
    damage(path / "model.safetensors")
    saved(tmp_path, state, 10)
    checkpoint.verify(path)
    state.total += 1  # as if the run were longer now
    saved(tmp_path, state, 10)
    assert checkpoint.read_state(path)["total"] == state.total
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_named_almost_as_a_checkpoint_is_none(state: State, tmp_path: Path) -> None:
    (path,) = saved(tmp_path, state, 10)
    (tmp_path / "step-²").mkdir()
    assert checkpoint.good(tmp_path) == path


def test_damage_is_not_another_format(state: State, tmp_path: Path) -> None:
    first, second = saved(tmp_path / "my checkpoint format", state, 10, 20)
    damage(second / "state.json")
    assert checkpoint.good(first.parent, lambda line: None) == first


def test_the_hashes_are_those_of_sha256sum(state: State, tmp_path: Path) -> None:
    (path,) = saved(tmp_path, state, 10)
    lines = (path / "SHA256SUMS").read_text().splitlines()
    assert {line[64:66] for line in lines} == {"  "}
    assert {line[66:] for line in lines} == {file.name for file in path.iterdir()} - {"SHA256SUMS"}


def older(run: Path) -> None:
    """Makes the checkpoint of a run what format 1 was."""
    (path,) = (run / "checkpoints").iterdir()
    (path / "SHA256SUMS").unlink()
    metrics = checkpoint.load_tensors(path / "metrics.safetensors")
    (path / "metrics.safetensors").unlink()
    if rest := {name: value for name, value in metrics.items() if name != "lines"}:
        checkpoint.save_tensors(path / "metrics.safetensors", rest)
    record = json.loads((path / "state.json").read_text())
    for name in ("data", "easing", "back_offs"):
        del record[name]
    (path / "state.json").write_text(json.dumps(record | {"format": 1}))


def test_a_run_of_an_older_version_is_brought_up_to_date(
    run: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older(run)
    (run / "model.safetensors").unlink()
    assert f"vaescope migrate {run}" in refusal(capsys, "train", "--resume", str(run))
    assert main(["migrate", str(run)]) == 0
    assert "1 checkpoints brought up to date" in capsys.readouterr().out
    assert main(["migrate", str(run)]) == 0
    assert "is up to date" in capsys.readouterr().out
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "model.safetensors").read_bytes() == (run_folder / "model.safetensors").read_bytes()
    assert without_seconds(run) == without_seconds(run_folder)


def test_a_run_of_a_newer_version_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = (run / "checkpoints").iterdir()
    (path / "state.json").write_text('{"format": 3}')
    for words in (["train", "--resume"], ["migrate"]):
        assert "pip install -U vaescope" in refusal(capsys, *words, str(run))


def test_two_processes_do_not_train_one_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone(run):
        for words in (["train", "--trainer.epochs", "9", "--resume"], ["migrate"]):
            assert "is being trained by another process" in refusal(capsys, *words, str(run))
    with alone(run):
        pass


@pytest.mark.skipif(not hasattr(signal, "siginterrupt"), reason="here no signal interrupts a system call")
def test_a_run_folder_that_may_not_survive_a_power_cut_is_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.to_disk

    def broken(path: Path) -> None:
        if path == tmp_path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path)

    monkeypatch.setattr(files, "to_disk", broken)
    with pytest.raises(RunError, match=r"cannot be written \(Input/output error\); .* --resume"):
        make_folder(tmp_path / "run", "")
    with pytest.raises(UsageError, match="exists already"):
        make_folder(tmp_path / "run", "")


def test_a_signal_interrupts_no_native_code_that_reads_or_writes() -> None:
    """Rust does not begin a call again that a signal has interrupted, as they are on network file systems."""
    library, (out, into) = ctypes.CDLL(None, use_errno=True), os.pipe()
    wait, here = partial(time.sleep, 0.2), threading.get_ident()
    steps = [wait, lambda: signal.pthread_kill(here, BATCH), wait, lambda: os.write(into, b"x")]
    stop = Interruption()
    try:
        later = threading.Thread(target=lambda: [step() for step in steps])
        later.start()
        read = library.read(out, ctypes.create_string_buffer(1), 1)
        later.join()
    finally:
        stop.disarm()
        os.close(out)
        os.close(into)
    assert (read, stop.wanted()) == (1, True)


def test_the_only_checkpoint_comes_back_if_replacing_it_was_cut_off(
    run: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (run / "checkpoints").iterdir()
    place = path.with_name(f".{path.name}.abc.tmp")
    place.mkdir()
    path.rename(place / OLD)
    (run / "model.safetensors").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert "going on from step 30 of 30" in capsys.readouterr().err
    assert (run / "model.safetensors").read_bytes() == (run_folder / "model.safetensors").read_bytes()


def test_metrics_that_are_damaged_are_put_back(run: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(run / "metrics.jsonl")
    (run / "metrics.jsonl").write_bytes(b"\0" * 9 + b"\n" + (run / "metrics.jsonl").read_bytes())
    assert main(["train", "--resume", str(run)]) == 0
    assert "metrics.jsonl is damaged" in capsys.readouterr().err
    assert without_seconds(run) == without_seconds(run_folder)


def test_a_file_system_without_locks_refuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*given: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    with alone(tmp_path), alone(tmp_path):
        pass
    assert list(tmp_path.glob(".lock*")) in ([], [tmp_path / ".lock"])


def test_a_folder_that_cannot_be_written_to_is_no_riddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(RunError, match=r"cannot be written to \(Read-only file system\)"), alone(tmp_path):
        pass


def test_a_pipe_in_a_checkpoint_makes_nobody_wait(state: State, tmp_path: Path) -> None:
    first, second = saved(tmp_path, state, 10, 20)
    for name in ("state.json", "best.safetensors"):
        (second / name).unlink()
        os.mkfifo(second / name)
        assert checkpoint.good(tmp_path) == first


def test_leftovers_go_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".step-000010.abc.tmp" / "deep").mkdir(parents=True)
    (tmp_path / ".a.1-2.tmp.png").write_text("")
    (tmp_path / ".export.abcd_123.old").mkdir()
    kept = [tmp_path / name for name in (".lock", "a.tmp", "a.png", ".hidden", ".notes.old", ".my.tmp.txt")]
    for path in kept:
        path.write_text("")
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_run_that_breaks_down_goes_back_by_itself_if_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = [*TINY, "--figures.frames", "0", "--trainer.epochs", "2", "--trainer.optimizer.lr", "1e6"]
    assert main(["train", *words, "--out", str(folder)]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("vaescope: training broke down at step 2: ")
    assert "Traceback" not in said
    assert main(["train", "--resume", str(folder), "--trainer.back_off", "1e-9"]) == 0
    said = capsys.readouterr().err
    assert "going on from step 0 with learning rates times 1e-09" in said
    events = read_history(folder)
    assert [line["event"] for line in events] == ["begun", "broke down", "begun", "backed off", "finished"]
    assert events[1]["step"] == 2
    run = vs.load(folder)
    assert "training broke down once" in run.origin.warnings[-1]
    record = checkpoint.read_state(folder / "checkpoints" / "step-000020")
    assert (record["easing"], record["back_offs"]) == (1e-9, 1)
    assert [line["step"] for line in without_seconds(folder)] == [0, 10, 20, 20, run.step]


@pytest.fixture
def stop() -> Iterator[Interruption]:
    """What listens for signals while a run trains."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    made = Interruption()
    yield made
    made.disarm()
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (BATCH, 75)])
def test_a_signal_ends_training_with_its_code(stop: Interruption, state: State, number: int, code: int) -> None:
    stop.started(state)
    assert not stop.wanted()
    signal.raise_signal(number)
    signal.raise_signal(signal.SIGTERM)  # what follows the first warning of a batch system changes nothing
    assert stop.wanted()
    assert stop.exit_code == code
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_signal_of_batch_systems_does_not_kill_before_training(stop: Interruption) -> None:
    signal.raise_signal(BATCH)
    assert stop.wanted()


def test_only_the_main_thread_listens_for_signals(state: State) -> None:
    def listens() -> int:
        made = Interruption()
        for told in (made.started, made.ended):
            told(state)
        made.disarm()
        return len(made.handlers)

    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(listens).result() == 0


def test_the_signal_of_batch_systems_waits_until_modules_are_imported() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {BATCH})  # as the command line does first of all
    signal.raise_signal(BATCH)
    made = Interruption()
    made.disarm()
    assert made.exit_code == 75
    assert BATCH not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_nobody_need_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        tell("heard")
        os.close(reader)  # as of a terminal that was closed in the first week of two
        tell("unheard")
        tell("unheard, too")


def test_checkpoints_out_of_reach_are_not_taken_for_none(state: State, tmp_path: Path) -> None:
    assert checkpoint.good(tmp_path / "none") is None
    (tmp_path / "checkpoints").touch()  # as with a folder that may not be listed
    with pytest.raises(NotADirectoryError):
        checkpoint.good(tmp_path / "checkpoints")


def test_a_history_says_what_a_run_was_trained_with(run_folder: Path) -> None:
    begun, ended = read_history(run_folder)
    assert (begun["event"], ended["event"]) == ("begun", "finished")
    assert begun["seed"] == 0
    assert isinstance(begun["command"], list)
    found = begun["environment"]
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"


def test_a_history_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    note(tmp_path, "begun", 0, 9, environment={"torch": "1.0", "threads": 4})
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"event": "resu')
    note(tmp_path, "resumed", 3, 9)
    lines = read_history(tmp_path)
    assert [line["event"] for line in lines] == ["begun", "resumed"]
    now = {"torch": "1.0", "threads": 2, "processor": None, "device": None, "numpy": None}
    assert moved(lines, now) == ["threads 4, now 2"]
    assert moved([], now) == []
