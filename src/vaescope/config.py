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
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from torch.optim import Optimizer

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

KINDS: dict[str, type] = {
    "model": Architecture,
    "network": Network,
    "prior": Prior,
    "posterior": Family,
    "likelihood": Family,
    "objective": Objective,
    "warmup": Schedule,
    "schedule": Schedule,
    "optimizer": Optimizer,
}
"""The keys whose value is a choice between classes, and what these classes have in common."""


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

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}: give a whole number from 0 to 2**63 - 1")


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


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Parses arguments, with a user's mistake told in one line that names the nearest valid key.

    What classes are named is checked first: parsing imports the module of a class, which runs code.

    Raises:
        UsageError: For an unknown key or class, a wrong type, or a file that cannot be read.
    """
    try:
        check_words(words)
        return parser.parse_args(list(words))
    except (ArgumentError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(explain(parser, str(error))) from None
    except RecursionError:
        raise UsageError("the config is nested too deeply, or contains itself") from None


def build(parser: ArgumentParser, parsed: Namespace) -> Config:
    """Builds the parts that parsed arguments describe."""
    try:
        built = parser.instantiate(parsed)
        return Config(**{name: built[name] for name in Config.__dataclass_fields__})
    except UsageError:
        raise
    except (TypeError, ValueError, ArgumentError) as error:
        raise UsageError(explain(parser, str(error))) from None


def check_words(words: Sequence[str]) -> None:
    """Checks the classes that words of a command line name, and those in the config files among them."""
    for flag, value in _options(words):
        last = flag.split(".")[-1]
        if flag == "config":
            check_content(load_yaml(Path(value)))
        elif flag in ("data", "trainer", "figures"):
            raise UsageError(f"--{flag} {value} is no key: give one below it, such as --{flag}.{_first_key(flag)}")
        elif last == "class_path":
            check_choice(flag.split(".")[-2], value)
        elif last in KINDS:
            check_choice(last, _plain(value))


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options among words, as names and values, however they are spelled."""
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if word.startswith("-c") and not word.startswith("--"):
            yield "config", word[2:].removeprefix("=") or following
        elif flag.startswith("--"):
            yield flag[2:], value if equals else following


def _plain(value: str) -> Any:
    """A word of a command line as YAML, as which it will be read."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _first_key(part: str) -> str:
    fields: dict[str, Any] = Config.__dataclass_fields__[part].default_factory().__dataclass_fields__  # type: ignore[operator]
    return next(iter(fields))


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


def check_content(content: dict[str, Any]) -> None:
    """Checks the parts of a config before anything is imported for it.

    Raises:
        UsageError: For a part or a class that there is not, or a value that is missing.
    """
    for name, value in content.items():
        if name not in Config.__dataclass_fields__:
            raise UsageError(_unknown("key", str(name), list(Config.__dataclass_fields__)))
        if name in ("data", "trainer", "figures") and not isinstance(value, dict):
            raise UsageError(f"{name} is {value}: give keys below it, such as {_first_key(name)}")
        if name == "seed" and not isinstance(value, int):
            raise UsageError(f"seed is {value}: give a whole number")
    _check_below("", content)


def _check_below(path: str, content: Any) -> None:
    if not isinstance(content, dict):
        return
    for name, value in content.items():
        here = f"{path}.{name}".removeprefix(".")
        if name in KINDS:
            check_choice(str(name), value)
        elif value is None and not path.endswith("optimizer.init_args") and name not in optional_keys():
            raise UsageError(f"{here} has no value: give one, or leave the key out")
        _check_below(here, value)


def optional_keys() -> set[str]:
    """The keys that may be null."""
    owners = [ImageData, Trainer, Figures, *components().values()]
    found = (parameter for owner in owners for parameter in inspect.signature(owner).parameters.values())
    return {parameter.name for parameter in found if parameter.default is None or "None" in str(parameter.annotation)}


def check_choice(key: str, value: Any) -> None:
    """Checks the class that a key names, as a name or as ``class_path`` and ``init_args``.

    Raises:
        UsageError: For a class that is not one of those to choose from, or arguments that it does not have.
    """
    valid = choices(KINDS[key]) if key in KINDS else {}
    known = sorted({kind.__name__ for kind in valid.values()})
    if isinstance(value, dict):
        if extra := [name for name in value if name not in ("class_path", "init_args")]:
            raise UsageError(f"{key} has the key {extra[0]}: give class_path and, below it, init_args")
        name, arguments = value.get("class_path"), value.get("init_args") or {}
    else:
        name, arguments = value, {}
    if not isinstance(name, str) or name not in valid:
        raise UsageError(_unknown(key, str(name), known))
    for argument in arguments if isinstance(arguments, dict) else ():
        if argument not in keys_of(valid[name]):
            raise UsageError(_unknown(f"key of {valid[name].__name__}", str(argument), keys_of(valid[name])))


def choices(kind: type) -> dict[str, type]:
    """The classes of one kind, by every name that a config may give them: bare, and with their package."""
    found: dict[str, type] = {}
    for choice in _optimizers() if kind is Optimizer else components().values():
        if issubclass(choice, kind):
            module = choice.__module__
            public = "torch.optim" if kind is Optimizer else ".".join(module.split(".")[:2])
            found |= dict.fromkeys(
                (choice.__name__, f"{module}.{choice.__name__}", f"{public}.{choice.__name__}"), choice
            )
    return found


def components() -> dict[str, type]:
    """The classes of ours that a config may name."""
    found = (value for module in (families, models, nets, objectives, priors) for value in vars(module).values())
    kinds = tuple(KINDS.values())
    chosen = [c for c in found if isinstance(c, type) and issubclass(c, kinds) and not inspect.isabstract(c)]
    return {c.__name__: c for c in sorted(chosen, key=lambda c: c.__name__)}


def _optimizers() -> list[type]:
    """The optimizers of torch that need no more than a gradient."""
    found = [c for c in vars(torch.optim).values() if isinstance(c, type) and issubclass(c, Optimizer)]
    return [c for c in found if c not in (Optimizer, torch.optim.LBFGS, torch.optim.SparseAdam)]


def keys_of(component: type) -> list[str]:
    """The keys that stand below ``init_args`` of a class: its arguments, but for those that are given by its place."""
    names = list(inspect.signature(component).parameters)
    given = {"params", "shape"} | ({"latent"} if issubclass(component, Prior) else set())
    return [name for name in names if name not in given]


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
    text = re.sub(r"\s*Got value: Namespace\(.*$", "", text)
    text = re.sub(r"Type \S*Callable\[.*?expects a function or a callable class: ", "", text)
    text = re.sub(r"a <class '([\w.]+)'>", r"\1", text)
    text = re.sub(r"a typing\.Literal\[(.*?)\]", r"one of \1", text)
    return re.sub(r'Parser key "([\w.]+)":', r"\1:", text)


def _class_at(path: str) -> type | None:
    """The class that a dotted path names, if it is one that a config may choose."""
    name = path.split(".")[-1]
    return components().get(name) or choices(Optimizer).get(name)


def _dotted_keys(parser: ArgumentParser) -> list[str]:
    """Every key of a config with its path, such as trainer.epochs."""
    names = (action.dest for action in parser._actions if not action.dest.endswith(".help"))
    keys = [name for name in names if name.split(".")[0] in Config.__dataclass_fields__]
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
