"""Runs side by side: which scores may be compared, which is the best, and which are as good as that.

Two scores compare if they are of the same metric with the same protocol, count and unit, on the same test images. In a
row with several kinds of scores the largest group that compares is judged, and of equally large ones that of the first
run. Scores of other groups are shown, with what differs, and are not judged.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import isfinite, sqrt
from pathlib import Path
from typing import Literal

from vaescope.choices import unknown
from vaescope.comparison.entrants import Entrant, read
from vaescope.comparison.noise import Difference, difference, rejected
from vaescope.errors import UsageError
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import Score, of_few

Judgement = Literal["best", "alike", "worse", ""]
"""The best, not distinguishable from it, distinguishable from it, or not judged."""

Key = tuple[str, str]
"""The name of a metric and that of a score."""


@dataclass(frozen=True)
class Column:
    """A run, or several that differ in their seed alone.

    Args:
        title: What it is called.
        entrants: The runs.
    """

    title: str
    entrants: tuple[Entrant, ...]

    @property
    def first(self) -> Entrant:
        """The first of the runs, which stands for what they have in common."""
        return self.entrants[0]

    @property
    def seeds(self) -> int:
        """The number of runs."""
        return len(self.entrants)

    def score(self, key: Key) -> Score | None:
        """A score of the run, or its mean over the runs with its standard error over them."""
        known = [(entrant, score) for entrant in self.entrants if (score := entrant.scores.get(key)) is not None]
        if len(known) < self.seeds or any(unlike(*one, *known[0]) for one in known):
            return None
        first = known[0][1]
        return first if self.seeds == 1 or first.of_data else over_seeds([score for _, score in known])


def over_seeds(scores: Sequence[Score]) -> Score:
    """The mean of the scores of several training seeds, with its standard error over them."""
    values = [score.value for score in scores]
    error = statistics.stdev(values) / sqrt(len(values)) if all(map(isfinite, values)) else None
    mean = sum(values) / len(values)
    score = replace(scores[0], value=mean, error=error, interval=None, over="seeds", parts=(), each=None)
    return of_few(score, len(scores))


@dataclass(frozen=True)
class Cell:
    """A score of one column.

    Args:
        score: The score.
        seeds: How many runs it is the mean of.
        differs: What keeps it from being compared with the others of its row; empty where nothing does.
        judgement: How it compares with the best.
        to_best: How far it is above the best, where that is known.
    """

    score: Score
    seeds: int = 1
    differs: str = ""
    judgement: Judgement = ""
    to_best: Difference | None = None


@dataclass(frozen=True)
class Row:
    """One score of all columns.

    Args:
        key: The names of its metric and of itself.
        group: The heading it stands under.
        cells: The score of every column, or nothing where it was not measured.
    """

    key: Key
    group: str
    cells: tuple[Cell | None, ...]

    @property
    def known(self) -> list[Cell]:
        """The cells that hold a score."""
        return [cell for cell in self.cells if cell is not None]

    @property
    def like(self) -> Score:
        """A score that is compared with others, which stands for them."""
        return next((cell for cell in self.known if not cell.differs), self.known[0]).score

    @property
    def compared(self) -> bool:
        """Whether at least two of its scores are comparable."""
        return sum(not cell.differs for cell in self.known) > 1

    @property
    def judged(self) -> bool:
        """Whether there is a best score in it."""
        return any(cell.judgement for cell in self.known)

    @property
    def difference(self) -> Difference | None:
        """How far the second score is above the first, where there are two that compare."""
        first, second = self.cells if len(self.cells) == 2 else (None, None)
        if first is None or second is None or first.differs or second.differs:
            return None
        return difference(second.score, first.score, (second.seeds, first.seeds))


@dataclass(frozen=True)
class Comparison:
    """Runs side by side. Written out by :mod:`vaescope.comparison.formats`.

    Args:
        columns: The runs.
        rows: What was measured of them, in the order of the protocol.
        data: The numbers of the images alone, each once for each image set.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    data: tuple[Row, ...]

    @cached_property
    def config(self) -> dict[str, list[str]]:
        """The keys in which the configs differ, with the value of each column; empty for a key that it lacks."""
        keys = dict.fromkeys(key for column in self.columns for key in column.first.config)
        parts = list(dict.fromkeys(key.split(".")[0] for key in keys))
        order = sorted(keys, key=lambda key: (parts.index(key.split(".")[0]), key))
        values = {key: [self._value(column, key) for column in self.columns] for key in order}
        return {key: each for key, each in values.items() if len(set(each)) > 1}

    @staticmethod
    def _value(column: Column, key: str) -> str:
        """The value of a key, or its values, where the runs of a column have several."""
        return ", ".join(dict.fromkeys(entrant.config.get(key, "") for entrant in column.entrants))

    @property
    def replicates(self) -> list[list[str]]:
        """The titles of runs that differ in their seed alone."""
        groups = by_recipe([column.first for column in self.columns])
        return [[run.title for run in runs] for runs in groups if len({run.seed for run in runs}) == len(runs) > 1]

    def __str__(self) -> str:
        from vaescope.comparison.formats import text

        return text(self)

    def _repr_html_(self) -> str:
        from vaescope.comparison.formats import fragment

        return fragment(self)


