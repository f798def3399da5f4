"""From a model to its pictures: runs the model for what each picture shows, and hands the arrays to ``figures``.

All pictures here are of the validation split; the test split is looked at by evaluation alone.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.data.targets import Target
from vaescope.errors import UsageError
from vaescope.metrics import examine
from vaescope.metrics.latents import ACTIVE
from vaescope.models import VAE, SemiVAE, aside, encode, greys
from vaescope.outline import Layer, count, model_outline
from vaescope.priors import StandardNormal
from vaescope.walks import landscape, paths

Array = np.ndarray

COLUMNS, MOST_ROWS = 10, 30
"""Draws of the latents and classes, at most, in the picture of classes."""

BANDS, FEW = 15, 3
"""Classes, at most, in the picture of reconstructions, and the images that they need for a row each, on average."""

TITLE = 60
"""The letters of the name of a set, at most, that stand in a title."""

ROOM, FEWEST = 1344, 9
"""The latent space is decoded at so few points a side that tiles of full size keep to so many pixels, but no fewer."""

PROPER = {"Bernoulli", "Fisher", "Gaussian", "Householder", "Laplace", "Mises"}
"""Words in the names of classes that keep their capital."""

CAPTIONS = {
    "training.png": "the loss, -ELBO, and its two parts: the distortion -log p(x|z), how badly the image is "
    "explained, and the rate KL(q(z|x) || p(z)), how much is said about it. The dotted line is the entropy of the "
    "binarised pixels, which no model can go below. Where something else is minimised than -ELBO, it is shown too",
    "latent_space.png": "the decoder's image at every point of the latent plane. The points are quantiles of the "
    "prior, so each tile is equally likely; of a sphere they are angles, of an autoencoder quantiles of its codes",
    "latent_representation.png": "where the encoder puts images, coloured by class; the circles are one and two "
    "standard deviations of the prior",
    "latent_activity.png": "how much every latent says about the image, its part of the rate in nats, and how many "
    "latents were in use as training went on. Unused ones are grey: a model with more latents than it needs leaves "
    "some; where all are, the posterior has collapsed",
    "reconstructions.png": "images over what is left of them after passing through the latents",
    "samples.png": "new images: latents drawn from the prior, decoded",
    "classes.png": "of a model with labels: the same draws of the latents in every class, so that style can be told "
    "from class",
    "traversals.png": "what each latent does, the others held still",
    "architecture.png": "the model as it was built, with shapes and parameter counts",
    "latent_representation.gif": "the latents separating into classes as training goes on",
    "latent_progression.gif": "reconstructions approaching their originals as training goes on",
}
"""What every picture of a run shows, in the order in which to look at them."""


@dataclass(frozen=True)
class Figures:
    """What to draw.

    Args:
        frames: How many frames the animations have; 0 for none.
        points: How many validation images the pictures of the latents show.
        grid: How many images a side the decoded latent grid has.
        samples: How many samples to draw.
        explorer: Whether training ends with explorer.html, a page in which the model runs.

    Raises:
        UsageError: For counts that make no picture.
    """

    frames: int = 72
    points: int = 5000
    grid: int = 21
    samples: int = 64
    explorer: bool = True

    def __post_init__(self) -> None:
        for name, least, most in (("points", 1, 100_000), ("grid", 2, 50), ("samples", 1, 2500), ("frames", 0, 500)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"figures.{name} is {getattr(self, name)}: give a number from {least} to {most:,}")
        if self.frames == 1:
            raise UsageError("figures.frames is 1: give at least 2, or 0 for no animations")


@dataclass(frozen=True)
class Scene:
    """What the pictures of a run are drawn from.

    Args:
        model: The model.
        images: The image set.
        examples: The N validation images as the model is shown them.
        target: How values become greys.
        settings: What to draw.
        objective: What training minimised, in words.
        caption: The run, the step and the loss, for the foot of every picture.
    """

    model: VAE
    images: ImageSet
    examples: Examples
    target: Target
    settings: Figures
    objective: str
    caption: str

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def labels(self) -> Tensor | None:
        """The labels of the validation images, with shape (N,)."""
        return self.images.validation.labels

    @property
    def title(self) -> str:
        """What the images are called, as far as it fits into a title and can be written."""
        from vaescope.figures.style import drawable

        title = drawable(self.images.title) or "your own"
        return title if len(title) <= TITLE else title[: TITLE - 1].rstrip() + "…"

    @property
    def names(self) -> list[str]:
        """The names of the classes; those that cannot be written are numbered."""
        from vaescope.figures.style import drawable

        return [drawable(name) or f"class {k}" for k, name in enumerate(self.images.classes, start=1)]

    @property
    def standard(self) -> bool:
        """Whether the prior is the standard normal, so that circles show its scale."""
        return isinstance(self.model.prior, StandardNormal)

    def decode(self, z: Tensor, label: int = 0) -> Array:
        """The mean images of latents with shape (..., D), as greys with shape (..., C, H, W).

        Args:
            z: The latents.
            label: The class, for a model that is conditioned on labels.
        """
        flat = z.reshape(-1, z.shape[-1])
        images = greys.decode(self.model, self.target, flat, self.model.context(torch.full((len(flat),), label)))
        return images.reshape(*z.shape[:-1], *images.shape[1:]).numpy()

    def encode(self, examples: Examples) -> Tensor:
        """The centres of the posteriors, with shape (N, D)."""
        return encode(self.model, examples)

    def reconstruct(self, examples: Examples) -> Array:
        """What the model makes of examples, as greys with shape (N, C, H, W)."""
        return greys.reconstruct(self.model, self.target, examples).numpy()

    @property
    def point(self) -> bool:
        """Whether the posterior is a point mass, as of an autoencoder."""
        return self.model.posterior.family.degenerate

    @property
    def codes(self) -> Tensor | None:
        """The codes of validation images, with shape (N, D), where the posterior is a point mass: it has no rate that
        would keep them near the prior."""
        return self.encode(self.examples[: self.settings.points]) if self.point else None

    def strongest(self) -> list[int]:
        """The latents by their activity, the variance of the posterior's centre over images, the most active first."""
        return self.encode(self.examples[:1000]).var(0, unbiased=False).argsort(descending=True).tolist()


