"""What is picked for a user's own images where nothing else is said: size, channels, bits, likelihood, network, training.

Every pick is a key of the config, so it can be given instead, and what was picked can be read in ``config.yaml``. The
rules are few, so that they can be said in a line each:

- images keep their size if they share one of 8 to 128 pixels a side; else they are scaled to 64 pixels on the shorter
  side, and cropped to a square where their shapes differ;
- black-and-white images get a Bernoulli likelihood, all others one of the levels of their pixels, which scores an image
  as it is in its file;
- images of up to 1,024 values get a fully connected network, larger ones a convolutional one.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from vaescope.data.survey import Survey

KEPT = range(8, 129)
"""Sides of images that are kept."""

SHORT = 64
"""The shorter side of images that are scaled."""

FLAT = 1024
"""The values of an image that a fully connected network is picked for, at most."""

LATENTS = 32

STEPS = 2000
"""So many steps a run has, more or less."""


@dataclass(frozen=True)
class Picks:
    """What was picked.

    Args:
        data: Keys of the ``data`` part of a config, with their values.
        rest: Keys of all other parts, by their dotted names.
        reasons: Which keys, what they came to, and why: one line each.
    """

    data: dict[str, Any]
    rest: dict[str, Any]
    reasons: tuple[tuple[tuple[str, ...], str, str], ...]


def pick(found: Survey) -> Picks:
    """Picks everything for images."""
    size, how = pick_size(found.sizes)
    channels, bits = pick_channels(found), 16 if found.bits[16] > found.bits[8] else 8
    values = channels * math.prod(size)
    likelihood, targets = ("Bernoulli", "binary") if found.two_valued else ("DiscretisedLogistic", "grey")
    network = (
        {"class_path": "MLP", "init_args": {}}
        if values <= FLAT
        else {"class_path": "Conv", "init_args": {"channels": 16}}
    )
    batch, epochs = pick_training(round(0.8 * found.count), values)
    data = {"size": list(size), "channels": channels, "bits": bits, "targets": targets}
    scored = {"class_path": likelihood, "init_args": {} if found.two_valued else {"bits": bits}}
    rest = {
        "model.latent": LATENTS,
        "model.network": network,
        "model.likelihood": scored,
        "trainer.batch_size": batch,
        "trainer.epochs": epochs,
        "trainer.optimizer.lr": 0.005 if values <= FLAT else 0.002,
    }
    kind = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGBA"}[channels]
    large = f"{values:,} values an image, {'at most' if values <= FLAT else 'more than'} {FLAT:,}"
    reasons = (
        (("data.size", "data.channels", "data.bits"), f"{size[0]}x{size[1]} {kind}, {bits} bits", how),
        (
            ("model.likelihood", "data.targets"),
            likelihood,
            "all pixels are black or white"
            if found.two_valued
            else "scores pixels as they are in their files, in bits/dim",
        ),
        (
            ("model.network", "model.latent", "trainer.batch_size", "trainer.epochs"),
            f"{network['class_path']}, {LATENTS} latents, {epochs} epochs in batches of {batch}",
            large,
        ),
    )
    return Picks(data, rest, reasons)


def pick_size(sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """The rows and columns that images are brought to, and why."""
    (height, width), most = sizes.most_common(1)[0]
    if len(sizes) == 1 and height in KEPT and width in KEPT:
        return (height, width), "the size of all images"
    ratios = {round(width / height, 2) for height, width in sizes}
    if len(ratios) == 1:
        scale = SHORT / min(height, width)
        size = (round(height * scale), round(width * scale))
        if max(size) <= 4 * SHORT:
            of = f"all are {height}x{width}" if len(sizes) == 1 else "all have one shape"
            return size, f"{of}: scaled to {SHORT} pixels on the shorter side"
    shorter = sorted(min(size) for size in sizes.elements())
    side = max(8, min(SHORT, shorter[len(shorter) // 2]))
    return (side, side), f"{len(sizes):,} sizes: scaled to cover a square, whose middle is kept"


def pick_channels(found: Survey) -> int:
    """As many channels as arrays have; of pictures 3 if any has colours, else 1, laid over white where transparent."""
    most = max(found.channels)
    return most if set(found.modes) == {"array"} else 3 if most >= 3 else 1


def pick_training(count: int, values: int) -> tuple[int, int]:
    """The size of a batch and the number of epochs for so many training images.

    Small sets get small batches, so that an epoch has at least some twenty steps, and many epochs.
    """
    largest = 256 if values <= FLAT else 64
    batch = min(largest, max(1, 2 ** int(math.log2(max(2, count / 20)))))
    steps_per_epoch = max(1, count // batch)
    return batch, min(400, max(10 if values <= FLAT else 4, math.ceil(STEPS / steps_per_epoch)))
