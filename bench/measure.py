"""How benchmarks measure: in turn, block after block, on a machine that has nothing else to do; and how they report.

What else runs on a machine, and how fast it happens to be, changes from minute to minute. Ways that are compared
therefore take turns within one run, and what is told is the ratio within neighbouring blocks: its median, with the
interval that a bootstrap over blocks gives. A measurement is refused when other processes took the processor meanwhile.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"

OTHERS = 0.1
"""The share of the processors that other processes may take before a measurement is refused."""

TRIES = 3
"""How often something is measured before a busy machine is given up."""

Cell = str | int | float | None

Found = TypeVar("Found")


class BusyError(RuntimeError):
    """Others used the machine while something was measured."""


@dataclass(frozen=True)
class Asked:
    """What a benchmark is asked for.

    Args:
        root: Where image sets are kept, if not where the recipes say.
        blocks: How many times ways that are compared take turns, at least 5.
        quick: Whether to make do with the least that shows whether a benchmark works; such figures are not kept.
        busy: Whether to measure on a machine that has other things to do.
        say: Is told what is being done.
        others: The shares of the processors that other processes took, of every measurement so far.
    """

    root: str | None = None
    blocks: int = 7
    quick: bool = False
    busy: bool = False
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    others: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Ratio:
    """How many times as long one way takes as another.

    Args:
        middle: The median over pairs of neighbouring blocks.
        low: The lower end of its interval, 95 % by bootstrap.
        high: The upper end.
    """

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass
class Table:
    """What a benchmark found.

    Args:
        title: What was measured, in a few words.
        columns: What its columns are, with units.
        rows: A cell for each column.
        notes: What a reader must know, a sentence each.
        data: Everything that was measured, to be kept as JSON.
        pictures: Files that show it.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)

    def markdown(self) -> str:
        """The table with its title and notes."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = ["| " + " | ".join(shown(cell) for cell in line) + " |" for line in lines]
        return "\n".join([f"**{self.title}**", "", *table, *([""] if self.notes else []), *self.notes])

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"title": self.title, "columns": list(self.columns), "rows": [list(row) for row in self.rows]} | {
            "notes": self.notes, "data": self.data, "pictures": [path.name for path in self.pictures],
        }  # fmt: skip


def shown(cell: Cell) -> str:
    """A cell in words: numbers with three digits that count, or as many as they have before the point."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        digits = max(0, 2 - int(np.floor(np.log10(abs(cell))))) if cell else 0
        return f"{cell:,.{min(digits, 4)}f}".replace("-", "−")
    return f"{cell:,}" if isinstance(cell, int) else cell


def interleaved(ways: Mapping[str, Callable[[], object]], blocks: int, asked: Asked) -> dict[str, list[float]]:
    """The seconds of each way in each block; they take turns, and every other block goes through them backwards.

    Args:
        ways: What to time, by name. Each is called once more before, to warm up.
        blocks: How many blocks.
        asked: Says whether a busy machine is allowed.

    Raises:
        BusyError: If others used the machine meanwhile.
    """
    for way in ways.values():
        way()
    return quietly(lambda: _turns(ways, blocks), asked)


