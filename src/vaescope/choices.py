"""What a config may choose between: the classes behind its ``class_path`` keys, and no others.

Naming a class imports its module, which runs code. So a name is looked up here, among the classes of vaescope and the
optimizers of torch, before anything is imported for it.
"""

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from vaescope import families, models, nets, objectives, priors
from vaescope.errors import UsageError
from vaescope.families import Family
from vaescope.models import Architecture
from vaescope.nets import Network
from vaescope.objectives import Objective, Schedule
from vaescope.priors import Prior

KINDS: dict[str, type] = {
    "model": Architecture,
    "network": Network,
    "classifier": Network,
    "prior": Prior,
    "posterior": Family,
    "likelihood": Family,
    "objective": Objective,
    "warmup": Schedule,
    "schedule": Schedule,
    "optimizer": Optimizer,
}
"""The keys whose value is a choice between classes, and what these classes have in common."""


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
        raise UsageError(unknown(key, str(name), known))
    if not isinstance(arguments, dict):
        raise UsageError(f"{key}.init_args is {arguments}: give keys and values below it")
    for argument in arguments:
        if argument not in keys_of(valid[name]):
            raise UsageError(unknown_key(str(argument), valid[name]))


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


def complete(content: Any) -> Any:
    """A config in which every choice of a class of ours has all of its arguments, those not given at their defaults.

    Otherwise a class would be given what the one that it replaces had under the same names: a key ``norm`` of one
    network, or the warm-up of one objective, would go on in another whose own default it is not.

    Args:
        content: Keys and values that have been checked.
    """
    if not isinstance(content, dict):
        return content
    return {name: _complete_choice(str(name), value) for name, value in content.items()}


def _complete_choice(key: str, value: Any) -> Any:
    if key not in KINDS or KINDS[key] is Optimizer:
        return complete(value)
    spec = value if isinstance(value, dict) else {"class_path": value}
    component = choices(KINDS[key])[spec["class_path"]]
    return {"class_path": component.__name__, "init_args": defaults(component) | complete(spec.get("init_args") or {})}


def defaults(component: type) -> dict[str, Any]:
    """The defaults of the arguments of a class, as a config spells them."""
    parameters = inspect.signature(component).parameters
    return {name: _spelled(parameters[name].default) for name in keys_of(component) if _has_default(parameters[name])}


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _spelled(value: Any) -> Any:
    """A default as a config spells it: a class, or a description that is one with arguments, by its name."""
    if isinstance(value, type):
        return {"class_path": value.__name__, "init_args": defaults(value)}
    if type(value) in components().values():
        arguments = {name: _spelled(getattr(value, name)) for name in keys_of(type(value))}
        return {"class_path": type(value).__name__, "init_args": arguments}
    return list(value) if isinstance(value, tuple) else value


def unknown_key(name: str, owner: type) -> str:
    """What is said of a key that a class does not have, with the nearest that it has."""
    keys = keys_of(owner)
    if not keys:
        return f"there is no key {name} of {owner.__name__} here: it has none"
    return unknown("key", name, keys).replace(" here: ", f" of {owner.__name__} here: ", 1)


def unknown(kind: str, name: str, valid: Sequence[str]) -> str:
    """What is said of a name that there is not, with the nearest that there is.

    Args:
        kind: What it was to be the name of, in words.
        name: The name that was given, which may be a dotted path.
        valid: The names that there are.
    """
    last = name.split(".")[-1]
    by_last = {key.split(".")[-1]: key for key in valid}
    tops = list(dict.fromkeys(key.split(".")[0] for key in valid))
    near = (
        ([by_last[last]] if last in by_last else [])
        or difflib.get_close_matches(name, valid, n=1)
        or [by_last[match] for match in difflib.get_close_matches(last, by_last, n=1)]
        or difflib.get_close_matches(name.split(".")[0], tops, n=1)
    )
    guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(tops) or 'none'}"
    return f"there is no {kind} {name} here: {guess}"