def compare(folders: Sequence[Path], metrics: Sequence[str] | None = None, seeds: bool = False) -> Comparison:
    """Puts runs side by side. It reads their folders alone: no images, no weights.

    Args:
        folders: The run folders.
        metrics: The names of metrics or scores to compare, such as "elbo", "rate" or "elbo.rate"; by default all.
        seeds: Whether runs that differ in their seed alone become one column, with the mean over them.

    Raises:
        UsageError: If there are fewer than two, one is no run folder, is broken or has no score, no score can be
            compared with another, or there is no such metric.
    """
    if len(folders) < 2:
        raise UsageError(f"{len(folders)} run was given: give at least two run folders to compare")
    entrants = read(folders)
    columns = _grouped(entrants) if seeds else tuple(Column(entrant.title, (entrant,)) for entrant in entrants)
    keys = chosen(entrants, metrics)
    rows = [_row(key, columns) for key in keys]
    kept = [row for row in rows if row is not None]
    found = Comparison(
        columns,
        tuple(judged(row) for row in kept if not row.like.of_data),
        tuple(row for row in kept if row.like.of_data),
    )
    if len(columns) > 1 and not any(row.compared for row in found.rows):
        raise UsageError(f"nothing can be compared: {_why(found)}")
    return found


def _grouped(entrants: Sequence[Entrant]) -> tuple[Column, ...]:
    """Runs that differ in their seed alone as one column each."""
    groups = by_recipe(entrants)
    for runs in groups:
        if len({run.seed for run in runs}) < len(runs):
            names = ", ".join(run.title for run in runs)
            raise UsageError(f"{names} have one config, and two of them the same seed: leave one out")
    if all(len(runs) == 1 for runs in groups):
        raise UsageError("no two of the runs differ in their seed alone: compare them without --seeds")
    return tuple(Column(f"{runs[0].title}{f' and {len(runs) - 1} more' if runs[1:] else ''}", runs) for runs in groups)


def by_recipe(entrants: Sequence[Entrant]) -> list[tuple[Entrant, ...]]:
    """Runs together with those that differ from them in their seed alone."""
    groups: dict[object, list[Entrant]] = {}
    for entrant in entrants:
        groups.setdefault(entrant.recipe, []).append(entrant)
    return [tuple(runs) for runs in groups.values()]


def chosen(entrants: Sequence[Entrant], metrics: Sequence[str] | None) -> list[Key]:
    """The scores to compare, in the order of the protocol.

    Raises:
        UsageError: If there is none of a name.
    """
    found = dict.fromkeys(key for entrant in entrants for key in entrant.scores)
    order = {name: place for place, name in enumerate(METRICS)}
    keys = sorted(found, key=lambda key: order.get(key[0], len(order)))
    if metrics is None:
        return keys
    names: dict[str, list[Key]] = {}
    for key in keys:
        for name in dict.fromkeys((key[0], key[1], ".".join(key))):
            names.setdefault(name, []).append(key)
    for name in metrics:
        if name not in names:
            raise UsageError(unknown("metric or score", name, [*names, *METRICS]))
    if not metrics:
        raise UsageError(f"no metric was named: there are {', '.join(dict.fromkeys(key[0] for key in keys))}")
    wanted = {key for name in metrics for key in names[name]}
    return [key for key in keys if key in wanted]


