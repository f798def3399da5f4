"""Optimizers that do not import torch's compiler.

Five methods of every torch optimizer are wrapped in decorators that keep the compiler out of them, and to do so they
import it: some 800 modules, about a second, in which a run that compiles no optimizer waits for nothing. The methods
below the decorators are the same without. What the outermost one of ``step`` does besides, to leave out gradients, is
done here.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

METHODS = ("add_param_group", "load_state_dict", "state_dict", "zero_grad", "step")


@cache
def light(kind: type[Optimizer]) -> type[Optimizer]:
    """An optimizer of some kind that is never compiled nor differentiated through. It makes the same steps.

    Args:
        kind: A torch optimizer that a config may name; methods of it that are wrapped in nothing stay what they are.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in METHODS}
    methods["step"] = torch.no_grad()(methods["step"])
    local = {"__module__": __name__, "__qualname__": f"light.<locals>.{kind.__name__}"}  # no config can name it
    return type(kind.__name__, (kind,), {"__doc__": kind.__doc__} | local | methods)


def lightly(kind: type, parameters: Iterable[nn.Parameter], **settings: Any) -> Optimizer:
    """A light optimizer of some parameters. Unlike its class this function has a name, so that a config which holds it
    can be pickled.

    Args:
        kind: Any torch optimizer.
        parameters: What it changes.
        settings: As ``kind`` takes them.
    """
    made: Optimizer = light(kind)(parameters, **settings)
    return made
