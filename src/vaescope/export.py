r"""A trained model as programs that run without vaescope: ``encoder`` and ``decoder``, as ONNX or as torch programs.

Both speak in greys in [0, 1], whatever the targets of the run are: what the encoder is given is mapped to the interval
of the targets within the program, and what the decoder gives, the mean of the likelihood, is mapped back.

=========  ==================================================  ====================================================
program    inputs                                              outputs
=========  ==================================================  ====================================================
encoder    ``images`` (N, C, H, W); ``labels`` (N,), int64     ``mean`` (N, D), the centre of the posterior;
                                                               ``scale`` (N, D), its standard deviation, if it has one
decoder    ``latents`` (N, D); ``labels`` (N,), int64          ``images`` (N, C, H, W)
=========  ==================================================  ====================================================

There are ``labels`` where the model is conditioned on them. A model that classifies needs none in its encoder: it takes
the most probable label, and gives the ``probabilities`` (N, K) of all of them as well.

Before anything is left behind, the files are read again and compared with the model on real images.
"""

import copy
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaescope import __version__
from vaescope.data.fetch import Report, log, present
from vaescope.data.images import ImageSet
from vaescope.data.sources import NAMED
from vaescope.distributions import centre
from vaescope.encoding import standard_deviation
from vaescope.errors import RunError, UsageError, one_line
from vaescope.files import atomic_folder
from vaescope.models import SemiVAE, aside
from vaescope.models.greys import sample
from vaescope.optional import hushed, needed
from vaescope.run import Run

Format = Literal["onnx", "torch"]
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
NAMES = {f"{half}{ending}" for half in ("encoder", "decoder") for ending in ENDINGS.values()}
"""All files that an export can leave."""

BATCHES = (1, 2, 7)
"""The batches in which the files are compared with the model."""

TOLERANCE = 1e-4
"""The largest difference that any number may have."""

PLAIN = re.compile(
    r"[^/]+/(\.data/(version|serialization_id)|archive_(format|version)|byteorder|models/\w+\.json|extra/.+"
    r"|data/(weights|constants)/(\w+_config\.json|(weight|tensor)_\d+))"
)
"""The parts of a torch program that are read as numbers or text."""

Values = dict[str, Tensor]
"""Inputs or outputs of a program, by name."""


class Conditioned(nn.Module):
    """What the two programs have in common: weights of their own that nothing trains, and labels as one-hot rows.

    Args:
        classes: The number of classes K that there are labels of, 0 where there is no such input.
    """

    classes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("classes", torch.arange(classes), persistent=False)

    def context(self, labels: Tensor | None) -> Tensor | None:
        """Labels with shape (N,) as rows with shape (N, K). (torch's ``one_hot`` looks at their values.)"""
        return None if labels is None else (labels[:, None] == self.classes).float()

    def frozen(self) -> "Conditioned":
        """A copy for good: in evaluation mode, without gradients."""
        return copy.deepcopy(self).eval().requires_grad_(False)


class Encoder(Conditioned):
    """From greys to the posterior of their latents.

    Args:
        run: The run whose model it is.
    """

    def __init__(self, run: Run) -> None:
        model = run.model
        super().__init__(0 if isinstance(model, SemiVAE) else model.classes)
        self.posterior = model.posterior
        self.classifier = model.classifier if isinstance(model, SemiVAE) else None
        self.low, self.high = run.config.data.target.interval
        self.scaled = self._has_scale(torch.zeros(1, *run.shape), torch.zeros(1, model.classes))

    def _has_scale(self, x: Tensor, context: Tensor) -> bool:
        """Whether the posterior knows a standard deviation: not one in a point, and not a flow."""
        with aside(self, seed=0):
            q = self.posterior(x, context if context.shape[1] else None)
            return not self.posterior.family.degenerate and standard_deviation(q) is not None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Values:
        """The posterior.

        Args:
            images: Greys in [0, 1], with shape (N, C, H, W).
            labels: Their classes, with shape (N,), for a model that is conditioned on them.
        """
        x = images if (self.low, self.high) == (0, 1) else self.low + (self.high - self.low) * images
        given, found = self.context(labels), {}
        if self.classifier is not None:
            seen: Any = self.classifier(x)
            given, found = centre(seen), {"probabilities": seen.probs}
        q = self.posterior(x, given)
        return {"mean": centre(q)} | ({"scale": q.stddev} if self.scaled else {}) | found


