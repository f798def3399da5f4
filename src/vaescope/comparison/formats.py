"""A comparison written out: for a terminal, as Markdown, as a page, as rows for programs, and its curves."""

import csv
import io
import math
import shlex
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from vaescope import __version__
from vaescope.card import plain
from vaescope.comparison.noise import LEVEL, Difference
from vaescope.comparison.rows import Cell, Comparison, Row
from vaescope.errors import UsageError
from vaescope.evaluation import written
from vaescope.files import atomic_file
from vaescope.metrics.bound import NATS
from vaescope.metrics.score import Score
from vaescope.pages import Html, escape, figure, muted, page, section, strong, table
from vaescope.terminal import printable

MARKS = {"best": "*", "alike": "≈", "worse": "", "": ""}
"""What stands behind a number."""

WIDTH, TITLE = 100, 34
"""The letters of a line, and of the first column, at most."""

MANY_SEEDS = "Errors are over images or draws: how much a score changes from one training to another they do not say."


def letter(number: int) -> str:
    """A letter for what is explained below: a to z, aa, ab ..."""
    high, low = divmod(number, 26)
    return (letter(high - 1) if high else "") + "abcdefghijklmnopqrstuvwxyz"[low]


def reasons(found: Comparison) -> dict[str, str]:
    """What keeps scores from being compared, each with its letter."""
    texts = dict.fromkeys(cell.differs for row in (*found.rows, *found.data) for cell in row.known if cell.differs)
    return {text: letter(k) for k, text in enumerate(texts)}


def heading(row: Row) -> str:
    """The title of a score with its unit."""
    return f"{row.like.title}, {row.like.unit}" if row.like.unit else row.like.title


def number(cell: Cell) -> str:
    """A score with its error; of several seeds the mean with its standard deviation over them."""
    if cell.seeds == 1:
        return written(cell.score)
    error = cell.score.error
    spread = "" if error is None else f" (sd {_figures(error * math.sqrt(cell.seeds))})"
    return written(cell.score) + spread


def _figures(value: float) -> str:
    """A standard deviation with two digits."""
    return f"{value:.2g}" if 0 < value < 100 else f"{value:,.0f}"


def gap(found: Difference) -> str:
    """A difference with its error."""
    return written(Score("", "", found.value, "", "", 0, error=found.error))


def notes(found: Comparison) -> list[str]:
    """How to read the numbers, in sentences, the most important first."""
    return [*_judging(found), *_kinds(found), *_sources(found)]


def _judging(found: Comparison) -> Iterator[str]:
    if any(row.difference for row in found.rows):
        yield f"difference: {found.columns[1].title} minus {found.columns[0].title}, with its standard error"
    rows = [row for row in found.rows if row.judged]
    if rows:
        many = ", by Holm's correction over all pairs of runs in a row" if len(found.columns) > 2 else ""
        yield (
            f"* best; ≈ not distinguishable from the best at {1 - LEVEL:.0%} "
            f"(two-sided t tests{many}); no mark: worse than the best, or not judged"
        )
    for how, words in HOW.items():
        named = [row.like.title for row in rows if how in _ways(row)]
        if named:
            yield f"{words}: {'; '.join(dict.fromkeys(named))}"
    silent = [row.like.title for row in found.rows if row.compared and row.like.better and not row.judged]
    if silent:
        yield f"no best is marked where the error of a score is not known: {'; '.join(dict.fromkeys(silent))}"


HOW = {
    "paired": "tested image by image, over the same test images (paired)",
    "errors": "tested by the two errors, as if they were independent, where scores of single images are missing",
    "seeds": "tested over training seeds (Welch's t test)",
}


def _ways(row: Row) -> set[str]:
    return {cell.to_best.how for cell in row.known if cell.to_best is not None}


def _kinds(found: Comparison) -> Iterator[str]:
    for text, mark in reasons(found).items():
        yield f"≠{mark} not compared: {text}"
    for row in found.rows:
        for column, cell in zip(found.columns, row.cells, strict=True):
            if cell is not None and cell.score.warning:
                yield f"! {column.title}, {row.like.title}: {cell.score.warning}"