def _row(key: Key, columns: Sequence[Column]) -> Row | None:
    """The scores of a name, with what keeps some of them from being compared; nothing if no column has it."""
    scores = [column.score(key) for column in columns]
    known = [(column.first, score) for column, score in zip(columns, scores, strict=True) if score is not None]
    if not known:
        return None
    alike = [[not unlike(*one, *other) for one in known] for other in known]
    base = known[max(range(len(known)), key=lambda k: (sum(alike[k]), -k))]
    cells = (
        None if score is None else Cell(score, column.seeds, unlike(column.first, score, *base))
        for column, score in zip(columns, scores, strict=True)
    )
    return Row(key, _group(key, [entrant for entrant, _ in known]), tuple(cells))


def _group(key: Key, entrants: Sequence[Entrant]) -> str:
    """The heading of a score: that of the protocol, or that which the runs give to an unknown metric."""
    if key[0] in METRICS:
        return METRICS[key[0]].group
    return next((e.evaluation.metrics[key[0]].group for e in entrants), "") or "Others"


def unlike(entrant: Entrant, score: Score, base: Entrant, other: Score) -> str:
    """What keeps a score from being compared with another one, in words; empty where nothing does."""
    return "; ".join(_differences(entrant, score, base, other))


def _differences(entrant: Entrant, score: Score, base: Entrant, other: Score) -> Iterator[str]:
    mine, theirs = entrant.evaluation, base.evaluation
    if mine.data and theirs.data and mine.data != theirs.data:
        yield f"images of {mine.data}, not {theirs.data}"
    elif mine.test_images and theirs.test_images:
        if mine.test_images != theirs.test_images:
            yield "other test images"
    elif keys := [key for key, value in entrant.data.items() if base.data.get(key, value) != value]:
        yield f"{keys[0]} {entrant.data[keys[0]]}, not {base.data[keys[0]]}"
    if (score.count, score.cases) != (other.count, other.cases):
        yield f"{score.count:,} {score.cases}, not {other.count:,}" + f" {other.cases}" * (score.cases != other.cases)
    if score.protocol != other.protocol:
        yield f"protocol “{score.protocol}”, not “{other.protocol}”"
    if score.unit != other.unit:
        yield f"in {score.unit or 'no unit'}, not {other.unit or 'no unit'}"


def _why(found: Comparison) -> str:
    """Why no score of some runs can be compared, in one clause, and what to do."""
    folders = [entrant.folder for column in found.columns for entrant in column.entrants]
    runs = [column.title for column in found.columns]
    for row in found.rows:
        for title, cell in zip(runs, row.cells, strict=True):
            if cell is not None and cell.differs:
                first, *rest = cell.differs.split("; ")
                return f"{row.like.title} of {title} has {first}{' ...' if rest else ''}; evaluate the runs alike"
    return f"{runs[0]} and {runs[1]} have no score in common; run `vaescope evaluate {folders[0]}`, and of the others"


def judged(row: Row) -> Row:
    """A row with its best score, and with which of the others cannot be told from it.

    There is none where no side is the better one, or where the error of a score is not known.
    """
    places = [k for k, cell in enumerate(row.cells) if cell is not None and not cell.differs]
    cells = {k: cell for k in places if (cell := row.cells[k]) is not None}
    better = {cell.score.better for cell in cells.values()}
    if len(places) < 2 or better not in ({"lower"}, {"higher"}):
        return row
    pairs = {
        (a, b): difference(cells[a].score, cells[b].score, (cells[a].seeds, cells[b].seeds))
        for a, b in combinations(places, 2)
    }
    known = {pair: found for pair, found in pairs.items() if found is not None}
    if len(known) < len(pairs):
        return row
    told = rejected({pair: found.p for pair, found in known.items()})
    pick: Callable[..., int] = min if better == {"lower"} else max
    best = pick(places, key=lambda k: cells[k].score.value)
    return replace(row, cells=tuple(_judged(cell, k, best, known, told) for k, cell in enumerate(row.cells)))


def _judged(
    cell: Cell | None, k: int, best: int, known: Mapping[tuple[int, int], Difference], told: set[tuple[int, int]]
) -> Cell | None:
    if cell is None or cell.differs:
        return cell
    if k == best:
        return replace(cell, judgement="best")
    pair = (min(k, best), max(k, best))
    found = known[pair]
    to_best = found if k < best else replace(found, value=-found.value)
    return replace(cell, judgement="worse" if pair in told else "alike", to_best=to_best)
