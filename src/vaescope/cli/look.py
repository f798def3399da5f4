"""``vaescope sample``, ``reconstruct``, ``encode`` and ``figures``: what can be asked of a trained model."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaescope.cli.options import Parser, positive, report, seed, temperature, writing
from vaescope.data.arrays import read_images
from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.figures import tiles
from vaescope.files import atomic_file
from vaescope.metrics.bound import CHUNK
from vaescope.models import aside
from vaescope.objectives import distortion, rate
from vaescope.pictures import reconstruct as draw_reconstructions
from vaescope.pictures import sample as draw_samples
from vaescope.run import Run


def sample(words: Sequence[str]) -> int:
    """Runs ``vaescope sample``."""
    example = "vaescope sample runs/main -n 64 -o samples.png"
    made = Parser("Draw new images from a trained model.", example, "vaescope sample")
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("-n", type=positive, default=64, help="how many images (64)")
    made.add_argument("--temperature", type=temperature, default=1.0, help="the factor on the prior's scale (1)")
    made.add_argument("--seed", type=seed, default=0, help="decides the draws (0)")
    made.add_argument("-o", "--out", type=Path, help="a .png, or .npz for the greys as bytes (RUN/samples.png)")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    images = draw_samples(run.model, run.config.data.target, asked.n, asked.temperature, asked.seed)
    out = output(asked.out or run.folder / "samples.png", (".png", ".npz"))
    with writing(out):
        if out.suffix == ".npz":
            with atomic_file(out) as temporary:
                np.savez_compressed(temporary, images=(images * 255).round().astype(np.uint8))
        else:
            title = f"{asked.n} samples at temperature {asked.temperature:g}"
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
    found = read(run, asked.images)
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
        "Write the latents of images to a file: mean and scale of the posterior, and the ELBO in nats. "
        "The same images give the same file: the one draw of the latents in the ELBO has a fixed seed.",
        "vaescope encode runs/main -o latents.npz",
        "vaescope encode",
    )
    add_images(made)
    made.add_argument("-o", "--out", type=Path, required=True, help="a .npz or .csv file")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    out = output(asked.out, (".npz", ".csv"))
    found = read(run, asked.images)
    columns = latents(run, found.examples)
    if found.labels is not None:
        columns["label"] = found.labels.numpy()
    with writing(out):
        write_table(out, columns)
    print(out)
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


def read(run: Run, path: Path | None) -> Asked:
    """The images at a path, or the test images of the run, seen as they are when the run is scored."""
    target = run.config.data.target
    if path is None:
        known = run.config.data.load(report)
        values = target.evaluation([known.validation.images, known.test.images])[1]
        examples = Examples(values, run.model.context(known.test.labels))
        return Asked(known.test.images, examples, known.test.labels, f"{known.title} test images")
    images = torch.from_numpy(read_images(path, run.shape))
    return Asked(images, Examples(target.evaluation([images])[0], run.model.context(None)), None, path.name)


def latents(run: Run, examples: Examples) -> dict[str, np.ndarray]:
    """The posterior of every image and the bound on its log-likelihood, as the run is scored.

    Args:
        run: The run.
        examples: The images as the model is shown them.

    Returns:
        ``mean`` and ``scale`` with shape (N, D), ``elbo`` with shape (N,) in nats, at one draw of the latents.
    """
    rows = []
    with aside(run.model, seed=0):
        for part in examples.split(CHUNK):
            trace = run.model(part.values, part.context)
            q = trace.sites[-1].q
            assert q is not None
            rows.append((q.mean, q.stddev, -(distortion(trace, part.values) + rate(trace))))
    mean, scale, elbo = (torch.cat(column).numpy() for column in zip(*rows, strict=True))
    return {"mean": mean, "scale": scale, "elbo": elbo}


def write_table(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Writes columns of numbers as ``.npz``, or as ``.csv`` with one column a number."""
    with atomic_file(path) as temporary:
        if path.suffix == ".npz":
            np.savez_compressed(temporary, **columns)  # type: ignore[arg-type]
            return
        flat = {
            f"{name}{i + 1}" if column.ndim > 1 else name: values
            for name, column in columns.items()
            for i, values in enumerate(column.T if column.ndim > 1 else [column])
        }
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["index", *flat])
            writer.writerows(zip(range(len(next(iter(flat.values())))), *flat.values(), strict=True))


def output(path: Path, endings: tuple[str, ...]) -> Path:
    """A path to write to, whose ending says the format.

    Raises:
        UsageError: For another ending.
    """
    if path.suffix not in endings:
        raise UsageError(f"{path} cannot be written: its ending must be {' or '.join(endings)}")
    return path
