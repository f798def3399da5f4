"""Encoder and decoder as ONNX programs with weights of half precision, which take half the room.

The programs compute in single precision: a weight is widened when the runtime reads it. They are compared with the
model before they are given away, and keep their weights as they are where half precision is too little.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vaescope.data.images import ImageSet
from vaescope.errors import RunError, UsageError
from vaescope.export import Values, compare, decoder_module, describe, encoder_module, shown_images, write
from vaescope.optional import hushed, needed
from vaescope.run import Run

TOLERANCES = {"encoder": 1e-2, "decoder": 1e-3}
"""The largest difference that a latent or a grey may have."""

LARGE, HALF = 256, 6e4
"""Weights with fewer numbers are left alone, and so are those beyond what half precision can hold."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block the exporters, which print what they stumble over for their own developers, print nothing."""
    aside = io.StringIO()
    names = ("torch", "torch.fx", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    with hushed(*names), redirect_stdout(aside), redirect_stderr(aside):
        yield


def libraries() -> None:
    """Looks for what a page needs beside vaescope.

    Raises:
        UsageError: If a library is missing, with what to install.
    """
    needed("explore", "onnx", "onnxscript", "onnxruntime")


def programs(run: Run, images: ImageSet) -> dict[str, bytes]:
    """The two programs of a run, by the names ``encoder`` and ``decoder``, as ONNX files.

    Args:
        run: The run.
        images: Its images: the programs are compared with the model on some of them.

    Raises:
        UsageError: If a part of the model has no such form, with its name.
        RunError: If a program does not do what the model does.
    """
    with quiet(), tempfile.TemporaryDirectory() as folder:
        seen = shown_images(run, images)[0]
        encoder, decoder = encoder_module(run), decoder_module(run)
        with torch.no_grad():
            latents = encoder[0](**{name: seen[name] for name in encoder[1]})["mean"]
        shown = seen | {"latents": latents}
        halves = {"encoder": encoder, "decoder": decoder}
        return {half: program(run, half, *made, shown, Path(folder)) for half, made in halves.items()}


def program(run: Run, half: str, module: nn.Module, example: Values, seen: Values, folder: Path) -> bytes:
    """One of the two programs.

    Args:
        run: The run.
        half: Which it is.
        module: What it is made of.
        example: What to trace it with.
        seen: What to compare it on, by the names of inputs.
        folder: Where files may be for a while.
    """
    path, shown = folder / f"{half}.onnx", {name: seen[name] for name in example}
    try:
        outputs = write("onnx", path, module, example, describe(run, half))
    except UsageError as error:
        raise UsageError(f"{culprit(module, example)}{error}") from None
    whole = path.read_bytes()
    path.write_bytes(bare(whole, halved=True))
    try:
        compare("onnx", path, module, shown, outputs, TOLERANCES[half])
    except RunError:
        path.write_bytes(bare(whole, halved=False))
        compare("onnx", path, module, shown, outputs, TOLERANCES[half])
    return path.read_bytes()


def bare(whole: bytes, halved: bool) -> bytes:
    """An ONNX file without notes on how it was made, among which are the places of files on this machine.

    Args:
        whole: The file.
        halved: Whether its weights are in half precision, each of which is cast to single precision before its use.
    """
    onnx: Any = needed("explore", "onnx")
    model = onnx.load_from_string(whole)
    nodes = [*(_casts(onnx, model.graph) if halved else []), *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer, model.graph):
        part.doc_string = ""
        del part.metadata_props[:]
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _casts(onnx: Any, graph: Any) -> list[Any]:
    """Halves the weights of a graph, and returns what widens them."""
    casts = []
    for weight in graph.initializer:
        values, name = onnx.numpy_helper.to_array(weight), weight.name
        if values.dtype == np.float32 and values.size >= LARGE and np.abs(values).max() < HALF:
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    return casts


def culprit(module: nn.Module, example: Values) -> str:
    """Which layer of a module has no ONNX form, in words; nothing where each by itself has one.

    Args:
        module: The module.
        example: Inputs to try it with, by name.
    """
    given: dict[str, tuple[Any, ...]] = {}
    leaves = {name: part for name, part in module.named_modules() if not any(part.children())}
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs, name=name: given.setdefault(name, inputs))
        for name, part in leaves.items()
    ]
    with torch.no_grad():
        module(**example)
    for hook in hooks:
        hook.remove()
    for name, inputs in given.items():
        try:
            torch.onnx.export(leaves[name], inputs, dynamo=True, verbose=False)
        except Exception:  # whatever stops an exporter, as for the whole
            return f"because of its layer {name} ({type(leaves[name]).__name__}) "
    return ""
