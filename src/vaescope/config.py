"""The config of a run: the constructors' arguments, from a YAML file and the command line.

There is no second set of classes for configs. :class:`Config` names the parts; every key below them is an argument of
the class that it configures, with that class's defaults, types and documentation. Where a part can be one of several
classes, ``class_path`` names it and ``init_args`` holds its arguments.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from torch.nn import Parameter
from torch.optim import Optimizer

from vaescope.choices import KINDS, check_choice, choices, complete, components, unknown, unknown_key
from vaescope.data.dataset import ImageData
from vaescope.engine import Engine, lightly
from vaescope.errors import UsageError
from vaescope.models import Architecture, Flat
from vaescope.objectives import ELBO, Objective
from vaescope.pictures import Figures
from vaescope.training import ADAMW, Trainer

CHANGEABLE = (
    "trainer.epochs", "trainer.steps", "trainer.patience", "trainer.checkpoint_every", "trainer.keep",
    "trainer.back_off", "trainer.back_offs", "data.root",
)  # fmt: skip
"""The keys that may change when a run goes on: how long it is, how it is kept, what is done when it breaks down, and
where its images, the same ones, are now."""

MOST_VALUES = 10_000
"""Keys and values of a config: there are some hundred."""


@dataclass(frozen=True)
class Config:
    """A run, whole.

    Args:
        data: Where the images come from, and what of them the model explains.
        model: The architecture.
        objective: What training minimises.
        trainer: How to train.
        engine: How training is made fast.
        figures: What to draw.
        seed: Decides the weights, the order of the images, all noise and the pictures.
    """

    data: ImageData = field(default_factory=ImageData)
    model: Architecture = field(default_factory=Flat)
    objective: Objective = field(default_factory=ELBO)
    trainer: Trainer = field(default_factory=Trainer)
    engine: Engine = field(default_factory=Engine)
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

    What classes are named is checked first: parsing imports the module of a class, which runs code. A class that is
    named starts from its own defaults, whatever class it replaces.

    Raises:
        UsageError: For an unknown key or class, a wrong type, or a file that cannot be read.
    """
    try:
        files = check_words(words)
        parsed: Namespace = parser.parse_args(complete_words(words))
    except (ArgumentError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(explain(parser, str(error))) from None
    except OverflowError:
        raise UsageError("a number in the config is too large: give one below 1.8e308") from None
    except RecursionError:
        raise UsageError("the config is nested too deeply, or contains itself") from None
    parsed.config = files
    return parsed


def build(parser: ArgumentParser, parsed: Namespace) -> Config:
    """Builds the parts that parsed arguments describe."""
    try:
        built = parser.instantiate(parsed)
        built.trainer = replace(built.trainer, optimizer=optimizer_of(parsed.trainer.optimizer))
        return Config(**{name: built[name] for name in Config.__dataclass_fields__})
    except UsageError:
        raise
    except (ArgumentError, TypeError, ValueError) as error:
        raise UsageError(explain(parser, str(error))) from None


def differences(before: str, now: str) -> dict[str, tuple[Any, Any]]:
    """The keys that two configs, as YAML, have different values for: each with its value in the one and the other."""
    old, new = (dict(flat(yaml.safe_load(text))) for text in (before, now))
    return {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}


def flat(content: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """All keys of a config, dotted, with their values. A class is the value of its part, however it is spelled."""
    if not isinstance(content, dict):
        yield above, content
        return
    for key, value in content.items():
        yield from flat(value, above if key == "class_path" else f"{above}.{key}".lstrip("."))


def optimizer_of(spec: Namespace) -> Callable[[Iterable[Parameter]], Optimizer]:
    """From parameters to the optimizer that a config names, without the second that importing torch's takes.

    Args:
        spec: Its ``class_path`` and its ``init_args``.
    """
    kind = choices(Optimizer)[spec.class_path.split(".")[-1]]
    return partial(lightly, kind, **vars(spec.get("init_args") or Namespace()))


def check_words(words: Sequence[str]) -> list[Path]:
    """Checks the classes that words of a command line name, and those in the config files among them, which it
    returns."""
    files = []
    for flag, value in options(words):
        above, _, last = flag.rpartition(".")
        if flag == "config":
            files.append(Path(value))
            check_content(load_yaml(Path(value)))
        elif flag in ("data", "trainer", "engine", "figures"):
            raise UsageError(f"--{flag} {value} is no key: give one below it, such as --{flag}.{_first_key(flag)}")
        elif last == "class_path" or (last == "help" and value):
            check_choice(_last(above), value)
        elif "_" in (key[:1] for key in flag.split(".")) or "dict_kwargs" in flag or flag.endswith("+"):
            raise UsageError(f"there is no key {flag} here: see --help")
        else:
            held = plain(value)
            if last in KINDS or isinstance(held, dict | list):
                _check_below(above, {last: held})
    return files


def complete_words(words: Sequence[str]) -> list[str]:
    """Words of a command line in which a class that is named has all of its arguments, and a config file is what it
    holds, completed in the same way."""
    completed: list[tuple[str, Any]] = []  # options with what they hold, and other words with None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, value = next(options([word, *rest[:1]])) if word.startswith(("--", "-c")) else ("", "")
        last = flag.removesuffix(".class_path").split(".")[-1]
        if flag == "config":
            completed.append((flag, complete(load_yaml(Path(value)))))
        elif last in (*KINDS, "init_args") or "{" in value:
            spec = complete({last: plain(value)})[last]  # of an optimizer the bare name
            completed.append(
                (flag.removesuffix(".class_path"), {"class_path": spec} if isinstance(spec, str) else spec)
            )
        elif not (flag and value and plain(value) is None and _emptied(completed, flag)):
            completed.append((word, None))
            continue
        del rest[: word in (f"--{flag}", "-c")]  # the value, where it was a word of its own
    spelled = ([flag] if held is None else [f"--{flag}", json.dumps(held, default=str)] for flag, held in completed)
    return [word for option in spelled for word in option]


def _emptied(before: Sequence[tuple[str, Any]], flag: str) -> bool:
    """Sets a key to null in the last option before it that holds the key, if one does. As a word of its own below a
    class the parser would take it for the text "None"."""
    for name, held in reversed(before):
        above, keys = [] if name == "config" else _keys(name), _keys(flag)
        if held is None or keys[: len(above)] != above:
            continue
        node, *below = held, *keys[len(above) :]
        while isinstance(node, dict) and below and below[0] in (arguments := node.get("init_args", node)):
            if len(below) == 1:
                arguments[below[0]] = None
                return True
            node = arguments[below.pop(0)]
    return False


def _keys(flag: str) -> list[str]:
    return [key for key in flag.split(".") if key != "init_args"]


def options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options among words, as names and values, however they are spelled."""
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if word.startswith("-c") and not word.startswith("--"):
            yield "config", word[2:].removeprefix("=") or following
        elif flag.startswith("--"):
            yield flag[2:], value if equals else following


def plain(value: str) -> Any:
    """A word of a command line as YAML, as which it will be read."""
    try:
        found = yaml.safe_load(value)
    except (yaml.YAMLError, ArithmeticError, LookupError, TypeError, ValueError):
        return value
    check_count(found, "option")
    return found


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
    except RecursionError:
        raise UsageError(f"the config {path} is nested too deeply") from None
    except (yaml.YAMLError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # of dates and numbers, too
        raise UsageError(f"the config {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"the config {path} must hold keys and values, such as configs/main.yaml does")
    check_count(content, str(path))
    return content


def check_count(content: Any, where: str) -> None:
    """Refuses keys and values that stand for far more than are written down, or that contain themselves.

    Raises:
        UsageError: If there are too many, each counted as often as it is referred to.
    """
    count, held = 0, [content]
    while held:
        count, value = count + 1, held.pop()
        if count > MOST_VALUES:
            raise UsageError(f"the config {where} holds more than {MOST_VALUES:,} values, or contains itself")
        if isinstance(value, dict | list | tuple | set):
            held += [*value, *value.values()] if isinstance(value, dict) else value


def check_content(content: dict[str, Any]) -> None:
    """Checks the parts of a config before anything is imported for it.

    Raises:
        UsageError: For a part or a class that there is not, or a value that is missing.
    """
    for name, value in content.items():
        if name not in Config.__dataclass_fields__:
            raise UsageError(unknown("key", str(name), list(Config.__dataclass_fields__)))
        if name in ("data", "trainer", "engine", "figures") and not isinstance(value, dict):
            raise UsageError(f"{name} is {value}: give keys below it, such as {_first_key(name)}")
        if name == "seed" and not isinstance(value, int):
            raise UsageError(f"seed is {value}: give a whole number")
    _check_below("", content)


def _check_below(path: str, content: Any) -> None:
    """Checks keys and values, wherever among them a class may be named: nowhere but as one of those to choose from."""
    if isinstance(content, list):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        return
    for name, value in content.items():
        here = f"{path}.{name}".removeprefix(".")
        if name in KINDS:
            check_choice(str(name), value)
        elif str(name) in ("class_path", "init_args", "dict_kwargs") and _last(path) not in KINDS:
            raise UsageError(f"there is no key {here} here: {path} is not one of several classes")
        elif str(name).startswith("_"):
            raise UsageError(f"there is no key {here} here: keys begin with letters")
        elif value is None and not path.endswith("optimizer.init_args") and name not in optional_keys():
            raise UsageError(f"{here} has no value: give one, or leave the key out")
        _check_below(here, value)


def _last(path: str) -> str:
    """The last part of a path with dots."""
    return path.rpartition(".")[2]


def optional_keys() -> set[str]:
    """The keys that may be null."""
    owners = [ImageData, Trainer, Engine, Figures, *components().values()]
    found = (parameter for owner in owners for parameter in inspect.signature(owner).parameters.values())
    return {parameter.name for parameter in found if parameter.default is None or "None" in str(parameter.annotation)}


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
        return unknown_key(found[1], component) if component else unknown("key", found[1], _dotted_keys(parser))
    for pattern in (r"does not accept (?:option|nested key) '([\w.]+)'", r"nrecognized arguments: --([\w.-]+)"):
        if found := re.search(pattern, text):
            return unknown("key", found[1], _dotted_keys(parser))
    if found := re.search(
        r"(\w+): (?:Type [^:]*: )?Dict must include a class_path.*key='(\w+)'", text.replace('"', "")
    ):
        part, key = found.groups()
        return f"{part}.{key} is a key of one of several classes: name the class first, as the value of {part}"
    if found := re.search(r"Union subtypes Subtypes: .*? Errors: (.*) Given value type: .*? Given value: (.*)$", text):
        kinds = [kind.removeprefix("Expected ") for kind in found[1].removeprefix("- ").split(" - ")]
        wanted = " or ".join(kind for kind in kinds if "NoneType" not in kind)
        text = f"{text.partition(': ')[0]}: Expected {wanted}. Got value: {found[2]}"
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
    defaults = parser.get_defaults().as_flat()
    keys = [key for key in vars(defaults) if key.split(".")[0] in Config.__dataclass_fields__]
    return [key for key in keys if not key.endswith("class_path")]
