"""How a model came about: the frames that training kept, and the curves of its loss."""

from typing import Any

import numpy as np
import torch

from vaescope import pictures
from vaescope.data.images import ImageSet
from vaescope.explorer.blocks import Blocks, short
from vaescope.explorer.points import evenly
from vaescope.explorer.sheets import add_sheets, thumbnails
from vaescope.observers import read_lines
from vaescope.run import Run, read_arrays

Array = np.ndarray

FOLLOWED = 1500
"""Latents in a frame at most: each of them is there as often as there are frames."""

ON_A_CURVE = 2000
"""Numbers on a curve at most: more than a drawing has pixels."""

CURVES = {"steps": "step", "distortion": "distortion", "rate": "rate", "loss": "loss"}
"""What a page calls the numbers of a line of ``metrics.jsonl``."""


def travel(
    run: Run, images: ImageSet, blocks: Blocks, plane: tuple[Array, Array], with_images: bool
) -> dict[str, Any] | None:
    """Adds how latents and reconstructions of validation images came about, if the run kept frames.

    Args:
        run: The run.
        images: Its images.
        blocks: Where they are added.
        plane: The middle and the two axes of the map, with shapes (D,) and (2, D).
        with_images: Whether originals may be in it.

    Returns:
        What the page is told: see ``Travel`` in ``contents.ts``.
    """
    frames = read_arrays(run.folder / "frames.npz")
    if not frames:
        return None
    some = evenly(frames["latents"].shape[1], FOLLOWED).numpy()
    blocks.add_range("frames", flat(frames["latents"][:, some].astype(np.float32), *plane), "u8", steps=True)
    labels = images.validation.labels
    if labels is not None:
        blocks.add_classes("frame_labels", labels[: frames["latents"].shape[1]][some].numpy())
    shown, made = pictures.shown_indices(images), frames["pictures"]
    originals = thumbnails(torch.from_numpy(images.validation.greys(shown)))
    made = thumbnails(torch.from_numpy(made.reshape(-1, *made.shape[2:])).float() / 255)
    return {
        "numbers": short(frames["numbers"]),
        "originals": add_sheets(blocks, "original", originals) if with_images else None,
        "pictures": add_sheets(blocks, "frame", made),
        "followed": len(shown),
        "names": [] if labels is None else [class_name(run, label) for label in labels[shown].tolist()],
    }


def flat(z: Array, middle: Array, axes: Array) -> Array:
    """Latents with shape (F, M, D) as points of the map, with shape (F, M, 2): up to two latents as they are."""
    if z.shape[-1] > 2:
        return (z - middle) @ axes.T
    return np.concatenate([z, np.zeros((*z.shape[:2], 2 - z.shape[-1]), z.dtype)], -1)


def class_name(run: Run, label: int) -> str:
    """The name of a class, nothing of none."""
    return run.classes[label] if label >= 0 else ""


def curves(run: Run, images: ImageSet) -> dict[str, Any] | None:
    """The loss and its parts as training went on, and the floor that no model can go below, if there is one."""
    lines = read_lines(run.folder / "metrics.jsonl")

    def curve(split: str) -> dict[str, list[Any]]:
        rows = [line for line in lines if line["split"] == split]
        rows = [rows[k] for k in evenly(len(rows), ON_A_CURVE).tolist()]
        return {key: short(np.array([row.get(name) for row in rows], float)) for key, name in CURVES.items()}

    if not lines:
        return None
    floor = run.target.floor(images.validation.images)
    return {"train": curve("train"), "validation": curve("validation"), "floor": floor}