def of_each_class(images: ImageSet, count: int) -> list[list[int]]:
    """The indices of the first validation images of every class, at most ``count`` of each: without labels the first
    ones in one row."""
    labels = images.validation.labels
    if labels is None:
        return [list(range(min(count, len(images.validation))))]
    return [(labels == k).nonzero()[:count, 0].tolist() for k in range(len(images.classes))]


def shown_indices(images: ImageSet, count: int = 20) -> list[int]:
    """The validation images whose reconstructions are followed: of every class in turn, until there are ``count``."""
    turns = zip_longest(*of_each_class(images, count))
    return [index for turn in turns for index in turn if index is not None][:count]


def draw(scene: Scene, folder: Path, curves: Sequence[Mapping[str, object]], frames: Mapping[str, Array]) -> list[Path]:
    """Draws every picture of a run.

    Args:
        scene: What they are drawn from.
        folder: Where to.
        curves: The lines of ``metrics.jsonl``.
        frames: What the recorder took for the animations, or nothing.

    Returns:
        The files, in the order in which to look at them.
    """
    still = [latent_space, latent_representation, reconstructions, samples, traversals, architecture]
    still[4:4] = [classes] if scene.model.classes else []
    files = [training_curves(scene, folder, curves)] + [picture(scene, folder) for picture in still]
    files.insert(3, latent_activity(scene, folder, curves))
    if len(frames):
        files += [representation_animation(scene, folder, frames), progression_animation(scene, folder, frames)]
    return files


def drawn(folder: Path) -> list[Path]:
    """The pictures in a folder: first those of a run in the order in which to look at them, then others by name."""
    found = sorted(path for path in folder.glob("*") if path.suffix in (".png", ".gif") and path.is_file())
    known = list(CAPTIONS)
    return sorted(found, key=lambda path: known.index(path.name) if path.name in CAPTIONS else len(known))