class Decoder(Conditioned):
    """From latents to greys.

    Args:
        run: The run whose model it is.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run.model.classes)
        self.likelihood, self.target = run.model.likelihood, run.config.data.target

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Values:
        """The mean of the likelihood as greys.

        Args:
            latents: With shape (N, D).
            labels: The classes to decode them in, with shape (N,), for a model that knows labels.
        """
        return {"images": self.target.pixels(self.likelihood(latents, self.context(labels)).mean)}


def encoder_module(run: Run) -> tuple[nn.Module, Values]:
    """The encoder of a run as a module on its own, from greys to the posterior, and inputs to trace it with.

    Args:
        run: The run. Its model stays as it is.

    Returns:
        The module, which takes the inputs by their names and returns outputs by name; and a batch of inputs, no two of
        them alike, in the order in which the module takes them.
    """
    made = Encoder(run).frozen()
    images = torch.linspace(0, 1, max(BATCHES))[:, None, None, None].expand(-1, *run.shape).contiguous()
    return made, {"images": images} | _labels(made)


def decoder_module(run: Run) -> tuple[nn.Module, Values]:
    """The decoder of a run as a module on its own, from latents to greys, and inputs to trace it with.

    Args:
        run: The run. Its model stays as it is.

    Returns:
        As of :func:`encoder_module`. The latents are drawn from the prior.
    """
    made = Decoder(run).frozen()
    with aside(run.model, seed=0):
        latents = run.model.prior().sample(torch.Size((max(BATCHES),)))
    return made, {"latents": latents} | _labels(made)


def _labels(made: Conditioned) -> Values:
    """Classes in turn, for a module that takes labels."""
    return {"labels": torch.arange(max(BATCHES)) % len(made.classes)} if len(made.classes) else {}


def real_images(run: Run, report: Report = log) -> tuple[Values, str]:
    """Images to try an encoder on, with their labels, and what they are.

    Args:
        run: The run.
        report: Is told in one line what is being done.

    Returns:
        Greys and labels by name, as many as the largest batch: validation images of the run if its data are on this
        machine, for nothing is fetched, else samples that are drawn from the model.
    """
    count, data = max(BATCHES), run.config.data
    at_hand = data.name not in NAMED or present(NAMED[data.name], data.root.expanduser()) is not None
    try:
        images = run.data(report) if at_hand else None
    except UsageError:  # they were moved, or have changed
        images = None
    if images is not None and (images.labelled or not run.model.classes):
        return shown_images(run, images)
    labels = {"labels": torch.arange(count) % max(1, len(run.classes))}
    drawn = sample(run.model, data.target, count, context=run.model.context(labels["labels"]))
    return {"images": drawn} | labels, f"{count} samples of the model (its data are not here)"


def shown_images(run: Run, images: ImageSet) -> tuple[Values, str]:
    """Some of the validation images of a run as :func:`real_images` gives them, from its images."""
    some, target = images.validation, run.config.data.target
    shown = min(max(BATCHES), len(some))
    turns = torch.arange(max(BATCHES)) % shown
    greys = target.pixels(target.evaluation([some.images[:shown]])[0].values)[turns]
    labels = {} if some.labels is None else {"labels": some.labels[:shown][turns]}
    return {"images": greys} | labels, f"{shown} validation images of {images.title}"


@dataclass(frozen=True)
class Exported:
    """What an export left, and how far it is from the model.

    Args:
        files: The programs.
        differences: For each file the largest absolute difference of every output, by its name.
        images: What the files were compared on.
    """

    files: tuple[Path, ...]
    differences: tuple[dict[str, float], ...]
    images: str


def export(run: Run, folder: Path, form: Format = "onnx", report: Report = log) -> Exported:
    """Writes the encoder and the decoder of a run as programs, once they are found to do what the model does.

    Args:
        run: The run.
        folder: The folder to write. One that an export made before is replaced, and what it holds in another format
            kept; any other is refused.
        form: The format.
        report: Is told in one line what is being done.

    Raises:
        UsageError: If a library is missing, the folder is taken, or a part of the model has no such form.
        RunError: If a file does not do what the model does. Nothing is left behind then.
    """
    check_folder(folder)
    with hushed("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):  # they speak to their own developers
        if form == "onnx":
            needed("export", "onnxruntime", "onnx", "onnxscript")
        seen, title = real_images(run, report)
        encoder, decoder = encoder_module(run), decoder_module(run)
        with torch.no_grad():
            latents = encoder[0](**{name: seen[name] for name in encoder[1]})["mean"]
        shown = seen | {"latents": latents}
        with atomic_folder(folder, replace=True) as temporary:
            for old in folder.iterdir() if folder.exists() else ():
                shutil.copy2(old, temporary)
            found = []
            for half, (module, example) in (("encoder", encoder), ("decoder", decoder)):
                report(f"exporting the {half}")
                path = temporary / f"{half}{ENDINGS[form]}"
                outputs = write(form, path, module, example, describe(run, half))
                found.append(compare(form, path, module, {name: shown[name] for name in example}, outputs))
    return Exported(tuple(folder / f"{half}{ENDINGS[form]}" for half in ("encoder", "decoder")), tuple(found), title)


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds anything but what exports leave."""
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir()} - NAMES) if folder.is_dir() else [folder.name]
    if others:
        raise UsageError(f"{folder} is not a folder of an export, it holds {others[0]}: give another -o")


