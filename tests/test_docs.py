"""What the documentation shows runs, and what it names is there."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODULES = [
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "src" / "vaescope").rglob("*.py"))
    if ">>> " in path.read_text()
]


def test_the_python_of_the_readme_runs() -> None:
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)|src=\"([^\"]+)\"", README))))
def test_what_the_readme_links_to_is_there(link: tuple[str, str]) -> None:
    assert (ROOT / (link[0] or link[1])).exists()


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed


def test_every_picture_that_is_drawn_is_explained() -> None:
    from test_cli import OF_LABELS, PICTURES

    assert set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE)) == PICTURES | OF_LABELS
