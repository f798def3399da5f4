"""Code that stands twice is a factor that nobody has named: it may make up 4 % of the package at most."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent / "src" / "vaescope"
WINDOW = 6
"""So many lines in a row that stand elsewhere as well count as repeated."""


def code(source: str) -> list[str]:
    """The lines of code: without docstrings, comments and imports, and without their indentation."""
    tree, left_out = ast.parse(source), set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if text or isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = [line.strip() for number, line in enumerate(source.splitlines(), 1) if number not in left_out]
    return [line for line in lines if line and not line.startswith("#")]


def repeated(files: list[list[str]]) -> float:
    """The share of lines that are part of a run of lines that stands in two places."""
    places = defaultdict(list)
    for f, lines in enumerate(files):
        for start in range(len(lines) - WINDOW + 1):
            places[tuple(lines[start : start + WINDOW])].append((f, start))
    twice = {
        (f, start + offset)
        for found in places.values()
        if len(found) > 1
        for f, start in found
        for offset in range(WINDOW)
    }
    return len(twice) / sum(map(len, files))


def test_little_of_the_code_stands_twice() -> None:
    share = repeated([code(path.read_text()) for path in sorted(ROOT.rglob("*.py"))])
    assert share < 0.04, f"{share:.1%} of the code stands twice"


def test_the_check_sees_what_stands_twice() -> None:
    once, again = [f"line {i}" for i in range(20)], [f"line {i}" for i in range(10, 18)]
    assert repeated([once, again]) == 16 / 28
    assert code('"""Doc."""\nimport os\n# why\nx = 1\n') == ["x = 1"]