def training_curves(scene: Scene, folder: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    """The -ELBO and its split in training and validation, against the steps, and the loss where it is another."""
    from vaescope.figures.curves import Curve, training_curves

    def curve(split: str) -> Curve:
        rows = [line for line in lines if line["split"] == split]
        columns = ([row.get(key) for row in rows] for key in ("step", "loss", "distortion", "rate"))
        return Curve(*(np.array(column, float) for column in columns))  # what is missing or null is not a number

    path = folder / "training.png"
    train, validation = curve("train"), curve("validation")
    rated = bool(np.isfinite(train.rate).any() or np.isfinite(validation.rate).any())
    floor = scene.target.floor(scene.images.validation.images) if rated else None  # a code may hold all that is random
    shown = "−ELBO = distortion + rate" if rated else "distortion, of an autoencoder without a rate"
    title = f"Training on {scene.title}: {shown}"
    title += "" if scene.objective == "−ELBO" else f"; minimised: {scene.objective}"
    training_curves(path, train, validation, title=title, footer=scene.caption, floor=floor)
    return path


def latent_activity(scene: Scene, folder: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    """How much every latent carries, and how many were in use and how much they said as training went on."""
    from vaescope.figures import activity

    def course(name: str, make: Callable[[Array, Array, int], activity.Course], most: int) -> list[activity.Course]:
        rows = [line for line in lines if line["split"] == "validation" and line.get(name) is not None]
        values = [np.array([row[key] for row in rows], float) for key in ("step", name)]
        return [make(values[0], values[1], most)] if rows else []

    found = examine(scene.model, scene.examples)
    rate = found.kl_per_latent
    known = None if found.active_units is None else np.array(found.centre_variance) > ACTIVE
    what = "KL, nats per image" if rate else f"variance of the {'code' if scene.point else 'posterior centre'}"
    path = folder / "latent_activity.png"
    activity.latent_activity(
        path,
        np.array(rate or found.centre_variance).clip(min=0),
        known,
        course("active_units", activity.active_units, found.latents)
        + course("mutual_information", activity.mutual_information, found.images),
        unit=what,
        title=f"What {found.latents} latents carry of {found.images:,} {scene.title} validation images",
        footer=scene.caption,
    )
    return path


def reconstructions(scene: Scene, folder: Path) -> Path:
    """Validation images over their reconstructions, one row a class."""
    from vaescope.figures import tiles

    path = folder / "reconstructions.png"
    found = {k: row for k, row in enumerate(of_each_class(scene.images, COLUMNS)) if row}
    shown = dict(list(found.items())[:BANDS])
    indices = [index for row in shown.values() for index in row]
    if sparse := len(indices) < FEW * len(shown):  # a page of half-empty rows
        indices = shown_indices(scene.images)
    originals, made = scene.images.validation.greys(indices), scene.reconstruct(scene.examples[torch.tensor(indices)])
    title = f"{scene.title} validation images and their reconstructions"
    footer = scene.caption + (" · the encoder sees the images binarised" if scene.target.discrete else "")
    if sparse or len(shown) == 1:
        tiles.comparison(path, originals, made, title=title, footer=footer)
    else:
        title += f"; {len(shown)} of {len(scene.names)} classes" if len(shown) < len(scene.names) else ""
        lengths, names = [len(row) for row in shown.values()], [scene.names[k] for k in shown]
        tiles.reconstructions(
            path, in_rows(originals, lengths), in_rows(made, lengths), names, title=title, footer=footer
        )
    return path


def in_rows(images: Array, lengths: Sequence[int]) -> Array:
    """Images with shape (N, C, H, W) in rows of some lengths, filled up with white: (R, columns, C, H, W)."""
    rows = np.ones((len(lengths), max(lengths), *images.shape[1:]), images.dtype)
    rows[np.arange(max(lengths)) < np.array(lengths)[:, None]] = images
    return rows


def samples(scene: Scene, folder: Path) -> Path:
    """New images: means of the likelihood at draws of the prior."""
    from vaescope.figures import tiles

    path = folder / "samples.png"
    title = f"{scene.settings.samples} samples of the model: latents drawn from the prior, decoded"
    title += ", all classes in turn" if scene.model.classes else ""
    labels = torch.arange(scene.settings.samples) % max(1, len(scene.names))
    images = greys.sample(
        scene.model, scene.target, scene.settings.samples, context=scene.model.context(labels)
    ).numpy()
    tiles.samples(path, images, title=title, footer=scene.caption)
    return path


def classes(scene: Scene, folder: Path) -> Path:
    """The same latents in every class of a model with labels: down a column the class changes, along a row the rest."""
    from vaescope.figures import tiles

    path = folder / "classes.png"
    names = scene.names[:MOST_ROWS]
    with aside(scene.model, seed=0):
        z = scene.model.prior().sample(torch.Size((COLUMNS,)))  # (N, D)
    images = np.stack([scene.decode(z, label) for label in range(len(names))])
    title = f"{COLUMNS} draws of the prior, each the latents of a whole column, decoded in every class"
    title += "" if len(names) == len(scene.names) else f"; the first {len(names)} classes"
    tiles.classes(path, images, names, title=title, footer=scene.caption)
    return path


def latent_space(scene: Scene, folder: Path) -> Path:
    """The decoded grid over the plane of the two most active latents, or over the sphere of the three."""
    from vaescope.figures import tiles

    path = folder / "latent_space.png"
    points = min(scene.settings.grid, max(FEWEST, ROOM // max(scene.images.shape[1:])))
    with aside(scene.model, seed=0):
        grid = landscape(scene.model.prior(), scene.strongest(), points, scene.codes)
    of = f", class {scene.names[0]}" if scene.model.classes else ""
    tiles.latent_space(
        path,
        scene.decode(grid.z),
        grid.down.numpy(),
        grid.across.numpy(),
        names=grid.names,
        title=f"The latent space of {scene.title}, decoded{of}" + (f"; {grid.rest}" if grid.rest else ""),
        footer=scene.caption,
    )
    return path


def first_label(scene: Scene) -> int:
    """The class of the first validation image, 0 where there are no labels."""
    return 0 if scene.labels is None else int(scene.labels[0])


def traversals(scene: Scene, folder: Path) -> Path:
    """What each latent does: it moves, the others stay where one image put them."""
    from vaescope.figures import tiles

    path = folder / "traversals.png"
    latents = sorted(scene.strongest()[:10])
    start = scene.encode(scene.examples[:1])[0]
    with aside(scene.model, seed=0):
        moved = paths(scene.model.prior(), start, latents, 11, scene.codes)
    all_ = len(latents) == len(start)
    which = "Each latent" if all_ else f"The {len(latents)} most active of {len(start)} latents, each"
    of = f"; class {scene.names[first_label(scene)]}" if scene.model.classes else ""
    tiles.traversals(
        path,
        scene.decode(moved.z, first_label(scene)),
        moved.values.numpy(),
        [f"z{latent + 1}" for latent in latents],
        title=f"{which} moved through {moved.through}",
        footer=f"{scene.caption} · the other latents {moved.others}{of}",
    )
    return path


@dataclass(frozen=True)
class Projection:
    """How latents of any number come onto paper: as they are up to three, else on their two principal axes.

    Args:
        centre: What is subtracted, with shape (D,).
        axes: The directions, with shape (D, d) and d of 2 or 3.
        names: The names of the d axes.
        exact: Whether the axes are the latents themselves.
    """

    centre: Array
    axes: Array
    names: tuple[str, ...]
    exact: bool

    def __call__(self, z: Array) -> Array:
        """Takes latents with shape (..., D), returns points with shape (..., d)."""
        return (z.astype(np.float32) - self.centre) @ self.axes


def projection(z: Array) -> Projection:
    """The projection for latents ``z`` with shape (N, D): it is fixed, so that in an animation motion is learning."""
    dims = z.shape[1]
    if dims <= 3:
        axes = np.eye(dims, max(dims, 2), dtype=np.float32)
        names = tuple(f"z{i + 1}" for i in range(dims)) if dims > 1 else ("z1", "")
        return Projection(np.zeros(dims, np.float32), axes, names, exact=True)
    centre = z.mean(0)
    variances, axes = np.linalg.eigh((z - centre).T @ (z - centre))
    shares = variances[:-3:-1] / max(variances.sum(), 1e-12)
    axes = axes.T[:-3:-1]
    axes = axes * np.where(axes.sum(1, keepdims=True) < 0, -1, 1)  # the sign of an axis is arbitrary: fix it
    names = tuple(f"principal axis {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares))
    return Projection(centre, axes.T, names, exact=False)


def latent_representation(scene: Scene, folder: Path) -> Path:
    """Where the model puts validation images, coloured by class."""
    from vaescope.figures import scatter

    path = folder / "latent_representation.png"
    count = scene.settings.points
    z = scene.encode(scene.examples[:count]).numpy()
    project = projection(z)
    what = "Codes" if scene.point else "Posterior centres"
    how = "" if project.exact else f", {z.shape[1]} latents on their two principal axes"
    scatter.latent_representation(
        path,
        project(z),
        None if scene.labels is None else scene.labels[:count].numpy(),
        scene.names,
        axes=project.names,
        sigma_circles=project.exact and scene.standard,
        title=f"{what} of {len(z):,} {scene.title} validation images{how}",
        footer=scene.caption,
    )
    return path


def captions(numbers: Array) -> list[str]:
    """What stands below each frame, from rows of step, epoch, distortion and rate with shape (T, 4)."""
    return [
        f"step {step:,.0f} · {f'epoch {epoch:.1f} · training' if step else 'untrained ·'} "
        + (f"distortion {d:.1f} nats" if math.isnan(r) else f"−ELBO {d + r:.1f} = {d:.1f} + {r:.1f} nats")
        for step, epoch, d, r in numbers
    ]


def representation_animation(scene: Scene, folder: Path, frames: Mapping[str, Array]) -> Path:
    """The centres of the posteriors of validation images as training goes on."""
    from vaescope.figures import animation

    path = folder / "latent_representation.gif"
    z = frames["latents"].astype(np.float32)
    project = projection(z[-1])
    how = "" if project.exact else f" (final principal axes of {z.shape[2]})"
    animation.latent_representation(
        path,
        project(z),
        None if scene.labels is None else scene.labels[: z.shape[1]].numpy(),
        scene.names,
        captions(frames["numbers"]),
        title=f"Latents of {scene.title} validation images{how}",
        axes=project.names,
        sigma_circles=project.exact and scene.standard,
    )
    return path


def progression_animation(scene: Scene, folder: Path, frames: Mapping[str, Array]) -> Path:
    """Reconstructions approaching their originals as training goes on."""
    from vaescope.figures import animation

    path = folder / "latent_progression.gif"
    shown = shown_indices(scene.images)
    labels = scene.labels
    animation.latent_progression(
        path,
        scene.images.validation.greys(shown),
        frames["pictures"],
        captions(frames["numbers"]),
        title=f"{scene.title} validation images and their reconstructions",
        names=None if labels is None else [scene.names[label] for label in labels[shown].tolist()],
    )
    return path


def architecture(scene: Scene, folder: Path) -> Path:
    """The layers of the model, with their shapes and parameter counts; equal layers in a row are drawn as one."""
    from vaescope.figures.diagram import Stage, architecture

    def stage(layers: list[Layer]) -> Stage:
        first, times = layers[0], len(layers)
        name = first.name if times == 1 else f"{first.name} ×{times}"
        return Stage(name, first.shape, times * first.parameters, first.detail)

    model, shape, example = scene.model, scene.images.shape, scene.examples[:1]
    halves = model_outline(model, example)
    encoder, decoder = ([stage(list(equal)) for _, equal in groupby(half)] for half in halves)
    output = count(model.likelihood) - count(model.likelihood.net)
    others = count(model) - sum(layer.parameters for half in halves for layer in half) - output - count(model.prior)
    path = folder / "architecture.png"
    architecture(
        path,
        encoder,
        Stage("z", tuple(model.prior().event_shape), count(model.prior)),
        decoder,
        data=Stage("x", shape, others),  # of what is beside the image, of the posterior's own, of a classifier
        output=Stage("p(x|z)", shape, output),
        prior=words(model.prior),
        posterior=words(model.posterior.family),
        likelihood=words(model.likelihood.family),
        objective=scene.objective,
        title=f"{'An autoencoder' if scene.point else 'A VAE'} of {scene.title}, {count(model):,} parameters",
        footer=scene.caption,
        example=scene.target.pixels(example.values[0]).numpy(),
        decoded=scene.reconstruct(example)[0],
        labels=described_labels(model),
        classifier=isinstance(model, SemiVAE),
        point=scene.point,
    )
    return path


def described_labels(model: VAE) -> str:
    """What the diagram says of the labels of a model, nothing where it has none."""
    if isinstance(model, SemiVAE):
        return f"one of {model.classes} classes, by a classifier q(y|x) of {count(model.classifier):,} parameters"
    return f"one of {model.classes} classes" if model.classes else ""


def words(part: object) -> str:
    """The name of a class in words: `DiagonalNormal` is a diagonal normal, `IWAE` stays as it is."""
    first, *others = re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+", type(part).__name__)
    return " ".join([first, *(word if word.isupper() or word in PROPER else word.lower() for word in others)])
