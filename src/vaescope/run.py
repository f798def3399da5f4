"""A run: the folder that holds all that came of an experiment, and how to read it.

::

    runs/main/
      config.yaml         everything needed to repeat the run
      metrics.jsonl       every term, for training and validation, one JSON object a line
      history.jsonl       when training began, went on and ended, and with what
      checkpoints/        what --resume goes on from
      model.safetensors   the weights with the best validation loss, and in its header what they are for
      frames.npz          the numbers behind the animations
      figures/            the pictures
      README.md           a model card with the measured numbers
      evaluation.json     what was measured, with evaluation.npz, see :mod:`vaescope.evaluation`
"""

import difflib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from vaescope import __version__, checkpoint, config, encoding, foreign, pictures
from vaescope.config import Config
from vaescope.data.asked import TOGETHER, asked
from vaescope.data.examples import Examples
from vaescope.data.fetch import Progress, Report, log
from vaescope.data.idx import Array
from vaescope.data.images import ImageSet
from vaescope.data.items import Source
from vaescope.data.own import from_arrays, open_source
from vaescope.data.pixels import Form
from vaescope.data.targets import Target
from vaescope.errors import UsageError
from vaescope.foreign import explained
from vaescope.models import VAE, SemiVAE
from vaescope.models.within import Within, check_sizes
from vaescope.observers import read_lines
from vaescope.terminal import printable

if TYPE_CHECKING:
    from vaescope.explorer import Explorer

FORMAT = 1
FRAMES = {"numbers": (2, "f"), "latents": (3, "f"), "pictures": (5, "u")}
"""The axes and the kind of each array of an animation's frames."""


def machine(model: VAE) -> str:
    """What a model runs on, in words, with the versions of vaescope and torch."""
    cores = f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPU cores"
    return f"{cores}, vaescope {__version__}, torch {torch.__version__} on {next(model.parameters()).device.type}"


def validation_examples(model: VAE, target: Target, images: ImageSet) -> Examples:
    """The validation images as a model is shown them."""
    shown = target.evaluation([images.validation.images])[0]
    return shown.conditioned(model.context(images.validation.labels))


def make_scene(
    settings: Config, folder: Path, model: VAE, images: ImageSet, validation: Examples, step: int, loss: float
) -> pictures.Scene:
    """What the pictures of a run are drawn from."""
    caption = f"run {printable(folder.resolve().name)} · step {step:,} · validation loss {loss:.1f} nats per image"
    objective = str(settings.objective)
    return pictures.Scene(model, images, validation, settings.data.target, settings.figures, objective, caption)


@dataclass(frozen=True, eq=False)
class Shown:
    """Some images that a model is asked about.

    Args:
        names: What each is called.
        images: Levels, with shape (n, C, H, W).
        labels: The numbers of their classes, with shape (n,), -1 for none; nothing without classes.
        classes: The names of these classes.
        examples: The images as the model is shown them.
    """

    names: list[str]
    images: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    examples: Examples


@dataclass(frozen=True)
class Origin:
    """How a model came to be, as the header of its weights tells. What a header does not tell is empty.

    Args:
        title: What the image set is called.
        counts: The number of its images by split.
        outcome: How training ended: "finished", "stopped early" or "interrupted".
        steps: The number of steps done.
        epochs: The number of epochs done.
        machine: What it was trained on, with the versions of vaescope and torch.
        latents: What the latents carry, in words.
        warnings: What is wrong with them, and what to try.
    """

    title: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    outcome: str = ""
    steps: int = 0
    epochs: float = 0.0
    machine: str = ""
    latents: str = ""
    warnings: tuple[str, ...] = ()

    @staticmethod
    def parse(header: Mapping[str, Any]) -> "Origin":
        """What a header tells.

        Raises:
            TypeError: If a value is of the wrong kind.
            ValueError: If one is none that it could be.
        """
        words = {key: printable(str(header.get(key, ""))) for key in ("title", "outcome", "machine", "latents")}
        return Origin(
            **words,
            counts={printable(split): int(count) for split, count in dict(header.get("counts", {})).items()},
            steps=int(header.get("steps", 0)),
            epochs=float(header.get("epochs", 0)),
            warnings=tuple(printable(str(text)) for text in header.get("warnings", ())),
        )


