"""``vaescope data list``, ``fetch`` and ``check``."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaescope.cli.options import Parser, report
from vaescope.data.sources import NAMED, find
from vaescope.errors import UsageError
from vaescope.terminal import say

if TYPE_CHECKING:
    from vaescope.data.survey import Survey
    from vaescope.picks import Picks


def data(words: Sequence[str]) -> int:
    """Runs ``vaescope data``."""
    made = Parser("List, fetch or check image sets.", "vaescope data fetch fashion-mnist", "vaescope data")
    verbs = made.add_subparsers(dest="what", required=True, metavar="list|fetch|check", parser_class=Parser)
    listed = verbs.add_parser("list", description="Show every set that has a name.", example="vaescope data list")
    fetched = verbs.add_parser("fetch", description="Get a set onto this machine.", example="vaescope data fetch mnist")
    checked = verbs.add_parser(
        "check",
        description="Show what is in a set, or in your own images: a folder, .npz, .npy, .parquet, idx or hf:NAME.\n"
        "All of them are decoded, so that every file that cannot be read is told. Nothing is written.",
        example="vaescope data check photos/",
    )
    fetched.add_argument("name", nargs="?", help="the image set (that of --config, else fashion-mnist)")
    checked.add_argument("name", nargs="?", help="the image set (that of --config, else fashion-mnist), or a path")
    for verb in (fetched, checked):
        verb.add_argument("--root", type=Path, help="the folder for image sets (that of --config, else data)")
        verb.add_argument("-c", "--config", type=Path, help="a config that names the set and the folder")
    for verb in (listed, checked):
        verb.add_argument("--json", action="store_true", help="print JSON")
    asked = made.parse_args(words)
    if asked.what == "list":
        return list_sets(asked.json)
    if asked.what == "check" and asked.name and asked.root is None and is_place(asked.name):
        return check_place(asked.name, asked.json)
    name, root = place(asked.name, asked.root, asked.config)
    return fetch_set(name, root) if asked.what == "fetch" else check_set(name, root, asked.json)


def place(name: str | None, root: Path | None, config: Path | None) -> tuple[str, Path]:
    """Which set, and where: as asked for, else as a config says, else the default."""
    if config is not None:
        from vaescope.config import read

        said = read(config).data
        return name or said.name, root or said.root
    return name or "fashion-mnist", root or Path("data")


def list_sets(as_json: bool) -> int:
    """Prints every set that has a name."""
    rows = [
        {"name": s.name, "title": s.title, "shape": list(s.shape), "images": sum(s.counts), "licence": s.licence}
        for s in NAMED.values()
    ]
    if as_json:
        say(json.dumps(rows))
        return 0
    for s in NAMED.values():
        size = "x".join(map(str, s.shape))
        say(f"{s.name:<15} {sum(s.counts):>7,} images of {size:<8}  {s.title} ({s.licence})")
    return 0


def fetch_set(name: str, root: Path) -> int:
    """Fetches a set, and prints where it is."""
    from vaescope.data.fetch import fetch
    from vaescope.progress import Download

    if name == "idx":
        raise UsageError("idx is the name for your own files: put them into a folder and set data.root to it")
    named = find(name)
    say(named.shipped or fetch(named, root, report, Download()))
    return 0


def check_set(name: str, root: Path, as_json: bool) -> int:
    """Prints what is in a set, fetching nothing."""
    from vaescope.data.images import describe, load

    found = describe(load(name, root, report, fetch_missing=False))
    if as_json:
        say(json.dumps(found))
        return 0
    say(f"{found['name']}: images of {'x'.join(map(str, found['shape']))}, {len(found['classes'])} classes")
    for split, facts in found["splits"].items():
        low, high = facts["range"]
        say(
            f"  {split:<11} {facts['count']:>7,} images, greys {low} to {high}, mean {facts['mean']:.1f}, "
            f"std {facts['std']:.1f}, entropy of the binarised pixels {facts['entropy']:.3f} nats per image"
        )
        if facts["per_class"]:
            counts = zip(found["classes"], facts["per_class"], strict=True)
            say("              " + ", ".join(f"{name} {count:,}" for name, count in counts))
    if found["factors"]:
        sizes = ", ".join(f"{name} {size}" for name, size in found["factors"].items())
        say(f"  factors     {sizes}")
    say("  duplicates  " + ", ".join(f"{pair} {count}" for pair, count in found["duplicates"].items()))
    return 0


def is_place(where: str) -> bool:
    """Whether this is a place where images are, or were to be, and no set with a name: as train takes it, what is there
    comes before a name."""
    return where.startswith("hf:") or Path(where).exists() or "/" in where or "." in where


def check_place(where: str, as_json: bool) -> int:
    """Prints what the four files of a set in a folder are, or the user's own images."""
    from vaescope.request import contents, is_named

    folder = Path(where)
    return check_set(contents(folder), folder, as_json) if is_named(folder) else check_own(where, as_json)


