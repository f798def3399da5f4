"""The benchmarks: how they measure, and whether what they measure is what they say."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

import bench.__main__ as command
from bench import measure
from bench.measure import Asked, BusyError, Quiet, Table, interleaved, ratio, shown
from bench.speed import quality, startup
from bench.speed.competitors import NETWORKS, Loop, Peer, as_ours, dataset
from bench.speed.contests import CONTESTS, Contest, begin, products
from bench.speed.through_pythae import Some
from bench.speed.throughput import SIDE, cells, unlike
from bench.worker import ROOT, Worker, WorkerError, steps_for
from vaescope.data.images import ImageSet
from vaescope.errors import RunError, UsageError
from vaescope.outline import count

HUSHED = Asked(say=lambda line: None)

# How time is measured and told


def test_the_ratio_of_a_way_that_always_takes_three_times_as_long_is_three() -> None:
    ours = [0.5, 0.7, 0.4, 0.9, 0.6]
    told = ratio([3 * seconds for seconds in ours], ours)
    assert (told.middle, told.low, told.high) == pytest.approx((3, 3, 3))
    assert str(told) == "3.00 (3.00–3.00)"


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_the_median_and_narrows_with_more_blocks(seed: int) -> None:
    source = np.random.default_rng(seed)
    few, many = (ratio(2 * source.lognormal(0, 0.2, n), source.lognormal(0, 0.2, n)) for n in (9, 400))
    for told in (few, many):
        assert told.low <= told.middle <= told.high
    assert many.high - many.low < few.high - few.low
    assert many.middle == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (None, "–"), ("a", "a"), (12345, "12,345"), (12345.6, "12,346"), (1.2345, "1.23"), (0.012345, "0.0123"),
        (-1.5, "−1.50"), (0.0, "0"),
    ],
)  # fmt: skip
def test_cells_have_three_digits_that_count(cell: measure.Cell, words: str) -> None:
    assert shown(cell) == words


def test_a_table_is_markdown_and_json() -> None:
    table = Table("T", ("a", "b"), [["x", 1.5], ["y", None]], ["Note."], {"r": [1]})
    assert table.markdown() == "**T**\n\n| a | b |\n| --- | --- |\n| x | 1.50 |\n| y | – |\n\nNote."
    assert json.loads(json.dumps(table.record()))["rows"] == [["x", 1.5], ["y", None]]


def test_ways_take_turns_and_every_other_block_goes_backwards() -> None:
    calls: list[str] = []
    seconds = interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, 3, HUSHED)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(("share", "busy", "refused"), [(0.5, False, True), (0.5, True, False), (0.02, False, False)])
def test_a_measurement_is_refused_when_others_take_the_processor(
    share: float, busy: bool, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, own, cores = 10.0, 3.0, measure.os.cpu_count() or 1
    for name, end in {"_own": own, "_busy": own + share * wall * cores}.items():
        monkeypatch.setattr(measure, name, partial(next, iter((0.0, end))))
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=partial(next, iter((0.0, wall)))))
    quiet = Quiet(replace(HUSHED, busy=busy))
    with pytest.raises(BusyError, match="50%") if refused else nullcontext(), quiet:
        pass
    assert quiet.others == pytest.approx(share)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_what_a_process_of_ours_works_is_not_others() -> None:
    before = measure._own()
    burn = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(); input()"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has worked, and lives on
        assert measure._own() - before > 0.25
        child.communicate(b"\n")
    assert measure._own() - before > 0.25


def test_a_measurement_that_others_disturbed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def disturbed() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise BusyError("others")
        return 5

    assert measure.quietly(disturbed, HUSHED) == 5
    monkeypatch.setattr(measure, "TRIES", 2)
    tries.clear()
    with pytest.raises(BusyError):
        measure.quietly(disturbed, HUSHED)


# The command


def test_what_the_command_cannot_do_it_refuses_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nonsense"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "no benchmark nonsense" in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(sys, "argv", ["bench", "--blocks", "3"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "at least 5" in capsys.readouterr().err


@pytest.mark.parametrize("busy", [True, False])
def test_the_command_ends_with_one_if_the_machine_was_busy(
    busy: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(asked: Asked) -> list[Table]:
        if busy:
            raise BusyError("others")
        return [Table("T", ("a",))]

    saved: list[str] = []
    monkeypatch.setattr(command, "import_module", lambda name: SimpleNamespace(measure=found))
    monkeypatch.setattr(command, "save", lambda name, *rest: saved.append(name))
    monkeypatch.setattr(sys, "argv", ["bench", "startup"])
    assert command.main() == int(busy)
    assert saved == ([] if busy else ["startup"])
    assert ("startup: others" if busy else "**T**") in "".join(capsys.readouterr())


def test_a_benchmark_that_fails_says_why_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def module(name: str) -> SimpleNamespace:
        def found(asked: Asked) -> list[Table]:
            if name.endswith("startup"):
                raise UsageError("data.root is nowhere")
            if name.endswith("gpu"):
                return []
            with Quiet(asked):
                return [Table("T", ("a",), pictures=[Path("docs/images/t.png")])]

        return SimpleNamespace(measure=found)

    monkeypatch.setattr(command, "import_module", module)
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["bench", "startup", "gpu", "memory"])
    assert command.main() == 2
    assert capsys.readouterr().err == "startup: data.root is nowhere\n"
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["memory.json"]
    kept = json.loads((tmp_path / "results" / "memory.json").read_text())
    assert kept["command"] == "python -m bench memory --blocks 7"
    assert len(kept["others"]) == 1
    assert {"processor", "threads", "versions", "commit", "load", "date"} <= set(kept["machine"])
    page = measure.load("memory")
    assert page is not None
    assert "Other processes took" in page[0]
    assert page[-1] == "![T](images/t.png)"


def test_a_command_that_fails_is_explained_by_its_last_line(tmp_path: Path) -> None:
    failed = subprocess.CalledProcessError(2, ["train"], stderr=b"reading\ndata.root is nowhere\n")
    assert command.explained(failed) == "data.root is nowhere"
    assert command.explained(subprocess.CalledProcessError(2, ["train"])).startswith("Command '['train']' returned")
    assert command.explained(KeyError("a mistake of ours")).startswith("KeyError")  # with the traceback, if raised
    with startup.started(["train", "--data.nome", "x"]) as process, pytest.raises(RunError, match=r"data\.nome"):
        startup.wait(process, tmp_path / "metrics.jsonl")


def test_what_cannot_be_kept_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "file" / "results")
    monkeypatch.setattr(sys, "argv", ["bench", "startup"])
    with pytest.raises(SystemExit, match="2"):
        command.main()


@pytest.mark.parametrize("option", ["--quick", "--busy"])
def test_figures_that_do_not_count_say_so_and_are_not_kept(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "import_module", lambda name: SimpleNamespace(measure=lambda asked: [Table("T", [])]))
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["bench", "memory", option])
    assert command.main() == 0
    assert f"with {option} these figures do not count" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


# Processes that train

SERVED = (
    "from pathlib import Path; from bench.worker import serve; "
    "serve(lambda n: None, lambda path: Path(path).write_text('w'), {'parameters': 3})"
)


def test_a_worker_says_what_it_is_and_does_what_it_is_asked(tmp_path: Path) -> None:
    with Worker(["-c", SERVED]) as worker:
        assert worker.about == {"parameters": 3}
        assert 0 <= worker.seconds(5) < 5
        assert worker.save(tmp_path / "w").read_text() == "w"
        assert steps_for(worker, 1e-9) == 1
    assert worker.process.returncode == 0


def test_a_worker_that_fails_tells_why() -> None:
    with pytest.raises(WorkerError, match="No module named 'pythea'"):
        Worker(["-c", "import pythea"])
    with pytest.raises(WorkerError, match="cannot be run"):
        Worker(["-c", ""], python="/nowhere/python")


# The competitors


@pytest.fixture(scope="module")
def levels(images: ImageSet) -> Tensor:
    """Images of the sample, with shape (96, 1, 28, 28)."""
    assert isinstance(images.train.images, Tensor)
    return images.train.images[:96]


def made(name: str) -> Peer:
    torch.manual_seed(0)
    return NETWORKS[name]()


@pytest.mark.parametrize(("name", "binary"), [("plain", False), ("plain", True), ("normed", False), ("deep", False)])
def test_a_competitor_learns(name: str, binary: bool, levels: Tensor) -> None:
    loop = Loop(made(name), dataset(levels, "tensors"), 32, binary=binary)
    first = loop.run(1)
    assert loop.run(20) < first - 50


def test_pictures_and_tensors_hold_the_same_values(levels: Tensor) -> None:
    one, other = dataset(levels, "pictures"), dataset(levels, "tensors")
    for k in (0, 7):
        assert torch.equal(one[k][0], other[k][0])
        assert one[k][0].shape == (1, 28, 28)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_competitor_is_scored_as_the_model_that_it_is(name: str, levels: Tensor) -> None:
    peer = made(name).eval()
    ours, x = as_ours(peer).eval(), (levels[:8] > 127).float()
    with torch.no_grad():
        q = ours.infer(x)
        h = peer.encoder(x)
        z = q.sample()
        assert torch.allclose(q.mean, peer.mean(h))
        assert torch.allclose(q.variance, peer.log_variance(h).exp(), rtol=1e-4)
        missed = binary_cross_entropy(peer.decoder(z), x, reduction="none").sum((1, 2, 3))
        assert torch.allclose(ours.likelihood(z).log_prob(x), -missed, rtol=1e-4)


def before_norms(peer: Peer) -> int:
    """The biases that a batch normalisation takes away again: as many as it has means."""
    return sum(part.num_features for part in peer.modules() if hasattr(part, "num_features"))


@pytest.mark.parametrize("name", [name for name, contest in CONTESTS.items() if not contest.pythae])
def test_both_sides_of_a_contest_have_the_same_parameters(name: str) -> None:
    contest = CONTESTS[name]
    theirs, ours = made(contest.theirs[0][0]), contest.ours((1, 28, 28))
    assert contest.theirs[0][1] == str(contest.batch)
    assert count(ours) == count(theirs) - before_norms(theirs) + 784  # an offset for every pixel


@pytest.mark.parametrize(("name", "theirs", "normed"), [("default", 829_232, 0), ("convolutions", 17_232_033, 2_688)])
def test_pythaes_networks_have_the_parameters_that_it_says(name: str, theirs: int, normed: int) -> None:
    assert count(CONTESTS[f"pythae, {name}"].ours((1, 28, 28))) == theirs - normed + 784


def test_the_products_of_a_step_are_those_of_its_layers() -> None:
    B, contest = 20, replace(CONTESTS["784-400-20"], batch=20)
    first, others = 784 * 400, 400 * 40 + 20 * 400 + 400 * 784
    assert products(begin(contest, "float32", data="sample", device="cpu")) == 2 * B * (2 * first + 3 * others)


def test_our_side_trains_where_it_is_told() -> None:
    with pytest.raises(UsageError, match=r"trainer.device is cuda") if not torch.cuda.is_available() else nullcontext():
        assert begin(CONTESTS["784-400-20"], "float32", data="sample", device="cuda").batches.device.type == "cuda"
    assert begin(CONTESTS["784-400-20"], "float32", data="sample", device="cpu").batches.device.type == "cpu"


@pytest.mark.parametrize("name", ["784-400-200-3, batch norm", "pythae, convolutions"])
def test_our_side_of_a_contest_learns(name: str) -> None:
    contest: Contest = replace(CONTESTS[name], batch=20 if "norm" in name else 4)
    state = begin(contest, "float32", data="sample", device="cpu")
    losses = [state.advance()["loss"].item() for _ in range(12 if "norm" in name else 4)]
    assert losses[-1] < losses[0]


def test_a_row_is_computed_from_the_seconds_of_steps() -> None:
    about = {"theirs 0": {"parameters": 5}, "theirs 1": {"parameters": 5}, "float32": {"parameters": 7, "flops": 10**9}}
    each = {"theirs 0": [0.9] * 5, "theirs 1": [0.4] * 5, "float32": [0.1] * 5, "matmul": [2 * SIDE**3 / 1e11] * 5}
    batch, parameters, *rest = cells(100, about, each)
    assert (batch, parameters) == (100, "5 / 7")
    assert rest[:5] == [pytest.approx(250), pytest.approx(1000), "4.00 (4.00–4.00)", None, None]
    assert rest[5:] == [pytest.approx(2.5), pytest.approx(10)]


def test_the_share_of_the_ceiling_is_that_of_neighbouring_blocks() -> None:
    about = {way: {"parameters": 5, "flops": SIDE**3} for way in ("theirs 0", "float32")}
    slow = [1.0, 2.0, 4.0, 2.0, 1.0]  # how slow the machine is in each block
    each = {"theirs 0": [0.4 * s for s in slow], "float32": [0.2 * s for s in slow], "matmul": [0.1 * s for s in slow]}
    assert cells(100, about, each)[-2:] == [pytest.approx(12.5), pytest.approx(25)]


def test_ways_that_do_not_run_alike_are_told() -> None:
    ours = {"torch": "2.13.0", "threads": 2}
    assert unlike("net", {"a": ours, "b": ours | {"parameters": 3}}) == []
    assert (
        "torch 2.13.0 with 2 threads and torch 2.9.0" in unlike("net", {"a": ours, "b": ours | {"torch": "2.9.0"}})[0]
    )


def test_pythaes_batches_go_on_from_block_to_block_and_are_drawn_anew() -> None:
    class Loader:
        dataset = SimpleNamespace(data=torch.full((6,), 0.5))

        def __iter__(self) -> "Sequence[Tensor]":
            return iter(self.dataset.data.clone().split(2))  # type: ignore[return-value]

    torch.manual_seed(0)
    some, batches = Some(Loader(), redrawn=True), []
    for steps in (2, 2, 2):
        some.steps = steps
        assert len(some) == steps
        batches += list(some)
    assert set(torch.cat(batches).tolist()) == {0.0, 1.0}
    assert not torch.equal(torch.cat(batches[:3]), torch.cat(batches[3:]))


# The curves


@pytest.mark.parametrize("same", [True, False])
def test_curves_of_competitors_are_kept_on_the_same_machine_only(same: bool, tmp_path: Path) -> None:
    name, here = next(iter(quality.RIVALS)), measure.machine()
    content = {
        "machine": here | ({} if same else {"processor": "another"}),
        "tables": [
            {
                "data": {
                    "curves": {name: [[1.0, 250.0]], "gone": [], "vaescope": [[1.0, 240.0]]},
                    "theirs": [name, "gone"],
                }
            }
        ],
    }
    (tmp_path / "quality.json").write_text(json.dumps(content))
    assert quality.earlier(tmp_path / "quality.json") == ({name: [(1.0, 250.0)]} if same else {})
    assert quality.earlier(tmp_path / "nothing.json") == {}


def test_the_picture_of_the_curves_is_a_page(tmp_path: Path) -> None:
    from PIL import Image

    quality.draw(tmp_path / "q.png", {"vaescope": [(1, 250), (9, 240)], "other": [(3, 300.0), (30, 260.0)]}, "here")
    with Image.open(tmp_path / "q.png") as picture:
        assert 1000 <= picture.width <= 1600
