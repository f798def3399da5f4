"""Runs side by side: only what compares is compared, and a difference is called one only if it is more than noise."""

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_pages import Reader

import vaescope as vs
from vaescope.cli import main
from vaescope.comparison import Comparison, compare, write
from vaescope.comparison.entrants import flattened, titles
from vaescope.comparison.formats import HEAD, letter, markdown, record, text
from vaescope.comparison.noise import difference, rejected, spread, tail, welch
from vaescope.evaluation import EACH, FILE, Evaluation, Measured, evaluate, load, save
from vaescope.figures import curves
from vaescope.metrics.bound import NATS
from vaescope.metrics.score import Score, mean_score
from vaescope.metrics.subject import Effort
from vaescope.run import Run

PROTOCOL = "images binarised once, encoder sees the binary image, one sample, KL weight 1"
CONFIG = """data: {{name: fashion-mnist, root: {root}, targets: binary, memory: 2048}}
model: {{class_path: vaescope.models.Flat, init_args: {{latent: {latent}, labels: false}}}}
trainer: {{epochs: 3, device: auto}}
seed: {seed}
"""
N = 400
EASE = np.random.default_rng(0).normal(size=N) * 30
"""How hard every image is, for all models alike."""


def elbo(shift: float, seed: int, noise: float = 1.0, n: int = N) -> Score:
    """The -ELBO of a model that is worse by a shift, on images that are hard for all models alike."""
    each = 200 + shift + EASE[:n] + noise * np.random.default_rng(seed + 1).normal(size=n)
    return mean_score("negative_elbo", "−ELBO", each, NATS, PROTOCOL, better="lower")


def curve(shift: float = 0.0) -> list[dict[str, Any]]:
    """The lines of a training log."""
    return [
        {"step": k * 100, "split": "validation", "loss": 210 + shift, "distortion": 300 / (k + 1) + shift,
         "rate": 10.0, "seconds": float(k)}
        for k in range(5)
    ]  # fmt: skip


def folder(
    place: Path, *scores: Score, seed: int = 0, latent: int = 2, root: str = "/data", shown: str = "1" * 64,
    lines: list[dict[str, Any]] | None = None, data: str = "Fashion-MNIST", metric: str = "elbo",
) -> Path:  # fmt: skip
    """A run folder without images and without a model."""
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(CONFIG.format(root=root, seed=seed, latent=latent))
    log = curve(seed) if lines is None else lines
    (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    if scores:
        measured = {metric: Measured("full", 0, 1.0, scores, group="Likelihood")}
        save(Evaluation(place.name, 400, "0" * 64, data, "a machine", measured, shown), place)
    return place


def judgements(found: Comparison, row: int = 0) -> list[str]:
    return [cell.judgement if cell else "missing" for cell in found.rows[row].cells]


# The tests


@settings(max_examples=100, deadline=None)
@given(t=st.floats(-40, 40), freedom=st.floats(1, 5000))
def test_the_tail_is_that_of_students_t(t: float, freedom: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="compares with scipy")
    assert tail(t * 0.3, 0.3, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), abs=1e-4)


def test_the_tail_without_degrees_of_freedom_or_error_is_known() -> None:
    assert tail(1.959964, 1, math.inf) == pytest.approx(0.05, abs=1e-6)
    assert tail(0, 0, 5) == 1
    assert tail(1e-9, 0, 5) == 0


def test_images_are_compared_one_by_one_and_errors_otherwise() -> None:
    stats = pytest.importorskip("scipy.stats", reason="compares with scipy")
    a, b = elbo(0.3, 1), elbo(0, 2)
    found = difference(a, b)
    assert found is not None
    assert found.how == "paired"
    assert found.p == pytest.approx(stats.ttest_rel(a.each, b.each).pvalue, abs=1e-6)
    assert found.value == pytest.approx(a.value - b.value)
    apart = difference(replace(a, each=None), b)
    assert apart is not None
    assert apart.how == "errors"
    assert apart.error == pytest.approx(math.hypot(a.error or 0, b.error or 0))
    assert apart.error > 10 * found.error
    whole = difference(b, a)
    assert whole is not None
    assert (whole.value, whole.error) == pytest.approx((-found.value, found.error))


