"""When training breaks down: which tensor was the first that is not finite, and what to try.

A loss that is not a number says nothing of where it came from. What led there is looked for in the order in which one
thing causes another:

1. The values of the batch.
2. The weights. That they are not finite is the work of a gradient before: the one nearest to the loss is named, since
   from there it spread to all the others.
3. What the modules give, in a pass that is made again with the same random numbers.
4. The terms of the loss.

That is slow, and is only done when a run is lost anyway.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils.hooks import RemovableHandle

from vaescope.data.examples import Examples
from vaescope.errors import RunError
from vaescope.training.recorded import Kept

if TYPE_CHECKING:
    from vaescope.training.loop import State

Kind = Literal["data", "weights", "input", "output", "gradient", "term", "loss"]
"""What kind of tensor it is: of the data, the weights or their gradients, of a module, or a term of the loss. The kind
``loss`` is a loss that is finite but has diverged."""

PART = 1000
"""Images that are looked at together."""


class Breakdown(RunError):  # noqa: N818 - what happens to a run, not a mistake of the program
    """Training went wrong: something is not a finite number, or the loss has grown without bound.

    Args:
        message: What went wrong and what to try, in one line.
        step: The step at which it did, counted from 1; where it was noticed later, the step at which it was.
        culprit: The first tensor that is not finite, by its name, such as ``model.likelihood.net.3``.
        kind: What kind of tensor that is.
        exact: Whether step and culprit are where it began, rather than where it was noticed.
        finding: The message without what to try.
    """

    def __init__(
        self,
        message: str,
        step: int = 0,
        culprit: str = "loss",
        kind: Kind = "loss",
        exact: bool = True,
        finding: str = "",
    ) -> None:
        super().__init__(message)
        self.step, self.culprit, self.kind, self.exact, self.finding = step, culprit, kind, exact, finding


@dataclass(frozen=True)
class Culprit:
    """The first tensor that is not finite.

    Args:
        kind: What kind of tensor it is.
        name: What it is called.
        words: What is wrong with it.
    """

    kind: Kind
    name: str
    words: str


def number(value: Tensor | float) -> float:
    """A scalar as a number. To look at it waits for a GPU."""
    return value.item() if isinstance(value, Tensor) else value


def ill(value: Tensor) -> bool:
    """Whether a value is not finite. To look at it waits for a GPU."""
    return not value.isfinite().all().item()


def counted(value: Tensor) -> str:
    """How many values are not finite, in words."""
    kinds = [name for name, found in (("nan", value.isnan()), ("inf", value.isinf())) if found.any()]
    if value.numel() == 1:
        return f"the value is {value.item()}"
    count = int((~value.isfinite()).sum())
    return f"{count:,} of {value.numel():,} values {'is' if count == 1 else 'are'} {' or '.join(kinds)}"


def in_values(examples: Examples, of: str, place: Callable[[int], int] = int) -> Culprit | None:
    """The first image whose values, or whose condition, are not finite.

    Args:
        examples: The images as the model is shown them.
        of: What they are called, such as ``training``.
        place: From the number of a row to that of its image.
    """
    for start in range(0, len(examples), PART):
        part = examples[start : start + PART]
        for what, value in (("", part.values), ("the condition of ", part.context)):
            if value is not None and ill(value):
                row = int((~value.isfinite()).flatten(1).any(1).nonzero()[0])
                words = f"{counted(value)} in {what}{of} images, first in image {place(start + row):,}"
                return Culprit("data", f"{of} images", words)
    return None


def roots(state: "State") -> dict[str, nn.Module]:
    """What is trained, by the first part of the names in it."""
    return {"model": state.model} | ({} if state.critic is None else {"critic": state.critic})


def weights(state: "State") -> dict[str, Tensor]:
    """All parameters and buffers by name."""
    parts = [(root, module) for root, module in roots(state).items()]
    parameters = {f"{root}.{name}": value for root, module in parts for name, value in module.named_parameters()}
    return parameters | {f"{root}.{name}": value for root, module in parts for name, value in module.named_buffers()}


def nearest(names: Iterable[str], order: Mapping[str, int]) -> str:
    """The one of some weights that is nearest to the loss.

    Args:
        names: Their names.
        order: When each module was done in a pass, by its name.
    """
    return max(names, key=lambda name: order.get(name.rpartition(".")[0], len(order)))


def in_weights(state: "State", order: Mapping[str, int], step: int, turn: int = 0) -> Culprit | None:
    """The weights that are not finite and nearest to the loss, with the gradient that made them so.

    Args:
        state: Where the run stands. The gradients of the last step of each player are still there.
        order: When each module was done in a pass, by its name.
        step: The last step that is done.
        turn: How many players have made the next one already.
    """
    named = weights(state)
    broken = {name: value for name, value in named.items() if ill(value)}
    if not broken:
        return None
    gradients = {name: value.grad for name, value in broken.items() if value.grad is not None}
    faulty = {name: gradient for name, gradient in gradients.items() if ill(gradient)}
    name = nearest(faulty or broken, order)
    when = f"{'by' if state.late else 'at'} step {step + (name.startswith('critic.') < turn):,}"
    spread = f"{len(broken):,} of {len(named):,} tensors of weights"
    if faulty:
        words = f"{counted(faulty[name])} in the gradient of {name} {when}, and since then {spread} are not finite"
        return Culprit("gradient", name, words)
    came = f"{when}, though its gradient was finite" if gradients else "from the start"
    return Culprit("weights", name, f"{counted(broken[name])} in {name} {came}; {spread} are not finite")


def in_terms(terms: Mapping[str, Tensor | float]) -> Culprit | None:
    """The first term that is not finite. The loss, which they add up to, comes last."""
    values = {name: number(value) for name, value in terms.items()}
    names = sorted((name for name, value in values.items() if not math.isfinite(value)), key=lambda n: "loss" in n)
    return Culprit("term", names[0], f"the {names[0]} is {values[names[0]]}") if names else None


def tensors(value: object, name: str = "output") -> Iterator[tuple[str, Tensor]]:
    """The tensors in what a module is given or gives, with what each is called: those of a distribution, too."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors(part, name)
    elif isinstance(value, Distribution) or (is_dataclass(value) and not isinstance(value, type)):
        for key, part in vars(value).items():
            yield from tensors(part, key.strip("_"))


