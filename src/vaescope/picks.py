"""What is picked for a user's own images where nothing else is said: their size, a likelihood, a network, a training.

Every pick is a key of the config, so it can be given instead, and what was picked stands in ``config.yaml``. The rules
are few, so that they can be said in a line each:

- images keep their size if they share one of 8 to 128 pixels a side; else they are scaled to at most 64 pixels on the
  shorter side, and cropped to a square where their shapes differ;
- black-and-white images get a Bernoulli likelihood, all others one of the levels of their pixels, which scores an image
  as it is in its file;
- images of up to 1,024 values get a fully connected network, larger ones a convolutional one.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vaescope.config import Config
from vaescope.data.survey import Survey
from vaescope.outline import count

KEPT = range(8, 129)
"""Sides of images that are kept."""

SHORT = 64
"""The shorter side of images that are scaled."""

FLAT = 1024
"""The values of an image that a fully connected network is picked for, at most."""

LATENTS = 32
STEPS = 2000
"""So many steps a run has, more or less: of images of 64x64 pixels three to four minutes on two cores."""

LOAD = 64 * 3 * 64 * 64
"""So many values a batch of large images has, so that a step on them takes no longer than one on 64 of 64x64 pixels."""

RATES, CLIP = (0.005, 0.002), 1.0
"""The learning rates of fully connected and of convolutional networks. At the first of them the levels of grey faces
diverged after 150 steps; with gradients of one length no single batch can throw a model off, and AdamW loses nothing by
it. There the higher rate is then better, by 50 of 1,800 nats."""

MANY = 20_000_000
"""Parameters from which on a fully connected network is spoken of: a convolutional one does with a few million."""

SCORES = {
    "binary": ("Bernoulli", "all pixels are black or white"),
    "grey": ("DiscretisedLogistic", "it scores the levels of a file as they are, in exact bits/dim"),
    "centred": ("OptimalGaussian", "it takes values in [-1, 1]"),
}
"""The likelihood for each target, and why."""

KINDS = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Picks:
    """What was picked.

    Args:
        data: Keys of the ``data`` part of a config, with their values.
        rest: Keys of all other parts, by their dotted names.
        why: Why the size, the likelihood and the network.
    """

    data: dict[str, Any]
    rest: dict[str, Any]
    why: tuple[str, str, str]

    @property
    def keys(self) -> dict[str, Any]:
        """All keys, by their dotted names."""
        return {f"data.{key}": value for key, value in self.data.items()} | self.rest


def pick(found: Survey, given: Mapping[str, Any] | None = None) -> Picks:
    """Picks everything for images.

    Args:
        found: What they are.
        given: Keys of the ``data`` part that are given, and so not picked.
    """
    given = understood(given or {})
    size, why = (given["size"], "as asked for") if "size" in given else pick_size(found.sizes)
    bits = 16 if found.bits[16] > found.bits[8] else 8
    data: dict[str, Any] = {"size": list(size), "channels": found.common_channels, "bits": bits}
    data |= {"targets": "binary" if found.two_valued else "grey"}
    data |= {key: value for key, value in given.items() if key in data}
    values = data["channels"] * math.prod(size)
    flat = values <= FLAT
    likelihood, scored = SCORES[data["targets"]]
    if data["targets"] == "binary" and not found.two_valued:
        scored = "its pixels are drawn as black or white with their grey as the probability, as asked for"
    rest = {
        "model.latent": LATENTS,
        "model.network": {"class_path": "MLP"} if flat else {"class_path": "Conv", "init_args": {"channels": 16}},
        "model.likelihood": {"class_path": likelihood}
        | ({"init_args": {"bits": data["bits"]}} if likelihood == "DiscretisedLogistic" else {}),
    }
    training = pick_training(training_images(found, given), values)
    rest |= {f"trainer.{key}": value for key, value in training.items()}
    large = f"images have {values:,} values, {'at most' if flat else 'more than'} {FLAT:,}"
    return Picks(data, rest, (why, scored, large))


def understood(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the keys that picks depend on, where they have a value that they may have; others are refused later."""
    if type(given.get("size")) is int:
        given = {**given, "size": [given["size"]] * 2}
    valid: dict[str, Callable[[Any], bool]] = {
        "size": lambda size: isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size),
        "channels": lambda channels: channels in KINDS,
        "bits": lambda bits: bits in (8, 16),
        "targets": lambda targets: targets in SCORES,
        "validation": lambda share: type(share) is float and 0 < share < 1,
        "test": lambda share: type(share) is float and 0 < share < 1,
    }
    return {key: value for key, value in given.items() if key in valid and valid[key](value)}


