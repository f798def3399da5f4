"""A report shows what is in a run folder and needs nothing beside it; model cards say what was measured."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import TINY, retitled
from data_helpers import refused

from vaescope import pictures
from vaescope.card import BEGIN, END, plain, update_card, write_card
from vaescope.cli import main
from vaescope.evaluation import Evaluation, Measured, load, load_kept, save, written
from vaescope.facts import captions, facts
from vaescope.figures import tiles
from vaescope.metrics.score import Score
from vaescope.report import page, report_html
from vaescope.report.caution import cautions
from vaescope.report.glossary import GLOSSARY
from vaescope.report.known import Known
from vaescope.report.meaning import sentences
from vaescope.run import Run

NASTY = "</td><script>alert('x')</script><img src=http://a.b/c onerror=x> &amp; \"q\""
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """What a browser makes of a page; it refuses one whose tags do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


@pytest.fixture
def copy(run_folder: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    shutil.copytree(run_folder, tmp_path / "tiny", ignore=shutil.ignore_patterns("checkpoints"))
    return tmp_path / "tiny"


SCORES = (
    Score("negative_elbo", "−ELBO", 310.123456789, "nats per image", "one draw", 60, error=9.25, better="lower"),
    Score("rate", "rate, KL(q(z|x) ‖ p(z))", 1e-5, "nats per image", "one draw", 60),
    Score("unknown", "what is not known", float("nan"), "", "one draw", 60, warning="it diverged; try K = 5"),
)
FLOORS = (
    Score("entropy", "entropy of the pixels", 190.5, "nats per image", "exact", 60, of_data=True),
    Score("independent_pixels", "independent pixels", 385.25, "nats per image", "smoothed", 60, of_data=True),
)
QUALITY = (
    Score("psnr", "PSNR", 20.5, "dB", "greys", 60, error=0.5, better="higher"),
    Score("psnr_pca", "PCA, 2 components", 22.5, "dB", "greys", 60, error=0.5, better="higher", of_data=True),
)


def measure(
    folder: Path,
    *scores: Score,
    floors: tuple[Score, ...] = FLOORS,
    pictures: dict[str, str] | None = None,
    effort: str = "full",
) -> Evaluation:
    """Lets some scores have been measured of a run, and some of another group."""
    metrics = {
        "elbo": Measured(effort, 3, 1.0, scores or SCORES, pictures or {}, "", "Likelihood"),
        "floors": Measured(effort, 3, 1.0, floors, {}, "", "Likelihood"),
        "quality": Measured(effort, 3, 1.0, QUALITY, {}, "", "Reconstruction"),
        "probe": Measured(effort, 3, 1.0, (), {}, "the images have no labels", "Representation"),
    }
    found = replace(load_kept(Run.load(folder)), data="set", machine="a machine", metrics=metrics)
    save(found, folder)
    return found


def read(folder: Path) -> Reader:
    return Reader(report_html(Run.load(folder)))


def relogged(folder: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    """Changes the log of a run."""
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))