def test_seeds_are_compared_by_welchs_test() -> None:
    stats = pytest.importorskip("scipy.stats", reason="compares with scipy")
    a, b = np.array([1.0, 2.0, 4.0]), np.array([5.0, 5.5])
    errors = [float(values.std(ddof=1)) / math.sqrt(len(values)) for values in (a, b)]
    p = tail(a.mean() - b.mean(), math.hypot(*errors), welch(errors[0], errors[1], (3, 2)))
    assert p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=1e-6)


def test_numbers_of_images_that_are_not_what_the_mean_is_of_are_not_paired() -> None:
    a = elbo(0, 1)
    found = difference(replace(a, value=a.value + 5), elbo(0, 2))
    assert found is not None
    assert found.how == "errors"


def test_an_interval_is_an_error_too_and_without_both_there_is_no_difference() -> None:
    bare = replace(elbo(0, 1), each=None, error=None)
    assert spread(replace(bare, interval=(1.0, 2.0))) == pytest.approx(0.2551, abs=1e-4)
    assert spread(bare) is None
    assert difference(bare, bare) is None
    assert difference(replace(elbo(0, 1), value=math.nan), elbo(0, 2)) is None


def test_holms_method_is_that_of_the_paper() -> None:
    assert rejected({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"d", "a"}
    assert rejected({"a": 0.04}) == {"a"}
    assert rejected({}) == set()


def test_of_equal_models_one_is_rarely_called_worse(tmp_path: Path) -> None:
    """The best of four equal models is the luckiest one; at most in one of twenty rows may another be called worse."""
    from vaescope.comparison.rows import Cell, Row, judged

    rows = 300
    wrong = 0
    for k in range(rows):
        cells = tuple(Cell(elbo(0, 1000 + 4 * k + j, n=60)) for j in range(4))
        wrong += any(cell and cell.judgement == "worse" for cell in judged(Row(("a", "b"), "g", cells)).cells)
    assert wrong / rows <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / rows)
    assert wrong > 0


# What compares


def test_the_best_and_what_is_as_good_are_marked(tmp_path: Path) -> None:
    runs = [folder(tmp_path / name, elbo(shift, k), seed=k) for k, (name, shift) in
            enumerate({"a": 3.0, "b": 0.0, "c": 0.02}.items())]  # fmt: skip
    found = compare(runs)
    assert judgements(found) == ["worse", "best", "alike"]
    shown = text(found)
    assert re.search(
        r"−ELBO, nats per image +20\d\.\d ± 1\.\d +\d{3}\.\d ± 1\.\d \* +\d{3}\.\d ± 1\.\d ≈$", shown, re.M
    )
    assert "not distinguishable from the best at 95%" in shown
    assert "Holm" in shown
    assert "tested image by image" in shown
    assert "a, b, c differ in their seed alone" in shown
    assert "from one training to another" in " ".join(shown.split())


def test_with_errors_alone_the_same_difference_is_noise(tmp_path: Path) -> None:
    runs = [folder(tmp_path / str(k), elbo(shift, k), seed=k) for k, shift in enumerate((0.0, 3.0))]
    assert judgements(compare(runs)) == ["best", "worse"]
    (runs[0] / EACH).unlink()
    found = compare(runs)
    assert judgements(found) == ["best", "alike"]
    assert "tested by the two errors" in text(found)


def test_higher_may_be_better_and_what_is_neither_is_not_judged(tmp_path: Path) -> None:
    def two(k: int) -> tuple[Score, Score]:
        return replace(elbo(k, k), better="higher"), replace(elbo(k, k), name="rate", better=None)

    found = compare([folder(tmp_path / str(k), *two(k), seed=k) for k in range(2)])
    assert judgements(found, 0) == ["worse", "best"]
    assert judgements(found, 1) == ["", ""]


