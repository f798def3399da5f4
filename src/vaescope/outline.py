"""The outline of a model: its layers, their output shapes and parameter counts, found by running it once."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaescope.models import VAE, aside
from vaescope.nets.mlp import Residual


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Args:
        name: What it is, in words.
        shape: The shape of its output for one example.
        parameters: The number of its parameters.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int


def outline(net: nn.Sequential, example: Tensor) -> list[Layer]:
    """The layers of a network as it is, not as it was configured.

    Args:
        net: A network that is a sequence of layers.
        example: An input with a batch axis of one.
    """
    layers: list[Layer] = []
    h = example
    for child in net:
        h = child(h)
        parameters = count(child)
        if parameters:
            layers.append(Layer(describe(child), tuple(h.shape[1:]), parameters))
    return layers


def count(module: nn.Module) -> int:
    """The number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def describe(module: nn.Module) -> str:
    """What a layer is, in one to three words: its heaviest operation, and the activation after it."""
    if isinstance(module, Residual):
        return f"residual {describe(module.body)}"
    leaves = [leaf for leaf in module.modules() if not list(leaf.children())]
    heavy = [leaf for leaf in leaves if isinstance(leaf, nn.Linear | nn.Conv2d)]
    words = []
    for kind in dict.fromkeys(type(leaf) for leaf in heavy):
        same = [leaf for leaf in heavy if type(leaf) is kind]
        words.append(_one(same[0]) + (f" ×{len(same)}" if len(same) > 1 else ""))
    after = [type(leaf).__name__ for leaf in leaves if type(leaf).__module__ == "torch.nn.modules.activation"]
    return " + ".join(words + after[-1:])


def _one(leaf: nn.Module) -> str:
    if isinstance(leaf, nn.Conv2d):
        halves = " ↓2" if leaf.stride[0] > 1 else ""
        return f"conv {leaf.kernel_size[0]}×{leaf.kernel_size[1]}{halves}"
    return "linear"


def model_outline(model: VAE, shape: tuple[int, ...]) -> tuple[list[Layer], list[Layer]]:
    """The layers of a model's encoder and decoder.

    Args:
        model: The model.
        shape: The shape of an image, (C, H, W).
    """
    device = next(model.parameters()).device
    with aside(model, seed=0):
        x = torch.zeros(1, *shape, device=device)
        encoder = outline(model.posterior.net, x)
        decoder = outline(model.likelihood.net, model.posterior(x).mean)
    return encoder, decoder
