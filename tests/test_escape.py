"""Whatever is called by markup is shown and not obeyed: in pages, in model cards, and on terminals."""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from conftest import TINY, retitled
from PIL import Image

from tests.browser import Chromium, chromium
from vaescope.card import write_card
from vaescope.cli import main
from vaescope.comparison import compare
from vaescope.comparison.formats import html, markdown
from vaescope.data.images import ImageSet
from vaescope.evaluation import Measured, load, load_kept, save
from vaescope.explorer import Explorer, explorer_html
from vaescope.metrics.score import Score
from vaescope.report import report_html
from vaescope.run import Run
from vaescope.terminal import BUT_LINES, UNPRINTABLE, as_json, legible, printable

ODD = (
    "<script>document.title='owned';alert(0)</script>",
    '"><img src=x onerror="alert(1)">',
    "</script><script>alert(2)</script>",
    "{{alert(3)}} ${alert(4)} `alert(5)`",
    "&amp;&lt;script&gt; &#60;b&#62;",
    "\u202egpj.exe\u202c and \u200f",
    "nul \x00, red \x1b[31m, bell \x07, \x9b2J",
    "W" * 10_000,
    "a|b ~~c~~ *d* [e](javascript:alert(6)) $\\frac$",
    "--><!--<svg/onload=alert(7)>]]></style></title>",
)
"""What classes, and all else that has a name, are called by somebody who means no good, or knows no better."""

EVEN = tuple(f"word {k}" for k in range(len(ODD)))
"""The same of somebody else."""

NAME = f'<img src=x onerror=alert(8)>{chr(27)}[31m&amp;"|`$(touch x)'
"""What such a person calls a folder or a file, which has no slash in it."""


def dressed(run: Path, place: Path, words: tuple[str, ...], name: str) -> Path:
    """A copy of a run in which all that has a name is called so: in the header of its weights, in its config, in what
    was measured, and among its pictures."""
    folder = place / name
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints"))
    first, *_ = words
    heard = dict.fromkeys(("title", "outcome", "machine", "latents"), first)
    retitled(folder, lambda header: header.update(classes=words, warnings=words, **heard))
    retitled(folder, lambda header: header["counts"].update({first: 3}))
    config = folder / "config.yaml"
    config.write_text(re.sub(r"(?m)^  root: .*$", f"  root: {json.dumps(first)}", config.read_text()) + f"# {first}\n")
    scores = [
        Score("negative_elbo", word, 1.0, word, word, 3, error=0.5, cases=word, warning=word, better="lower")
        for word in words
    ]
    pictures = {word.replace("/", ""): word for word in words[:5]}
    for picture in [name, *pictures]:
        shutil.copy(folder / "figures" / "samples.png", folder / "figures" / f"{picture}.png")
    metrics = {
        "elbo": Measured("full", 3, 1.0, tuple(scores), pictures, "", first, {"against": first}),
        first: Measured("full", 3, 1.0, tuple(scores[:1]), {}, first, words[1]),
    }
    save(replace(load_kept(Run.load(folder)), data=first, machine=first, metrics=metrics), folder)
    return folder


