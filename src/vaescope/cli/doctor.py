"""``vaescope doctor``: what is wrong, and how to mend it."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from vaescope.cli.options import Parser
from vaescope.errors import UsageError
from vaescope.health.finding import Check, Finding
from vaescope.health.installation import installation
from vaescope.terminal import legible

Section = tuple[str, list[Finding]]
"""What was looked at, and what was found."""

COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "bold red"}


def doctor(words: Sequence[str]) -> int:
    """Runs ``vaescope doctor``. Returns 1 if anything is at fault."""
    made = Parser(
        "Look whether everything is as it should be, and say what is wrong and how to mend it: the installation and,\n"
        "where one is given, a run folder, a folder of runs, or images. Nothing is changed or downloaded. The exit\n"
        "code is 0 if nothing is at fault and 1 if anything is; warnings are no faults.",
        "vaescope doctor runs/main",
        "vaescope doctor",
    )
    made.add_argument("where", nargs="?", help="a run folder, a folder of runs, or images; nothing: the installation")
    made.add_argument("--measure", action="store_true", help="measure in which precision this processor is faster")
    made.add_argument("--json", action="store_true", help="print JSON")
    asked = made.parse_args(words)
    if asked.where is not None and asked.measure:
        raise UsageError("--measure is about the installation: give it without a place")
    sections = [("installation", found(installation(asked.where is not None, asked.measure)))]
    usable = not any(f.level == "fault" and f.check in ("numpy", "torch", "packages") for f in sections[0][1])
    if asked.where is not None and usable:
        sections += looked_at(asked.where)
    elif asked.where is not None:
        why = Finding("note", "not looked at, because what is needed for that is at fault", check="place")
        sections += [(asked.where, [why])]
    print_json(sections) if asked.json else print_plain(sections, brief=asked.where is not None)
    return int(any(finding.level == "fault" for _, part in sections for finding in part))


def found(checks: Iterable[Check]) -> list[Finding]:
    """What checks find."""
    return [finding for check in checks for finding in check()]


def looked_at(where: str) -> list[Section]:
    """What is found at a place: of a run, of the runs in a folder, or of images.

    Raises:
        UsageError: If there is nothing of that kind.
    """
    from vaescope.health.runs import is_run, run_checks, runs_in

    folder = Path(where).expanduser()
    if is_run(folder):
        return [(f"run {where}", found(run_checks(folder)))]
    if runs := runs_in(folder):
        return [(f"runs in {where}", [in_one(path) for path in runs])]
    from vaescope.health.images import image_checks
    from vaescope.progress import Download

    return [(f"images {where}", found(image_checks(where, Download())))]


def in_one(folder: Path) -> Finding:
    """A run in a line: how far it is, and the worst that is wrong with it."""
    from vaescope.health.runs import run_checks

    parts = found(run_checks(folder))
    standing = next((f.text for f in parts if f.check == "standing"), "")
    worst = sorted((f for f in parts if f.level in ("fault", "warning")), key=lambda f: f.level)
    if not worst:
        return Finding("ok", standing, check=folder.name)
    count = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    text = f"{standing}; {worst[0].check}: {worst[0].text}{count}"
    return Finding(worst[0].level, text, f"vaescope doctor {folder}", folder.name)


def print_json(sections: list[Section]) -> None:
    """Prints all findings, and how many are faults."""
    rows = [{"subject": subject, **asdict(finding)} for subject, part in sections for finding in part]
    print(json.dumps({"findings": rows, "faults": sum(row["level"] == "fault" for row in rows)}))


def print_plain(sections: list[Section], brief: bool) -> None:
    """Prints a line for each finding, then what to do.

    Args:
        sections: What was found.
        brief: Whether what is right of the installation is left out.
    """
    for number, (subject, part) in enumerate(sections):
        shown = [f for f in part if f.level != "ok"] if brief and number == 0 else part
        spare = f" ({len(part)} checks, nothing is wrong)" if not shown else ""
        say(f"{subject}{spare}")
        width = max((len(f.check) for f in shown), default=0)
        for finding in shown:
            say(f"{finding.level:<8}", f"{finding.check:<{width}}  {finding.text}", COLOURS[finding.level])
    remedies = [f for _, part in sections for f in part if f.remedy]
    if remedies:
        say("\nwhat to do")
    for finding in sorted(remedies, key=lambda f: list(COLOURS).index(f.level), reverse=True):
        say(f"{finding.level:<8}", f"{finding.check}: {finding.remedy}", COLOURS[finding.level])
    faults, warnings = (sum(f.level == kind for _, part in sections for f in part) for kind in ("fault", "warning"))
    counts = [f"{n} {kind}{'s'[: n != 1]}" for n, kind in ((faults, "fault"), (warnings, "warning")) if n]
    say("\n" + (", ".join(counts) or "nothing is wrong"))


def say(head: str, text: str = "", colour: str = "") -> None:
    """Prints a line, in colours on a terminal that has rich."""
    head, text = legible(head), legible(text)
    if text and sys.stdout.isatty() and find_spec("rich"):
        from rich.console import Console
        from rich.text import Text

        return Console(highlight=False, soft_wrap=True).print(Text.assemble("  ", (head, colour), "  ", text))
    print(f"  {head}  {text}" if text else head)
