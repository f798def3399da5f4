"""The doctor: every trap that is laid is found and told with a remedy, and nothing that is broken breaks the doctor."""

import io
import json
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import retitled
from PIL import Image
from safetensors.torch import load_file, save_file

from vaescope.checkpoint import FormatError
from vaescope.cli import main
from vaescope.data.images import ImageSet
from vaescope.files import alone
from vaescope.health import installation, libraries, machine
from vaescope.health.finding import Check, Finding, fault, ok, size
from vaescope.health.images import image_checks
from vaescope.health.lines import Lines, metrics
from vaescope.health.machine import cgroup_files
from vaescope.health.probe import STAGES, Answer, ask
from vaescope.health.runs import RunFolder, is_run, run_checks, runs_in

Found = Iterable[Finding]


def worst(found: Found) -> Finding:
    """The worst of findings; every one of them that is bad has a remedy, and all are of one line."""
    found = list(found)
    assert found
    for finding in found:
        assert finding.remedy or finding.level in ("ok", "note")
        assert "\n" not in finding.text + finding.remedy
    return max(found, key=lambda finding: ("ok", "note", "warning", "fault").index(finding.level))


def test_a_fault_without_a_remedy_is_none() -> None:
    with pytest.raises(ValueError, match="how to mend"):
        Finding("fault", "something is wrong")
    assert [size(count) for count in (7, 2048, 5 << 30, 3 << 50)] == ["7 bytes", "2.0 KiB", "5.0 GiB", "3,072.0 TiB"]


def test_a_check_that_fails_is_a_finding() -> None:
    def breaks() -> Found:
        raise OSError("gone\nand more")

    def misses() -> Found:
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")

    def locked() -> Found:
        raise PermissionError(13, "Permission denied", "checkpoints")

    assert [(f.level, f.check) for f in Check("it", breaks)()] == [("warning", "it")]
    assert [(f.level, f.remedy) for f in Check("it", misses)()] == [("fault", "pip install nothing")]
    assert "chmod" in Check("it", locked)()[0].remedy
    assert Check("it", lambda: [ok("good")])() == [Finding("ok", "good", check="it")]


# what is tried in a process of its own


def packages(folder: Path, **sources: str) -> None:
    """Writes packages, each with what happens when it is imported."""
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)


