"""What the documentation shows runs, and what it names is there."""

import doctest
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_config import build

from vaescope import families, objectives, priors
from vaescope.choices import components, defaults, keys_of
from vaescope.data.images import ImageSet
from vaescope.data.targets import TARGETS
from vaescope.errors import UsageError
from vaescope.experiment import begin, check_likelihood
from vaescope.families import Family
from vaescope.models import VAE, Flat, SemiSupervised
from vaescope.nets import MLP
from vaescope.objectives import Objective, Schedule, exact_rate
from vaescope.priors import Prior

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text()
GRAMMAR = (ROOT / "docs" / "grammar.md").read_text()
EVALUATION = (ROOT / "docs" / "evaluation.md").read_text()
MODULES = [
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "src" / "vaescope").rglob("*.py"))
    if ">>> " in path.read_text()
]


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a page: their heads, and the cells of their rows."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        assert set("".join(rule)) == {"-"}
        assert all(len(row) == len(head) == len(rule) for row in rows), f"a row of another length below {head}"
        yield head, rows


ROWS = [(cells[0].strip("`"), cells) for head, rows in tables(GRAMMAR) if "keys" in head for cells in rows]
"""What the grammar says of each component, by its name."""

EXAMPLES = [cells[-1].strip("`") for head, rows in tables(GRAMMAR) if head[-1] == "example" for cells in rows]
EXAMPLES += [
    line.removeprefix("vaescope train ") for line in re.findall(r"^vaescope train .*--.*$", GRAMMAR, re.MULTILINE)
]


def snippets() -> Iterator[Any]:
    """The Python of the pages; what trains is slow."""
    for name, text in (("README.md", README), ("grammar.md", GRAMMAR), ("evaluation.md", EVALUATION)):
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1):
            marks = [pytest.mark.slow] if "train(" in block else []
            yield pytest.param(name, block, id=f"{name} {number}", marks=marks)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(("page", "block"), list(snippets()))
def test_the_python_of_the_pages_runs(page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sklearn" in block:
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, page, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in set(re.findall(r"\]\(([^)#:]+)\)|src=\"([^\"]+)\"", page.read_text())):
        assert (page.parent / (link[0] or link[1])).exists(), link


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed


def test_every_picture_that_is_drawn_is_explained() -> None:
    from test_cli import OF_LABELS, PICTURES

    assert set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE)) == PICTURES | OF_LABELS


def test_every_component_has_one_row_in_the_grammar() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(components())


def spelled(value: object) -> str:
    """A default as the grammar writes it: of a schedule with its arguments, of other classes by the name alone."""
    if isinstance(value, dict):
        name, arguments = value["class_path"], value["init_args"]
        inside = ", ".join(f"{key}={spelled(v)}" for key, v in arguments.items())
        return f"{name}({inside})" if issubclass(components()[name], Schedule) else name
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize(("name", "cells"), ROWS, ids=[name for name, _ in ROWS])
def test_the_grammar_gives_the_keys_and_their_defaults(name: str, cells: list[str]) -> None:
    _, _, keys, _, reference, _ = cells
    component = components()[name]
    written = dict(re.findall(r"`(\w+)` (\S+?\(.*?\)|\[.*?\]|[^\s,]+)(?:, (?=`)|$)", keys))
    assert written == {key: spelled(value) for key, value in defaults(component).items()}
    assert list(written) == keys_of(component)
    named = set(re.findall(r"https?://\S+", component.__doc__ or ""))
    assert named <= set(re.findall(r"\((https?://[^)]+)\)", reference)), "a reference of the docstring is not there"


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_example_of_the_grammar_can_be_built(command: str, images: ImageSet) -> None:
    state = begin(build(["--trainer.batch_size", "20", *shlex.split(command)]), images, torch.device("cpu"))
    parts = {type(part).__name__ for part in state.model.modules()} | {type(state.objective).__name__}
    named = {word for word in shlex.split(command) if word in components()}
    modules = {name for name in named if issubclass(components()[name], Family | Prior | Objective)}
    assert modules <= parts


