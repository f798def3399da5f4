"""What is given to ``vaescope evaluate`` is used, or refused in one line; its table stays in columns."""

import json
import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from data_helpers import refused

from vaescope.cli import main
from vaescope.cli.evaluate import evaluate
from vaescope.evaluation import EACH, FILE, OPTIONS, Evaluation, Measured, load, options, save, table, written
from vaescope.evaluation import evaluate as measure
from vaescope.metrics.features import FeatureSet
from vaescope.metrics.score import Score
from vaescope.metrics.subject import FULL, QUICK, Effort
from vaescope.report.page import commands_of
from vaescope.run import Run


def kept(*scores: Score) -> Evaluation:
    return Evaluation("main", 7, "00", "Sample", "here", {"elbo": Measured("full", 0, 0, scores)}, "11")


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_a_metric_that_is_not_measured_is_refused(option: str) -> None:
    words = ["anywhere", "--metrics", "elbo", f"--{option}", "10"]
    assert f"--{option} is for {OPTIONS[option][0]}" in refused(evaluate, words)


def test_steps_of_chains_are_refused_where_the_chains_are_not_asked_for() -> None:
    assert "--anneal is for ais" in refused(evaluate, ["anywhere", "--anneal", "10"])


def test_the_cases_stand_below_each_other_beside_a_long_number() -> None:
    long = Score("b", "B", 252.5, "nats per image", "p", 60, interval=(252.03, 252.97))
    lines = table(kept(Score("a", "A", 1.0, "", "p", 60), long)).splitlines()[1:]
    assert len({line.index("60 test") for line in lines}) == 1


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4 cut short"])
def test_broken_scores_of_single_images_are_named(content: bytes, tmp_path: Path) -> None:
    save(kept(), tmp_path)
    (tmp_path / EACH).write_bytes(content)
    said = refused(load, tmp_path)
    assert EACH in said
    assert FILE not in said
    assert "pickle" not in said


def test_other_images_than_training_scored_are_refused(run_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_folder, tmp_path / "run"))
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scored = [line | ({"images": 205} if line["split"] == "test" else {}) for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in scored), encoding="utf-8")
    assert "there were 205 when" in refused(evaluate, [str(folder), "--metrics", "elbo"])
    assert not (folder / FILE).exists()


def test_an_error_below_what_single_precision_can_tell_is_not_written() -> None:
    assert written(Score("a", "A", 5.32300998, "", "p", 205, error=2e-10)) == "5.323"
    assert written(Score("a", "A", 5.32300998, "", "p", 205, error=2e-4)) == "5.32301 ± 0.00020"


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 32, 32), (3, 64, 64), (4, 2000, 3000)])
def test_of_larger_images_so_many_fewer_are_looked_at_that_the_values_are_as_many(shape: tuple[int, int, int]) -> None:
    found, size = QUICK.fitting(shape), math.prod(shape)
    assert replace(found, test=QUICK.test, train=QUICK.train) == QUICK
    assert found.test
    assert found.train == pytest.approx(5 * found.test, abs=5)
    assert 20 <= found.test <= 1000
    if found.test > 20:
        assert found.test * size <= 1000 * 28 * 28 < (found.test + 1) * size or found == QUICK
    assert FULL.fitting(shape) == FULL


def test_the_scores_say_how_many_images_were_looked_at(run_folder: Path, tmp_path: Path) -> None:
    run = Run.load(Path(shutil.copytree(run_folder, tmp_path / "run")))
    score = measure(run, ["elbo"], Effort("few", test=80, values=28 * 28 // 4)).find("negative_elbo")
    assert score is not None
    assert (score.count, score.cases) == (20, "test images")


def test_a_report_repeats_what_was_asked(run_folder: Path, tmp_path: Path) -> None:
    folder = str(shutil.copytree(run_folder, tmp_path / "run"))
    for words in (["elbo,iwae", "--samples", "3"], ["floors"], ["anomalies", "--against", "sample", "--seed", "2"]):
        assert main(["evaluate", folder, "--quick", "--metrics", *words]) == 0
    found = load(Path(folder)).metrics
    assert [dict(measured.options) for measured in found.values()] == [{}, {"samples": "3"}, {}, {"against": "sample"}]
    assert commands_of(found) == [
        "vaescope evaluate . --quick --metrics elbo,floors",
        "vaescope evaluate . --quick --samples 3 --metrics iwae",
        "vaescope evaluate . --quick --seed 2 --against sample --metrics anomalies",
    ]


def test_what_was_asked_is_a_word_of_a_command_whatever_it_is() -> None:
    measured = {"anomalies": Measured("full", 0, 0.0, options={"against": "my photos; rm x"})}
    assert shlex.split(commands_of(measured)[0])[3:5] == ["--against", "my photos; rm x"]


def test_features_are_named_without_the_hash_of_their_file() -> None:
    space = FeatureSet("inception-v3-0a1b2c3d", 1, "", lambda x: x)
    assert options("samples", QUICK, space, "mnist") == {"features": "inception-v3=FILE.onnx"}
    assert options("ais", replace(QUICK, anneal=7), space, None) == {"anneal": "7"}
    assert options("elbo", replace(FULL, samples=7), space, "mnist") == {}