def test_broken_libraries_take_no_others_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages(
        tmp_path,
        torchvision="raise RuntimeError('operator torchvision::nms does not exist')",
        torchaudio="import os, signal; print('noise'); os.kill(os.getpid(), signal.SIGSEGV)",
        matplotlib="while True: pass",
        numpy="__version__ = '2.0'; import warnings; warnings.warn('it is old')",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    answers = ask(("torchvision", "torchaudio", "matplotlib", "numpy"), seconds=1)
    assert answers["torchvision"].error == "RuntimeError: operator torchvision::nms does not exist"
    assert "SIGSEGV" in answers["torchaudio"].error
    assert "within 1 seconds" in answers["matplotlib"].error
    assert answers["numpy"].facts == {"version": "2.0", "file": str(tmp_path / "numpy.py")}
    assert answers["numpy"].told == ["it is old"]
    assert worst(libraries.neighbours(answers)).level == "fault"
    assert worst(machine.drawing(answers)).level == "fault"
    moved = worst(libraries.imports("numpy", answers))
    assert moved.level == "warning"
    assert str(tmp_path) in moved.text


def test_a_torch_that_does_not_import_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK", raising=False)  # which a library that another test imports may set
    packages(tmp_path, torch="import os; os._exit(3)", matplotlib="raise ImportError('no fonts')")
    monkeypatch.syspath_prepend(str(tmp_path))
    answers = ask(("torch", "threads", "products", "cuda", "matplotlib"), seconds=20)
    assert list(answers) == ["torch", "matplotlib"]
    assert worst(libraries.imports("torch", answers)).text.startswith(f"torch cannot be used (from {tmp_path}")
    for look in (machine.threads, machine.products, machine.gpus, machine.openmp, machine.training):
        assert list(look(answers)) == []
    packages(tmp_path, torch="x = 1")
    answers = ask(("torch",))
    found = worst(libraries.imports("torch", answers))
    assert found.level == "fault"
    assert found.remedy == "rename that file: it hides torch"


@pytest.mark.slow
def test_an_installation_that_works_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--json", "--measure"]) == 0
    found = json.loads(capsys.readouterr().out)
    levels = {finding["check"]: finding["level"] for finding in found["findings"]}
    wanted = {"python", "numpy", "torch", "vaescope", "threads", "products", "gpu", "disk", "drawing", "training"}
    assert wanted <= set(levels)
    assert found["faults"] == 0
    assert levels["training"] == levels["products"] == "ok"
    assert not list(tmp_path.iterdir())


# judged by what was found


def known(**facts: Any) -> dict[str, Answer]:
    """Answers with facts, or with an error where it is text."""
    return {name: Answer(error=f) if isinstance(f, str) else Answer(f, 1.0) for name, f in facts.items()}


def installed_packages(monkeypatch: pytest.MonkeyPatch, requires: list[str], **versions: str) -> None:
    """Lets packages be installed, and vaescope need some."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda name: requires)
    monkeypatch.setattr(metadata, "distributions", lambda name: [])


def test_packages_are_compared_with_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["torch>=2.6", "rich>=13", 'old>=1; python_version < "3"', 'pyarrow>=15; extra == "parquet"']
    needs += ['vaescope[parquet]; extra == "hub"', 'onnx; extra == "export"']
    installed_packages(monkeypatch, needs, torch="2.13.0+cpu", rich="13.1", pyarrow="14")
    assert worst(libraries.packages()).text.endswith("the 2 packages that it needs")
    levels = {f.level: f for f in libraries.extras()}
    assert "pyarrow is 14, but >=15 is needed" in levels["warning"].text
    assert "export" in levels["note"].remedy
    assert "parquet" not in levels["note"].remedy
    assert [r.name for r in libraries.requirements("hub")] == ["pyarrow"]
    installed_packages(monkeypatch, needs, torch="2.1")
    found = [(f.level, f.text, f.remedy) for f in libraries.packages()]
    assert found == [
        ("fault", "torch is 2.1, but >=2.6 is needed", "pip install 'torch>=2.6'"),
        ("fault", "rich is missing", "pip install 'rich>=13'"),
    ]


def test_two_versions_at_once_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.0", "2.0"):
        info = tmp_path / f"twice-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: twice\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "1.0 and 2.0 at once" in worst(libraries.doubled(["twice"])).text


def test_neighbours_built_for_another_torch_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    installed_packages(monkeypatch, ["torch==2.5.1"], torchvision="0.20.1", torch="2.13.0")
    both = known(torch={"version": "2.13.0+cpu"}, torchvision={"version": "0.20.1"})
    found = worst(libraries.neighbours(both))
    assert found.level == "warning"
    assert "built for torch==2.5.1" in found.text
    installed_packages(monkeypatch, ["torch==2.13.0"], torchvision="0.28.0", torch="2.13.0")
    assert worst(libraries.neighbours(both)).level == "ok"
    assert worst(libraries.neighbours({})).level == "ok"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("RuntimeError: Numpy is not available", "numpy<2"),
        ("ImportError: libcudart.so.12: cannot open shared object file", "--force-reinstall torch"),
    ],
)
def test_a_broken_torch_has_a_remedy(error: str, remedy: str) -> None:
    assert remedy in worst(libraries.imports("torch", known(torch=error))).remedy


CPU = {"version": "2.13.0", "cuda": None, "hip": None}
GPU = {"name": "a GPU", "kind": "sm_90", "error": ""}
CUDA = CPU | {"cuda": "12.6"}


@pytest.mark.parametrize(
    ("torch", "cuda", "driver", "level", "text"),
    [
        (CPU, {"devices": []}, False, "ok", "no GPU"),
        (CUDA, {"devices": []}, False, "ok", "one for CPUs is smaller"),
        (CPU, {"devices": []}, True, "warning", "built for the CPU only"),
        (CUDA, {"devices": []}, True, "warning", "finds no GPU"),
        (CUDA, {"devices": [GPU], "kinds": ["sm_80", "sm_90"]}, True, "ok", "multiplies"),
        (CUDA, {"devices": [GPU], "kinds": ["sm_80"]}, True, "warning", "none that torch was built for"),
        (CUDA, {"devices": [GPU | {"error": "no kernel image"}], "kinds": []}, True, "fault", "no kernel image"),
        (CUDA, "RuntimeError: driver too old", True, "fault", "driver too old"),
    ],
)
def test_gpus(torch: Any, cuda: Any, driver: bool, level: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "driver", lambda: driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = worst(machine.gpus(known(torch=torch, cuda=cuda)))
    assert (found.level, text in found.text) == (level, True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if cuda == {"devices": []} and driver:
        assert "hides every GPU" in worst(machine.gpus(known(torch=torch, cuda=cuda))).text


@pytest.mark.parametrize(
    ("used", "cores", "variables", "level"),
    [
        (8, 8, {}, "ok"),
        (4, 8, {}, "ok"),  # half of the cores are a second thread of the others
        (64, 2, {}, "warning"),
        (1, 8, {"OMP_NUM_THREADS": "1"}, "warning"),
        (2, 2, {"MKL_NUM_THREADS": "2"}, "ok"),
    ],
)
def test_threads(used: int, cores: int, variables: dict[str, str], level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "cores", lambda: cores)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert worst(machine.threads(known(threads={"threads": used}))).level == level


def test_the_limits_of_a_container_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.write_text("0::/pod/box\n")
    (tmp_path / "cgroup" / "pod" / "box").mkdir(parents=True)
    (tmp_path / "cgroup" / "pod" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "cgroup" / "pod" / "box" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cpu.max").write_text("1 100000\n")  # above the root, so of no concern
    files = list(cgroup_files("cpu.max", tmp_path / "cgroup", own))
    assert files == [["max", "100000"], ["150000", "100000"]]
    content = {"cpu.max": files, "memory.max": [["max"], [str(3 << 30)]], "memory.current": [["0"], [str(2 << 30)]]}
    monkeypatch.setattr(machine, "cgroup_files", lambda name: iter(content.get(name, [])))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert machine.cores() == 2
    assert machine.memory_left() == 1 << 30
    assert worst(machine.memory()).level == "warning"


def test_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK", raising=False)
    one, two = ["/a/torch/lib/libgomp-24e2.so.1", "/b/libgomp.so.1"], ["/a/libgomp.so.1", "/c/lib/libiomp5.so"]
    assert worst(machine.openmp(known(openmp={"libraries": one}))).level == "ok"
    assert "libgomp and libiomp5" in worst(machine.openmp(known(openmp={"libraries": two}))).text
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "TRUE")
    assert worst(machine.openmp(known(openmp={"libraries": one}))).level == "warning"


def test_products() -> None:
    right = {"float32": 1e-7, "bfloat16": 3e-3, "denormals": True}
    assert "measured when" in worst(machine.products(known(products=right))).text
    measured = known(products=right, vaescope={"precision": {"linear": 1.9, "convolution": 0.8}})
    assert "linear layers 1.9 times" in worst(machine.products(measured)).text
    assert worst(machine.products(known(products=right | {"float32": float("nan")}))).level == "fault"
    assert "-ffast-math" in worst(machine.products(known(products=right | {"denormals": False}))).text
    assert worst(machine.products(known(products="RuntimeError: illegal instruction"))).level == "fault"


def test_drawing_and_training() -> None:
    lost = known(matplotlib={"version": "3", "cache": f"{tempfile.gettempdir()}/matplotlib-x"})
    assert "MPLCONFIGDIR" in worst(machine.drawing(lost)).remedy
    assert worst(machine.training(known(training={"files": 1}))).level == "ok"
    assert worst(machine.training(known(training="OSError: no"))).level == "fault"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    assert worst(machine.limits()).level in ("ok", "note")
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (64, 64) if kind == resource.RLIMIT_NOFILE else (1 << 30,) * 2
    )
    assert [f.remedy for f in machine.limits() if f.level == "warning"] == ["ulimit -n 4096", "ulimit -v unlimited"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(total=64 << 20, free=0))
    assert any("/dev/shm" in f.text for f in machine.limits()) == Path("/dev/shm").is_dir()


def test_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path / "not" / "there"))
    assert len(list(machine.disks())) == 3
    assert list(tmp_path.iterdir()) == []
    for free, level in ((1 << 20, "fault"), (500 << 20, "warning"), (2 << 30, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: types.SimpleNamespace(free=free))
        assert machine.room("it", tmp_path, "move").level == level

    def refuse(dir: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert "Read-only file system" in machine.room("it", tmp_path, "move").text


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"LD_PRELOAD": "/nowhere/libjemalloc.so"}, "which is not there"),
        ({"LD_PRELOAD": "libjemalloc.so"}, "LD_PRELOAD loads"),
        ({"CUDA_LAUNCH_BLOCKING": "1"}, "for debugging"),
        ({"KMP_AFFINITY": "compact"}, "pinned"),
        ({"HOME": "/nowhere"}, "no home folder"),
    ],
)
def test_surroundings(variables: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worst(machine.surroundings()).level == "ok"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert text in worst(machine.surroundings()).text


def test_an_encoding_without_our_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(encoding="iso-8859-1"))
    found = worst(machine.surroundings())
    assert (found.level, "PYTHONUTF8" in found.remedy) == ("warning", True)


# runs


def config_lost(run: Path) -> None:
    (run / "config.yaml").unlink()


def config_changed(run: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("width: 32", "width: 33"))


def config_unknown(run: Path) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write("colour: blue\n")


def weights_cut(run: Path) -> None:
    os.truncate(run / "model.safetensors", 1000)


def weights_not_numbers(run: Path) -> None:
    from safetensors import safe_open

    retitled(run, lambda header: None)
    path = run / "model.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, path, header)


def collapsed(run: Path) -> None:
    warning = "all 2 latents carry nothing: the posterior has collapsed; try free bits"
    retitled(run, lambda header: header.update(warnings=[warning]))


def lines_of(run: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = run / "metrics.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def line_torn(run: Path) -> None:
    lines_of(run, lambda lines: [*lines[:-1], lines[-1][:-9]])


def line_broken(run: Path) -> None:
    lines_of(run, lambda lines: [*lines[:1], "{nothing\n", *lines[1:]])


def line_twice(run: Path) -> None:
    lines_of(run, lambda lines: [lines[0], *lines])


def lines_swapped(run: Path) -> None:
    lines_of(run, lambda lines: [lines[1], lines[0], *lines[2:]])


def lines_lost(run: Path) -> None:
    lines_of(run, lambda lines: [line for line in lines if '"train"' not in line])
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("log_every: 50", "log_every: 10"))


def line_not_a_number(run: Path) -> None:
    lines_of(run, lambda lines: [lines[0].replace('"loss": ', '"loss": NaN, "was": '), *lines[1:]])


def metrics_lost(run: Path) -> None:
    (run / "metrics.jsonl").unlink()


def checkpoint_flipped(run: Path) -> None:
    path = max((run / "checkpoints").iterdir()) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def checkpoint_older(run: Path) -> None:
    path = max((run / "checkpoints").iterdir()) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))


def checkpoint_of_other_images(run: Path) -> None:
    from vaescope.checkpoint import seal

    folder = max((run / "checkpoints").iterdir())
    record = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(record | {"data": "0" * 64}))
    seal(folder)


def cut_off_while_drawn(run: Path) -> None:
    history = run / "history.jsonl"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:-1]))


def picture_lost(run: Path) -> None:
    (run / "figures" / "samples.png").write_bytes(b"")


def frames_cut(run: Path) -> None:
    os.truncate(run / "frames.npz", 100)


def evaluation_broken(run: Path) -> None:
    (run / "evaluation.json").write_text("{")


def evaluation_of_others(run: Path) -> None:
    head = {"format": 1, "run": "x", "step": 1, "weights": "0", "data": "", "machine": "", "metrics": {}}
    (run / "evaluation.json").write_text(json.dumps(head))


def left_behind(run: Path) -> None:
    (run / "checkpoints" / ".step-000040.x.tmp").mkdir()
    (run / "checkpoints" / ".step-000040.x.tmp" / "model.safetensors").write_bytes(bytes(3 << 20))


def data_gone(run: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("name: sample", "name: mnist").replace("root: data", "root: /nowhere"))


@pytest.mark.parametrize(
    ("damage", "check", "level", "text"),
    [
        (config_lost, "config", "fault", "there is no config.yaml"),
        (config_unknown, "config", "fault", "colour"),
        (config_changed, "weights", "fault", "does not fit"),
        (weights_cut, "weights", "fault", "it is damaged"),
        (weights_not_numbers, "weights", "fault", "no numbers"),
        (collapsed, "latents", "warning", "collapsed"),
        (line_torn, "metrics", "warning", "cut short"),
        (line_broken, "metrics", "fault", "(line 2)"),
        (line_twice, "metrics", "fault", "stand twice"),
        (lines_swapped, "metrics", "fault", "out of order"),
        (lines_lost, "metrics", "warning", "3 lines of training are missing between steps 10 and 30"),
        (line_not_a_number, "metrics", "fault", "loss is nan from step 0"),
        (metrics_lost, "metrics", "warning", "there is no metrics.jsonl"),
        (checkpoint_flipped, "checkpoints", "warning", "model.safetensors is not as it was written"),
        (checkpoint_older, "checkpoints", "warning", "vaescope migrate"),
        (cut_off_while_drawn, "standing", "note", "interrupted"),
        (checkpoint_of_other_images, "data", "fault", "but others"),
        (picture_lost, "figures", "note", "samples.png"),
        (frames_cut, "figures", "warning", "frames.npz cannot be read"),
        (evaluation_broken, "evaluation", "fault", "is broken"),
        (evaluation_of_others, "evaluation", "warning", "of other weights"),
        (left_behind, "leftovers", "note", "1 left behind by a crash, 3.0 MiB"),
        (data_gone, "data", "warning", "mnist is not in /nowhere"),
    ],
)
def test_damage_to_a_run_is_found(
    damage: Callable[[Path], None], check: str, level: str, text: str, run_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    damage(run)
    assert is_run(run)
    found = [finding for look in run_checks(run) for finding in look()]
    assert not [f for f in found if "could not be looked at" in f.text]
    ours = worst(f for f in found if f.check == check)
    assert (ours.level, text in ours.text) == (level, True), ours
    assert ours.level != "note" or ours.remedy


def test_no_version_mends_a_checkpoint_that_is_damaged(run_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    (max((run / "checkpoints").iterdir()) / "state.json").write_text("{}")
    found = worst(next(look for look in run_checks(run) if look.name == "checkpoints")())
    assert "it has no format" in found.text
    assert "migrate" not in found.remedy


def test_a_run_that_is_whole(run_folder: Path) -> None:
    found = [finding for look in run_checks(run_folder) for finding in look()]
    assert {f.level for f in found if f.check != "evaluation"} == {"ok"}
    assert {f.text for f in found if f.check == "standing"} == {"finished at step 30 of 30"}
    assert any(f.text.endswith("those of training") for f in found if f.check == "data")


def test_how_a_run_is_gone_on_with(run_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_folder, tmp_path / "my run")
    (run / "model.safetensors").unlink()
    standing, *others = [look for look in run_checks(run) if look.name in ("standing", "weights", "room")]
    assert worst(standing()).remedy == f"vaescope train --resume '{run}'"
    assert worst(others[0]()).level == "note"
    assert "a checkpoint takes" in worst(others[1]()).text
    with alone(run):
        assert "is training it now" in worst(run_checks(run)[0]()).text
        assert RunFolder(run).live
    assert not RunFolder(run).live
    history = run / "history.jsonl"
    before = history.read_text()
    history.write_text(before + '{"event": "broke down", "step": 25, "finding": "training broke down"}\n')
    told = worst(run_checks(run)[0]())
    assert (told.level, told.text) == ("fault", "training broke down")
    assert told.remedy.startswith(f"vaescope train --resume '{run}' --trainer.back_off")
    history.write_text(before)
    checkpoint_flipped(run)
    assert "no checkpoint is good" in worst(run_checks(run)[0]()).text
    shutil.rmtree(run / "checkpoints")
    assert "before the first checkpoint" in worst(run_checks(run)[0]()).text


def test_a_run_that_was_cut_off_while_it_drew_is_not_finished(run_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    (run / "history.jsonl").write_text('{"event": "begun", "step": 0}\n')
    assert worst(run_checks(run)[0]()).remedy.startswith("vaescope train --resume")


@pytest.mark.parametrize(("error", "remedy"), [(FormatError("older"), "migrate"), (PermissionError(13, "no"), "chmod")])
def test_checkpoints_that_are_only_out_of_reach_are_not_to_be_deleted(
    error: Exception, remedy: str, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    (run / "model.safetensors").unlink()
    newest = max((run / "checkpoints").iterdir())
    shutil.copytree(newest, newest.with_name("step-000999"))

    def refuse(path: Path) -> None:
        raise error

    monkeypatch.setattr("vaescope.checkpoint.verify", refuse)
    found = {look.name: look() for look in run_checks(run) if look.name in ("standing", "checkpoints")}
    assert "delete" not in worst(found["standing"]).remedy
    assert [finding.remedy.count(remedy) for finding in found["checkpoints"]] == [1]


def test_metrics_that_a_process_is_writing_are_no_fault(tmp_path: Path) -> None:
    assert worst(metrics(Lines.read(tmp_path / "none"), 10, 0, live=True)).level == "note"
    (tmp_path / "metrics.jsonl").write_text('{"step": 10, "split": "train", "loss": 1.0}\n{"step": 2')
    assert worst(metrics(Lines.read(tmp_path / "metrics.jsonl"), 10, 0, live=True)).level == "ok"


# images


def write_pictures(folder: Path, count: int, level: int = 255) -> None:
    """Writes pictures of 8x8, no two alike."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(list(str(folder).encode()))
    for k in range(count):
        Image.fromarray(noise.integers(0, level, (8, 8), dtype=np.uint8)).save(folder / f"{k}.png")


def of_images(where: Path) -> dict[str, Finding]:
    """The worst that is found of images, by checks."""
    found = [finding for look in image_checks(str(where)) for finding in look()]
    assert not [f for f in found if "could not be looked at" in f.text]
    return {name: worst(f for f in found if f.check == name) for name in {f.check for f in found}}


def test_images_that_are_whole(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_pictures(tmp_path / "photos" / name, 12)
    assert {f.level for f in of_images(tmp_path / "photos").values()} == {"ok"}


def test_what_is_wrong_with_images(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for part, count in (("train", 12), ("test", 4)):
        write_pictures(photos / part / "cats", count)
        write_pictures(photos / part / "dogs", count)
    shutil.copy(photos / "train" / "cats" / "0.png", photos / "test" / "cats" / "same.png")
    shutil.copy(photos / "train" / "cats" / "0.png", photos / "train" / "cats" / "same.png")
    (photos / "train" / "cats" / "cut.png").write_bytes((photos / "train" / "cats" / "1.png").read_bytes()[:60])
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(photos / "train" / "dogs" / "tall.png")
    (photos / "notes.txt").write_text("mine")
    found = of_images(photos)
    assert "1 of 36 cannot be read" in found["reading"].text
    assert found["reading"].level == "fault"
    assert "2 sizes" in found["number"].text
    assert found["duplicates"].level == "warning"
    assert "1 images of test are in train" in found["duplicates"].text
    assert "--skip-bad" in found["training"].text


def test_images_that_cannot_be_trained_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "few", 2)
    write_pictures(tmp_path / "dark", 5, level=20)
    assert "at least 3 different images" in of_images(tmp_path / "few")["training"].text
    assert "nearly black" in of_images(tmp_path / "dark")["values"].text
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")
    assert of_images(tmp_path / "bad")["reading"].level == "fault"


def test_a_disk_too_small_for_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "photos", 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=100))
    assert of_images(tmp_path / "photos")["room"].level == "fault"