def test_without_an_error_no_best_is_marked(tmp_path: Path) -> None:
    runs = [folder(tmp_path / str(k), replace(elbo(k, k), error=None, each=None)) for k in range(2)]
    found = compare(runs)
    assert judgements(found) == ["", ""]
    assert "no best is marked where the error of a score is not known: −ELBO" in text(found)


UNLIKE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "protocol": ({"protocol": "grey"}, {}, f"protocol “grey”, not “{PROTOCOL}”"),
    "count": ({"count": 50, "each": None}, {}, "50 test images, not 400"),
    "cases": ({"cases": "draws"}, {}, "400 draws, not 400 test images"),
    "unit": ({"unit": "bits/dim"}, {}, "in bits/dim, not nats per image"),
    "images": ({}, {"data": "MNIST"}, "images of MNIST, not Fashion-MNIST"),
    "other images of that name": ({}, {"shown": "2" * 64}, "other test images"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_does_not_compare_is_shown_and_not_judged(name: str, tmp_path: Path) -> None:
    changed, others, words = UNLIKE[name]
    a = folder(tmp_path / "a", elbo(1, 1))
    b = folder(tmp_path / "b", elbo(0, 2))
    odd = folder(tmp_path / "odd", replace(elbo(-99, 3), **changed), **others)
    found = compare([odd, a, b])
    assert judgements(found) == ["", "worse", "best"]
    assert found.rows[0].cells[0] is not None
    assert found.rows[0].cells[0].differs == words
    assert f"≠a not compared: {words}" in " ".join(text(found).split())
    line = refused(compare, [a, odd])
    assert line.startswith("nothing can be compared: −ELBO of odd has ")
    assert words in line


def test_of_several_groups_the_largest_is_judged(tmp_path: Path) -> None:
    odd = [folder(tmp_path / f"odd{k}", replace(elbo(-k, k), protocol="grey")) for k in range(2)]
    same = [folder(tmp_path / f"same{k}", elbo(9.0 * k, k)) for k in range(3)]
    assert judgements(compare([*odd, *same])) == ["", "", "best", "worse", "worse"]
    assert judgements(compare([*odd, *same[:2]])) == ["worse", "best", "", ""]


def test_a_score_that_one_lacks_leaves_a_gap(tmp_path: Path) -> None:
    more = replace(elbo(0, 5), name="more", title="More")
    a, b = folder(tmp_path / "a", elbo(0, 1), more), folder(tmp_path / "b", elbo(9, 2))
    found = compare([a, b])
    assert judgements(found, 1) == ["", "missing"]
    assert re.search(r"More, nats per image .* –$", text(found), re.M)
    assert "have no score in common" in refused(compare, [a, folder(tmp_path / "c", replace(more, name="x"))])


def test_numbers_of_the_images_alone_are_shown_once(tmp_path: Path) -> None:
    def floor(value: float) -> Score:
        return Score("entropy", "irreducible entropy", value, NATS, "p", N, of_data=True)

    runs = [folder(tmp_path / str(k), elbo(k, k), floor(181.25)) for k in range(3)]
    found = compare(runs)
    assert len(found.rows) == 1
    assert text(found).count("181.2") == 1
    other = folder(tmp_path / "other", elbo(0, 7), floor(60.5), data="MNIST")
    assert "60.50 nats per image (other)" in text(compare([*runs, other]))


def test_a_number_that_is_none_is_shown_and_not_judged(tmp_path: Path) -> None:
    runs = [folder(tmp_path / str(k), replace(elbo(0, k), value=value)) for k, value in enumerate((math.nan, 200.0))]
    found = compare(runs)
    assert judgements(found) == ["", ""]
    assert "not known" in text(found)
    assert json.loads(json.dumps(record(found), allow_nan=False))["scores"][0]["value"] is None


def test_warnings_are_told(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", replace(elbo(0, 1), warning="few samples carry it"))
    shown = text(compare([a, folder(tmp_path / "b", elbo(9, 2))]))
    assert "! a, −ELBO: few samples carry it" in shown
    assert " *!" in shown


# Training seeds


def test_runs_that_differ_in_their_seed_alone_become_their_mean(tmp_path: Path) -> None:
    small = [folder(tmp_path / f"small{k}", elbo(10 + k, k), seed=k) for k in range(3)]
    large = [folder(tmp_path / f"large{k}", elbo(k / 2, k), seed=k, latent=9, root="/elsewhere") for k in range(3)]
    single = folder(tmp_path / "single", elbo(5, 0), latent=5)
    found = compare([*small, *large], seeds=True)
    assert [column.title for column in found.columns] == ["small0 and 2 more", "large0 and 2 more"]
    values = [load(place).find("negative_elbo") for place in small]
    mean = np.mean([score.value for score in values if score])
    cell = found.rows[0].cells[0]
    assert cell is not None
    assert cell.score.value == pytest.approx(mean)
    assert cell.score.error == pytest.approx(np.std([s.value for s in values if s], ddof=1) / math.sqrt(3))
    low, high = cell.score.ends() or (math.nan, math.nan)
    assert high - low == pytest.approx(2 * 4.303 * cell.score.error, rel=1e-3)  # Student's, of three seeds
    assert judgements(found) == ["worse", "best"]
    assert "(sd 1" in text(found)
    assert "tested over training seeds" in text(found)
    assert found.config == {"data.root": ["/data", "/elsewhere"], "model.latent": ["2", "9"]}
    assert judgements(compare([*small, single], seeds=True)) == ["", ""]
    assert len(compare(small, seeds=True).columns) == 1
    assert "no two of the runs" in refused(compare, [small[0], single], None, True)
    again = folder(tmp_path / "again", elbo(10, 7), seed=0)
    assert "the same seed" in refused(compare, [*small, again], None, True)


# Folders


def test_run_folders_are_enough(tmp_path: Path) -> None:
    runs = [folder(tmp_path / str(k), elbo(k, k), root="/not/here") for k in range(2)]
    assert {path.name for path in runs[0].iterdir()} == {"config.yaml", "metrics.jsonl", FILE, EACH}
    assert compare(runs).rows


def test_a_run_that_was_never_evaluated_has_what_training_wrote(run_folder: Path, tmp_path: Path) -> None:
    import shutil

    known, logged = tmp_path / "known", tmp_path / "logged"
    for place in (known, logged):
        shutil.copytree(run_folder, place)
    evaluate(Run.load(known), ["elbo"], Effort("all"))
    found = compare([known, logged])
    for row in found.rows:
        one, other = row.known
        assert not other.differs
        assert one.score.value == pytest.approx(other.score.value, rel=1e-6)
        assert (one.score.title, one.score.protocol) == (other.score.title, other.score.protocol)
    assert judgements(found)[1] in ("best", "alike")
    assert "logged: what training wrote at its end" in text(found)
    (logged / "model.safetensors").unlink()
    assert compare([known, logged]).rows


def test_protocols_of_models_with_labels_are_those_of_the_metric(tmp_path: Path, images: Any) -> None:
    from vaescope.comparison.entrants import protocol
    from vaescope.data.targets import TARGETS
    from vaescope.metrics import of_labels
    from vaescope.models import Flat, SemiSupervised
    from vaescope.nets import MLP

    small = MLP(width=8)
    for name, made in (("Flat", Flat(network=small, labels=True)), ("SemiSupervised", SemiSupervised(network=small))):
        model = made((1, 28, 28), 10)
        words = protocol(tmp_path, {"model": name, "model.labels": "true", "data.targets": "grey"}, 50)
        assert words.replace("log K", "log 10") == TARGETS["grey"]().protocol + of_labels(model)


def test_an_autoencoder_is_compared_by_its_distortion(tmp_path: Path) -> None:
    test = {"step": 9, "split": "test", "negative_elbo": None, "standard_error": 1.0, "distortion": 180.0,
            "rate": None, "images": N}  # fmt: skip
    bare = [{**line, "rate": None} for line in curve()]
    runs = [folder(tmp_path / str(k), lines=[*bare, {**test, "distortion": 180.0 + 9 * k}], seed=k) for k in range(2)]
    found = compare(runs)
    assert [row.key for row in found.rows] == [("elbo", "distortion")]
    assert judgements(found) == ["best", "worse"]
    written = write(found, tmp_path / "t.html")[0].read_text()
    assert "which is all that an autoencoder has" in " ".join(written.split())


def test_folders_of_one_name_are_told_apart() -> None:
    places = [Path(p) for p in ("/x/a/main", "/x/b/main", "/y/other")]
    assert titles(places) == ["a/main", "b/main", "other"]
    assert titles([Path("/x/q/run"), Path("/y/q/run")]) == ["x/…/run", "y/…/run"]
    assert titles([Path("/a"), Path("/b/a")]) == ["/a", "b/a"]
    assert titles([Path("/x/\x1b[31m")]) == ["\\x1b[31m"]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), min_size=2, max_size=6, unique_by=tuple))
