"""The model card of a run, its README.md: what was trained on what, the measured numbers, and how to go on.

A card is written from what is in the run folder and nothing else, so it can be written again. Its front matter is what
the Hugging Face Hub reads, with the numbers as a ``model-index``. After an evaluation this index and the part between
two marks are replaced, and all else stays as its owner has left it.

References:
    | Model Cards for Model Reporting (Mitchell et al., 2019)
    | https://arxiv.org/abs/1810.03993
    | The fields of the front matter
    | https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from vaescope import __version__, pictures
from vaescope.data.own import HUB
from vaescope.evaluation import load_kept, written
from vaescope.facts import captions, facts, grouped, name_of, repeat, scored_in_training, title_of
from vaescope.files import atomic_file
from vaescope.metrics.score import Score
from vaescope.run import Run
from vaescope.terminal import printable

BEGIN, END = "<!-- evaluation: begin -->", "<!-- evaluation: end -->"
"""What stands around the part that an evaluation replaces."""

HUB_NAMES = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
"""What the Hub calls the image sets that it has."""

UNCONDITIONAL = "unconditional-image-generation"
"""The Hub's name for what a VAE does."""


def plain(text: str) -> str:
    """What a user has called something as Markdown that shows just this, also in a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#$&~])", r"\\\1", printable(" ".join(text.split())))


def write_card(run: Run) -> None:
    """Writes the model card anew."""
    _write(run, front(run) + body(run))


def update_card(run: Run) -> None:
    """Writes what was measured into the model card, and leaves all else as it is.

    What was measured is the ``model-index`` of the front matter, and what stands between two marks; without them it is
    added. A card that is not there is written.
    """
    path = run.folder / "README.md"
    if not path.is_file():
        return write_card(run)
    text = path.read_text(encoding="utf-8")
    section = evaluated(run)
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    text = before + section + after if begin and end else f"{text.rstrip()}\n\n{section}\n"
    _write(run, indexed(text, run))


def _write(run: Run, text: str) -> None:
    with atomic_file(run.folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def body(run: Run) -> str:
    """The card below its front matter."""
    table = "\n".join(f"| {plain(name)} | {plain(value)} |" for name, value in facts(run).items())
    own = {f"{name}.png" for measured in load_kept(run).metrics.values() for name in measured.pictures}
    names = [path.name for path in pictures.drawn(run.folder / "figures")]
    return (
        f"# {plain(name_of(run))}\n\nA variational autoencoder trained with vaescope {__version__}.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        "The weights are those with the best validation loss; ± is the standard error over images.\n"
        f"In this folder, repeat it with `{repeat(run)}`, draw from it with `vaescope sample .`, and walk in its\n"
        "latent space with `vaescope explore .`, which writes a page in which the model runs.\n\n"
        f"{evaluated(run)}\n\n## Pictures\n\n{_pages(run, [name for name in names if name not in own])}\n"
    )


def _pages(run: Run, names: Iterable[str]) -> str:
    """Pictures with what they show."""
    known = captions(load_kept(run))
    links = {name: f"![{plain(Path(name).stem)}](figures/{quote(os.fsencode(name))})" for name in names}
    pages = ([link, plain(known.get(name, ""))] for name, link in links.items())
    return "\n\n".join(part for page in pages for part in page if part)


def evaluated(run: Run) -> str:
    """The part of the card that an evaluation replaces, with its marks."""
    known = load_kept(run)
    if not known.metrics:
        return f"{BEGIN}\n{END}"
    efforts = " and ".join(sorted({f"effort {m.effort}, seed {m.seed}" for m in known.metrics.values()}))
    skipped = [f"- {plain(name)}: {plain(m.skipped)}" for name, m in known.metrics.items() if m.skipped]
    drawn = [f"{name}.png" for m in known.metrics.values() for name in m.pictures]
    parts = [
        "## Evaluation",
        f"Measured with `vaescope evaluate` ({efforts}) at step {known.step:,} by {plain(known.machine)}. "
        "± is the standard error, [ ] a 95 % confidence interval; rows in italics are numbers of the data alone.",
        *(_table(group, scores) for group, scores in grouped(known).items()),
        *(["Not measured:", "\n".join(skipped)] if skipped else []),
        *([_pages(run, drawn)] if drawn else []),
    ]
    return f"{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}"


def _table(group: str, scores: list[Score]) -> str:
    head = f"### {plain(group)}\n\n| score | value | unit | cases | protocol |\n|---|---|---|---|---|\n"
    return head + "\n".join(_row(score) for score in scores)


def _row(score: Score) -> str:
    title = f"*{plain(score.title)}*" if score.of_data else plain(score.title)
    warning = f"; **{plain(score.warning)}**" if score.warning else ""
    cells = (title, plain(written(score)), plain(score.unit), f"{score.count:,} {plain(score.cases)}")
    return f"| {' | '.join(cells)} | {plain(score.protocol)}{warning} |"


def front(run: Run) -> str:
    """The front matter of a new card. The licence is for its owner to add."""
    name = run.config.data.name
    sets = HUB_NAMES.get(name, name.removeprefix(HUB) if name.startswith(HUB) else "")
    matter: dict[str, Any] = {"library_name": "vaescope"}
    matter |= {"tags": ["vae", "variational-autoencoder", "image-generation"]}
    matter |= {"datasets": [sets]} if sets else {}
    return f"---\n{_yaml(matter)}{model_index(run)}---\n\n"


def model_index(run: Run) -> str:
    """The ``model-index`` of the front matter, with its numbers as they are in ``evaluation.json``."""
    metrics = list(_metrics(run))
    if not metrics:
        return ""
    data = run.config.data.name
    kind = HUB_NAMES.get(data, data.removeprefix(HUB))
    result = {
        "task": {"type": UNCONDITIONAL, "name": "image generation"},
        "dataset": {"type": kind, "name": title_of(run), "split": "test"},
        "metrics": metrics,
    }
    return _yaml({"model-index": [{"name": name_of(run), "results": [result]}]})


def _metrics(run: Run) -> Iterator[dict[str, Any]]:
    """Every number of the model as the Hub lists it; what the evaluation has not is that of the end of training."""
    found = [score for _, score in load_kept(run).scores()]
    names = {score.name for score in found}
    for score in [*(score for score in scored_in_training(run) if score.name not in names), *found]:
        if not score.of_data and math.isfinite(score.value):
            args = {"protocol": score.protocol, "count": score.count, "cases": score.cases}
            args |= {"error": score.error} if score.error is not None else {}
            name = f"{score.title} ({score.unit})" if score.unit else score.title
            yield {"type": score.name, "name": name, "value": score.value, "args": args}


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), allow_unicode=True, sort_keys=False, width=120)


def indexed(text: str, run: Run) -> str:
    """A card with the model-index of now, whatever else its front matter holds."""
    found = re.match(r"---\r?\n(.*?)^---\r?$\n?", text, re.DOTALL | re.MULTILINE)
    if found is None:
        return front(run) + text
    kept = re.sub(r"^model-index:.*\n(?:[ \t-].*\n|\s*\n)*", "", found[1], flags=re.MULTILINE)
    return f"---\n{kept}{model_index(run)}---\n{text[found.end() :]}"