def test_files_of_a_set_are_compared_with_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: ImageSet
) -> None:
    from vaescope.data.idx import write_idx

    monkeypatch.chdir(tmp_path)
    assert of_images(Path("sample"))["files"].level == "ok"
    assert "vaescope data fetch mnist" in of_images(Path("mnist"))["files"].remedy
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in ("train", "t10k"):
        write_idx(folder / f"{name}-images-idx3-ubyte", images.test.images[:, 0].numpy())
        write_idx(folder / f"{name}-labels-idx1-ubyte", images.test.labels.numpy().astype(np.uint8))  # type: ignore[union-attr]
    found = of_images(Path("mnist"))["files"]
    assert found.level == "fault"
    assert "checksum" in found.text
    assert of_images(folder)["files"].level == "ok"  # four files of one's own


# the command


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation of which one thing is said."""
    checks = [Check("python", lambda: [ok("3.12")])]
    monkeypatch.setattr("vaescope.cli.doctor.installation", lambda brief, measure: checks)


@pytest.mark.usefixtures("sound")
def test_the_command(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "installation\n  ok        python  3.12\n\nnothing is wrong\n"
    run = shutil.copytree(run_folder, tmp_path / "runs" / "a")
    shutil.copytree(run_folder, tmp_path / "runs" / "b")
    assert main(["doctor", str(run)]) == 0
    told = capsys.readouterr().out
    assert "installation (1 checks, nothing is wrong)" in told
    assert f"vaescope evaluate {run}" in told
    weights_cut(run)
    assert main(["doctor", str(run)]) == 1
    told = capsys.readouterr().out
    assert "what to do" in told
    assert "1 fault" in told
    assert f"vaescope train --resume {run}" in told
    assert runs_in(tmp_path / "runs") == [run, tmp_path / "runs" / "b"]
    assert main(["doctor", str(tmp_path / "runs"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == 1
    assert [(f["check"], f["level"]) for f in found["findings"]] == [("python", "ok"), ("a", "fault"), ("b", "ok")]


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("words", [["nix"], ["./nix"], ["--bogus"], ["sample", "--measure"], ["empty"]])
def test_what_is_asked_for_wrongly(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert main(["doctor", *words]) == 2
    assert capsys.readouterr().err.startswith("vaescope: ")


def test_a_broken_installation_keeps_the_doctor_from_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [Check("torch", lambda: [fault("torch cannot be used: it ended with code −1", "pip install it")])]
    monkeypatch.setattr("vaescope.cli.doctor.installation", lambda brief, measure: broken)
    assert main(["doctor", "sample"]) == 1
    assert "pip install it" in capsys.readouterr().out


def test_all_that_is_tried_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    monkeypatch.setattr(installation, "ask", lambda stages: asked.extend(stages) or {})
    checks = installation.installation()
    assert set(STAGES) - set(asked) <= {"measured", "torchvision", "torchaudio"}
    assert [f for check in checks for f in check() if "could not be looked at" in f.text] == []
    assert len({check.name for check in checks}) == len(checks)


def test_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    assert "example:\n  vaescope doctor runs/main" in capsys.readouterr().out


@pytest.mark.usefixtures("sound")
def test_a_terminal_without_our_signs_gets_their_numbers(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="latin-1"))
    assert main(["doctor", str(run_folder)]) == 0
    sys.stdout.flush()
    assert "Flat, \\u2212ELBO" in buffer.getvalue().decode("latin-1")
