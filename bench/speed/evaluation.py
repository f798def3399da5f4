"""How fast a model is asked: passes/s of the importance weighted bound, and images/s of encoding.

Both are put beside nothing but the products of matrices, or convolutions, that no way can do without. The weights are
those before training: they decide nothing about the speed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from bench.likelihood import WAYS
from bench.measure import Asked, Ratio, Table, interleaved, median, ratio, state
from vaescope.data.examples import Examples
from vaescope.models import VAE, aside, encode

SAMPLES = 1000
"""Draws for each image."""

Products = list[tuple[nn.Module, Tensor]]
"""Layers that multiply, with what goes into them."""


def test_examples(recipe: str, root: str | None) -> tuple[VAE, Examples]:
    """The model of a recipe before training, and the test images as it is shown them."""
    settings, begun = state(["--config", f"configs/{recipe}.yaml"], root)
    images = settings.data.load(lambda line: None)
    shown = settings.data.target.evaluation([images.validation.images, images.test.images])[1]
    return begun.model, Examples(shown[:].values)


def measure(asked: Asked) -> list[Table]:
    """Both tables."""
    return [importance(asked), encoding(asked)]


def importance(asked: Asked) -> Table:
    """The importance weighted bound, as it is computed here and as it usually is."""
    asked.say("evaluation: importance weighted bound of latent32")
    model, examples = test_examples("latent32", asked.root)
    count, samples = (3, 100) if asked.quick else (20, SAMPLES)
    shown = examples[:count]

    def work(name: str) -> Callable[[], object]:
        return lambda: WAYS[name](model, shown, samples)

    seconds = interleaved({name: work(name) for name in WAYS}, 2 if asked.quick else asked.blocks, asked)
    table = Table("Importance weighted bound, `latent32`", ["way", "passes/s", "times ours"])
    for name, times in seconds.items():
        table.rows.append([name, count * samples / median(times), str(ratio(times, seconds["ours"]))])
    table.notes.append(
        f"A pass is one draw of the latents of one image, decoded and scored; {count} images, {samples:,} draws each. "
        "The ways are those of `python -m bench.likelihood`."
    )
    table.data["seconds"] = seconds
    return table


def encoding(asked: Asked) -> Table:
    """Encoding all test images, with a multilayer perceptron and with convolutions."""
    ways: dict[str, Callable[[], object]] = {}
    for recipe in ("main", "conv"):
        asked.say(f"evaluation: encoding with {recipe}")
        model, examples = test_examples(recipe, asked.root)
        shown = examples[:1000] if asked.quick else examples
        ways |= pair(recipe, model, shown)
    seconds = interleaved(ways, 2 if asked.quick else asked.blocks, asked)
    table = Table("Encoding", ["recipe", "images/s", "of the products alone"])
    for recipe in ("main", "conv"):
        share = inverse(ratio(seconds[recipe], seconds[f"{recipe}, products"]))
        table.rows.append([f"`{recipe}`", len(shown) / median(seconds[recipe]), str(share)])
    table.notes.append(
        f"`vaescope.models.encode` on {len(shown):,} images in memory: the centres of their posteriors. Beside it the "
        "speed as a share of that of nothing but the encoder's products of matrices, or convolutions, of as many rows."
    )
    table.data["seconds"] = seconds
    return table


def inverse(found: Ratio) -> Ratio:
    """The same the other way round."""
    return Ratio(1 / found.middle, 1 / found.high, 1 / found.low)


def pair(recipe: str, model: VAE, examples: Examples) -> dict[str, Callable[[], object]]:
    """Encoding, and its products alone."""
    layers = products(model, examples[:1000])
    turns = -(-len(examples) // 1000)
    return {recipe: lambda: encode(model, examples), f"{recipe}, products": lambda: multiply(layers, turns)}


def products(model: VAE, examples: Examples) -> Products:
    """The layers of the encoder that multiply, with what goes into each in one pass."""
    found: Products = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        found.append((layer, inputs[0]))

    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    layers = [layer for layer in model.posterior.modules() if isinstance(layer, kinds)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with aside(model, seed=0):
        model.infer(examples.values, examples.context)
    for hook in hooks:
        hook.remove()
    return found


def multiply(layers: Products, turns: int) -> None:
    """Nothing but the products, without what is added to them."""
    with torch.no_grad():
        for _ in range(turns):
            for layer, x in layers:
                if isinstance(layer, nn.Linear):
                    linear(x, layer.weight)
                elif isinstance(layer, nn.Conv2d):
                    conv2d(x, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
                elif isinstance(layer, nn.ConvTranspose2d):
                    conv_transpose2d(x, layer.weight, None, layer.stride, layer.padding)  # type: ignore[arg-type]