def latents(posterior: str, prior: str, model: type[Flat | SemiSupervised] = Flat) -> VAE:
    """A model of 4 latents with a small network."""
    few = {"components": 3} if "components" in keys_of(components()[prior]) else {}
    made = partial(getattr(priors, prior), **few)
    torch.manual_seed(0)
    description = model(4, MLP(8, 0, 0), made, getattr(families, posterior))
    return description((1, 28, 28), 10)


def kind_of_rate(posterior: str, prior: str) -> str:
    """Whether a posterior and a prior go together, and whether their rate is exact."""
    try:
        model = latents(posterior, prior)
    except UsageError:
        return "–"
    if model.posterior.family.degenerate:
        return "none"
    return "estimate" if exact_rate(model(torch.rand(2, 1, 28, 28)).sites[0]) is None else "exact"


def scores(likelihood: str, target: str) -> str:
    """Whether a likelihood scores a target."""
    model = Flat(2, MLP(8, 0, 0), likelihood=getattr(families, likelihood))((1, 28, 28))
    return "–" if refuses(lambda: check_likelihood(model, TARGETS[target](), target)) else "yes"


def takes(objective: str, posterior: str) -> str:
    """Whether an objective takes a posterior with its simplest prior."""
    support = getattr(families, posterior)((4,)).support
    prior = {"real line": "StandardNormal", "sphere": "HypersphericalUniform"}.get(support, "UniformCodes")
    model = latents(posterior, prior, SemiSupervised if objective == "M2" else Flat)
    return "–" if refuses(lambda: getattr(objectives, objective)().check(model)) else "yes"


def refuses(act: Callable[[], None]) -> bool:
    """Whether a thing is refused."""
    try:
        act()
    except UsageError:
        return True
    return False


@pytest.mark.parametrize(
    ("head", "entry", "kind"),
    [("prior", lambda row, column: kind_of_rate(column, row), Prior), ("likelihood", scores, Family),
     ("objectives", takes, Objective)],
    ids=["priors and posteriors", "likelihoods and targets", "objectives and posteriors"],
)  # fmt: skip
def test_what_goes_with_what_is_what_the_code_says(head: str, entry: Callable[[str, str], str], kind: type) -> None:
    section = GRAMMAR.partition("## What goes with what")[2].partition("\n## ")[0]
    (columns, rows) = next((top[1:], below) for top, below in tables(section) if top[0] == head)
    named = [(name, cells[1:]) for cells in rows for name in cells[0].split(", ")]
    for name, cells in named:
        assert cells == [entry(name, column) for column in columns], name
    of_kind = {name for name, component in components().items() if issubclass(component, kind)}
    posteriors = set(next(top[1:] for top, _ in tables(section) if top[0] == "prior"))
    assert {name for name, _ in named} == (of_kind - posteriors if kind is Family else of_kind)
    assert len(named) == len(dict(named))


def test_the_targets_of_the_grammar_are_those_that_there_are() -> None:
    (rows,) = (below for top, below in tables(GRAMMAR) if top[0] == "targets")
    written = {cells[0].strip("`"): cells[2:4] for cells in rows}
    ends = {name: " to ".join(f"{end:g}" for end in target.interval) for name, target in TARGETS.items()}
    assert written == {name: [ends[name], str(target().levels)] for name, target in TARGETS.items()}


def test_every_result_has_a_recipe() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    _, _, table = text.partition("<!-- table -->\n")
    table, end, _ = table.partition("<!-- end of table -->\n")
    assert end, "bench/recipes.py has no place for its table"
    for cells in (cells for _, rows in tables(table) for cells in rows):
        name, path = re.fullmatch(r"\[([\w-]+)\]\((.+)\)", cells[0]).groups()  # type: ignore[union-attr]
        assert (ROOT / "docs" / path).resolve() == ROOT / "configs" / f"{name}.yaml"
        assert (ROOT / "configs" / f"{name}.yaml").exists()
