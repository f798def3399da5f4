"""The outline of a model: its layers, their output shapes and parameter counts, found by running it once."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from vaescope.data.examples import Examples
from vaescope.distributions import centre
from vaescope.models import VAE, aside
from vaescope.nets.layers import Residual, Resize

CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d
NORMS: dict[type[nn.Module], str] = {
    nn.BatchNorm1d: "batch norm",
    nn.BatchNorm2d: "batch norm",
    nn.LayerNorm: "layer norm",
    nn.GroupNorm: "group norm",
}


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Args:
        name: What it is, in a word or two.
        detail: What else it does.
        shape: The shape of its output for one example.
        parameters: The number of its parameters.
    """

    name: str
    detail: str
    shape: tuple[int, ...]
    parameters: int


def outline(net: nn.Module, example: Tensor) -> list[Layer]:
    """The layers of a network as it is, not as it was configured.

    Args:
        net: A network that is a sequence of layers.
        example: An input with a batch axis of one.
    """
    layers: list[Layer] = []
    h = example
    for child in net.children():
        h = child(h)
        if parameters := count(child):
            layers.append(Layer(*describe(child), tuple(h.shape[1:]), parameters))
        elif layers:  # a mere change of shape belongs to the layer before it
            layers[-1] = replace(layers[-1], shape=tuple(h.shape[1:]))
    return layers


def count(module: nn.Module) -> int:
    """The number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def describe(layer: nn.Module) -> tuple[str, str]:
    """What a layer is and what else it does: its operations with parameters, then what follows them."""
    if isinstance(layer, Residual):
        return "residual", ", ".join(word for word in describe(layer.body) if word)
    leaves = [leaf for leaf in layer.modules() if not list(leaf.children())]
    heavy = [leaf for leaf in leaves if isinstance(leaf, nn.Linear | CONVOLUTIONS)]
    words = ["stride 2"] if any(isinstance(leaf, CONVOLUTIONS) and leaf.stride[0] == 2 for leaf in heavy) else []
    words += ["double size"] if any(isinstance(leaf, Resize) for leaf in leaves) else []
    blocks = sum(isinstance(part, Residual) for part in layer.modules())
    if blocks or len(heavy) > 1:
        words += [f"residual ×{blocks}" if blocks else f"{len(heavy)} layers"]
    words += dict.fromkeys(name for kind, name in NORMS.items() for leaf in leaves if isinstance(leaf, kind))
    words += [type(leaf).__name__ for leaf in leaves if type(leaf).__module__ == "torch.nn.modules.activation"][-1:]
    words += dict.fromkeys(f"dropout {leaf.p:g}" for leaf in leaves if isinstance(leaf, nn.Dropout | nn.Dropout2d))
    return _name(heavy[0] if heavy else layer), ", ".join(words)


def _name(leaf: nn.Module) -> str:
    if isinstance(leaf, CONVOLUTIONS):
        size = "×".join(map(str, leaf.kernel_size))
        return f"up-conv {size}" if isinstance(leaf, nn.ConvTranspose2d) else f"conv {size}"
    return "linear" if isinstance(leaf, nn.Linear) else type(leaf).__name__


def model_outline(model: VAE, example: Examples) -> tuple[list[Layer], list[Layer]]:
    """The layers of a model's encoder and decoder.

    Args:
        model: The model.
        example: One image.
    """
    example = example.to(next(model.parameters()).device)
    with aside(model, seed=0):
        z = centre(model.infer(example.values, example.context))
        seen = (model.posterior.joined(example.values, example.context), model.likelihood.joined(z, example.context))
        return outline(model.posterior.net, seen[0]), outline(model.likelihood.net, seen[1])
