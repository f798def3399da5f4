"""Ways to train that the search tries although no key of a config names them: what does not pay gets no key.

Each is given a state before its first step. It may change the state, and returns what makes a step in place of
``state.advance``, and what is to be done after the last one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from vaescope.training import State

Advance = Callable[[], object]
Variant = Callable[[State], tuple[Advance, Callable[[], None]]]


def nothing() -> None:
    """Does nothing after the last step."""


def averaged(state: State, decay: float = 0.98) -> tuple[Advance, Callable[[], None]]:
    """The weights that count are an exponential moving average of those of all steps."""
    weights: list[Tensor] = [p for p in state.model.parameters() if p.requires_grad]
    averages = [p.detach().clone() for p in weights]

    def advance() -> None:
        state.advance()
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - decay)

    def finish() -> None:
        with torch.no_grad():
            torch._foreach_copy_(weights, averages)

    return advance, finish


def growing(state: State, sizes: Mapping[float, int]) -> tuple[Advance, Callable[[], None]]:
    """Batches have another size from some share of the steps on."""

    def advance() -> None:
        reached = max(share for share in sizes if share <= state.step / state.total)
        state.batches.size = min(sizes[reached], len(state.batches.images))
        state.advance()

    return advance, nothing


def wider_start(state: State, gain: float = 1.7) -> tuple[Advance, Callable[[], None]]:
    """The weights of linear layers start larger by a factor."""
    with torch.no_grad():
        for module in state.model.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(gain)
    return state.advance, nothing


class Both(Optimizer):
    """Two optimizers, each with parameters of its own, as one."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([p for part in parts for group in part.param_groups for p in group["params"]], {})
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """A step of both."""
        for part in self.parts:
            part.step()


def orthogonalised(state: State, rate: float) -> tuple[Advance, Callable[[], None]]:
    """Muon for the weights of hidden layers, with updates of the size that AdamW's have; AdamW for all else.

    References:
        | Muon is Scalable for LLM Training (Liu et al., 2025)
        | https://arxiv.org/abs/2502.16982
    """
    player = state.players[0]
    hidden = [p for p in player.parameters if _hidden(p)]
    others = [p for p in player.parameters if not _hidden(p)]
    muon = Muon(hidden, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    player.optimizer = Both(muon, AdamW(others, lr=rate, betas=(0.9, 0.99), fused=True))
    for group in player.optimizer.param_groups:
        group["initial_lr"] = rate
    return state.advance, nothing


def _hidden(parameter: Tensor) -> bool:
    return parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]


VARIANTS: Mapping[str, Variant] = {
    "+average-0.98": averaged,
    "+average-0.9": lambda state: averaged(state, 0.9),
    "+growing": lambda state: growing(state, {0.0: 128, 0.5: 256, 0.8: 512}),
    "+wider-start": wider_start,
    "+muon-0.008": lambda state: orthogonalised(state, 0.008),
    "+muon-0.004": lambda state: orthogonalised(state, 0.004),
}
"""What a word of a trial may be besides options of the command line."""


def varied(state: State, words: tuple[str, ...]) -> tuple[Advance, Callable[[], None]]:
    """What makes a step, and what is done in the end, of a state with a variant; without one the state's own."""
    return VARIANTS[words[0]](state) if words else (state.advance, nothing)
