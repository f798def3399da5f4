"""The lines of a ``metrics.jsonl`` as they stand there, whatever has happened to them."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from vaescope.foreign import from_json
from vaescope.health.finding import Finding, fault, note, ok, warning


@dataclass(frozen=True)
class Lines:
    """What stands in the file.

    Args:
        whole: The lines that can be read, in their order.
        broken: The numbers of those that cannot, from 1 on.
        torn: Whether the last one is cut short.
        there: Whether there is such a file.
    """

    whole: list[dict[str, Any]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    torn: bool = False
    there: bool = False

    @staticmethod
    def read(path: Path) -> "Lines":
        """Reads a file."""
        if not path.is_file():
            return Lines()
        text = path.read_text(encoding="utf-8", errors="replace")
        parsed = [_parsed(line) for line in text.splitlines()]
        torn = bool(parsed) and not text.endswith("\n")
        parsed = parsed[:-1] if torn else parsed
        broken = [number for number, line in enumerate(parsed, 1) if not line]
        return Lines([line for line in parsed if line], broken, torn, there=True)

    def steps(self, split: str) -> list[int]:
        """The steps of the lines of a split, in their order."""
        return [line["step"] for line in self.whole if line["split"] == split]

    @property
    def scored(self) -> bool:
        """Whether the test images have been scored, as they are at the end."""
        return bool(self.steps("test"))


def _parsed(line: str) -> dict[str, Any]:
    """A line; nothing where it is none of a run."""
    try:
        found = from_json(line)
    except ValueError:
        return {}
    fits = isinstance(found, dict) and type(found.get("step")) is int and isinstance(found.get("split"), str)
    return found if fits else {}


def metrics(lines: Lines, every: int, checkpoint: int, live: bool) -> Iterator[Finding]:
    """Whether all lines of a run are there, once, in order, and numbers.

    Args:
        lines: The lines.
        every: The steps between two lines of training.
        checkpoint: The step of the newest good checkpoint; 0 if there is none.
        live: Whether a process is writing them now.
    """
    if not lines.there:
        yield (
            note("there is no metrics.jsonl yet")
            if live
            else warning(
                "there is no metrics.jsonl, so nothing is known of how training went", "copy it from where the run was"
            )
        )
        return
    wrong = [*damaged(lines, live), *misplaced(lines), *missing(lines, every, checkpoint, live), *not_numbers(lines)]
    yield from wrong
    if not wrong:
        last = max((line["step"] for line in lines.whole), default=0)
        yield ok(f"{len(lines.whole):,} lines, whole and in order, to step {last:,}")


def damaged(lines: Lines, live: bool) -> Iterator[Finding]:
    """Lines that cannot be read."""
    if lines.torn and not live:
        remedy = (
            "go on with --resume, which puts it back; of a finished run delete what stands after the last whole line"
        )
        yield warning("the last line is cut short", remedy)
    if lines.broken:
        shown = ", ".join(map(str, lines.broken[:5])) + (" ..." if len(lines.broken) > 5 else "")
        remedy = "delete these lines; --resume puts them back as the checkpoint has them"
        yield fault(f"{len(lines.broken):,} lines cannot be read (line {shown})", remedy)


def misplaced(lines: Lines) -> Iterator[Finding]:
    """Lines that stand twice or out of order."""
    counts = Counter((line["split"], line["step"]) for line in lines.whole)
    twice = [where for where, count in counts.items() if count > 1]
    if twice:
        split, step = twice[0]
        remedy = "delete the later ones, or the curves have loops"
        yield fault(f"{len(twice):,} lines stand twice (the first: {split}, step {step:,})", remedy)
    course = [line["step"] for line in lines.whole if line["split"] != "test"]
    back = next((after for before, after in pairwise(course) if after < before), None)
    if back is not None:
        yield fault(f"the lines are out of order: step {back:,} stands after a later one", "sort them by their step")


def missing(lines: Lines, every: int, checkpoint: int, live: bool) -> Iterator[Finding]:
    """Lines that should be there and are not."""
    there = lines.steps("train")
    last = max([checkpoint, *there])
    absent = sorted(set(range(every, last + 1, every)) - set(there))
    if absent and not live:
        yield warning(
            f"{len(absent):,} lines of training are missing between steps {absent[0]:,} and {absent[-1]:,}",
            "go on with --resume, which puts them back as the checkpoint has them; of a finished run they are lost",
        )


def not_numbers(lines: Lines) -> Iterator[Finding]:
    """Terms that are not finite."""
    for line in lines.whole:
        for name, value in line.items():
            if isinstance(value, float) and not math.isfinite(value):
                remedy = "train with a lower trainer.optimizer.init_args.lr or trainer.clip 1.0"
                yield fault(f"{name} is {value} from step {line['step']:,} on ({line['split']})", remedy)
                return
