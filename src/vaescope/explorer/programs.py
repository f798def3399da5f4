"""Encoder and decoder as ONNX programs with weights of half precision, which take half the room.

The programs compute in single precision: a weight is widened when the runtime reads it. They are compared with the
model before they are given away.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaescope.export import Values, compare, decoder_module, describe, encoder_module, real_images, write
from vaescope.optional import hushed, needed
from vaescope.run import Run

TOLERANCES = {"encoder": 1e-2, "decoder": 1e-3}
"""The largest difference that a latent or a grey may have."""


def programs(run: Run) -> dict[str, bytes]:
    """The two programs of a run, by the names ``encoder`` and ``decoder``, as ONNX files.

    Raises:
        UsageError: If a library is missing, or a part of the model has no such form.
        RunError: If a program does not do what the model does.
    """
    needed("explore", "onnx", "onnxscript", "onnxruntime")
    with hushed("torch.onnx", "torch.export", "onnxscript", "onnx_ir"), tempfile.TemporaryDirectory() as folder:
        seen: Values = real_images(run, logging.getLogger(__name__).info)[0]
        halves = {"encoder": encoder_module(run), "decoder": decoder_module(run)}
        with torch.no_grad():
            module, example = halves["encoder"]
            seen |= {"latents": module(**{name: seen[name] for name in example})["mean"]}
        found = {}
        for half, (module, example) in halves.items():
            path = Path(folder) / f"{half}.onnx"
            outputs = write("onnx", path, module, example, describe(run, half))
            path.write_bytes(narrowed(path.read_bytes()))
            compare("onnx", path, module, {name: seen[name] for name in example}, outputs, TOLERANCES[half])
            found[half] = path.read_bytes()
    return found


def narrowed(program: bytes) -> bytes:
    """An ONNX file with its weights in half precision, each of which is cast to single precision before its use."""
    onnx: Any = needed("explore", "onnx")
    model = onnx.load_from_string(program)
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 256 or np.abs(values).max() > 6e4:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()
