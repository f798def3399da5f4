"""The config of a run: the constructors' arguments, from a YAML file and the command line.

There is no second set of classes for configs. :class:`Config` names the parts; every key below them is an argument of
the class that it configures, with that class's defaults, types and documentation. Where a part can be one of several
classes, ``class_path`` names it and ``init_args`` holds its arguments.
"""

import difflib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from vaescope import families, models, nets, objectives, priors
from vaescope.data.dataset import ImageData
from vaescope.errors import UsageError
from vaescope.families import Family
from vaescope.models import Architecture, Flat
from vaescope.nets import Network
from vaescope.objectives import ELBO, Objective, Schedule
from vaescope.pictures import Figures
from vaescope.priors import Prior
from vaescope.train import ADAMW, Trainer

TRUSTED = ("vaescope.", "torch.optim.")
"""Where the classes that a config names may come from. Naming one imports its module, which runs code."""


@dataclass(frozen=True)
class Config:
    """A run, whole.

    Args:
        data: Where the images come from, and what of them the model explains.
        model: The architecture.
        objective: What training minimises.
        trainer: How to train.
        figures: What to draw.
        seed: Decides the weights, the order of the images, all noise and the pictures.
    """

    data: ImageData = field(default_factory=ImageData)
    model: Architecture = field(default_factory=Flat)
    objective: Objective = field(default_factory=ELBO)
    trainer: Trainer = field(default_factory=Trainer)
    figures: Figures = field(default_factory=Figures)
    seed: int = 0


def add_arguments(parser: ArgumentParser) -> None:
    """Adds every key of a config to a parser, and ``--config`` to read them from a file."""
    parser.add_argument("-c", "--config", action="config", help="A YAML file with any of the keys below.")
    parser.add_class_arguments(Config, as_group=False)
    parser.set_defaults({"trainer.optimizer": {"class_path": "torch.optim.AdamW", "init_args": ADAMW}})


def read(path: Path) -> Config:
    """Reads a config from a YAML file.

    Raises:
        UsageError: If the file or one of its keys is wrong.
    """
    parser = ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return build(parser, parse(parser, ["--config", str(path)]))


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parses arguments, with a user's mistake told in one line that names the nearest valid key.

    Raises:
        UsageError: For an unknown key or class, a wrong type, or a file that cannot be read.
    """
    check_files(arguments)
    try:
        parsed = parser.parse_args(list(arguments))
    except ArgumentError as error:
        raise UsageError(explain(parser, str(error))) from None
    check_classes(parsed.as_dict(), "the command line")
    return parsed


def build(parser: ArgumentParser, parsed: Namespace) -> Config:
    """Builds the parts that parsed arguments describe."""
    try:
        built = parser.instantiate(parsed)
    except UsageError:
        raise
    except (TypeError, ValueError, ArgumentError) as error:
        raise UsageError(explain(parser, str(error))) from None
    return Config(**{name: built[name] for name in Config.__dataclass_fields__})


def check_files(arguments: Sequence[str]) -> None:
    """Refuses config files that are no YAML mapping, or name classes from elsewhere than vaescope and torch.optim."""
    for flag, name in pairwise(arguments):
        if flag in ("-c", "--config"):
            check_classes(load_yaml(Path(name)), name)


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file that holds a mapping.

    Raises:
        UsageError: If it is not there or is none.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the config {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the config {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"the config {path} must hold keys and values, such as configs/main.yaml does")
    return content


def check_classes(content: Any, origin: str) -> None:
    """Refuses a ``class_path`` anywhere in ``content`` that is neither a bare name nor from a trusted package."""
    for name in _class_paths(content):
        if "." in name and not name.startswith(TRUSTED):
            raise UsageError(f"{origin} names the class {name}: only those of vaescope and torch.optim may be named")


def _class_paths(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("class_path"), str):
            yield content["class_path"]
        for value in content.values():
            yield from _class_paths(value)
    elif isinstance(content, list):
        for value in content:
            yield from _class_paths(value)


KINDS = (Architecture, Family, Network, Objective, Prior, Schedule)
"""What a config may choose between."""


def components() -> dict[str, type]:
    """The classes that a config may name by their bare name."""
    found = (value for module in (families, models, nets, objectives, priors) for value in vars(module).values())
    chosen = [c for c in found if isinstance(c, type) and issubclass(c, KINDS) and not inspect.isabstract(c)]
    return {c.__name__: c for c in sorted(chosen, key=lambda c: c.__name__)}


def keys_of(component: type) -> list[str]:
    """The keys that stand below ``init_args`` of a class: its arguments, but for the shapes that the data decide."""
    names = list(inspect.signature(component).parameters)
    return [name for name in names if name not in ("self", "shape", "params") and not name.startswith("_")]


def explain(parser: ArgumentParser, message: str) -> str:
    """One line out of jsonargparse's message, with the nearest valid name where a name is wrong.

    Args:
        parser: The parser that gave the message.
        message: What it says of a mistake, over several lines and with the whole config in it.
    """
    text = " ".join(message.split())
    if found := re.search(r"(?:Option|Key) '([\w.]+)' is not (?:accepted|expected)", text):
        # the class is named before the mistake, or in the value that follows it
        named = re.findall(r"class_path '([\w.]+)': Option", text) or re.findall(r"class_path='([\w.]+)'", text)
        component = _class_at(named[-1]) if named else None
        return _unknown("key", found[1], keys_of(component) if component else _dotted_keys(parser))
    for pattern in (r"does not accept (?:option|nested key) '([\w.]+)'", r"nrecognized arguments: --([\w.-]+)"):
        if found := re.search(pattern, text):
            return _unknown("key", found[1], _dotted_keys(parser))
    if found := re.search(r"Expected a dot import path string: ([\w.]+)", text):
        return _unknown("class", found[1], [*components(), *_optimizers()])
    text = re.sub(r"\s*Got value: Namespace\(.*$", "", text)
    text = re.sub(r"Type \S*Callable\[.*?expects a function or a callable class: ", "", text)
    text = re.sub(r"a <class '([\w.]+)'>", r"\1", text)
    text = re.sub(r"a typing\.Literal\[(.*?)\]", r"one of \1", text)
    return re.sub(r'Parser key "([\w.]+)":', r"\1:", text)


def _class_at(path: str) -> type | None:
    """The class that a dotted path names, if it is one that a config may choose."""
    name = path.split(".")[-1]
    return components().get(name) or getattr(torch.optim, name, None)


def _optimizers() -> list[str]:
    """The names of torch's optimizers."""
    return [n for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)]


def _dotted_keys(parser: ArgumentParser) -> list[str]:
    """Every key of a config with its path, such as trainer.epochs."""
    keys = [action.dest for action in parser._actions if action.dest.split(".")[0] in Config.__dataclass_fields__]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def _unknown(kind: str, name: str, valid: Sequence[str]) -> str:
    """What is said of a name that there is not."""
    by_last = {key.split(".")[-1]: key for key in valid}
    near = difflib.get_close_matches(name, valid, n=1) or [
        by_last[last] for last in difflib.get_close_matches(name.split(".")[-1], by_last, n=1)
    ]
    parts = list(dict.fromkeys(key.split(".")[0] for key in valid))
    near = near or difflib.get_close_matches(name.split(".")[0], parts, n=1)
    guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(parts)}"
    return f"there is no {kind} {name} here: {guess}"
