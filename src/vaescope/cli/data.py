"""``vaescope data list``, ``fetch`` and ``check``."""

import json
from collections.abc import Sequence
from pathlib import Path

from vaescope.cli.options import Parser, report
from vaescope.data.sources import NAMED, find
from vaescope.errors import UsageError


def data(words: Sequence[str]) -> int:
    """Runs ``vaescope data``."""
    made = Parser("List, fetch or check image sets.", "vaescope data fetch fashion-mnist", "vaescope data")
    verbs = made.add_subparsers(dest="what", required=True, metavar="list|fetch|check", parser_class=Parser)
    listed = verbs.add_parser("list", description="Show every set that has a name.", example="vaescope data list")
    fetched = verbs.add_parser("fetch", description="Get a set onto this machine.", example="vaescope data fetch mnist")
    checked = verbs.add_parser("check", description="Show what is in a set.", example="vaescope data check mnist")
    for verb in (fetched, checked):
        verb.add_argument("name", nargs="?", help="the image set (that of --config, else fashion-mnist)")
        verb.add_argument("--root", type=Path, help="the folder for image sets (that of --config, else data)")
        verb.add_argument("-c", "--config", type=Path, help="a config that names the set and the folder")
    for verb in (listed, checked):
        verb.add_argument("--json", action="store_true", help="print JSON")
    asked = made.parse_args(words)
    if asked.what == "list":
        return list_sets(asked.json)
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
        print(json.dumps(rows))
        return 0
    for s in NAMED.values():
        size = "x".join(map(str, s.shape))
        print(f"{s.name:<15} {sum(s.counts):>7,} images of {size:<8}  {s.title} ({s.licence})")
    return 0


def fetch_set(name: str, root: Path) -> int:
    """Fetches a set, and prints where it is."""
    from vaescope.cli.progress import Download
    from vaescope.data.fetch import fetch

    if name == "idx":
        raise UsageError("idx is the name for your own files: put them into a folder and set data.root to it")
    named = find(name)
    print(named.shipped or fetch(named, root, report, Download()))
    return 0


def check_set(name: str, root: Path, as_json: bool) -> int:
    """Prints what is in a set, fetching nothing."""
    from vaescope.data.images import describe, load

    found = describe(load(name, root, report, fetch_missing=False))
    if as_json:
        print(json.dumps(found))
        return 0
    print(f"{found['name']}: images of {'x'.join(map(str, found['shape']))}, {len(found['classes'])} classes")
    for split, facts in found["splits"].items():
        low, high = facts["range"]
        print(
            f"  {split:<11} {facts['count']:>7,} images, greys {low} to {high}, mean {facts['mean']:.1f}, "
            f"std {facts['std']:.1f}, entropy of the binarised pixels {facts['entropy']:.3f} nats per image"
        )
        if facts["per_class"]:
            counts = zip(found["classes"], facts["per_class"], strict=True)
            print("              " + ", ".join(f"{name} {count:,}" for name, count in counts))
    print("  duplicates  " + ", ".join(f"{pair} {count}" for pair, count in found["duplicates"].items()))
    return 0