def _turns(ways: Mapping[str, Callable[[], object]], blocks: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(blocks):
        for name in list(ways) if block % 2 == 0 else list(ways)[::-1]:
            begun = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def quietly(work: Callable[[], Found], asked: Asked) -> Found:
    """What is found on a quiet machine: if others used it meanwhile, all is measured anew, up to three times.

    Args:
        work: Measures.
        asked: Says whether a busy machine is allowed.

    Raises:
        BusyError: If others used the machine every time.
    """
    for _ in range(TRIES - 1):
        try:
            with Quiet(asked):
                return work()
        except BusyError as error:
            asked.say(f"measured anew: {error}")
    with Quiet(asked):
        return work()


def ratio(other: Sequence[float], ours: Sequence[float]) -> Ratio:
    """How many times as long the other way takes, from seconds in neighbouring blocks."""
    return middle(np.asarray(other) / np.asarray(ours))


def middle(values: Sequence[float] | np.ndarray, draws: int = 10_000) -> Ratio:
    """The median over blocks of what was found in each, with its interval: 95 % by bootstrap."""
    found = np.asarray(values)
    picks = np.random.default_rng(0).integers(0, len(found), (draws, len(found)))
    low, high = np.quantile(np.median(found[picks], axis=1), (0.025, 0.975))
    return Ratio(float(np.median(found)), float(low), float(high))


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


class Quiet:
    """A block during which the machine must have nothing else to do, where the system tells (Linux).

    The time of this process and of those that it starts and waits for is its own.

    Raises:
        BusyError: At the end of the block, if other processes took more than a tenth of the processors.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked, self.others = asked, 0.0

    def __enter__(self) -> "Quiet":
        self.begun = time.perf_counter(), _busy(), _own()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        wall, busy, own = time.perf_counter() - self.begun[0], _busy() - self.begun[1], _own() - self.begun[2]
        self.others = max(0.0, busy - own) / (wall * (os.cpu_count() or 1))
        self.asked.others.append(round(self.others, 4))
        if kind is None and not self.asked.busy and self.others > OTHERS and wall > 1:
            raise BusyError(
                f"other processes took {self.others:.0%} of the processors meanwhile: stop them and measure again, "
                "or give --busy to have figures that do not count"
            )


def _busy() -> float:
    """The seconds that all processors have worked, for this machine or, as steal, for others on the same host."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """The seconds that this process has worked, with all that it has started, whether they still run or have ended."""
    ticks: dict[int, int] = {}
    below: dict[int, list[int]] = {}
    for pid, parent, worked in _processes():
        ticks[pid] = worked
        below.setdefault(parent, []).append(pid)
    own = [os.getpid()]
    for pid in own:  # grows as it is gone through
        own += below.get(pid, [])
    return sum(ticks.get(pid, 0) for pid in own) / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[tuple[int, int, int]]:
    """All processes: their number, that of their parent, and the ticks that they and their ended children worked."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        yield int(file.parent.name), int(fields[1]), sum(map(int, fields[11:15]))


def commit() -> str | None:
    """The commit of this tree, with a + if files differ from it; nothing where git does not tell."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def machine() -> dict[str, Any]:
    """The machine, the versions and the load as they are now, to be kept beside what is measured from here on."""
    import torch

    from vaescope import __version__

    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return {
        "processor": f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {"vaescope": __version__, "torch": torch.__version__, "numpy": np.__version__}
        | {"python": platform.python_version(), "system": platform.platform(terse=True)},
        "commit": commit(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def settings_of(words: Sequence[str]) -> Any:
    """A config, as ``vaescope train`` would take it.

    Args:
        words: Options of the command line, such as ``--config configs/main.yaml``.
    """
    from vaescope.config import build, parse
    from vaescope.request import parser

    made = parser()
    parsed = parse(made, words)
    for name in ("out", "resume", "json", "skip_bad"):
        parsed.pop(name)
    return build(made, parsed)


def state(words: Sequence[str], root: str | None = None, model: Any = None) -> tuple[Any, Any]:
    """A config and the state before its first step, as ``vaescope train`` would begin it.

    Args:
        words: Options of the command line, such as ``--config configs/main.yaml``.
        root: Where image sets are kept, if not where the options say.
        model: An architecture in place of the one that the options choose, such as one that no option names.
    """
    import torch

    from vaescope.experiment import begin

    settings = settings_of([*words, *(["--data.root", root] if root else [])])
    settings = settings if model is None else replace(settings, model=model)
    device = settings.trainer.find_device()
    begun = begin(settings, settings.data.load(lambda line: None), device)
    begun.model.train()
    torch.manual_seed(0)
    return settings, begun


def save(name: str, tables: Sequence[Table], where: Mapping[str, Any], asked: Asked) -> Path:
    """Keeps what a benchmark found in ``bench/results/NAME.json``, with what is needed to find it again.

    Args:
        name: The benchmark.
        tables: What it found.
        where: The machine as it was before.
        asked: What it was asked for, and what else ran meanwhile.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    words = f"python -m bench {name} --blocks {asked.blocks}"
    content = {"command": words, "machine": where, "others": asked.others, "tables": [t.record() for t in tables]}
    path.write_text(json.dumps(content, indent=1, default=_plain) + "\n")
    return path


def load(name: str) -> list[str] | None:
    """What was kept of a benchmark, as lines of Markdown for a page in ``docs``; nothing if there is nothing."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    where, tables = content["machine"], content["tables"]
    versions = ", ".join(f"{part} {version}" for part, version in where["versions"].items())
    head = f"`{content['command']}` on {where['gpu'] or where['processor']}, {where['date']}; {versions}."
    head += f" Other processes took {max(content['others'], default=0):.1%} of the processors at most."
    parts = [head]
    for table in tables:
        parts.append(Table(**{key: table[key] for key in ("title", "columns", "rows", "notes")}).markdown())
        parts += [f"![{table['title']}](images/{name})" for name in table["pictures"]]
    return "\n\n".join(parts).splitlines()


def _plain(value: object) -> object:
    return asdict(value) if isinstance(value, Ratio) else str(value)
