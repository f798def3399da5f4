"""The page of a report, section by section."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vaescope import __version__, pages
from vaescope.evaluation import Measured, written
from vaescope.facts import captions, facts, how_scored, model_facts, name_of, repeat, shown, title_of
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import Score
from vaescope.outline import count
from vaescope.pages import Html, paragraph, section
from vaescope.pictures import drawn
from vaescope.report.caution import cautions
from vaescope.report.glossary import GLOSSARY
from vaescope.report.known import Known
from vaescope.report.meaning import sentences
from vaescope.run import Run

MOST_BYTES = 25_000_000
"""The pictures of a page take this much at most, as text in base64; those that do not fit are named instead."""

OWN_PLACE = ("samples.png", "architecture.png", "training.png")
"""The pictures that have a section of their own."""

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""How the files begin that a page can hold."""


def report_html(run: Run) -> str:
    """The report of a run, as the text of one HTML file.

    Args:
        run: The run. Its images need not be there.

    Raises:
        UsageError: If a file in its folder is damaged.
    """
    known = Known(run)
    shelf = Shelf(known)
    minded = cautions(known)
    parts = [
        headline(known),
        shelf.figure("samples.png"),
        contents(bool(minded)),
        trained(known),
        section("Architecture", shelf.figure("architecture.png"), name="architecture"),
        section("Learning", shelf.figure("training.png"), name="learning"),
        learned(known, shelf),
        evaluated(known, shelf),
        section("What the numbers mean", pages.listed(sentences(known)), glossary(known), name="meaning"),
        section("What to mind", *map(pages.warning, minded), name="mind") if minded else Html(""),
        again(known),
    ]
    footer = f"run {name_of(run)} · step {run.step:,} · {how_scored(run)} · vaescope {__version__}"
    return pages.page(f"{name_of(run)}: {kind(run)} of {title_of(run)}", pages.joined(parts), footer=footer)


def kind(run: Run) -> str:
    """What a model is, in two words."""
    return "an autoencoder" if run.model.posterior.family.degenerate else "a VAE"


def headline(known: Known) -> Html:
    """What was trained on what, with its most important number."""
    run, bound = known.run, known.bound
    images = f"{run.origin.counts['train']:,} images of " if "train" in run.origin.counts else ""
    latents = f"{run.model.prior.latent} latent{'s' if run.model.prior.latent > 1 else ''}"
    who = f"{kind(run)[0].upper()}{kind(run)[1:]} with {latents} and {count(run.model):,} parameters"
    what = f"{who}, trained on {images}{title_of(run)}"
    if bound is None:
        return pages.lead(f"{what}. Training was interrupted before the test images were scored.")
    number, _, parts = str(bound).partition(" nats")
    first = pages.strong(f"test {bound.name} {number} nats")
    return pages.lead(pages.joined([f"{what}:", first, f"{parts}; {bound.images:,} test {how_scored(run)}."]))


def contents(minded: bool) -> Html:
    """Links to the sections."""
    names = {"trained": "what was trained", "architecture": "architecture", "learning": "learning"}
    names |= {"learned": "what it learned", "evaluation": "evaluation", "meaning": "what the numbers mean"}
    names |= ({"mind": "what to mind"} if minded else {}) | {"again": "how to repeat it"}
    return Html(f"<nav>{' · '.join(pages.link(name, text) for name, text in names.items())}</nav>")


def trained(known: Known) -> Html:
    """What was trained on what."""
    first = [*model_facts(known.run), "data", "targets", "training", "machine", "seed"]
    rows = [(name, text) for name, text in facts(known.run).items() if name in first]
    classes = known.run.classes
    if classes:
        rows.insert(
            1, ("classes", ", ".join(classes[:30]) + (f" … {len(classes):,} in all" if len(classes) > 30 else ""))
        )
    return section("What was trained", pages.table(["", ""], rows), name="trained")