def pick_size(sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """The rows and columns that images are brought to, and why."""
    height, width = sizes.most_common(1)[0][0]
    if len(sizes) == 1 and height in KEPT and width in KEPT:
        return (height, width), "all have this size"
    shorter = sorted(min(size) for size in sizes.elements())
    side = max(KEPT[0], min(SHORT, shorter[len(shorter) // 2]))
    scale = side / min(height, width)
    if len({round(width / height, 2) for height, width in sizes}) == 1 and max(height, width) * scale <= 4 * SHORT:
        scaled = round(height * scale), round(width * scale)
        return scaled, f"all have one shape, scaled to {side} on the shorter side"
    what = f"of {len(sizes):,} sizes" if len(sizes) > 1 else f"all are {height}x{width}"
    return (side, side), f"{what}, scaled to cover a square whose middle is kept"


def training_images(found: Survey, given: Mapping[str, Any]) -> int:
    """About how many images there will be to train on."""
    shares = (given.get(part, 0.1) for part in ("validation", "test") if not found.parts[part])
    return round((found.parts["train"] + found.parts[None]) * max(0.0, 1 - sum(shares)))


def pick_training(images: int, values: int) -> dict[str, Any]:
    """How to train: keys of the ``trainer`` part of a config.

    Small sets get small batches, so that an epoch has at least some twenty steps, and many epochs; the smallest a third
    for a batch, for there may be fewer images than one should think. They are soon learned by heart, faces later than
    photographs of anything, so a run ends when an eighth of its epochs has gone by without a better validation.

    Args:
        images: The number of training images, more or less.
        values: The values of an image.
    """
    most = 256 if values <= FLAT else min(64, max(8, LOAD // values))
    batch = min(2 ** int(math.log2(min(most, max(16, images / 20)))), max(1, images // 3))
    epochs = min(400, math.ceil(STEPS / max(1, images // batch)))
    return {
        "batch_size": batch,
        "epochs": epochs,
        "patience": max(10, math.ceil(epochs / 8)),
        "optimizer.lr": RATES[values > FLAT],
        "clip": CLIP,
    }


def in_words(picks: Picks, found: Survey, settings: Config) -> list[str]:
    """What a run is made of in three lines: the images, their likelihood, the network; and why, where it was picked."""
    data = settings.data
    size = data.sides or found.common_size
    channels = data.channels or found.common_channels
    classes = len(found.classes) if len(found.classes) > 1 else 0
    model = settings.model((channels, *size), classes)
    network, latent = getattr(settings.model, "network", None), model.prior.latent
    likelihood = type(model.likelihood.family).__name__
    of = f" in {classes:,} classes" if classes else ""
    wanted = picks.rest["model.network"]["class_path"], picks.rest["model.likelihood"]["class_path"]
    why = [
        picks.why[0] if list(size) == picks.data["size"] else "",
        picks.why[1] if likelihood == wanted[1] else "",
        picks.why[2] if type(network).__name__ == wanted[0] else "",
    ]
    clear = " over white" if channels in (1, 3) and found.channels[2] + found.channels[4] else ""
    lines = [
        f"images      {found.count:,}{of}, {size[0]}x{size[1]} {KINDS[channels]}{clear} of {data.bits} bits",
        f"likelihood  {likelihood} of {data.targets} targets",
        f"network     {type(network).__name__}, {latent} latents, {count(model):,} parameters; "
        f"{settings.trainer.epochs} epochs in batches of {settings.trainer.batch_size}",
    ]
    said = [f"{line}: {reason or 'as asked for'}" for line, reason in zip(lines, why, strict=True)]
    if count(model) > MANY and type(network).__name__ in ("MLP", "Linear"):
        said[2] += "; its layers are as wide as an image, a Conv (--model.network Conv) has far fewer parameters"
    return said