def test_a_report_needs_nothing_beside_it(copy: Path) -> None:
    measure(copy)
    reader = read(copy)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data"):
                assert (value or "").startswith(("data:image/png;base64,", "data:image/gif;base64,", "#"))
    policies = [a["content"] for tag, a in reader.tags if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    style = re.findall(r"<style>(.*?)</style>", report_html(Run.load(copy)), re.DOTALL)
    assert not re.search(r"@import|url\(|expression", "".join(style))
    assert reader.tags[0] == ("html", {"lang": "en"})


def test_every_link_has_its_place(copy: Path) -> None:
    reader = read(copy)
    links = {attributes["href"] for tag, attributes in reader.tags if tag == "a"}
    places = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert links == {f"#{place}" for place in places}
    assert len(places) == len(set(places))


def test_every_picture_of_the_run_is_in_it_once_with_what_it_shows(copy: Path) -> None:
    measure(copy, pictures={"worst": "The images that it explains worst"})
    tiles.samples(copy / "figures" / "worst.png", np.zeros((4, 1, 8, 8), np.float32), title="t", footer="f")
    shutil.copy(copy / "figures" / "worst.png", copy / "figures" / "mine.png")
    reader = read(copy)
    held = [base64.b64decode((a["src"] or "").partition(",")[2]) for a in reader.images()]
    there = [path.read_bytes() for path in (copy / "figures").iterdir()]
    assert sorted(held) == sorted(there)
    assert held[0] == (copy / "figures" / "samples.png").read_bytes()
    assert all(len(a["alt"] or "") > 20 for a in reader.images())
    shown = captions(load(copy))
    assert "The images that it explains worst." in shown["worst.png"]
    assert all(text in reader.text for name, text in shown.items() if (copy / "figures" / name).exists())


def test_pictures_that_do_not_fit_are_named_and_animations_are_the_first_to_go(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stills = sum(-(-path.stat().st_size // 3) * 4 for path in (copy / "figures").glob("*.png"))
    monkeypatch.setattr(page, "MOST_BYTES", stills)
    reader = read(copy)
    assert all((a["src"] or "").startswith("data:image/png") for a in reader.images())
    assert "in the folder figures: latent_representation.gif, latent_progression.gif." in reader.text
    assert f"take {stills / 1e6:.1f} MB" in reader.text
    assert len(report_html(Run.load(copy))) < stills + 60_000


def test_what_is_no_picture_is_left_out(copy: Path) -> None:
    (copy / "figures" / "page.png").write_text("<script>alert(1)</script>")
    (copy / "figures" / "notes.txt").write_text("notes")
    assert len(read(copy).images()) == len(pictures.drawn(copy / "figures")) - 1


def test_whatever_things_are_called_is_shown_and_not_obeyed(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<b>run & 'x'"
    copy.rename(folder)
    retitled(
        folder, lambda h: h.update(title=NASTY, classes=[NASTY] * 10, warnings=[NASTY], latents=NASTY, machine=NASTY)
    )
    nasty = Score("negative_elbo", NASTY, 1.0, NASTY, NASTY, 3, cases=NASTY, warning=NASTY)
    found = measure(folder, nasty, pictures={"worst": NASTY})
    save(replace(found, machine=NASTY), folder)
    shutil.copy(folder / "figures" / "samples.png", folder / "figures" / "worst.png")
    shutil.copy(folder / "figures" / "samples.png", folder / "figures" / "<i>a.png")
    reader = read(folder)
    known = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "h3",
        "p",
        "nav",
        "a",
        "section",
        "ul",
    }
    known |= {"li", "table", "thead", "tbody", "tr", "th", "td", "div", "figure", "img", "figcaption", "details"}
    known |= {"summary", "dl", "dt", "dd", "pre", "footer", "strong", "span", "br"}
    assert {tag for tag, _ in reader.tags} <= known
    assert reader.text.count("<script>alert('x')</script>") >= 10
    assert "<b>run & 'x'" in reader.text
    card = (write_card(Run.load(folder)), folder.joinpath("README.md").read_text())[1]
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == NASTY
    assert "<script>" not in re.sub(r"\\(.)", "", card.split("---\n", 2)[2])


def test_what_was_measured_is_in_the_report_as_tables_say_it(copy: Path) -> None:
    found = measure(copy)
    text = read(copy).text
    for _, score in found.scores():
        assert score.title in text
        assert written(score) in text
        assert score.protocol in text
        assert score.warning in text
    assert "probe was not measured: the images have no labels." in text
    for name, said in facts(Run.load(copy)).items():
        assert name.startswith(("test", "protocol", "validation", "latents")) or " ".join(said.split()) in text
    assert "vaescope evaluate . --seed 3 --metrics elbo,floors,quality,probe" in text


def test_numbers_are_explained_by_what_they_are_made_of(copy: Path) -> None:
    run = Run.load(copy)
    measure(copy)
    said = " ".join(sentences(Known(run)))
    bound = Known(run).bound
    assert bound is not None
    assert bound.negative_elbo is not None
    assert f"costs {bound.negative_elbo:.1f} nats" in said
    assert f"{bound.negative_elbo - 190.5:.1f} are the model's" in said
    assert f"save {385.25 - bound.negative_elbo:.1f}" in said
    assert (
        "PSNR: 20.50 ± 0.50 dB, where higher is better. To compare with, without this model: PCA, 2 components 22.50"
        in said
    )
    assert "nan" not in said


@pytest.mark.parametrize(("value", "says"), [(2.0, "one of 7 equally likely"), (4.0, "all of the 60 that were looked")])
def test_what_latents_tell_is_as_it_was_measured(value: float, says: str, copy: Path) -> None:
    found = measure(copy)
    score = Score("mutual_information", "mutual information I(x; z)", value, "nats per image", "q", 60)
    latents = Measured("quick", 0, 1.0, (score,), {}, "", "Representation")
    save(replace(found, metrics={**found.metrics, "latents": latents}), copy)
    said = [text for text in sentences(Known(Run.load(copy))) if "(mutual information)" in text]
    assert len(said) == 1
    assert f"tell {value:.1f} nats" in said[0]
    assert says in said[0]


def test_a_floor_of_other_images_explains_nothing(copy: Path) -> None:
    measure(copy, floors=tuple(replace(score, count=59) for score in FLOORS))
    assert "independent" not in " ".join(sentences(Known(Run.load(copy))))
    assert "no model can avoid" not in " ".join(sentences(Known(Run.load(copy))))


def test_without_an_evaluation_a_report_says_how_to_get_one(run_folder: Path) -> None:
    text = read(run_folder).text
    assert f"vaescope evaluate {run_folder}" in text
    assert "costs 3" in text


def test_an_evaluation_of_other_weights_is_not_shown(copy: Path) -> None:
    found = measure(copy)
    save(replace(found, weights="0" * 64), copy)
    assert "310.1" not in read(copy).text


def test_a_run_without_pictures_and_curves_has_a_report(copy: Path) -> None:
    shutil.rmtree(copy / "figures")
    (copy / "metrics.jsonl").unlink()
    reader = read(copy)
    assert not reader.images()
    assert f"vaescope figures {copy}" in reader.text


def test_an_old_header_tells_less(copy: Path) -> None:
    new = ("title", "counts", "outcome", "steps", "epochs", "machine", "latents", "warnings")
    retitled(copy, lambda header: [header.pop(name) for name in new] and None)
    assert "a machine that is not known" in read(copy).text
    write_card(Run.load(copy))
    assert "Fashion-MNIST, a sample of 300; 28×28 grey" in (copy / "README.md").read_text()


def test_a_header_of_another_kind_is_refused_in_one_line(copy: Path) -> None:
    retitled(copy, lambda header: header.update(counts="many"))
    assert "damaged" in refused(Run.load, copy)


def changed(split: str, position: int, **terms: float) -> Callable[[list[dict]], list[dict]]:
    """A log in which one line of a split says something else."""

    def change(lines: list[dict]) -> list[dict]:
        [line for line in lines if line["split"] == split][position].update(terms)
        return lines

    return change


CAUTIONS = {
    "interrupted": lambda copy: relogged(copy, lambda lines: [line for line in lines if line["split"] != "test"]),
    "posterior has collapsed": lambda copy: retitled(
        copy, lambda h: h.update(warnings=["all 2 latents carry nothing: the posterior has collapsed; try less"])
    ),
    "Overfitting": lambda copy: relogged(copy, changed("validation", -1, loss=900.0, distortion=890.0, rate=10.0)),
    "Memorising": lambda copy: relogged(copy, changed("train", -1, distortion=100.0)),
    "still fell": lambda copy: relogged(copy, changed("validation", -1, loss=100.0)),
    "it diverged; try K = 5": lambda copy: measure(copy) and None,
    "without --quick": lambda copy: measure(copy, effort="quick") and None,
    "only 60 test images": lambda copy: None,
}  # fmt: skip


@pytest.mark.parametrize("says", CAUTIONS)
def test_what_is_to_be_minded_is_said_with_what_to_try(says: str, copy: Path) -> None:
    CAUTIONS[says](copy)
    found = [text for text in cautions(Known(Run.load(copy))) if says in text]
    assert len(found) == 1
    assert re.search(r"[Tt]ry|Go on with|run vaescope|More test images|would do better", found[0])
    assert found[0] in read(copy).text


def test_a_healthy_run_is_not_warned_of(copy: Path) -> None:
    falling = [
        {"step": s, "epoch": s, "split": "validation", "loss": 250 + 20 / s, "distortion": 244.0, "rate": 6.0}
        for s in range(1, 90)
    ]
    train = [{"step": 89, "epoch": 89, "split": "train", "loss": 248.0, "distortion": 242.0, "rate": 6.0}]
    test = {"step": 89, "epoch": 89, "split": "test", "negative_elbo": 251.0, "standard_error": 0.8}
    test |= {"distortion": 245.0, "rate": 6.0, "images": 10_000}
    relogged(copy, lambda lines: [*falling, *train, test])
    assert cautions(Known(Run.load(copy))) == []


def test_a_bernoulli_of_greys_is_warned_of(run_folder: Path) -> None:
    run = Run.load(run_folder)
    grey = replace(run, config=replace(run.config, data=replace(run.config.data, targets="grey")))
    assert any("not a density" in text for text in cautions(Known(grey)))
    assert not any("not a density" in text for text in cautions(Known(run)))


def test_every_group_of_the_protocol_has_its_words() -> None:
    from vaescope.metrics.protocol import METRICS

    assert {metric.group for metric in METRICS.values()} <= set(GLOSSARY)


def test_the_verb_writes_the_page(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["report", str(copy)]) == 0
    assert main(["report", str(copy), "-o", str(tmp_path / "a.html"), "--open"]) == 0
    assert capsys.readouterr().out.split() == [str(copy / "report.html"), str(tmp_path / "a.html")]
    assert (copy / "report.html").read_bytes() == (tmp_path / "a.html").read_bytes()
    assert opened == [(tmp_path / "a.html").as_uri()]
    assert main(["report", str(copy), "-o", str(tmp_path / "a.pdf")]) == 2
    assert main(["report", str(tmp_path)]) == 2


def index(folder: Path) -> dict:
    """The model-index of a card."""
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["model-index"][0]["results"][0]


def test_the_card_has_the_numbers_of_the_evaluation(copy: Path) -> None:
    found = measure(copy)
    update_card(Run.load(copy))
    record = json.loads((copy / "evaluation.json").read_text())["metrics"]
    values = {
        s["name"]: s["value"]
        for m in record.values()
        for s in m["scores"]
        if not s["of_data"] and s["value"] is not None
    }
    metrics = {metric["type"]: metric["value"] for metric in index(copy)["metrics"]}
    assert metrics.pop("distortion") == pytest.approx(
        json.loads((copy / "metrics.jsonl").read_text().splitlines()[-1])["distortion"]
    )
    assert metrics == values
    text = (copy / "README.md").read_text()
    rows = {
        line.split(" | ")[0].strip("| *"): line.split(" | ")[1] for line in text.splitlines() if line.count(" | ") == 4
    }
    for _, score in found.scores():
        assert rows[plain(score.title)] == plain(written(score))


def test_only_the_measured_part_of_a_card_changes(copy: Path) -> None:
    path = copy / "README.md"
    mine = path.read_text().replace("library_name: vaescope\n", "library_name: vaescope\nlicense: mit # ours\n")
    mine = mine.replace("# tiny\n", "# tiny\n\nMy own words.\n").replace("## Pictures", "More words.\n\n## Pictures")
    path.write_text(mine)
    measure(copy)
    update_card(Run.load(copy))
    once = path.read_text()
    update_card(Run.load(copy))
    assert path.read_text() == once

    def without(text: str) -> str:
        text = re.sub(rf"{BEGIN}.*?{END}", "", text, flags=re.DOTALL)
        return re.sub(r"model-index:\n.*?---\n", "---\n", text, flags=re.DOTALL)

    assert without(once) == without(mine)
    assert "license: mit # ours" in once
    assert "310.1" in once


@pytest.mark.parametrize(
    "text",
    ["", "# Mine\n", "---\ntags: [a]\n---\n# Mine\n", f"# Mine\n{BEGIN}\nold\n", "---\r\ntags: [a]\r\n---\r\nMine"],
)
def test_a_card_of_any_kind_takes_the_numbers(text: str, copy: Path) -> None:
    (copy / "README.md").write_text(text)
    measure(copy)
    update_card(Run.load(copy))
    card = (copy / "README.md").read_text()
    assert card.count(END) == 1
    assert index(copy)["dataset"]["split"] == "test"
    assert "Mine" in card or "Mine" not in text
    front = yaml.safe_load(card.split("---\n")[1])
    assert front.get("tags") == ["a"] if "tags" in text else "vae" in front["tags"]


def test_a_card_that_is_gone_is_written_whole(copy: Path) -> None:
    whole = (copy / "README.md").read_text()
    (copy / "README.md").unlink()
    update_card(Run.load(copy))
    assert (copy / "README.md").read_text() == whole


def test_a_card_is_one_that_the_hub_reads(copy: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    measure(copy)
    update_card(Run.load(copy))
    card = hub.ModelCard((copy / "README.md").read_text())
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["negative_elbo"] == hub.EvalResult(
        task_type="unconditional-image-generation",
        task_name="image generation",
        dataset_type="sample",
        dataset_name="Fashion-MNIST, a sample of 300",
        dataset_split="test",
        metric_type="negative_elbo",
        metric_name="−ELBO (nats per image)",
        metric_value=310.123456789,
        metric_args={"protocol": "one draw", "count": 60, "cases": "test images", "error": 9.25},
    )
    assert card.data.model_name == "tiny"
    assert card.data.license is None
    again = hub.ModelCardData(model_name="tiny", eval_results=card.data.eval_results)
    assert "310.123456789" in again.to_yaml()


def test_numbers_that_are_none_are_not_listed(copy: Path) -> None:
    measure(copy, SCORES[-1])
    update_card(Run.load(copy))
    assert "unknown" not in {metric["type"] for metric in index(copy)["metrics"]}


def test_evaluating_writes_the_card(copy: Path) -> None:
    assert main(["evaluate", str(copy), "--quick", "--metrics", "elbo"]) == 0
    found = load(copy).find("negative_elbo")
    assert found is not None
    assert found.value in [metric["value"] for metric in index(copy)["metrics"]]
    assert written(found) in (copy / "README.md").read_text()


def test_what_an_evaluation_file_says_cannot_steer_a_terminal(copy: Path) -> None:
    measure(copy, replace(SCORES[0], title="\x1b[2J", protocol="a\x07"))
    score = load(copy).find("negative_elbo")
    assert score is not None
    assert (score.title, score.protocol) == (r"\x1b[2J", r"a\x07")


def test_the_readme_says_of_pictures_what_the_code_says() -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE))
    assert {name: row.replace("\\|", "|").replace("**", "") for name, row in rows.items()} == pictures.CAPTIONS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (("--model.posterior", "PointMass", "--objective", "RAEL2"), "there is no −ELBO"),
        (("--model.labels", "true"), "A test image whose label is given costs"),
        (("--model", "SemiSupervised", "--objective", "M2"), "finds the label of"),
        (("--data.targets", "grey", "--model.likelihood", "Gaussian"), "may be negative"),
        (("--data.targets", "grey", "--model.likelihood", "DiscretisedLogistic"), "bits for each of its values"),
    ],
    ids=["autoencoder", "labels", "classifier", "density", "levels"],
)
def test_models_of_every_kind_have_a_report_and_a_card(keys: tuple[str, ...], says: str, tmp_path: Path) -> None:
    few = ["--trainer.steps", "6", "--figures.frames", "0"]
    assert main(["train", *keys[:2], *TINY, *few, *keys[2:], "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--quick"]) == 0
    text = read(tmp_path / "run").text
    assert says in text
    assert not re.search(r"\bnan\b|\bNone\b", text.partition("config.yaml")[0])
    found = load(tmp_path / "run")
    values = [metric["value"] for metric in index(tmp_path / "run")["metrics"]]
    assert all(score.value in values for _, score in found.scores() if not score.of_data and np.isfinite(score.value))