class Shelf:
    """The pictures of a run that fit into one page: animations come last.

    Args:
        known: The run.
    """

    def __init__(self, known: Known) -> None:
        self.captions, self.name = captions(known.evaluation), name_of(known.run)
        self.held: dict[str, bytes] = {}
        self.left: list[str] = []
        self.size = 0
        found = drawn(known.run.folder / "figures")
        for path in sorted(found, key=lambda path: path.suffix == ".gif"):
            self._take(path)

    def _take(self, path: Path) -> None:
        size = -(-path.stat().st_size // 3) * 4
        if self.size + size > MOST_BYTES:
            self.left.append(path.name)
        elif (content := path.read_bytes()).startswith(SIGNATURES):
            self.held[path.name] = content
            self.size += size

    def figure(self, name: str) -> Html:
        """One of them with its caption; nothing if it is not there. It is then no longer on the shelf."""
        content = self.held.pop(name, None)
        if content is None:
            return Html("")
        caption = self.captions.get(name) or f"{name}, of which nothing more is known."
        alt = f"{Path(name).stem.replace('_', ' ')} of the run {self.name}: {caption.partition('. ')[0]}"
        return pages.figure(content, caption, alt)

    def rest(self, names: Iterable[str]) -> list[Html]:
        """Those of some names that are still there."""
        return [self.figure(name) for name in names if name in self.held]


def learned(known: Known, shelf: Shelf) -> Html:
    """The pictures of what a model learned."""
    later = {f"{name}.png" for measured in known.evaluation.metrics.values() for name in measured.pictures}
    figures = shelf.rest([name for name in shelf.held if name not in later])
    size = f"The pictures of this page take {shelf.size / 1e6:.1f} MB."
    left = f" Too large for it, and in the folder figures: {', '.join(shelf.left)}." if shelf.left else ""
    missing = "" if figures else f" There are none yet: vaescope figures {shown(known.run)} draws them."
    drawn_from = "All are drawn from validation images, none of which was learned from. "
    return section("What it learned", paragraph(drawn_from + size + left + missing), *figures, name="learned")


def evaluated(known: Known, shelf: Shelf) -> Html:
    """The scores by group, with their pictures."""
    metrics = known.evaluation.metrics
    if not metrics:
        hint = "Nothing was measured yet beyond the bound at the end of training. For more, run"
        return section(
            "Evaluation", paragraph(hint), pages.code(f"vaescope evaluate {shown(known.run)}"), name="evaluation"
        )
    parts: list[str] = [
        paragraph(f"Measured on {known.evaluation.machine}. ± is the standard error, [ ] a 95 % interval.")
    ]
    for group in dict.fromkeys(measured.group for measured in metrics.values()):
        found = [(name, measured) for name, measured in metrics.items() if measured.group == group]
        parts += of_group(group or "Others", found, shelf)
    return section("Evaluation", *parts, name="evaluation")


def of_group(group: str, found: Sequence[tuple[str, Measured]], shelf: Shelf) -> list[str]:
    """A table of scores, how they were measured, and their pictures."""
    scores = [score for _, measured in found for score in measured.scores]
    skipped = [
        paragraph(f"{name} was not measured: {measured.skipped}.") for name, measured in found if measured.skipped
    ]
    figures = shelf.rest(f"{name}.png" for _, measured in found for name in measured.pictures)
    table = pages.table(
        ["score", "value", "unit", "cases"], list(map(row, scores)), numbers=[1], note=protocols(scores)
    )
    return [pages.heading(group), *([table] if scores else []), *skipped, *figures]


def row(score: Score) -> list[str]:
    """One score. Numbers of the data alone stand back."""
    title = pages.muted(f"{score.title} (of the data)") if score.of_data else pages.escape(score.title)
    if score.warning:
        title = pages.lines([title, pages.strong(f"⚠ {score.warning}")])
    value = written(score)
    return [title, pages.muted(value) if score.of_data else value, score.unit, f"{score.count:,} {score.cases}"]


def protocols(scores: Sequence[Score]) -> Html:
    """How scores were measured, each way once."""
    ways: dict[str, list[str]] = {}
    for score in scores:
        ways.setdefault(score.protocol, []).append(score.title)
    return pages.lines(f"{', '.join(titles)}: {way}." for way, titles in ways.items())


def glossary(known: Known) -> Html:
    """The words of this report."""
    groups = {measured.group for measured in known.evaluation.metrics.values()} | {""}
    meanings = {term: text for group, entries in GLOSSARY.items() if group in groups for term, text in entries.items()}
    return pages.fold("What the words mean", pages.terms(meanings))


def again(known: Known) -> Html:
    """How to repeat it all."""
    run = known.run
    commands = [f"cd {shown(run)}", repeat(run), *commands_of(known.evaluation.metrics), "vaescope report ."]
    machine = run.origin.machine or "a machine that is not known"
    words = (
        f"Trained on {machine}, with seed {run.config.seed}. On the same machine the same seed gives the same weights."
    )
    if any({"against", "features"} & measured.options.keys() for measured in known.evaluation.metrics.values()):
        words += " Other images are named as they were then, and FILE.onnx stands for the network of the features."
    config = (run.folder / "config.yaml").read_text(encoding="utf-8")
    return section(
        "How to repeat it",
        paragraph(words),
        pages.code("\n".join(commands)),
        pages.fold("config.yaml", pages.code(config)),
        name="again",
    )


def commands_of(metrics: Mapping[str, Measured]) -> list[str]:
    """The commands that measure the same."""
    ways: dict[str, list[str]] = {}
    for name, measured in metrics.items():
        flags = " --quick" * (measured.effort == "quick") + f" --seed {measured.seed}" * (measured.seed != 0)
        flags += "".join(f" --{option} {shlex.quote(text)}" for option, text in measured.options.items())
        ways.setdefault(flags, []).append(name)
    usual = [name for name, metric in METRICS.items() if not metric.asked]
    return [
        f"vaescope evaluate .{flags}" + ("" if names == usual else f" --metrics {','.join(names)}")
        for flags, names in ways.items()
    ]