def test_no_two_folders_have_one_title(parts: list[list[str]]) -> None:
    found = titles([Path("/", *part) for part in parts])
    assert len(set(found)) == len(found)


def test_a_config_is_keys_with_dots_and_classes_by_their_names() -> None:
    arguments = {"latent": 2, "prior": "vaescope.priors.X"}
    content = {"model": {"class_path": "vaescope.models.Flat", "init_args": arguments},
               "seed": 0, "size": None, "on": True, "betas": [0.9, 0.99]}  # fmt: skip
    assert dict(flattened(content)) == {
        "model": "Flat", "model.latent": "2", "model.prior": "X", "seed": "0", "size": "none", "on": "true",
        "betas": "[0.9, 0.99]",
    }  # fmt: skip


def broken(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes(content)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda place: (place / "config.yaml").unlink(), "is no run folder"),
    "a config that is none": (broken("config.yaml", b"- 1"), "must hold keys and values"),
    "a config of bytes": (broken("config.yaml", b"\xff\xfe\x00"), "is not valid YAML"),
    "brackets": (broken("metrics.jsonl", b"[" * 100_000 + b"\n"), "broken"),
    "a log of words": (broken("metrics.jsonl", b"hello\n"), "is damaged"),
    "a log of lists": (broken("metrics.jsonl", b"[]\n"), "is damaged"),
    "not JSON": (broken(FILE, b"{"), "is broken"),
    "a list": (broken(FILE, b"[]"), "is broken"),
    "nothing": (broken(FILE, b""), "is broken"),
    "no text": (broken(FILE, b"\xff\xfe"), "is broken"),
    "another format": (broken(FILE, b'{"format": 2}'), "has format 2"),
    "no arrays": (broken(EACH, b"PK"), "is broken"),
    "neither scores nor a test": (lambda place: (place / FILE).unlink(), "run `vaescope evaluate"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_broken_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, message = BROKEN[name]
    runs = [folder(tmp_path / place, elbo(0, 1)) for place in ("good", "bad")]
    spoil(runs[1])
    assert main(["compare", *map(str, runs)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "bad" in error
    assert error.count("\n") == 1


def test_numbers_of_a_log_that_are_none_are_one_line(tmp_path: Path) -> None:
    lines = [{**curve()[0], "seconds": "soon"}]
    test = {"step": 9, "split": "test", "negative_elbo": "low", "distortion": 1.0, "rate": 1.0, "images": 3}
    a, b = folder(tmp_path / "a", elbo(0, 1), lines=lines), folder(tmp_path / "b", elbo(0, 2))
    assert "is damaged" in refused(compare, [a, b])
    assert "is damaged" in refused(compare, [b, folder(tmp_path / "c", lines=[test])])


MISTAKES: dict[str, tuple[list[str], str]] = {
    "one run": (["{a}"], "1 run was given"),
    "a run twice": (["{a}", "{b}", "{a}/../a"], "a is named twice"),
    "no folder": (["{a}", "nowhere"], "nowhere is no run folder"),
    "a metric": (["{a}", "{b}", "--metric", "elbow"], "there is no metric or score elbow here: did you mean elbo?"),
    "no metric": (["{a}", "{b}", "--metric", ","], "no metric was named: there are elbo"),
    "an ending": (["{a}", "{b}", "-o", "t.txt"], "its ending must be .md or .csv or .html"),
    "an ending of curves": (["{a}", "{b}", "--curves", "t.jpg"], "its ending must be .png"),
    "a place": (["{a}", "{b}", "-o", "{a}/config.yaml/t.md"], "cannot be written"),
    "no seeds": (["{a}", "{b}", "--seeds"], "no two of the runs differ in their seed alone"),
    "nothing": ([], "see vaescope compare --help"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = MISTAKES[name]
    a, b = folder(tmp_path / "a", elbo(0, 1)), folder(tmp_path / "b", elbo(1, 2), latent=4)
    assert main(["compare", *(word.format(a=a, b=b) for word in words)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# Formats


@pytest.fixture
def three(tmp_path: Path) -> Comparison:
    """Three runs: one is better, one is quick, and one has a name that is markup."""
    scores = replace(elbo(0, 3), count=50, each=None)
    rate = replace(elbo(0, 1), name="rate", title="rate, KL(q(z|x) ‖ p(z))", better=None)
    return compare([
        folder(tmp_path / "a", elbo(3, 1), rate, seed=1),
        folder(tmp_path / "<script>&|*", elbo(0, 2), rate, latent=8),
        folder(tmp_path / "quick", scores),
    ])  # fmt: skip


def test_a_terminal_of_a_hundred_columns_holds_it(three: Comparison, tmp_path: Path) -> None:
    for width in (100, 72):
        assert max(map(len, text(three, width).splitlines())) <= width
    name = "a_very_long_name_of_a_run_" * 4
    runs = [folder(tmp_path / f"{name}{k}", elbo(k, k), seed=k) for k in range(9)]
    shown = text(compare(runs))
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("−ELBO, nats per image") == 2
    assert all(f"_{k}" in "".join(shown.split("What")[0].split()) for k in range(9))


def test_markdown_is_a_table_that_shows_names_as_they_are(three: Comparison) -> None:
    shown = markdown(three)
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    bare = [re.sub(r"\\.", "", row).count("|") for row in rows[:5]]
    assert bare == [5] * 5
    assert "\\<script\\>\\&\\|\\*" in rows[0]
    assert re.search(r"\*\*\d{3}\.\d ± 1\.\d\*\*", shown)


def test_csv_has_a_row_for_every_run_and_score(three: Comparison, tmp_path: Path) -> None:
    write(three, tmp_path / "t.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert tuple(rows[0]) == HEAD
    assert [(row["run"], row["score"], row["comparable"], row["best"]) for row in rows] == [
        ("a", "negative_elbo", "yes", "worse"),
        ("<script>&|*", "negative_elbo", "yes", "best"),
        ("quick", "negative_elbo", "no", ""),
        ("a", "rate", "yes", ""),
        ("<script>&|*", "rate", "yes", ""),
    ]
    cell = three.rows[0].cells[0]
    assert cell is not None
    assert float(rows[0]["value"]) == cell.score.value
    assert float(rows[0]["low"]) < float(rows[0]["value"]) < float(rows[0]["high"])


def test_a_page_needs_nothing_beside_it_and_obeys_no_name(three: Comparison, tmp_path: Path) -> None:
    assert write(three, tmp_path / "t.html") == [tmp_path / "t.html"]
    whole = (tmp_path / "t.html").read_text()
    read = Reader(whole)
    assert not read.open
    assert "script" not in read.tags
    assert read.text.count("<script>&|*") >= 4
    assert "img" in read.tags
    assert not re.search(r"https?:|url\(", whole)
    assert "−ELBO, nats per image" in read.text
    assert "model.latent" in read.text
    assert Reader(three._repr_html_()).tags.count("table") == 2


def test_markdown_has_its_picture_beside_it(three: Comparison, tmp_path: Path) -> None:
    assert write(three, tmp_path / "t.md") == [tmp_path / "t.md", tmp_path / "t.png"]
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.width <= 1600
    assert "](t.png)" in (tmp_path / "t.md").read_text()


def test_the_command_writes_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(folder(tmp_path / str(k), elbo(9 * k, k), seed=k)) for k in range(2)]
    assert main(["compare", *runs, "--metric", "negative_elbo"]) == 0
    shown = capsys.readouterr().out
    assert "difference: 1 minus 0" in shown
    assert main(["compare", *runs, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [score["best"] for score in content["scores"]] == ["best", "worse"]
    assert content["scores"][1]["to_best"]["how"] == "paired"
    assert content["config"] == {"seed": ["0", "1"]}
    assert main(["compare", *runs, "--curves", str(tmp_path / "c.png"), "-o", str(tmp_path / "t.csv")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "t.csv"), str(tmp_path / "c.png")]
    assert (tmp_path / "c.png").is_file()


def test_runs_without_a_log_have_no_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [folder(tmp_path / str(k), elbo(9 * k, k), lines=[]) for k in range(2)]
    assert write(compare(runs), tmp_path / "t.md") == [tmp_path / "t.md"]
    assert "img" not in Reader(write(compare(runs), tmp_path / "t.html")[0].read_text()).tags
    assert main(["compare", *map(str, runs), "--curves", str(tmp_path / "c.png")]) == 2
    assert "there are no curves to draw" in capsys.readouterr().err


def test_what_differs_has_letters() -> None:
    assert [letter(k) for k in (0, 25, 26, 27, 52, 701, 702)] == ["a", "z", "aa", "ab", "ba", "zz", "aaa"]


# Curves


def course(name: str, points: int = 5, timed: bool = True, scale: float = 100.0) -> curves.Course:
    step = np.arange(points) * scale
    return curves.Course(name, step, step / 7 if timed else step * np.nan, 200 + 100 / (1 + np.arange(points)))


COURSES: dict[str, list[curves.Course]] = {
    "two": [course("a"), course("b", 9)],
    "one point": [course("a", 1)],
    "no seconds": [course("a"), course("b", timed=False)],
    "many with odd names": [course(f"_a $x$ \n very long name of a run \u4e2d {k}" * 2) for k in range(11)],
    "large values": [replace(course("a"), value=np.array([9e6, 5e4, 4e4, 3e4, 3e4]))],
    "gaps": [replace(course("a"), value=np.array([np.nan, 300, np.nan, 210, 200.0]))],
    "one without any": [course("a"), replace(course("b"), value=np.full(5, np.nan))],
}


@pytest.mark.parametrize("name", COURSES)
def test_curves_are_drawn_over_each_other(name: str, tmp_path: Path) -> None:
    words = {"title": "−ELBO of validation images", "footer": "f"}
    for place in ("1.png", "2.png"):
        curves.overlaid(tmp_path / place, COURSES[name], **words, floor=190.5)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    with Image.open(tmp_path / "1.png") as picture:
        assert 1000 <= picture.width <= 1600
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert any(abs(r - 0x3F) + abs(g - 0x90) + abs(b - 0xDA) < 60 for r, g, b in colours)


def test_no_curves_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        curves.overlaid(tmp_path / "a.png", [], title="", footer="")
    with pytest.raises(ValueError, match="one shape"):
        curves.Course("a", np.arange(3), np.arange(3), np.arange(2))


# Python


def test_from_python_it_is_the_same(tmp_path: Path, run_folder: Path) -> None:
    import shutil

    shutil.copytree(run_folder, tmp_path / "run")
    found = vs.evaluate(str(tmp_path / "run"), "elbo", quick=True, verbose=False)
    assert found.find("negative_elbo") is not None
    assert "−ELBO" in str(found)
    assert "table" in Reader(found._repr_html_()).tags
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    both = vs.compare([vs.load(tmp_path / "run"), str(tmp_path / "other")], "rate")
    assert [row.key[1] for row in both.rows] == ["rate"]
    assert "other" in str(both)
    assert "give two or more" in refused(vs.compare, str(tmp_path / "run"))
