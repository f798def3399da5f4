"""An evaluation: what is measured comes back from its files as it was, and nothing that is wrong there gets through."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vaescope.cli import main
from vaescope.evaluation import EACH, FILE, Evaluation, Measured, evaluate, fingerprint, load, save, table, written
from vaescope.metrics.protocol import METRICS, Metric
from vaescope.metrics.score import InapplicableError, Score, mean_score
from vaescope.metrics.subject import Effort, Subject
from vaescope.run import Run

TINY = Effort("tiny", 20, 60, samples=5, draws=2, generated=60, chains=2, anneal=4, annealed=2)
EACH_OF = np.array([1.0, 2.5, -3.0])

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCORES = st.builds(
    Score,
    name=st.sampled_from(["a", "b"]),
    title=st.text(),
    value=FINITE,
    unit=st.text(),
    protocol=st.text(),
    count=st.integers(0, 10**9),
    error=st.none() | st.floats(0, 1e9),
    interval=st.none() | st.tuples(FINITE, FINITE),
    better=st.sampled_from([None, "lower", "higher"]),
    of_data=st.booleans(),
    warning=st.text(),
    parts=st.lists(FINITE).map(tuple),
)


def score(**others: Any) -> Score:
    return Score(**{"name": "a", "title": "A", "value": 2.0, "unit": "dB", "protocol": "p", "count": 3, **others})


def evaluation(**metrics: Measured) -> Evaluation:
    return Evaluation("main", 7, "00", "Sample", "here", metrics, "11")


def equal(one: Score, other: Score) -> bool:
    """Whether two scores are the same, but for the scores of single images."""
    return all(getattr(one, f.name) == getattr(other, f.name) for f in fields(Score) if f.name != "each")


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Run:
    """A run of its own."""
    shutil.copytree(run_folder, tmp_path / "run")
    return Run.load(tmp_path / "run")


def add(patch: pytest.MonkeyPatch, name: str, measure: Callable[[Subject], Iterator[Any]]) -> None:
    patch.setitem(METRICS, name, Metric("Samples", "made for a test", measure))


# Files


@given(SCORES)
def test_a_score_comes_back_from_json(one: Score) -> None:
    assert equal(Score.parse(json.loads(json.dumps(one.record()))), one)


def test_what_is_not_finite_is_null_and_comes_back_as_no_number() -> None:
    one = score(value=math.inf, error=math.nan, parts=(1.0, math.nan))
    text = json.dumps(one.record(), allow_nan=False)
    back = Score.parse(json.loads(text))
    assert math.isnan(back.value)
    assert back.error is None
    assert back.parts[0] == 1
    assert math.isnan(back.parts[1])
    assert written(back) == "not known"


def test_an_evaluation_comes_back_with_the_scores_of_single_images(tmp_path: Path) -> None:
    scores = (mean_score("a", "A", EACH_OF, "dB", "p"), score(name="b"))
    known = evaluation(
        elbo=Measured("full", 3, 1.5, scores, {"picture": "What it shows."}),
        other=Measured("quick", 0, 0.0, skipped="there is none", group="Elsewhere"),
    )
    save(known, tmp_path)
    back = load(tmp_path)
    assert back.record() == known.record()
    assert back.record()["metrics"]["other"]["group"] == "Elsewhere"
    first, second = (found for _, found in back.scores())
    assert first.each is not None
    assert np.allclose(first.each, EACH_OF)
    assert second.each is None
    assert (back.test_images, back.step) == ("11", 7)


def test_without_the_scores_of_single_images_the_others_are_read(tmp_path: Path) -> None:
    save(evaluation(elbo=Measured("full", 0, 0, (mean_score("a", "A", EACH_OF, "dB", "p"),))), tmp_path)
    (tmp_path / EACH).unlink()
    found = load(tmp_path).find("elbo.a")
    assert found is not None
    assert found.each is None
    assert found is not load(tmp_path).find("b")


JSON: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda record: [record],
    "a number": lambda record: 1,
    "null": lambda record: None,
    "no format": lambda record: {**record, "format": None},
    "no metrics": lambda record: {key: value for key, value in record.items() if key != "metrics"},
    "metrics that are a list": lambda record: {**record, "metrics": [1]},
    "a metric that is text": lambda record: {**record, "metrics": {"elbo": "full"}},
    "a step that is text": lambda record: {**record, "step": "many"},
    "an endless step": lambda record: {**record, "step": math.inf},
}
ENTRY: dict[str, Any] = {
    "name": 3, "title": None, "value": "2", "unit": ["dB"], "protocol": {}, "count": "many", "error": -1,
    "better": "up", "interval": [1, 2, 3], "over": 1, "of_data": "yes", "parts": 5, "warning": None, "colour": "red",
}  # fmt: skip


@pytest.mark.parametrize("name", JSON)
def test_a_file_that_is_no_evaluation_is_one_line(name: str, tmp_path: Path) -> None:
    record = evaluation(elbo=Measured("full", 0, 0, (score(),))).record()
    (tmp_path / FILE).write_text(json.dumps(JSON[name](record)))
    line = refused(load, tmp_path)
    assert FILE in line
    assert "vaescope evaluate" in line


@pytest.mark.parametrize("key", ENTRY)
def test_a_score_with_a_wrong_entry_is_one_line(key: str, tmp_path: Path) -> None:
    record = evaluation(elbo=Measured("full", 0, 0, (score(),))).record()
    record["metrics"]["elbo"]["scores"][0][key] = ENTRY[key]
    (tmp_path / FILE).write_text(json.dumps(record))
    assert "is broken" in refused(load, tmp_path)


@pytest.mark.parametrize("key", ["name", "title", "value", "unit", "protocol", "count"])
def test_a_score_that_lacks_an_entry_is_one_line(key: str, tmp_path: Path) -> None:
    record = evaluation(elbo=Measured("full", 0, 0, (score(),))).record()
    del record["metrics"]["elbo"]["scores"][0][key]
    (tmp_path / FILE).write_text(json.dumps(record))
    assert "is broken" in refused(load, tmp_path)


def test_numbers_beyond_measure_are_one_line(tmp_path: Path) -> None:
    save(evaluation(elbo=Measured("full", 0, 0, (score(value=2.0),))), tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace("2.0", "9" * 400))
    assert "is broken" in refused(load, tmp_path)
    (tmp_path / FILE).write_text("[" * 100_000)
    assert "is broken" in refused(load, tmp_path)


@settings(max_examples=30)
@given(share=st.floats(0, 0.999))
def test_a_file_that_was_cut_short_is_one_line(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    save(evaluation(elbo=Measured("full", 0, 0, (mean_score("a", "A", EACH_OF, "dB", "p"),))), folder)
    for name in (EACH, FILE):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(share * (len(whole) - 2))])
        assert "is broken" in refused(load, folder)
        (folder / name).write_bytes(whole)


def objects(path: Path) -> None:
    np.savez(path, **{"elbo.a": np.array([{}, 1, "x"], dtype=object)})  # type: ignore[arg-type]


def array_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, EACH_OF)


CASES: dict[str, Callable[[Path], None]] = {
    "of another length": lambda path: np.savez(path, **{"elbo.a": EACH_OF[:2]}),  # type: ignore[arg-type]
    "of another shape": lambda path: np.savez(path, **{"elbo.a": EACH_OF[None]}),  # type: ignore[arg-type]
    "text": lambda path: np.savez(path, **{"elbo.a": np.array(["a", "b", "c"])}),  # type: ignore[arg-type]
    "objects": objects,
    "an array alone": array_alone,
    "no archive": lambda path: path.write_bytes(b"PK\x03\x04 and nothing else") and None,  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("name", CASES)
def test_scores_of_single_images_that_do_not_fit_are_one_line(name: str, tmp_path: Path) -> None:
    save(evaluation(elbo=Measured("full", 0, 0, (mean_score("a", "A", EACH_OF, "dB", "p"),))), tmp_path)
    CASES[name](tmp_path / EACH)
    assert "is broken" in refused(load, tmp_path)


def test_another_format_is_one_line(tmp_path: Path) -> None:
    save(evaluation(), tmp_path)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace('"format": 1', '"format": 99'))
    assert refused(load, tmp_path).endswith("has format 99, but this version reads 1")


def test_nothing_measured_yet_says_what_to_run(tmp_path: Path) -> None:
    assert f"run `vaescope evaluate {tmp_path}` first" in refused(load, tmp_path)


# Measuring


def test_what_is_measured_anew_replaces_and_the_rest_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "mine", lambda subject: iter([score(name="mine", value=1.0)]))
    evaluate(run, ["mine", "elbo"], TINY)
    add(monkeypatch, "mine", lambda subject: iter([score(name="mine", value=5.0)]))
    again = evaluate(run, ["mine"], TINY)
    assert next((name, found.name) for name, found in again.scores()) == ("elbo", "negative_elbo")
    found = again.find("mine.mine")
    assert found is not None
    assert found.value == 5
    assert load(run.folder).record() == again.record()


def test_other_weights_start_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(run, ["elbo"], TINY)
    before = load(run.folder)
    changed = Run.load(run.folder)
    path = run.folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    add(monkeypatch, "mine", lambda subject: iter([score(name="mine")]))
    after = evaluate(changed, ["mine"], TINY)
    assert after.weights != before.weights
    assert list(after.metrics) == ["mine"]


def test_other_test_images_start_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "mine", lambda subject: iter([score(name="mine")]))
    evaluate(run, ["mine"], TINY)
    known = load(run.folder)
    assert known.test_images == fingerprint(run.data().test.images)
    save(replace(known, test_images="of others"), run.folder)
    assert list(evaluate(run, ["elbo"], TINY).metrics) == ["elbo"]


def test_images_are_known_by_their_values_and_their_order() -> None:
    images = torch.randint(0, 255, (50, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    other = images.clone()
    other[-1, 0, 0, 0] ^= 1
    digests = [fingerprint(some) for some in (images, other, images.flip(0), images[:-1], images.reshape(50, 1, 2, 8))]
    assert len(set(digests)) == 5
    assert fingerprint(images.clone()) == digests[0]


def stopped(subject: Subject) -> Iterator[Score]:
    yield score(name="half")
    raise KeyboardInterrupt


def test_an_interruption_keeps_what_was_finished(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(monkeypatch, "long", stopped)
    assert main(["evaluate", str(run.folder), "--metrics", "long,elbo", "--quick"]) == 130
    lines = capsys.readouterr().err.splitlines()
    assert f"long was interrupted; {run.folder / FILE} holds elbo" in lines
    assert lines[-1] == "vaescope: interrupted"
    assert list(load(run.folder).metrics) == ["elbo"]
    assert {path.name for path in run.folder.iterdir() if path.name.startswith(".")} <= {".lock"}


def inapplicable(subject: Subject) -> Iterator[Score]:
    raise InapplicableError("the images have no wheels")
    yield


def test_a_metric_that_does_not_apply_is_told_unless_it_was_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in METRICS if name != "elbo"]:
        monkeypatch.delitem(METRICS, name)
    add(monkeypatch, "wheels", inapplicable)
    assert main(["evaluate", str(run.folder)]) == 0
    assert "wheels: not measured, the images have no wheels" in capsys.readouterr().out
    assert main(["evaluate", str(run.folder), "--metrics", "wheels"]) == 2
    assert "wheels of" in (line := capsys.readouterr().err.splitlines()[-1])
    assert line.endswith("cannot be measured: the images have no wheels")


MISTAKES = {
    "a metric": (["--metrics", "elbow"], "there is no metric elbow here: did you mean elbo?"),
    "no metric": (["--metrics", ","], "no metric was named: there are elbo"),
    "no draws": (["--samples", "0"], "0 given, a number from 1 to 1,000,000 expected"),
    "draws in words": (["--samples", "some"], "--samples"),
    "a seed": (["--seed", "-1"], "--seed"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = MISTAKES[name]
    assert main(["evaluate", str(run.folder), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (run.folder / FILE).exists()


def test_a_folder_that_is_no_run_or_has_no_weights_is_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 2
    assert "is no run folder" in capsys.readouterr().err
    (run.folder / "model.safetensors").unlink()
    assert main(["evaluate", str(run.folder)]) == 2
    assert "holds no weights yet" in capsys.readouterr().err


def test_images_that_are_gone_or_others_are_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.folder / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("name: sample", "name: idx").replace("root: data", f"root: {run.folder / 'gone'}"))
    assert main(["evaluate", str(run.folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    path.write_text(text)
    other = replace(Run.load(run.folder), shape=(1, 14, 14))
    assert "has another shape than when" in refused(evaluate, other, ["elbo"], TINY)
    assert not (run.folder / FILE).exists()


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaescope.evaluation.os.access", lambda path, mode: False)
    monkeypatch.setattr("vaescope.evaluation.measure", None)
    assert f"{run.folder} cannot be written to" in refused(evaluate, run, ["elbo"], TINY)


def test_a_place_that_is_taken_is_one_line(run: Run) -> None:
    (run.folder / FILE).mkdir()
    assert "cannot be written" in refused(evaluate, run, ["elbo"], TINY)


# Words


INAPPLICABLE = {
    "disentanglement": "no ground-truth factors",
    "dci": "no ground-truth factors",
    "anomalies": "nothing to compare with",
}
"""The metrics that have no meaning for this run, and why."""


@pytest.mark.parametrize("name", INAPPLICABLE)
def test_what_does_not_apply_says_why(name: str, run: Run) -> None:
    assert INAPPLICABLE[name] in refused(evaluate, run, [name], TINY)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in INAPPLICABLE])
def test_every_score_says_how_it_was_measured(name: str, run: Run) -> None:
    measured = evaluate(run, [name], TINY).metrics[name]
    assert measured.scores or measured.pictures
    names = [found.name for found in measured.scores]
    assert len(set(names)) == len(names)
    for found in measured.scores:
        assert found.name.replace("_", "").isalnum(), found.name
        assert found.name == found.name.lower()
        assert 0 < len(found.title) <= 34, found.title
        assert found.protocol.strip(), found.name
        assert "\n" not in found.protocol + found.title + found.unit + found.warning
        assert found.unit == found.unit.strip()
        assert found.count > 0
        assert found.cases
        assert math.isfinite(found.value) or found.warning, found.name
        assert found.each is None or len(found.each) == found.count
    for picture, caption in measured.pictures.items():
        assert (run.folder / "figures" / f"{picture}.png").is_file()
        assert caption.endswith(".")


@given(value=st.floats(-1e9, 1e9), error=st.floats(1e-6, 1e6))
def test_a_number_is_written_to_two_digits_of_its_error(value: float, error: float) -> None:
    assume(error > 1e-7 * abs(value))
    text = written(score(value=value, error=error))
    number, spread = (float(part.replace(",", "").replace("−", "-")) for part in text.split(" ± "))
    assert abs(number - value) <= 0.06 * error + 0.5 * (error >= 10) + 1e-6
    assert abs(spread - error) <= 0.06 * error + 0.5 * (error >= 10)
    assert not text.startswith("−0 ")


WRITTEN = {
    "252.83 ± 0.81": {"value": 252.8316, "error": 0.8084},
    "58,094 ± 269": {"value": 58094.436, "error": 269.15},
    "−0.0123 ± 0.0045": {"value": -0.0123, "error": 0.0045},
    "0.00 ± 0.10": {"value": -0.0001, "error": 0.1},
    "0.871 [0.715, 0.951]": {"value": 0.871, "interval": (0.7149, 0.9512)},
    "−1.20 [−3.14, 0.74]": {"value": -1.2, "interval": (-3.14, 0.74)},
    "1.000 [0.929, 1.000]": {"value": 1.0, "error": 0.0, "interval": (0.92865, 1.0)},
    "17": {"value": 17.0},
    "3.513": {"value": 3.51256},
    "252.8": {"value": 252.8316},
    "0.04567": {"value": 0.0456712},
    "5": {"value": 5.0, "error": 0.0},
    "5.100": {"value": 5.1, "error": math.nan},
    "not known": {"value": math.nan, "error": 0.1},
}


@pytest.mark.parametrize("text", WRITTEN)
def test_numbers_are_written_so_that_no_digit_is_noise(text: str) -> None:
    assert written(score(**WRITTEN[text])) == text


def test_the_table_has_units_cases_and_warnings() -> None:
    found = score(value=252.8316, error=0.81, unit="nats per image", count=10_000, warning="do not trust it")
    text = table(evaluation(elbo=Measured("full", 0, 0, (found, score(name="b", of_data=True)))))
    assert "252.83 ± 0.81 nats per image" in text
    assert "10,000 test images" in text
    assert "warning: do not trust it" in text
    assert "\n· A" in text
    assert table(evaluation(elbo=Measured("full", 0, 0, (found,))), ["other"]) == ""