def check_own(where: str, as_json: bool) -> int:
    """Prints what the user's own images are, and what would be done with them."""
    from vaescope.data.own import open_source
    from vaescope.data.survey import survey, trouble
    from vaescope.picks import pick
    from vaescope.progress import Download

    source = open_source(where)
    found = survey(source, deep=True, progress=Download())
    picks = pick(found) if found.sizes else None
    wrong = trouble(source, found)
    command = f"vaescope train --data {shlex.quote(where)}{' --skip-bad' if found.bad else ''}"
    if as_json:
        say(json.dumps(record(found) | {"picked": picks and picks.keys, "trouble": wrong}))
    else:
        say(
            "\n".join(
                [
                    *table(found),
                    *([f"  note        {source.note}"] if source.note else []),
                    *(told(picks, command) if picks and not wrong else ()),
                ]
            )
        )
        if wrong:
            say("\n".join(["", *wrong]))
    return 2 if found.bad or wrong else 0


def record(found: "Survey") -> dict[str, Any]:
    """A survey as what JSON can hold."""
    named = {
        "sizes": {f"{height}x{width}": count for (height, width), count in found.sizes.items()},
        "parts": {part or "": count for part, count in found.parts.items()},
        "shared": {"/".join(pair): count for pair, count in found.shared.items()},
    }
    return vars(found) | named


def table(found: "Survey", most: int = 10) -> list[str]:
    """A survey in lines."""

    def counts(values: Counter[Any], name: Callable[[Any], str] = str) -> str:
        listed = [f"{name(value)} {count:,}" for value, count in values.most_common(most)]
        return ", ".join(listed) + (f" and {len(values) - most:,} more" if len(values) > most else "")

    def row(head: str, text: str) -> list[str]:
        return [f"  {head:<11} {text}"] if text else []

    unread = f"{len(found.bad):,} of them cannot be read" if found.bad else "all can be read"
    low, high = found.extremes
    parts = {part: count for part, count in found.parts.items() if part}
    shared = ", ".join(f"{'/'.join(pair)} {count:,}" for pair, count in found.shared.items())
    return [
        f"{found.title}: {found.count:,} image{'s'[: found.count != 1]}, {unread}",
        *row("sizes", counts(found.sizes, lambda size: f"{size[0]}x{size[1]}")),
        *row("kinds", counts(found.modes)),
        *row("bits", counts(found.bits)),
        *row(
            "values",
            f"{low:.2f} to {high:.2f} of the largest"
            + (": black and white" if found.two_valued else "")
            + (": nearly black, scale them up" if found.dark else ""),
        ),
        *row("classes", counts(found.classes)),
        *row("", f"{found.unlabelled:,} have no class" if found.unlabelled else ""),
        *row("splits", counts(Counter(parts))),
        *row("duplicates", f"{found.duplicates:,}" + (f"; across splits {shared}" if shared else "")),
        *row("ignored", ", ".join(found.ignored[:most]) + (" ..." if len(found.ignored) > most else "")),
        *(line for name, why in found.bad for line in row("unreadable", why)),
    ]


def told(picks: "Picks", command: str) -> list[str]:
    """What a command would do with images, as keys of a config."""
    keys = picks.keys
    why = dict(zip(("data.size", "model.likelihood", "model.network"), picks.why, strict=True))
    keys |= {"data.validation": 0.1, "data.test": 0.1}
    why |= {"data.validation": "splits by a hash of each image's content, unless you have made them"}
    comments = {key: f"   # {why[key]}" if key in why else "" for key in keys}
    lines = [f"  --{key} {json.dumps(value)}{comments[key]}" for key, value in keys.items()]
    return ["", f"to train on them: {command}", "which stands for, unless you say otherwise:", *lines]