def _sources(found: Comparison) -> Iterator[str]:
    logged = [entrant for column in found.columns for entrant in column.entrants if entrant.logged]
    if logged:
        known = ", ".join(entrant.title for entrant in logged)
        command = f"vaescope evaluate {shlex.quote(printable(str(logged[0].folder)))}"
        yield f"{known}: what training wrote at its end; `{command}` measures the rest"
    several = [column for column in found.columns if column.seeds > 1]
    for column in several:
        runs = ", ".join(entrant.title for entrant in column.entrants)
        yield f"{column.title}: mean ± standard error over {column.seeds} training seeds, sd between them ({runs})"
    if len(several) < len(found.columns):
        yield MANY_SEEDS
    for names in map(", ".join, found.replicates):
        yield f"{names} differ in their seed alone: --seeds shows their mean and how far they are apart"


def marks(found: Comparison, cell: Cell) -> str:
    """What stands behind a number: best, alike, not compared, not to be trusted."""
    unlike = f"≠{reasons(found)[cell.differs]}" if cell.differs else ""
    return MARKS[cell.judgement] + unlike + ("!" if cell.score.warning else "")


def grouped(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows by their heading."""
    for group, some in groupby(rows, key=lambda row: row.group):
        yield group, list(some)


# A terminal


def text(found: Comparison, width: int = WIDTH) -> str:
    """A comparison as tables for a terminal.

    Args:
        found: The comparison.
        width: The letters of a line, at most.
    """
    parts = [*_blocks(found, width), _data_lines(found, width), _config_lines(found, width)]
    below = [line for note in notes(found) for line in textwrap.wrap(note, width, subsequent_indent="  ")]
    return "\n\n".join([part for part in parts if part] + ["\n".join(below)])


def _blocks(found: Comparison, width: int) -> Iterator[str]:
    """Tables of as many columns as fit beside each other."""
    shown = [[_shown(found, row, k) for row in found.rows] for k in range(len(found.columns))]
    widths = [max([10, *(len(cell) for cell in column)]) for column in shown]
    gaps = [gap(row.difference) if row.difference else "" for row in found.rows]
    if any(gaps):
        shown.append(gaps)
        widths.append(max([10, *map(len, gaps)]))
    titles = [*(column.title for column in found.columns), "difference"]
    free = width - sum(w + 2 for w in widths)
    first = min(max(TITLE, free), max([12, *(len(heading(row)) + 2 for row in found.rows)]))
    start = 0
    while start < len(widths):
        end = start + 1
        while end < len(widths) and first + sum(w + 2 for w in widths[start : end + 1]) <= width:
            end += 1
        columns = [(titles[k], shown[k], widths[k]) for k in range(start, end)]
        yield "\n".join(_table(found.rows, first, columns))
        start = end


def _shown(found: Comparison, row: Row, k: int) -> str:
    """A number with its marks behind it, all of which take equal room within a column."""
    slots = [marks(found, cell) for cell in (r.cells[k] for r in found.rows) if cell is not None]
    slot = max(map(len, slots), default=0)
    cell = row.cells[k]
    behind = "" if cell is None else marks(found, cell)
    return ("–" if cell is None else number(cell)) + (f" {behind:<{slot}}" if slot else "")


def _table(rows: Sequence[Row], first: int, columns: Sequence[tuple[str, list[str], int]]) -> Iterator[str]:
    yield from (" " * first + names for names in _heads([title for title, *_ in columns], [w for *_, w in columns]))
    place = 0
    for group, some in grouped(rows):
        yield group
        for row in some:
            lines = textwrap.wrap(heading(row), first, initial_indent="  ", subsequent_indent="    ")
            cells = (f"  {shown[place]:>{w}}" for _, shown, w in columns)
            yield f"{lines[0]:<{first}}{''.join(cells)}".rstrip()
            yield from lines[1:]
            place += 1


def _data_lines(found: Comparison, width: int) -> str:
    lines = [f"  {title:<{TITLE}}  {value}" for title, value in of_data(found)]
    return "\n".join(["The images alone", *lines]) if lines else ""


def of_data(found: Comparison) -> Iterator[tuple[str, str]]:
    """The numbers of the images alone: a title and the number, each once."""
    for row in found.data:
        seen: dict[tuple[str, str], list[str]] = {}
        for column, cell in zip(found.columns, row.cells, strict=True):
            if cell is not None:
                key = cell.score.title, f"{number(cell)} {cell.score.unit}".rstrip()
                seen.setdefault(key, []).append(column.title)
        for (title, value), names in seen.items():
            yield title, value + (f" ({', '.join(names)})" if len(seen) > 1 else "")


def _config_lines(found: Comparison, width: int) -> str:
    """The keys in which the configs differ, as many columns beside each other as fit; long values are cut."""
    if not found.config:
        return ""
    first = min(36, max(len(key) for key in found.config) + 2)
    together = min(len(found.columns), max(1, (width - first) // 14))
    each = (width - first) // together - 2
    lines = ["What the configs say"]
    for start in range(0, len(found.columns), together):
        part = slice(start, start + together)
        lines += [
            " " * first + names
            for names in _heads([c.title for c in found.columns[part]], [-each] * len(found.columns[part]))
        ]
        for key, values in found.config.items():
            cells = "".join(f"  {_cut(value or '–', each):<{each}}" for value in values[part])
            lines.append(f"{f'  {_cut(key, first - 2)}':<{first}}{cells}".rstrip())
    return "\n".join(lines)


def _heads(titles: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The names of columns in as many lines as they need, to the right, or to the left of a width that is negative."""
    names = [textwrap.wrap(_middle(title, 3 * abs(w)), abs(w)) or [""] for title, w in zip(titles, widths, strict=True)]
    deep = max(map(len, names))
    filled = [[""] * (deep - len(name)) + name for name in names]
    for line in zip(*filled, strict=True):
        cells = (f"  {word:{'<' if w < 0 else '>'}{abs(w)}}" for word, w in zip(line, widths, strict=True))
        yield "".join(cells).rstrip()


def _middle(value: str, width: int) -> str:
    """A name that is no longer than that; names are often alike at the beginning, so more of the end is kept."""
    start = width // 3
    return value if len(value) <= width else f"{value[:start]}…{value[start + 1 - width :]}"


def _cut(value: str, width: int) -> str:
    return value if len(value) <= width else f"{value[: width - 1]}…"


# Markdown


def markdown(found: Comparison, picture: Path | None = None) -> str:
    """A comparison as GitHub's Markdown.

    Args:
        found: The comparison.
        picture: A picture of the curves, named beside it.
    """

    def cells(values: Sequence[str]) -> str:
        return f"| {' | '.join(values)} |\n"

    def shown(cell: Cell | None) -> str:
        if cell is None:
            return "–"
        mark = marks(found, cell).replace("*", "")
        value = f"**{number(cell)}**" if cell.judgement == "best" else number(cell)
        return f"{value} {plain(mark)}".rstrip()

    titles = [plain(column.title) for column in found.columns]
    pair = any(row.difference for row in found.rows)
    head = ["", *titles, *(["difference"] if pair else [])]
    out = cells(head) + cells(["---"] + ["---:"] * (len(head) - 1))
    for group, rows in grouped(found.rows):
        out += cells([f"**{plain(group)}**", *[""] * (len(head) - 1)])
        for row in rows:
            gaps = [gap(row.difference) if row.difference else ""] if pair else []
            out += cells([plain(heading(row)), *map(shown, row.cells), *gaps])
    if found.data:
        out += "\n" + cells(["the images alone", ""]) + cells(["---", "---:"])
        out += "".join(cells([plain(title), plain(value)]) for title, value in of_data(found))
    if found.config:
        out += "\n" + cells(["config", *titles]) + cells(["---"] * (len(titles) + 1))
        out += "".join(
            cells([plain(key), *(plain(value) or "–" for value in each)]) for key, each in found.config.items()
        )
    out += "\n" + "".join(f"- {plain(note.replace('* best', 'bold: best'))}\n" for note in notes(found))
    return out + (f"\n![Validation curves of the runs]({quote(picture.name)})\n" if picture else "")


# A page


def fragment(found: Comparison) -> Html:
    """The tables of a comparison with how to read them, as HTML for a notebook or a page."""
    titles = [column.title for column in found.columns]
    pair = any(row.difference for row in found.rows)

    def shown(cell: Cell | None) -> str:
        if cell is None:
            return muted("–")
        mark = marks(found, cell).replace("*", "")
        whole = f"{number(cell)} {mark}".rstrip()
        return strong(whole) if cell.judgement == "best" else muted(whole) if cell.differs else escape(whole)

    rows: list[list[str]] = []
    for group, some in grouped(found.rows):
        rows.append([group])
        for row in some:
            gaps = [gap(row.difference) if row.difference else ""] if pair else []
            rows.append([heading(row), *map(shown, row.cells), *gaps])
    head = ["", *titles, *(["difference"] if pair else [])]
    items = "".join(f"<li>{escape(note.replace('* best', 'bold: best'))}</li>\n" for note in notes(found))
    parts = [section("Scores", table(head, rows, numbers=range(1, len(head))), Html(f"<ul class=note>\n{items}</ul>"))]
    if found.data:
        parts.append(section("The images alone", table(["", "number"], list(map(list, of_data(found))), numbers=[1])))
    if found.config:
        keys = [[key, *(value or "–" for value in values)] for key, values in found.config.items()]
        parts.append(section("What the configs say", table(["key", *titles], keys)))
    return Html("\n".join(parts))


def html(found: Comparison) -> str:
    """A comparison as a page of its own."""
    titles = [column.title for column in found.columns]
    parts = [fragment(found)]
    curves = picture(found)
    if curves:
        caption = (
            "How far each run was after how many steps, and after how many seconds on its own machine. "
            + CAPTION[_quantity(found)]
        )
        parts.append(section("Training", figure(curves, caption, f"Validation curves of {', '.join(titles)}")))
    machines = dict.fromkeys(e.evaluation.machine for c in found.columns for e in c.entrants if e.evaluation.machine)
    note = f"{len(titles)} runs, side by side"
    footer = f"vaescope {__version__} compare" + (f" · measured on {'; '.join(machines)}" if machines else "")
    return page(f"Comparison of {', '.join(titles)}", Html("\n".join(parts)), note=note, footer=footer)


CAPTION = {
    "−ELBO": "The −ELBO is that of the validation images: distortion plus rate, in nats per image. Lower is better.",
    "distortion": "The distortion is that of the validation images: how many nats each costs given its latents, which "
    "is all that an autoencoder has. Lower is better.",
}


# Rows for programs


HEAD = ("run", "metric", "score", "value", "error", "low", "high", "unit", "count", "protocol", "comparable", "best")


def rows_of(found: Comparison) -> Iterator[tuple[Any, ...]]:
    """One row for each run and score, see :data:`HEAD`. ``best`` is best, alike, worse, or empty where not judged."""
    for row in (*found.rows, *found.data):
        for column, cell in zip(found.columns, row.cells, strict=True):
            if cell is not None:
                score = cell.score
                low, high = score.ends() or (None, None)
                numbers = [_finite(value) for value in (score.value, score.error, low, high)]
                same = "yes" if row.compared and not cell.differs else "no"
                rest = (score.unit, score.count, score.protocol, same, cell.judgement)
                yield (column.title, *row.key, *numbers, *rest)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def comma_separated(found: Comparison) -> str:
    """A comparison as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(rows_of(found))
    return file.getvalue()


def record(found: Comparison) -> dict[str, Any]:
    """A comparison as what JSON can hold."""
    runs = [
        {
            "run": column.title,
            "folders": [str(entrant.folder) for entrant in column.entrants],
            "data": column.first.evaluation.data,
            "step": column.first.evaluation.step,
            "source": "metrics.jsonl" if column.first.logged else "evaluation.json",
        }
        for column in found.columns
    ]
    scores = [dict(zip(HEAD, values, strict=True)) for values in rows_of(found)]
    cells = [cell for row in (*found.rows, *found.data) for cell in row.known]
    for score, cell in zip(scores, cells, strict=True):
        best = cell.to_best
        score["comparable"] = score["comparable"] == "yes"
        score["differs"], score["warning"], score["seeds"] = cell.differs, cell.score.warning, cell.seeds
        score["to_best"] = (
            None if best is None else {"value": best.value, "error": best.error, "p": best.p, "how": best.how}
        )
    return {"format": 1, "runs": runs, "scores": scores, "config": found.config, "notes": notes(found)}


# Curves


def _drawn(found: Comparison) -> list[Any]:
    """The runs whose curves are about the same as those of the first run that has any."""
    runs = [entrant for column in found.columns for entrant in column.entrants]
    known = [entrant for entrant in runs if np.isfinite(entrant.course("step", "distortion")).all(0).any()]
    return [entrant for entrant in known if entrant.explains == known[0].explains]


def _quantity(found: Comparison) -> str:
    """What the curves are of: the −ELBO, or the distortion if one of the runs has no rate."""
    rates = [entrant.course("rate")[0] for entrant in _drawn(found)]
    return "−ELBO" if all(np.isfinite(rate).any() for rate in rates) else "distortion"


def draw(found: Comparison, path: Path) -> bool:
    """Draws the validation curves of the runs over each other. Returns whether there were any."""
    from vaescope.figures.curves import Course, overlaid

    runs, quantity = _drawn(found), _quantity(found)
    if not runs:
        return False
    courses = []
    for run in runs:
        step, seconds, distortion, rate = run.course("step", "seconds", "distortion", "rate")
        courses.append(Course(run.title, step, seconds, distortion + rate if quantity == "−ELBO" else distortion))
    floors = [row.like.value for row in found.data if row.like.unit == NATS and "entropy" in row.like.title.lower()]
    missing = ", ".join(e.title for column in found.columns for e in column.entrants if e not in runs)
    data = runs[0].evaluation.data or runs[0].config.get("data.name", "")
    footer = "validation images, one sample of the latents for each"
    footer += f" · not drawn, as it is of other images, targets or labels: {missing}" if missing else ""
    title = f"{quantity[0].upper()}{quantity[1:]} of validation images, {data}"
    floor = floors[0] if floors and quantity == "−ELBO" else None
    overlaid(path, courses, quantity=quantity, title=title, footer=footer, floor=floor)
    return True


def picture(found: Comparison) -> bytes:
    """The content of a PNG file of the curves; empty without any."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        return path.read_bytes() if draw(found, path) else b""


FORMATS: dict[str, Callable[[Comparison], str]] = {".md": markdown, ".csv": comma_separated, ".html": html}
"""From the ending of a path to what it is to hold."""


def write(found: Comparison, path: Path) -> list[Path]:
    """Writes a comparison to a file whose ending says the format: a page holds its picture, Markdown has it beside it.

    Args:
        found: The comparison.
        path: The file: ``.md``, ``.csv`` or ``.html``.

    Returns:
        What was written.

    Raises:
        UsageError: For another ending, or a place that cannot be written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path} cannot be written: its ending must be {' or '.join(FORMATS)}")
    beside = path.with_suffix(".png")
    try:
        drawn = path.suffix == ".md" and draw(found, beside)
        content = markdown(found, beside if drawn else None) if path.suffix == ".md" else FORMATS[path.suffix](found)
        with atomic_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}): give another -o") from None
    return [path, beside] if drawn else [path]