@dataclass(frozen=True, repr=False)
class Run:
    """A trained model and what it was trained on.

    Args:
        folder: The run folder.
        config: Its config.
        model: The model with the best weights, in evaluation mode, on the CPU.
        shape: The shape (C, H, W) of an image.
        classes: The names of the classes.
        step: The step whose weights these are.
        loss: Their validation loss, in nats per image.
        origin: How it came to be.
    """

    folder: Path
    config: Config
    model: VAE
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    step: int
    loss: float
    origin: Origin = Origin()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        latents = self.model.prior.latent
        return (
            f"Run({str(self.folder)!r}: {latents} latents of {shape} images, step {self.step:,}, loss {self.loss:.1f})"
        )

    @staticmethod
    def load(folder: Path) -> "Run":
        """Reads a run folder. Nothing in it is executed.

        Raises:
            UsageError: If it is no run folder, or damaged.
        """
        path = folder / "model.safetensors"
        if not (folder / "config.yaml").is_file():
            raise UsageError(f"{folder} is no run folder: it holds no config.yaml; give one that `vaescope train` made")
        if not path.is_file():
            raise UsageError(f"{folder} holds no weights yet: finish it with `vaescope train --resume {folder}`")
        with explained(f"{path} cannot be read", "it is damaged"):
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {})["vaescope"])
            if header["format"] != FORMAT:
                raise UsageError(
                    f"{path} has format {header['format']}, but this version reads {FORMAT}: it was written by a newer "
                    "vaescope, upgrade (pip install -U vaescope)"
                )
            weights = checkpoint.load_tensors(path)
            known = header.pop("hash", None)  # which older versions did not write
            if known not in (None, checkpoint.fingerprint(weights, header)):
                raise ValueError("it is not as it was written")
            channels, height, width = (int(side) for side in header["shape"])
            if min(channels, height, width) < 1:
                raise ValueError(f"its images have the shape {channels} x {height} x {width}")
            classes = tuple(printable(str(name)) for name in header["classes"])
            step, loss = int(header["step"]), float(header["loss"])
            origin = Origin.parse(header)
        settings = config.read(folder / "config.yaml")
        with explained(f"{path} does not fit {folder / 'config.yaml'}", "one of them is of another run"):
            check_sizes(config.load_yaml(folder / "config.yaml").get("model"), weights)
            with Within(weights):
                model = settings.model((channels, height, width), len(classes))
            model.load_state_dict(weights)
        return Run(folder, settings, model.eval(), (channels, height, width), classes, step, loss, origin)

    @property
    def name(self) -> str:
        """What it is called: the name of its folder."""
        return printable(self.folder.resolve().name)

    @property
    def target(self) -> Target:
        """What of images the model explains."""
        return self.config.data.target

    @property
    def form(self) -> Form:
        """What images that the model is asked about are brought to, by the run's own rule."""
        channels, height, width = self.shape
        return Form(height, width, channels, self.config.data.bits, self.config.data.fit)

    def shown(
        self, source: Source, label: str | None = None, skip_bad: bool = False, progress: Progress | None = None
    ) -> Iterator[Shown]:
        """Images of the user's own, as the model is shown them. Memory does not grow with their number.

        Args:
            source: The images.
            label: The class of all of them, for a model with labels; by default what the source says.
            skip_bad: Whether images that cannot be read are left out.
            progress: Is told how many are done.

        Raises:
            UsageError: If they cannot be read, or for a label where there is none to give or one is missing.
        """
        return self._shown(source, self._numbers(source, label), label is not None, skip_bad, progress)

    def _shown(
        self, source: Source, numbers: Tensor | None, alike: bool, skip_bad: bool, progress: Progress | None
    ) -> Iterator[Shown]:
        """The same, with the number of the class of all images, or of every class of the source."""
        for part in asked(source, self.form, skip_bad, progress):
            examples, labels = self.target.alone(part.images), part.labels
            if numbers is not None:
                labels = (numbers if alike or labels is None else numbers[labels]).expand(len(part.images))
                examples = examples.conditioned(self.model.context(labels))
            classes = source.classes if numbers is None else self.classes
            yield Shown(part.names, part.images, labels, classes, examples)

    def _numbers(self, source: Source, label: str | None) -> Tensor | None:
        """The number that the model has for the class of all images, or for each class of a source; nothing where the
        model takes none."""
        if label is not None:
            return torch.tensor(self.class_number(label))
        if not self.model.classes or isinstance(self.model, SemiVAE):
            return None
        if not source.classes:
            raise UsageError(
                f"{self.folder} is conditioned on labels: give that of {source.title} (--label), {self.class_names}"
            )
        return self._numbers_of(source)

    def _numbers_of(self, source: Source) -> Tensor:
        """The number that the model has for each class of a source, and -1 for none."""
        return torch.tensor([self.class_number(name) for name in source.classes] + [-1])

    def data(self, report: Report = log) -> ImageSet:
        """The images that the run was trained and scored on.

        Raises:
            UsageError: If they are not there any more, or have other classes or another shape by now.
        """
        images = self.config.data.load(report)
        now, then = (images.shape, images.classes), (self.shape, self.classes)
        if now != then:
            what = "another shape" if images.shape != self.shape else "other classes"
            raise UsageError(f"{images.title} has {what} than when {self.folder} was trained: put it back as it was")
        return images

    def test_images(self, report: Report = log) -> Iterator[Shown]:
        """The test images of the run, as it was scored on them."""
        known = self.data(report)
        split = known.test
        examples = self.target.evaluation([known.validation.images, split.images])[1]
        examples = examples.conditioned(self.model.context(split.labels))
        called = split.names()
        for start in range(0, len(split), TOGETHER):
            part = slice(start, start + TOGETHER)
            images = split.images[part]
            names = [next(called, str(start + k)) for k in range(len(images))]
            labels = None if split.labels is None else split.labels[part]
            yield Shown(names, images, labels, known.classes, examples[part])

    @property
    def class_names(self) -> str:
        """The names of the classes that there are to choose from, or the first of them, in words."""
        listed = ", ".join(self.classes[:10])
        return f"one of {listed}" + (f" ... {self.classes[-1]}" if len(self.classes) > 10 else "")

    def class_number(self, text: str) -> int:
        """The number of the class that is called so, in letters of any case if need be, or has that number.

        Raises:
            UsageError: If there is none, with the nearest name, or if the model knows no classes.
        """
        if not self.model.classes:
            raise UsageError(f"{self.folder} knows no labels, so {text} says nothing to it: set model.labels true")
        if text in self.classes:  # of A and a this one
            return self.classes.index(text)
        folded = {name.casefold(): number for number, name in enumerate(self.classes)}
        if text.casefold() in folded:
            return folded[text.casefold()]
        if text.isdecimal() and int(text) < len(self.classes) and not any(map(str.isdecimal, self.classes)):
            return int(text)  # where names are numbers themselves, another number is none of them
        near = difflib.get_close_matches(text.casefold(), folded, n=1)
        guess = f"did you mean {self.classes[folded[near[0]]]}?" if near else f"give {self.class_names}"
        raise UsageError(f"there is no class {text} in {self.folder}: {guess}")

    def encode(self, images: Any, labels: Any = None) -> Array:
        """Where the model puts images: the centres of their posteriors. Nothing is random.

        Args:
            images: An array or a tensor with shape (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, uint16, bool or
                floats in [0, 1], or the path of a folder or file; of another size or kind than the model's, they are
                brought to it by the run's own rule.
            labels: A class for each image of an array, with shape (N,), for a model with labels. One that classifies
                finds them itself unless they are given; the folders of a path are not taken for given.

        Returns:
            Latents, with shape (N, D), float32.

        Raises:
            UsageError: If the images cannot be read, or labels are missing.
        """
        return np.concatenate([encoding.encode(self.model, part.examples) for part in self._own(images, labels)])

    def reconstruct(self, images: Any, labels: Any = None) -> Array:
        """What the model makes of images, see :meth:`encode`: greys in [0, 1], with shape (N, C, H, W)."""
        parts = self._own(images, labels)
        return np.concatenate([encoding.reconstruct(self.model, self.target, part.examples) for part in parts])

    def log_likelihood(self, images: Any, labels: Any = None, samples: int = 100) -> Array:
        """The importance weighted bound on log p(x) of images, see :meth:`encode`, in nats, with shape (N,).

        Of a model that is conditioned on labels y it is that on log p(x|y), and of one that classifies, where labels
        are given, that on log p(x, y).

        Args:
            images: The images.
            labels: Their classes, for a model with labels.
            samples: The number of draws for each image; the bound rises with it towards log p(x).
        """
        parts = self._own(images, labels)
        return np.concatenate([encoding.log_likelihood(self.model, part.examples, samples) for part in parts])

    def decode(self, z: Any, labels: Any = None) -> Array:
        """The mean images of latents.

        Args:
            z: Latents, with shape (N, D).
            labels: The number or name of a class for each, with shape (N,), for a model with labels.

        Returns:
            Greys in [0, 1], with shape (N, C, H, W).
        """
        names = np.asarray([] if labels is None or hasattr(labels, "detach") else labels)
        if names.dtype.kind == "U":
            labels = [self.class_number(name) for name in np.atleast_1d(names).tolist()]
        return encoding.decode(self.model, self.target, z, labels)

    def sample(self, count: int = 64, temperature: float = 1.0, seed: int = 0, label: str | int | None = None) -> Array:
        """New images: means of the likelihood at draws of the prior.

        Args:
            count: The number N of images.
            temperature: The factor on the scale of the prior.
            seed: Decides the draws.
            label: The name or number of their class, for a model with labels; by default all classes in turn.

        Returns:
            Greys in [0, 1], with shape (N, C, H, W).
        """
        number = None if label is None else self.class_number(str(label))
        return encoding.sample(self.model, self.target, count, temperature, seed, number)

    def _own(self, images: Any, labels: Any) -> Iterator[Shown]:
        if not isinstance(images, str | Path):
            self._check_axes(tuple(getattr(images, "shape", ())))
            source = from_arrays(images, labels)
            numbers = self._numbers(source, None) if labels is None else self._numbers_of(source)
            return self._shown(source, numbers, False, False, None)
        if labels is not None:
            raise UsageError("labels were given beside a path: they go with arrays; the folders of a path are classes")
        return self.shown(open_source(images, self.model.classes > 0))

    def _check_axes(self, shape: tuple[int, ...]) -> None:
        """Refuses rows of pixels, which would else be one image whose height is their number."""
        if len(shape) == 2 and shape[1] == math.prod(self.shape) and shape != self.shape[1:]:
            raise UsageError(
                f"images has shape {shape}, which is one image, but looks like {shape[0]:,} rows of pixels: "
                f"reshape(-1, {', '.join(map(str, self.shape))})"
            )

    def explore(self, points: int = 10_000, images: bool = True) -> "Explorer":
        """The explorer: a page in which the model runs, to walk in its latent space. A notebook shows it.

        Args:
            points: How many test images are shown at most, at equal distances.
            images: Whether pictures of the image set may be in it.

        Raises:
            UsageError: If the images of the run are not on this machine, a library is missing (pip install
                'vaescope[explore]'), or the page would be too large.

        Example::

            vs.load("runs/main").explore().save("main.html")
        """
        from vaescope.explorer import Explorer

        return Explorer.of(self, points, images)

    def redraw(self, report: Report = log) -> tuple[Path, ...]:
        """Draws all pictures anew. Returns the files."""
        images = self.data(report)
        validation = validation_examples(self.model, self.config.data.target, images)
        scene = make_scene(self.config, self.folder, self.model, images, validation, self.step, self.loss)
        frames = read_arrays(self.folder / "frames.npz")
        lines = read_lines(self.folder / "metrics.jsonl")
        if all(line["split"] == "test" for line in lines):
            raise UsageError(f"{self.folder / 'metrics.jsonl'} holds no curve to draw: it is missing, or was cut off")
        return tuple(pictures.draw(scene, self.folder / "figures", lines, frames))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file that a run wrote; none if it is not there."""
    if not path.exists():
        return {}
    with explained(f"{path} cannot be read", "delete it to draw without animations"):
        arrays = foreign.read_arrays(path)
    kinds = {name: (array.ndim, array.dtype.kind, len(array)) for name, array in arrays.items() if array.ndim}
    frames = kinds.get("numbers", (0, "", 0))[2]
    if not frames or kinds != {name: (*kind, frames) for name, kind in FRAMES.items()}:
        raise UsageError(f"{path} does not hold the frames of a run; delete it to draw without animations")
    if arrays["numbers"].shape[1] != 4 or not arrays["latents"].size or not arrays["pictures"].size:
        raise UsageError(f"{path} holds other frames than those of a run; delete it to draw without animations")
    return arrays
