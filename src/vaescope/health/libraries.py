"""Python and the libraries: whether they are there, new enough, and fit together."""

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from vaescope import __version__
from vaescope.health.finding import Finding, fault, note, ok, warning
from vaescope.health.probe import Answer, origin

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OLDEST = (3, 11)

USES = {
    "parquet": "images and tables in .parquet",
    "hf": "images from hf:NAME",
    "sklearn": "vaescope.sklearn",
    "export": "vaescope export to ONNX",
    "explore": "vaescope explore",
    "hub": "vaescope push and pull",
}
"""What each extra is for."""

NEIGHBOURS = ("torchvision", "torchaudio")
"""Libraries that are built for one version of torch each, and break with another. vaescope needs none of them, but
libraries around torch import them where they are found, and break too."""


def python() -> Iterator[Finding]:
    """Whether Python is new enough."""
    where = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < OLDEST:
        yield fault(where, f"install Python {OLDEST[0]}.{OLDEST[1]} or newer")
    elif sys.maxsize < 2**32:
        yield fault(f"{where}, of 32 bits", "install a Python of 64 bits: torch has no other")
    else:
        yield ok(where)


def requirements(extra: str = "") -> "list[Requirement]":
    """What vaescope needs, or one of its extras beside that, as its own metadata say.

    Raises:
        PackageNotFoundError: If vaescope runs from its sources and is not installed.
    """
    from packaging.requirements import Requirement

    listed = [Requirement(line) for line in metadata.requires("vaescope") or ()]
    if not extra:
        return [r for r in listed if r.marker is None or r.marker.evaluate({"extra": ""})]
    wanted = [r for r in listed if r.marker and r.marker.evaluate({"extra": extra})]
    wanted = [r for r in wanted if not r.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
    below = [r for own in wanted if own.name == "vaescope" for nested in own.extras for r in requirements(nested)]
    return [r for r in wanted if r.name != "vaescope"] + below


def installed(name: str) -> str:
    """The version of a package; nothing where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def unmet(needed: "Requirement") -> str:
    """What is wrong with a package that is needed, in words; nothing if it fits."""
    there = installed(needed.name)
    if not there:
        return f"{needed.name} is missing"
    fits = needed.specifier.contains(there, prereleases=True)
    return "" if fits else f"{needed.name} is {there}, but {needed.specifier} is needed"


def packages() -> Iterator[Finding]:
    """Whether all required packages are there and new enough."""
    try:
        needed = requirements()
    except metadata.PackageNotFoundError:
        yield note(f"vaescope {__version__} runs from its sources and is not installed: what it needs is not known")
        return
    wrong = [(r, why) for r in needed if (why := unmet(r))]
    for r, why in wrong:
        yield fault(why, f"pip install '{r.name}{r.specifier}'")
    yield from doubled([r.name for r in needed])
    if not wrong:
        yield ok(f"vaescope {__version__} and the {len(needed)} packages that it needs")


def doubled(names: list[str]) -> Iterator[Finding]:
    """Packages of which two versions are installed in one place, as an installation that was cut short leaves them."""
    for name in names:
        found = [(str(d.locate_file("")), d.version) for d in metadata.distributions(name=name)]
        places = {where for where, _ in found}
        for where in sorted(places):
            versions = sorted({version for place, version in found if place == where})
            if len(versions) > 1:
                text = f"{name} is installed as {' and '.join(versions)} at once in {where}"
                yield warning(text, f"pip uninstall {name} until none is left, then pip install {name}")


def extras() -> Iterator[Finding]:
    """Which of the optional packages are there, and what those are for that are not."""
    try:
        states = {extra: [why for r in requirements(extra) if (why := unmet(r))] for extra in USES}
    except metadata.PackageNotFoundError:
        return
    there = [extra for extra, wrong in states.items() if not wrong]
    absent = [extra for extra, wrong in states.items() if any("is missing" in why for why in wrong)]
    for extra, wrong in states.items():
        if wrong and extra not in absent:
            yield warning(f"{USES[extra]}: {', '.join(wrong)}", f"pip install --upgrade 'vaescope[{extra}]'")
    if there:
        yield ok(f"there: {', '.join(there)}")
    if absent:
        wanted = ",".join(absent)
        yield note(
            "not there: " + "; ".join(f"{extra} ({USES[extra]})" for extra in absent),
            f"pip install 'vaescope[{wanted}]', if you want that",
        )


def imports(name: str, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether a library can be imported, how long that takes, and whether it is the one that is installed."""
    if name not in answers:
        return
    answer, known = answers[name], installed(name)
    if answer.error:
        where = f" (from {place})" if (place := origin(name)) else ""
        yield fault(f"{name} cannot be used{where}: {answer.error}", _repaired(name, answer.error))
        return
    version, took = str(answer.facts.get("version")), f"imported in {answer.seconds:.1f} s"
    if known and version.partition("+")[0] != known.partition("+")[0]:
        yield warning(
            f"{name} {version} is imported from {answer.facts.get('file')}, but {known} is installed",
            "look at PYTHONPATH and at what lies in the current folder",
        )
    elif answer.seconds > 20:
        yield warning(
            f"{name} {version}, {took}", "put the environment on a local disk: a network makes every start slow"
        )
    else:
        yield ok(f"{version}, {took}")


def _repaired(name: str, error: str) -> str:
    """What to do about a library that cannot be imported."""
    if "is something else" in error:
        return f"rename that file: it hides {name}"
    if "Numpy is not available" in error or "_ARRAY_API" in error:
        return "pip install --upgrade torch (or pip install 'numpy<2'): this torch was built for another numpy"
    if name == "vaescope":
        return "mend what is named there, or pip install --force-reinstall vaescope"
    return f"pip install --force-reinstall {name}"


def neighbours(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether the libraries around torch fit to it."""
    from packaging.requirements import Requirement

    torch = str(answers.get("torch", Answer()).facts.get("version", "")) or installed("torch")
    found = [name for name in NEIGHBOURS if name in answers]
    for name in found:
        needs = (Requirement(line) for line in (metadata.requires(name) if installed(name) else None) or ())
        other = next((r for r in needs if r.name == "torch" and torch and not r.specifier.contains(torch, True)), None)
        error = answers[name].error
        if not error and other is None:
            yield ok(f"{name} {answers[name].facts.get('version')} fits to torch {torch}")
            continue
        why = error or f"it was built for torch{other.specifier if other else ''}"
        text = f"{name} {installed(name)} does not fit to torch {torch}: {why}".replace("  ", " ")
        remedy = f"pip uninstall {name} (vaescope does not need it), or install the one for torch {torch}"
        yield warning(text, remedy) if not error else fault(text, remedy)
    if not found:
        yield ok(f"neither {' nor '.join(NEIGHBOURS)}, and none is needed")
