"""What a page is told of a run: the latents of its test images and what they come to, and how they came about."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaescope import __version__, pictures
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.distributions import HypersphericalUniform, Levels, quantiles
from vaescope.encoding import rows
from vaescope.errors import UsageError
from vaescope.explorer.blocks import Blocks
from vaescope.explorer.sheets import add_sheets
from vaescope.facts import name_of, title_of
from vaescope.figures.style import colour, cycle_note
from vaescope.metrics.bound import distortions_and_rates
from vaescope.metrics.subject import spaced
from vaescope.models import VAE, SemiVAE, aside, greys
from vaescope.models.trace import temper
from vaescope.observers import read_lines
from vaescope.outline import count
from vaescope.priors import StandardNormal
from vaescope.run import Run, read_arrays, validation_examples

Array = np.ndarray

WIDE = 16
"""From so many latents on, codes are written in one byte each."""

DRAWS, TEMPERATURES = 500, (0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
PROBABILITIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995)


def gather(run: Run, blocks: Blocks, points: int, with_images: bool) -> dict[str, Any]:
    """Adds the arrays and pictures of a page, and returns what describes them: see ``Contents`` in ``contents.ts``.

    Args:
        run: The run.
        blocks: Where they are added.
        points: How many test images are shown at most.
        with_images: Whether pictures of the image set may be in it.
    """
    images = run.data()
    split = images.test
    chosen = spaced(len(split), points) if points < len(split) else slice(None)
    part = split.part(chosen)
    examples = run.target.evaluation([images.validation.images, split.images])[1]
    examples = examples.conditioned(run.model.context(split.labels))[chosen]
    found = list(rows(run.model, [examples]))
    columns = {name: np.concatenate([row[name] for row in found]) for name in found[0]}
    codes = columns["mean"]
    blocks.add_range("codes", codes, "u16" if codes.shape[1] <= WIDE else "u8")
    if "scale" in columns:
        blocks.add_range("scales", columns["scale"], "u8", log=True)
    if part.labels is not None:
        unknown = np.iinfo(np.uint16).max
        labels = part.labels.numpy()
        blocks.add_array("labels", np.where(labels < 0, unknown, labels), "u16")
    blocks.add_array("index", np.arange(len(split))[chosen], "u32")
    seen = part.images[:].float() / part.top
    made = greys.reconstruct(run.model, run.target, examples)
    error = (made - seen).square().flatten(1).mean(1).sqrt().numpy()
    scores = {"error": {"title": "reconstruction error", "unit": "RMSE of greys in [0, 1]", "worse": "high"}}
    blocks.add_range("score_error", error)
    if "predicted" in columns:
        blocks.add_array("predicted", columns["predicted"], "u16")
    for name, values in likelihoods(run.model, examples).items():
        blocks.add_range(f"score_{name}", values)
        scores[name] = {"title": name, "unit": "nats", "worse": "high"}
    if "score_rate" in blocks.layouts:  # the page has the sum of the two
        scores["elbo"] = {"title": "ELBO", "unit": "nats", "worse": "low"}
    centre, axes = principal(codes)
    blocks.add_array("middle", centre, "f32")
    blocks.add_array("axes", axes, "f32")
    byte = (255 * seen.numpy()).round().astype(np.uint8)
    model, prior = run.model, run.model.prior()
    return {
        "version": __version__,
        "run": name_of(run),
        "title": title_of(run),
        "caption": f"step {run.step:,} · validation loss {run.loss:.1f} nats per image",
        "shape": list(run.shape),
        "classes": list(run.classes),
        "colours": [colour(k, len(run.classes)) for k in range(len(run.classes))],
        "cycle": cycle_note(len(run.classes)),
        "model": {
            "latents": model.prior.latent,
            "prior": pictures.words(model.prior),
            "posterior": pictures.words(model.posterior.family),
            "likelihood": pictures.words(model.likelihood.family),
            "network": "",
            "parameters": count(model),
            "point": model.posterior.family.degenerate,
            "normal": type(model.posterior.family).__name__ == "DiagonalNormal",
            "labels": "none" if not model.classes else "found" if isinstance(model, SemiVAE) else "given",
            "support": support(prior),
            "missing": "",
            "fit": run.config.data.fit,
        },
        "prior": drawn(run, blocks),
        "points": {"count": len(codes), "of": len(split), "split": "test"},
        "scores": scores,
        "sheets": add_sheets(blocks, "sheet", byte) if with_images else None,
        "travel": travel(run, images, blocks, with_images),
        "curves": curves(run, images),
        "pictures": [],
    }


def likelihoods(model: VAE, examples: Examples) -> dict[str, Array]:
    """The distortion and the rate of every image, with shape (N,), at one draw of z, as ``vaescope train`` scores them.

    An autoencoder, whose posterior is a point, has no rate.
    """
    d, r = distortions_and_rates(model, examples).numpy()
    return {"distortion": d} if model.posterior.family.degenerate else {"distortion": d, "rate": r}


def principal(codes: Array) -> tuple[Array, Array]:
    """The mean of codes with shape (N, D), and their two principal axes, with shape (2, D)."""
    centre = codes.mean(0)
    axes = np.linalg.eigh(np.cov((codes - centre).T).reshape(codes.shape[1], -1))[1].T[::-1][:2]
    axes = axes * np.where(axes.sum(1, keepdims=True) < 0, -1, 1)
    return centre, np.concatenate([axes, np.zeros((2 - len(axes), codes.shape[1]))])


def support(prior: torch.distributions.Distribution) -> str | int:
    """Where latents may be: anywhere, on the sphere, or one-hot in groups of so many."""
    if isinstance(prior, HypersphericalUniform):
        return "sphere"
    levels = getattr(prior, "base_dist", None)
    return len(levels.values) if isinstance(levels, Levels) else "all"


def drawn(run: Run, blocks: Blocks) -> dict[str, Any]:
    """Draws of the prior at some temperatures, where it has such, and the quantiles of each latent."""
    prior, temperatures, draws = run.model.prior(), [], []
    for temperature in TEMPERATURES:
        with aside(run.model, seed=0):
            try:
                draws.append(temper(temperature, DRAWS)(0, prior, None).numpy())
            except UsageError:
                continue
        temperatures.append(temperature)
    blocks.add_range("draws", np.stack(draws))
    with aside(run.model, seed=0):
        known = quantiles(prior, torch.tensor(PROBABILITIES))
    return {
        "standard": isinstance(run.model.prior, StandardNormal),
        "temperatures": temperatures,
        "probabilities": list(PROBABILITIES),
        "quantiles": known.tolist(),
    }


def travel(run: Run, images: ImageSet, blocks: Blocks, with_images: bool) -> dict[str, Any] | None:
    """How latents and reconstructions of validation images came about, if the run kept frames."""
    frames = read_arrays(run.folder / "frames.npz")
    if not frames:
        return None
    z = frames["latents"].astype(np.float32)
    project = pictures.projection(z[-1])
    blocks.add_range("frames", project(z)[..., :2], "u8")
    labels = images.validation.labels
    if labels is not None:
        blocks.add_array("frame_labels", labels[: z.shape[1]].numpy() % 65536, "u16")
    shown = pictures.shown_indices(images)
    originals = (255 * np.asarray(images.validation.greys(shown))).round().astype(np.uint8)
    made = frames["pictures"]
    numbers = [[None if np.isnan(value) else float(value) for value in row] for row in frames["numbers"]]
    return {
        "numbers": numbers,
        "originals": add_sheets(blocks, "original", originals if with_images else originals * 0),
        "pictures": add_sheets(blocks, "frame", made.reshape(-1, *made.shape[2:])),
        "followed": len(shown),
        "names": [] if labels is None else [run.classes[k] for k in labels[shown].tolist()],
    }


def curves(run: Run, images: ImageSet) -> dict[str, Any]:
    """The loss and its parts as training went on, and the floor that no model can go below, if there is one."""
    lines = read_lines(run.folder / "metrics.jsonl")

    def curve(split: str) -> dict[str, list[Any]]:
        rows = [line for line in lines if line["split"] == split]
        return {key: [row.get(name) for row in rows] for key, name in CURVES.items()}

    floor = run.target.floor(images.validation.images)
    return {"train": curve("train"), "validation": curve("validation"), "floor": floor}


CURVES = {"steps": "step", "distortion": "distortion", "rate": "rate", "loss": "loss"}


