"""``vaescope sample``, ``reconstruct``, ``encode`` and ``figures``: what can be asked of a trained model."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaescope.cli.options import Parser, output, positive, report, seed, temperature, writing
from vaescope.data.own import open_source
from vaescope.encoding import rows
from vaescope.errors import UsageError
from vaescope.figures import tiles
from vaescope.files import atomic_file
from vaescope.models import greys
from vaescope.progress import Download
from vaescope.run import Run, Shown
from vaescope.tables import Table
from vaescope.terminal import say


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
    label = None if asked.label is None else run.class_number(asked.label)
    images = run.sample(asked.n, asked.temperature, asked.seed, label)
    out = output(asked.out or run.folder / "samples.png", (".png", ".npz"))
    with writing(out):
        if out.suffix == ".npz":
            with atomic_file(out) as temporary:
                np.savez_compressed(temporary, images=(images * 255).round().astype(np.uint8))
        else:
            of = "" if label is None else f" of {run.classes[label]}"
            title = f"{asked.n} samples{of} at temperature {asked.temperature:g}"
            footer = f"run {run.name} · step {run.step:,} · seed {asked.seed}"
            tiles.samples(out, images, title=title, footer=footer)
    say(out)
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
    out = output(asked.out or run.folder / "reconstructed.png", (".png",))
    pairs = list(reconstructed(run, read(run, asked), asked.n))
    if not pairs:
        raise UsageError(f"{asked.images} holds no image that can be read: give at least one")
    with writing(out):
        tiles.comparison(
            out,
            *map(np.concatenate, zip(*pairs, strict=True)),
            title=f"Originals over reconstructions, {asked.images or 'test images'}",
            footer=f"run {run.name} · step {run.step:,}",
        )
    say(out)
    return 0


def reconstructed(run: Run, parts: Iterator[Shown], most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """So many images at most, a part at a time: their greys, and what the model makes of them."""
    for part in parts:
        some = part.examples[:most]
        yield (
            part.images[:most].numpy() / np.float32(run.target.top),
            greys.reconstruct(run.model, run.target, some).numpy(),
        )
        most -= len(some)
        if not most:
            return


def encode(words: Sequence[str]) -> int:
    """Runs ``vaescope encode``."""
    made = Parser(
        "Write the latents of images to a file: mean (the centre of the posterior), scale (its standard deviation,\n"
        "where the posterior has one), elbo (in nats, but not of an autoencoder, which has none), label (where it is\n"
        "known), class (its name), predicted (by a model with a classifier); first its index and name, if any.\n"
        "Images that are given have the same row whatever else is asked about: the one draw of the latents in their\n"
        "ELBO comes from a hash of them. Test images of the run are seen as they were when it was scored.",
        "vaescope encode runs/main -o latents.npz",
        "vaescope encode",
    )
    add_images(made)
    made.add_argument("-o", "--out", type=Path, required=True, help="a .npz, .csv or .parquet file")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    out = Table(asked.out)
    done, named = 0, False
    with out as table:
        for part in read(run, asked):
            count = len(part.names)
            number = np.arange(done, done + count)
            columns: dict[str, Any] = {} if out.path.suffix == ".npz" else {"index": number}  # there it is the place
            named = named or asked.skip_bad or (not done and part.names != list(map(str, number)))
            columns |= {"name": part.names} if named else {}  # a name that is the place says nothing
            found = list(rows(run.model, [part.examples]))
            columns |= {column: np.concatenate([row[column] for row in found]) for column in found[0]}
            if part.labels is not None:
                columns["label"] = part.labels.numpy()
                columns["class"] = [part.classes[label] if label >= 0 else "" for label in part.labels.tolist()]
            table.add(columns)
            done += count
    say(out.path)
    return 0


def figures(words: Sequence[str]) -> int:
    """Runs ``vaescope figures``."""
    made = Parser("Draw all pictures of a run anew.", "vaescope figures runs/main", "vaescope figures")
    made.add_argument("run", type=Path, help="the run folder")
    asked = made.parse_args(words)
    for path in Run.load(asked.run).redraw(report):
        say(path)
    return 0


def add_images(made: Parser) -> None:
    """The two arguments of the verbs that look at images."""
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument(
        "images",
        nargs="?",
        help="a picture, a folder of pictures, .npy, .npz, .parquet or idx file, or hf:NAME (the run's test images)",
    )
    made.add_argument("--skip-bad", action="store_true", help="leave out images that cannot be read")
    made.add_argument("--label", help="the name or number of the class of these images, for a model with labels")


def read(run: Run, asked: Namespace) -> Iterator[Shown]:
    """The images that a verb is asked about: those at a path, or the test images of the run."""
    if asked.images is None:
        if asked.label is not None:
            raise UsageError(
                f"--label {asked.label} is for images of your own: the test images have their labels already"
            )
        return run.test_images(report)
    source = open_source(asked.images)
    parts, form = run.shown(source, asked.label, asked.skip_bad, Download()), run.form
    report(f"{source.title}: {source.size}, seen as {form.height}x{form.width}x{form.channels}, {form.fit}")
    return parts
