"""``vaescope sample``, ``reconstruct``, ``encode`` and ``figures``: what can be asked of a trained model."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaescope.cli.options import Parser, positive, report, seed, temperature, writing
from vaescope.data.arrays import read_images
from vaescope.data.examples import Examples
from vaescope.encoding import rows
from vaescope.encoding import sample as draw_samples
from vaescope.errors import UsageError
from vaescope.figures import tiles
from vaescope.files import atomic_file
from vaescope.metrics.bound import CHUNK
from vaescope.models import SemiVAE
from vaescope.pictures import reconstruct as draw_reconstructions
from vaescope.run import Run
from vaescope.tables import Table


def sample(words: Sequence[str]) -> int:
    """Runs ``vaescope sample``."""
    example = "vaescope sample runs/main -n 64 -o samples.png"
    made = Parser("Draw new images from a trained model.", example, "vaescope sample")
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("-n", type=positive, default=64, help="how many images (64)")
    made.add_argument("--label", help="the name or number of a class, for a model with labels (all classes in turn)")
    made.add_argument("--temperature", type=temperature, default=1.0, help="the factor on the prior's scale (1)")
    made.add_argument("--seed", type=seed, default=0, help="decides the draws (0)")
    made.add_argument("-o", "--out", type=Path, help="a .png, or .npz for the greys as bytes (RUN/samples.png)")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    label = None if asked.label is None else find_class(run, asked.label)
    images = draw_samples(run, asked.n, asked.temperature, asked.seed, label)
    out = output(asked.out or run.folder / "samples.png", (".png", ".npz"))
    with writing(out):
        if out.suffix == ".npz":
            with atomic_file(out) as temporary:
                np.savez_compressed(temporary, images=(images * 255).round().astype(np.uint8))
        else:
            of = "" if label is None else f" of {run.classes[label]}"
            title = f"{asked.n} samples{of} at temperature {asked.temperature:g}"
            footer = f"run {run.folder.name} · step {run.step:,} · seed {asked.seed}"
            tiles.samples(out, images, title=title, footer=footer)
    print(out)
    return 0


def reconstruct(words: Sequence[str]) -> int:
    """Runs ``vaescope reconstruct``."""
    example = "vaescope reconstruct runs/main photos/ -o pairs.png"
    made = Parser("Show images beside what a trained model makes of them.", example, "vaescope reconstruct")
    add_images(made)
    made.add_argument("-n", type=positive, default=32, help="how many images at most (32)")
    made.add_argument("-o", "--out", type=Path, help="a .png (RUN/reconstructed.png)")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    found = read(run, asked.images, asked.label)
    out = output(asked.out or run.folder / "reconstructed.png", (".png",))
    with writing(out):
        tiles.comparison(
            out,
            found.images[: asked.n].numpy(),
            draw_reconstructions(run.model, run.config.data.target, found.examples[: asked.n]),
            title=f"Originals over reconstructions, {found.title}",
            footer=f"run {run.folder.name} · step {run.step:,}",
        )
    print(out)
    return 0


def encode(words: Sequence[str]) -> int:
    """Runs ``vaescope encode``."""
    made = Parser(
        "Write the latents of images to a file: mean (the centre of the posterior), scale (its standard deviation,\n"
        "where the posterior has one), elbo (in nats, but not of an autoencoder, which has none), label (where it is\n"
        "known) and predicted (by a model with a classifier).\n"
        "The same image gives the same row, whatever else is asked about: the one draw of the latents in its ELBO\n"
        "comes from a hash of it.",
        "vaescope encode runs/main -o latents.npz",
        "vaescope encode",
    )
    add_images(made)
    made.add_argument("-o", "--out", type=Path, required=True, help="a .npz, .csv or .parquet file")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    out = Table(asked.out)
    found = read(run, asked.images, asked.label)
    done = 0
    with out as table:
        for columns in rows(run, found.examples.split(CHUNK)):
            number = np.arange(done, done + len(columns["mean"]))
            done += len(number)
            index = {} if out.path.suffix == ".npz" else {"index": number}  # there it is the place in the array
            label = {} if found.labels is None else {"label": found.labels.numpy()[number]}
            table.add({**index, **columns, **label})
    print(out.path)
    return 0


def figures(words: Sequence[str]) -> int:
    """Runs ``vaescope figures``."""
    made = Parser("Draw all pictures of a run anew.", "vaescope figures runs/main", "vaescope figures")
    made.add_argument("run", type=Path, help="the run folder")
    asked = made.parse_args(words)
    for path in Run.load(asked.run).redraw(report):
        print(path)
    return 0


def add_images(made: Parser) -> None:
    """The two arguments of the verbs that look at images."""
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument(
        "images",
        type=Path,
        nargs="?",
        help="a picture, a folder of pictures, .npy, .npz or idx file, of the model's size (the run's test images)",
    )
    made.add_argument("--label", help="the name or number of the class of these images, for a model with labels")


@dataclass(frozen=True)
class Asked:
    """The images that a verb is asked about.

    Args:
        images: Bytes, with shape (N, C, H, W).
        examples: The same as the model is shown them.
        labels: Their labels, if known.
        title: What they are.
    """

    images: Tensor
    examples: Examples
    labels: Tensor | None
    title: str


def read(run: Run, path: Path | None, label: str | None = None) -> Asked:
    """The images at a path, or the test images of the run, seen as they are when the run is scored.

    Args:
        run: The run.
        path: Where the images are.
        label: The class of all of them.

    Raises:
        UsageError: If they cannot be read, or for a label where there is none to give or one is missing.
    """
    target = run.config.data.target
    if path is None:
        if label is not None:
            raise UsageError(f"--label {label} is for images of your own: the test images have their labels already")
        known = run.config.data.load(report)
        values = target.evaluation([known.validation.images, known.test.images])[1]
        examples = Examples(values, run.model.context(known.test.labels))
        return Asked(known.test.images, examples, known.test.labels, f"{known.title} test images")
    number = None if label is None else find_class(run, label)
    if number is None and run.model.classes and not isinstance(run.model, SemiVAE):
        raise UsageError(f"{run.folder} is conditioned on labels: give the class of {path} with --label, {names(run)}")
    images = torch.from_numpy(read_images(path, run.shape))
    labels = None if number is None else torch.full((len(images),), number)
    return Asked(images, Examples(target.alone(images), run.model.context(labels)), labels, path.name)


def find_class(run: Run, text: str) -> int:
    """The class that is called so, in letters of any case, or has that number.

    Raises:
        UsageError: If there is none, with the nearest name, or if the model knows no classes.
    """
    if not run.model.classes:
        raise UsageError(f"{run.folder} knows no labels, so --label {text} says nothing to it: set model.labels true")
    folded = {name.casefold(): number for number, name in enumerate(run.classes)}
    if text.casefold() in folded:
        return folded[text.casefold()]
    if text.isdecimal() and int(text) < len(run.classes):
        return int(text)
    near = difflib.get_close_matches(text.casefold(), folded, n=1)
    guess = f"did you mean {run.classes[folded[near[0]]]}?" if near else f"give {names(run)}"
    raise UsageError(f"there is no class {text} in {run.folder}: {guess}")


def names(run: Run) -> str:
    """The names of the classes that there are to choose from, or the first of them."""
    listed = ", ".join(run.classes[:10])
    return f"one of {listed}" + (f" ... {run.classes[-1]}" if len(run.classes) > 10 else "")


def output(path: Path, endings: tuple[str, ...]) -> Path:
    """A path to write to, whose ending says the format.

    Raises:
        UsageError: For another ending.
    """
    if path.suffix not in endings:
        raise UsageError(f"{path} cannot be written: its ending must be {' or '.join(endings)}")
    return path