def describe(run: Run, half: str) -> dict[str, str]:
    """What a file says of itself, as strings; lists are JSON."""
    data, (low, high) = run.config.data, run.config.data.target.interval
    if data.target.discrete:
        scale = "greys in [0, 1], taken as they are; the model was trained on pixels drawn as 0 or 1 with these chances"
    else:
        scale = f"greys in [0, 1], mapped to [{low:g}, {high:g}] and back within"
    return {
        "vaescope": __version__,
        "run": run.folder.resolve().name,
        "step": str(run.step),
        "half": half,
        "shape": json.dumps(run.shape),
        "latents": str(run.model.prior.latent),
        "classes": json.dumps(run.classes),
        "targets": data.targets,
        "bits": str(data.target.levels.bit_length() - 1),
        "normalisation": scale,
    }


def write(form: Format, path: Path, module: nn.Module, example: Values, about: dict[str, str]) -> list[str]:
    """Writes a module as a program that takes batches of any size.

    Args:
        form: The format.
        path: The file.
        module: The module, which takes and returns tensors by name.
        example: What to trace it with.
        about: What the file says of itself.

    Returns:
        The names of the outputs.

    Raises:
        UsageError: If it has no such form.
    """
    outputs = list(module(**example))
    arguments, batch = tuple(example.values()), torch.export.Dim("batch")
    sizes: Any = {name: {0: batch} for name in example}
    try:
        if form == "onnx":
            made: Any = torch.onnx.export(
                module, arguments, dynamo=True, dynamic_shapes=sizes, output_names=outputs, verbose=False
            )
            made.model.metadata_props.update(about)
            made.save(path, external_data=False)
        else:
            program = torch.export.export(module, arguments, dynamic_shapes=sizes)
            program.example_inputs = None  # these would be pickled
            torch.export.save(program, path, extra_files={"vaescope.json": json.dumps(about)})
    except Exception as error:  # whatever stops an exporter, of which each has many kinds
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise UsageError(
            f"the {about['half']} has no {form} form ({type(cause).__name__}: {one_line(cause)})"
        ) from None
    return outputs


def compare(
    form: Format,
    path: Path,
    module: nn.Module,
    shown: Values,
    outputs: list[str],
    tolerance: float = TOLERANCE,
) -> dict[str, float]:
    """The largest absolute difference between a file and its module, for each output.

    Args:
        form: The format.
        path: The file.
        module: What it was made of.
        shown: Inputs by name, as many as the largest batch.
        outputs: The names of the outputs.
        tolerance: The largest difference that any number may have.

    Raises:
        RunError: If one is above the tolerance.
    """
    read = read_onnx(path) if form == "onnx" else read_torch(path)
    far: dict[str, list[Tensor]] = {name: [] for name in outputs}
    for size in BATCHES:
        part = {name: values[:size] for name, values in shown.items()}
        with torch.no_grad():
            wanted, got = module(**part), read(part)
        for name in outputs:
            far[name].append((got[name].double() - wanted[name].double()).abs().max())
    found = {name: torch.stack(every).max().item() for name, every in far.items()}
    for name, difference in found.items():
        if not difference <= tolerance:  # nor what is no number
            raise RunError(f"{path.name} was not kept: its {name} differs from the model's by {difference:.1e}")
    return found


def read_onnx(path: Path) -> Callable[[Values], Values]:
    """An ONNX file as a function, run by onnxruntime on the CPU."""
    runtime = needed("export", "onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(given: Values) -> Values:
        arrays = session.run(names, {name: value.numpy() for name, value in given.items()})
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}

    return run


def read_torch(path: Path) -> Callable[[Values], Values]:
    """A torch program as a function. ``torch.export.load`` unpickles what a file asks it to: a file that asks is
    refused.

    Raises:
        RunError: If the file holds a pickle.
    """
    if pickled := pickles(path):
        raise RunError(f"{path.name} was not kept: it holds a pickle, {pickled[0]}")
    program = torch.export.load(path).module()
    return lambda given: program(*given.values())


def pickles(path: Path) -> list[str]:
    """The parts of a torch program that reading it might unpickle, or run: none in one that vaescope wrote.

    Args:
        path: The file, which is not loaded.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        found = sorted({name for name in names if names.count(name) > 1})
        for name in names:
            if name.endswith("_config.json"):
                parts = json.loads(archive.read(name))["config"]
                found += [f"{name}: {part}" for part, how in parts.items() if how.get("use_pickle", True)]
            if not PLAIN.fullmatch(name) and archive.getinfo(name).file_size:
                found.append(name)
    return found
