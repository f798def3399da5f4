"""A run: the folder that holds all that came of an experiment, and how to read it.

::

    runs/main/
      config.yaml         everything needed to repeat the run
      metrics.jsonl       every term, for training and validation, one JSON object a line
      checkpoints/        what --resume goes on from
      model.safetensors   the weights with the best validation loss, and in its header what they are for
      frames.npz          the numbers behind the animations
      figures/            the pictures
      README.md           a model card with the measured numbers
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from vaescope import checkpoint, config, pictures
from vaescope.config import Config
from vaescope.data.examples import Examples
from vaescope.data.fetch import Report, log
from vaescope.data.images import ImageSet
from vaescope.data.targets import Target
from vaescope.errors import UsageError
from vaescope.models import VAE
from vaescope.observers import read_lines

FORMAT = 1


def one_line(error: Exception) -> str:
    """What an error says, in one line of a bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 200 else text[:200] + " ..."


def validation_examples(model: VAE, target: Target, images: ImageSet) -> Examples:
    """The validation images as a model is shown them."""
    shown = target.evaluation([images.validation.images])[0]
    return shown.conditioned(model.context(images.validation.labels))


def make_scene(
    settings: Config, folder: Path, model: VAE, images: ImageSet, validation: Examples, step: int, loss: float
) -> pictures.Scene:
    """What the pictures of a run are drawn from."""
    caption = f"run {folder.name} · step {step:,} · validation loss {loss:.1f} nats per image"
    objective = str(settings.objective)
    return pictures.Scene(model, images, validation, settings.data.target, settings.figures, objective, caption)


@dataclass(frozen=True)
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
    """

    folder: Path
    config: Config
    model: VAE
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    step: int
    loss: float

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
        try:
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {})["vaescope"])
            if header["format"] != FORMAT:
                raise UsageError(f"{path} has format {header['format']}, but this version reads {FORMAT}")
            channels, height, width = (int(side) for side in header["shape"])
            classes = tuple(str(name) for name in header["classes"])
            step, loss = int(header["step"]), float(header["loss"])
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path} cannot be read ({one_line(error)}); it is damaged") from None
        settings = config.read(folder / "config.yaml")
        model = settings.model((channels, height, width), len(classes))
        try:
            model.load_state_dict(checkpoint.load_tensors(path))
        except RuntimeError as error:
            raise UsageError(f"{path} does not fit {folder / 'config.yaml'} ({one_line(error)})") from None
        return Run(folder, settings, model.eval(), (channels, height, width), classes, step, loss)

    def redraw(self, report: Report = log) -> tuple[Path, ...]:
        """Draws all pictures anew. Returns the files."""
        images = self.config.data.load(report)
        validation = validation_examples(self.model, self.config.data.target, images)
        scene = make_scene(self.config, self.folder, self.model, images, validation, self.step, self.loss)
        frames = read_arrays(self.folder / "frames.npz")
        lines = read_lines(self.folder / "metrics.jsonl")
        return tuple(pictures.draw(scene, self.folder / "figures", lines, frames))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file that a run wrote; none if it is not there."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({one_line(error)}); delete it to draw without animations") from None
    if set(arrays) != {"numbers", "latents", "pictures"}:
        raise UsageError(f"{path} does not hold the frames of a run; delete it to draw without animations")
    return arrays