@pytest.fixture(scope="module")
def odd(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything is called by markup."""
    return dressed(run_folder, tmp_path_factory.mktemp("odd"), ODD, NAME)


@pytest.fixture(scope="module")
def even(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with harmless names."""
    return dressed(run_folder, tmp_path_factory.mktemp("even"), EVEN, "name")


TOLD = ("alt", "title", "srcdoc")
"""The attributes that say what something is called."""

MADE = re.compile("(?<=^figures/).*|(?<=^data:image/png;).*")
"""What differs of pictures: their names, and that names are drawn in them."""


class Skeleton(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and apart from these what it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.bones: list[object] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.bones.append((tag, [(key, MADE.sub("", value or "") * (key not in TOLD)) for key, value in attrs]))
        self.words += [value or "" for key, value in attrs if key in TOLD]

    def handle_endtag(self, tag: str) -> None:
        self.bones.append(tag)

    def handle_comment(self, data: str) -> None:
        self.bones.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.bones.append(("declaration", decl))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def rendered(text: str) -> str:
    """Markdown as HTML, which it may hold, as where model cards are shown."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def card(folder: Path) -> str:
    """The model card of a run without its front matter."""
    write_card(Run.load(folder))
    return (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def twice(folder: Path) -> list[Path]:
    """A run, and the same in another place."""
    other = folder.parent / "again" / folder.name
    if not other.exists():
        shutil.copytree(folder, other)
    return [folder, other]


PAGES: dict[str, Callable[[Path, ImageSet], str]] = {
    "report": lambda folder, images: report_html(Run.load(folder)),
    "explorer": lambda folder, images: explorer_html(Run.load(folder), data=images),
    "explorer in a notebook": lambda folder, images: Explorer("<b>", Run.load(folder).name, b"png")._repr_html_(),
    "evaluation in a notebook": lambda folder, images: load(folder)._repr_html_(),
    "comparison": lambda folder, images: html(compare(twice(folder))),
    "comparison in a notebook": lambda folder, images: compare(twice(folder))._repr_html_(),
    "comparison in Markdown": lambda folder, images: rendered(markdown(compare(twice(folder)))),
    "model card": lambda folder, images: rendered(card(folder)),
}


@pytest.mark.parametrize("made", PAGES)
def test_no_element_and_no_attribute_comes_from_a_name(
    made: str, odd: Path, even: Path, images: ImageSet, untraced: None
) -> None:
    ours, theirs = (Skeleton(PAGES[made](folder, images)) for folder in (even, odd))
    assert theirs.bones == ours.bones
    assert not UNPRINTABLE.search(re.sub(r"\s", " ", theirs.text))
    assert len(theirs.bones) > 1


@pytest.mark.slow
def test_every_name_is_shown_as_it_is(odd: Path, images: ImageSet, untraced: None) -> None:
    shown = [printable(word) for word in ODD]
    assert all(word in Skeleton(PAGES["report"](odd, images)).text for word in [*shown, printable(NAME)])
    assert all(word in Skeleton(PAGES["evaluation in a notebook"](odd, images)).text for word in shown)
    contents = re.search(r'id="block-contents">(.*?)</script>', PAGES["explorer"](odd, images))
    assert contents is not None
    assert json.loads(contents[1])["classes"] == shown
    text = Skeleton(PAGES["model card"](odd, images)).text
    assert all(" ".join(word.split()) in " ".join(text.split()) for word in [*shown, printable(NAME)])
    front = yaml.safe_load((odd / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front["model-index"][0]["name"] == printable(NAME)


# Terminals


@pytest.mark.parametrize("word", ODD)
def test_what_a_terminal_is_told_is_text_and_programs_read_what_was_meant(word: str) -> None:
    lines = f"{word}\n\t{word}"
    for text in (printable(word), legible(lines), as_json({word: [lines]})):
        assert not BUT_LINES.search(text)
    assert legible("a\n\tb") == "a\n\tb"
    assert json.loads(as_json({word: [lines]})) == {word: [lines]}
    assert printable(printable(word)) == printable(word)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and what is none, in folders whose names are orders to a terminal."""
    folder = tmp_path_factory.mktemp("photos") / NAME
    greys = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    for number, grey in enumerate(greys):
        (folder / f"{NAME}{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(folder / f"{NAME}{number % 2}" / f"\x1b]0;owned\x07{number}.png")
    (folder / f"{NAME}0" / f"{NAME}.png").write_bytes(b"none")
    (folder / f"{NAME}0" / f"{NAME}.txt").write_bytes(b"none")
    return folder


VERBS = (
    "report RUN", "compare RUN OTHER", "compare RUN OTHER --json", "compare RUN PHOTOS", "sample RUN -n 1",
    "sample RUN --label NAME", "reconstruct RUN PHOTOS", "data check PHOTOS", "data check PHOTOS --json",
    "data check PHOTOS/NAME", "report NAME", "evaluate RUN --metrics NAME", "evaluate RUN --features NAME", "NAME",
    "report RUN -o PHOTOS/NAME", "report RUN --NAME", "train --data NAME", "train --config RUN/NAME",
    "train --data sample --model.NAME 1", "train --data sample --trainer.lr NAME", "export RUN --NAME",
    "data fetch NAME",
    *(pytest.param(words, marks=pytest.mark.slow) for words in ("doctor RUN", "doctor PHOTOS", "doctor NAME")),
)  # fmt: skip


@pytest.mark.parametrize("words", VERBS)
def test_no_name_steers_a_terminal(
    words: str, odd: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    meant = {"RUN": str(odd), "OTHER": str(twice(odd)[1]), "PHOTOS": str(photos), "NAME": NAME}
    main([re.sub("|".join(meant), lambda found: meant[found[0]], word) for word in words.split()])
    out, err = capfd.readouterr()
    assert out or err
    assert not BUT_LINES.search(out + err)


# A browser

WATCH = "globalThis.ran = []; globalThis.alert = globalThis.confirm = globalThis.prompt = (said) => ran.push(said)"
"""Notes what a script says that came from a name."""


@pytest.fixture(scope="module")
def trained(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on images whose classes are called so, in a folder that is, measured."""
    folder = tmp_path_factory.mktemp("trained")
    parts = {"train": images.train, "val": images.validation, "test": images.test}
    arrays = {f"x_{name}": part.images[:, 0].numpy() for name, part in parts.items()}
    arrays |= {f"y_{name}": np.array(ODD)[part.labels] for name, part in parts.items()}  # type: ignore[index]
    np.savez_compressed(folder / f"{NAME}.npz", **arrays)  # type: ignore[arg-type]
    words = [
        "--trainer.epochs",
        "2",
        "--model.latent",
        "2",
        "--model.likelihood",
        "Bernoulli",
        "--data.targets",
        "grey",
    ]
    assert main(["train", *TINY[2:], *words, "--data", f"{folder / NAME}.npz", "--out", str(folder / NAME)]) == 0
    assert main(["evaluate", str(folder / NAME), "--quick", "--metrics", "elbo,reconstruction,probe"]) == 0
    return folder / NAME


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser that notes which scripts ran."""
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        yield window


def looked_at(browser: Chromium, found: Path, title: str) -> str:
    """Opens a page and returns its text: nothing ran that came from a name, nothing was asked for, or complained of."""
    browser.tell("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    browser.complaints(), browser.requests()
    browser.go(found.as_uri())
    if "explorer" in found.name:
        walked(browser)
    assert browser.run("return [document.title, ran]") == [title, []]
    assert browser.run("return document.querySelectorAll('img[src=x], svg[onload], noscript ~ title').length") == 0
    assert browser.complaints() == []
    asked = [Path(unquote(address.removeprefix("file://"))) for address in browser.requests()]
    assert asked.pop(0) == found
    assert all(path.parent == found.parent / "figures" for path in asked)
    assert not asked or found.name == "card.html"
    return browser.run("return document.documentElement.textContent")


def walked(browser: Chromium) -> None:
    """Looks into all corners of an explorer."""
    browser.wait("return document.body.classList.contains('ready')")
    width = browser.run("return innerWidth")
    for number in range(browser.run("return document.querySelectorAll('[role=tab]').length")):
        browser.run("document.querySelectorAll('[role=tab]')[given[0]].click()", number)
        browser.frames()
        assert browser.run("return document.documentElement.scrollWidth") <= width
    left, top, wide, high = browser.box("canvas.map")
    browser.drag([(left + wide * k / 9, top + high * k / 9) for k in range(1, 9)], press=False)
    browser.click((left + wide / 2, top + high / 2))


@pytest.mark.slow
def test_no_name_runs_in_a_browser(trained: Path, odd: Path, browser: Chromium, images: ImageSet) -> None:
    shown = [printable(word) for word in ODD]
    for folder, known in ((trained, None), (odd, images)):
        run = Run.load(folder)
        named = {"report": report_html(run), "comparison": html(compare(twice(folder)))}
        named |= {"card": f"<!doctype html><meta charset=utf-8><title></title>{rendered(card(folder))}"}
        named |= {"explorer": explorer_html(run, data=known)}
        for name, text in named.items():
            (folder / f"{name}.html").write_text(text, encoding="utf-8")
            said = looked_at(browser, folder / f"{name}.html", unescape(re.findall("<title>(.*)</title>", text)[0]))
            assert printable(NAME) in said
            if name in ("report", "explorer"):
                assert all(word in said for word in shown)


@pytest.mark.slow
def test_what_training_says_is_text_and_its_commands_can_be_typed(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    place = tmp_path / NAME.replace("\x1b", "'")
    assert main(["train", *TINY, "--trainer.steps", "2", "--figures.frames", "0", "--out", str(place)]) == 0
    out, err = capfd.readouterr()
    assert not BUT_LINES.search(out + err)
    line = next(line for line in out.splitlines() if line.startswith("go on with"))
    assert shlex.split(line.removeprefix("go on with"))[:3] == ["vaescope", "evaluate", f"{place},"]
