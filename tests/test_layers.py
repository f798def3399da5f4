"""Import arrows point down by layer, or sideways inside one folder."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "vaescope"
LAYERS = (
    {"clock", "terminal"},
    {"errors"},
    {"files", "foreign", "optional", "streams"},
    {"engine"},
    {"distributions", "nets", "data", "figures", "pages", "tables"},
    {"families"},
    {"conditional", "priors"},
    {"models"},
    {"objectives"},
    {"metrics", "outline", "walks"},
    {"training", "pictures"},
    {"checkpoint", "encoding"},
    {"collapse", "history", "observers"},
    {"choices"},
    {"config"},
    {"run", "picks", "summary"},
    {"outliers"},
    {"evaluation", "export", "hub", "progress"},
    {"facts"},
    {"card", "explorer"},
    {"experiment", "migration", "report"},
    {"comparison", "request"},
    {"api", "health", "sklearn"},
    {"cli"},
    {"__main__"},
)
DEFERRED = {("run.py", "explorer")}
"""What a file may import from above, but only when one of its functions is called: ``run.explore()`` is what a user at
a prompt looks for, as ``run.sample()``, and nothing else in that file knows of it."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imported(file: Path) -> Iterator[str]:
    """The parts of the package that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative path"
            if node.module == "vaescope":
                yield from (alias.name for alias in node.names if alias.name != "__version__")
            elif (node.module or "").startswith("vaescope."):
                yield node.module.split(".")[1]  # type: ignore[union-attr]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("vaescope."))


def part(file: Path) -> str:
    """The part of the package that a file belongs to."""
    return file.relative_to(ROOT).with_suffix("").parts[0]


FILES = sorted(file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file: Path) -> None:
    here = part(file)
    assert here in RANK, f"{here} has no layer: add it to LAYERS"
    for there in imported(file):
        if (str(file.relative_to(ROOT)), there) in DEFERRED:
            assert not re.search(rf"^(from|import) vaescope.{there}", file.read_text(), re.MULTILINE)
            continue
        assert there == here or RANK[there] < RANK[here], f"{here} may not import {there}"


def test_the_check_sees_imports() -> None:
    assert {"models", "objectives"} <= set(imported(ROOT / "metrics" / "bound.py"))