class Trail:
    """Follows a pass through modules, and takes note of the first thing that is not finite on the way.

    Args:
        named: The modules by name.
    """

    def __init__(self, named: Mapping[str, nn.Module]) -> None:
        self.modules = {
            f"{root}.{name}".strip("."): m for root, top in named.items() for name, m in top.named_modules()
        }
        self.order: dict[str, int] = {}
        self.first: Culprit | None = None
        self.handles: list[RemovableHandle] = []

    def __enter__(self) -> "Trail":
        for name, module in self.modules.items():
            self.handles.append(module.register_forward_pre_hook(partial(self._entered, name), with_kwargs=True))
            self.handles.append(module.register_forward_hook(partial(self._left, name)))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _entered(self, name: str, module: nn.Module, given: Any, named: Any) -> None:
        for _, value in tensors([*given, *named.values()]):
            self._look("input", name, "input", value)

    def _left(self, name: str, module: nn.Module, given: Any, made: Any) -> None:
        self.order[name] = len(self.order)
        for role, value in tensors(made):
            self._look("output", name, role, value)
            if (
                value.requires_grad
            ):  # hooks of one tensor are called in the order in which they came: the inner one's first
                value.register_hook(partial(self._look, "gradient", name, role))

    def _look(self, kind: Kind, name: str, role: str, value: Tensor) -> None:
        if self.first is None and ill(value):
            what = f"the gradient of the {role}" if kind == "gradient" else f"the {role}"
            self.first = Culprit(kind, name, f"{counted(value)} in {what} of {name}")


def retraced(state: "State", look: Callable[[], object]) -> Trail:
    """Looks at something again, and follows it. Nothing is changed by that.

    Args:
        state: Where the run stands.
        look: What to do.
    """
    kept = Kept(state)
    # of any library: what is not finite may be refused, and then there is no more to see
    with Trail(roots(state)) as trail, suppress(Exception):
        look()
    kept.restore()
    return trail
