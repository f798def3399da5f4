"""Feature spaces: what turns images into the few numbers in which generated and real ones are compared.

Two distances compare only if they were measured in the same space, so a space has a name with a hash in it:

- Of Fashion-MNIST and MNIST the weights of a small classifier are part of vaescope (``python -m bench.features`` makes
  them), so everybody measures in the same space.
- For any other images such a classifier is trained in seconds, on their training split, and kept in the cache, under a
  hash of these images; without labels it tells the four quarter turns of an image apart.
- A network of the user's own, such as Inception, is an ONNX file, which holds no code.

References:
    | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017), for
      distances in the features of Inception
    | https://arxiv.org/abs/1706.08500
    | On the Evaluation of Generative Models in High-Resolution Image Synthesis and of the Features They Are Judged by
      (Stein et al., 2023), for how much the features decide
    | https://arxiv.org/abs/2306.04675
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from vaescope.data.images import ImageSet, Split
from vaescope.data.rows import chunks
from vaescope.errors import UsageError
from vaescope.files import atomic_file, cache_folder
from vaescope.foreign import from_json
from vaescope.metrics.classifier import TURNS, Classifier, Tick, accuracy, side_of, train, turned
from vaescope.optional import needed

SHIPPED = {"fashion-mnist": "fashion-mnist", "sample": "fashion-mnist", "mnist": "mnist"}
"""The image sets whose space comes with vaescope, and the file that holds it."""

WEIGHTS = Path(__file__).with_name("weights")

INCEPTION = "inception-v3"
"""The name of the features in which a Fréchet distance is called FID."""

LEARNED = 20_000
"""Images that a classifier is trained on, at most, drawn from the training split."""

STEPS = 200
"""The steps of its training, a few seconds."""

FORMAT = 1

Extract = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FeatureSet:
    """A feature space.

    Args:
        name: What it is called, with the first eight digits of the SHA-256 of its weights.
        dimension: The number of features F.
        note: What is known of it, in words.
        extract: From some greys in [0, 1], with shape (N, C, H, W), to their features, with shape (N, F).
    """

    name: str
    dimension: int
    note: str
    extract: Extract

    def __str__(self) -> str:
        return f"features {self.name} ({self.dimension} numbers{', ' * bool(self.note)}{self.note})"

    @property
    def inception(self) -> bool:
        """Whether these are those of Inception."""
        return self.name.rpartition("-")[0] == INCEPTION

    def of(self, greys: Tensor) -> Tensor:
        """The features of images, a few at a time.

        Args:
            greys: Images in [0, 1], with shape (N, C, H, W).

        Returns:
            Features, with shape (N, F), as float32.
        """
        with torch.no_grad():
            return torch.cat([self.extract(part) for part in greys.split(500)])

    def of_split(self, split: Split) -> Tensor:
        """The features of a split, with shape (N, F), as float32; the images are read a part at a time."""
        return torch.cat([self.of(part.float() / split.top) for part in chunks(split.images)])


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a classifier learns from.

    Args:
        kind: Whether the classes are those of the images ("classifier") or their quarter turns ("rotations").
        greys: Images in [0, 1], with shape (N, C, H, W).
        labels: Their classes, with shape (N,).
        classes: The number of classes.
    """

    kind: str
    greys: Tensor
    labels: Tensor
    classes: int

    def digest(self) -> str:
        """A hash of all of it, and of how a classifier is trained on it."""
        settings = (FORMAT, STEPS, self.kind, self.classes, tuple(self.greys.shape), torch.__version__)
        digest = hashlib.blake2b(repr(settings).encode(), digest_size=16)
        for part in (*self.greys.split(1000), self.labels):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()


def lesson(split: Split, classes: int) -> Lesson:
    """Images with labels to learn features from: those of a split, or their quarter turns where these are not known.

    Args:
        split: The split. Of a large one some images are drawn, always the same.
        classes: The number of classes; with less than two the turns are learned.
    """
    order, labels = torch.from_numpy(np.random.default_rng(0).permutation(len(split))), split.labels
    if labels is not None and classes > 1 and bool((labels >= 0).any()):
        chosen = order[labels[order] >= 0][:LEARNED].sort().values
        return Lesson("classifier", split.images[chosen].float() / split.top, labels[chosen], classes)
    greys = split.images[order[: LEARNED // TURNS].sort().values].float() / split.top
    return Lesson("rotations", *turned(greys, side_of(greys.shape[1:])), TURNS)


def default_features(images: ImageSet, tick: Tick = lambda done, total: None) -> FeatureSet:
    """The feature space of an image set: the one that comes with vaescope, or else one that is learned from it.

    Args:
        images: The image set.
        tick: Is told how many steps of the training are done.
    """
    if images.name in SHIPPED and images.shape == (1, 28, 28):
        return read_classifier(WEIGHTS / f"{SHIPPED[images.name]}.safetensors")
    learned = lesson(images.train, len(images.classes))
    path = cache_folder() / "features" / f"{learned.digest()}.safetensors"
    try:
        return read_classifier(path)
    except UsageError:  # not there yet, or damaged
        return _learn(path, images, learned, tick)


def _learn(path: Path, images: ImageSet, learned: Lesson, tick: Tick) -> FeatureSet:
    """Trains a classifier and keeps it."""
    model = train(learned.greys, learned.labels, learned.classes, STEPS, tick=tick)
    note = "a small network trained on the training images"
    held = lesson(images.validation, learned.classes if learned.kind == "classifier" else 0)
    if held.kind == learned.kind:
        what = "images" if held.kind == "classifier" else "quarter turns"
        note += f", {accuracy(model, held.greys, held.labels):.1%} of the validation {what} right"
    name = re.sub(r"[^a-z0-9]+", "-", images.name.lower()).strip("-")
    try:
        save_classifier(path, model, f"{name}-{learned.kind}", note)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}): set VAESCOPE_CACHE to a folder with room"
        ) from None
    return read_classifier(path)


def save_classifier(path: Path, model: Classifier, name: str, note: str) -> None:
    """Writes the weights of a classifier, rounded to 16 bits.

    Args:
        path: The ``.safetensors`` file.
        model: The classifier.
        name: What its features are called, without the hash.
        note: What is known of them, in words.
    """
    facts = {"format": FORMAT, "name": name, "note": note, "side": model.side}
    weights = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    with atomic_file(path) as temporary:
        save_file(weights, temporary, {"vaescope": json.dumps(facts)})


def read_classifier(path: Path) -> FeatureSet:
    """The feature space of a classifier that :func:`save_classifier` wrote.

    Raises:
        UsageError: If the file is not there or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = from_json((file.metadata() or {})["vaescope"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}")
        first, last = weights["body.0.weight"], weights["head.weight"]
        model = Classifier(first.shape[1], int(facts["side"]), len(last))
        model.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UsageError(f"{path} holds no features ({' '.join(str(error).split())[:200]}): delete it") from None
    name = f"{facts['name']}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    return FeatureSet(name, last.shape[1], str(facts["note"]), model.eval().features)


def onnx_features(name: str, path: Path) -> FeatureSet:
    """The features that a network of the user's own gives, as onnxruntime runs it.

    The network takes images with shape (N, C, H, W), C being 1 or 3, as float32 in [0, 1]: what it wants them centred
    or scaled to is part of the file. Images are brought to its rows and columns by bilinear interpolation, antialiased.
    Its first output, flattened, is the features.

    Args:
        name: What to call them; of ``inception-v3`` a Fréchet distance is titled FID.
        path: The ONNX file.

    Raises:
        UsageError: If onnxruntime is not installed, the file cannot be run, or the network takes something else.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*", name):
        raise UsageError(
            f"--features is named {name!r}: give lower-case letters, digits and hyphens, as in {INCEPTION}=FILE.onnx"
        )
    if not path.is_file():
        raise UsageError(f"--features {name}={path}: there is no such file; give one in the ONNX format")
    runtime = needed("export", "onnxruntime")
    try:
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        taken = session.get_inputs()
        shape = taken[0].shape
    except Exception as error:  # onnxruntime raises classes of its own, which have only this one in common
        raise UsageError(f"{path} is no network that onnxruntime can run ({_brief(error)})") from None
    fixed = len(shape) == 4 and shape[1] in (1, 3) and all(isinstance(side, int) for side in shape[2:])
    if len(taken) != 1 or not fixed or taken[0].type != "tensor(float)":
        found = f"{len(taken)} inputs" if len(taken) != 1 else f"{taken[0].type} of shape {shape}"
        raise UsageError(f"{path} takes {found}: it should take float32 images, (N, 3, H, W) with H and W in numbers")
    extract = partial(_run, session, str(taken[0].name), tuple(shape))
    try:
        dimension = extract(torch.full((1, *shape[1:]), 0.5)).shape[1]
    except Exception as error:
        raise UsageError(f"{path} cannot be run on an image ({_brief(error)})") from None
    full = f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    return FeatureSet(full, dimension, f"images resized to {shape[2]}x{shape[3]}, bilinear, antialiased", extract)


def _run(session: Any, name: str, shape: tuple[Any, ...], greys: Tensor) -> Tensor:
    """The features of some images; a network that takes a fixed number of them gets as many, the last one repeated."""
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 50
    whole = isinstance(shape[0], int)
    found = []
    for part in coloured(greys, shape[1]).split(batch):
        given = interpolate(part, shape[2:], mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
        if whole and len(given) < batch:
            given = torch.cat([given, given[-1:].expand(batch - len(given), -1, -1, -1)])
        output = session.run(None, {name: given.numpy()})[0]
        found.append(torch.from_numpy(np.asarray(output, np.float32)).flatten(1)[: len(part)])
    return torch.cat(found)


def coloured(greys: Tensor, channels: int) -> Tensor:
    """Images with another number of channels: grey repeated, colour averaged, what is transparent laid over white.

    Args:
        greys: Images in [0, 1], with shape (N, C, H, W), C from 1 to 4.
        channels: 1 or 3.
    """
    if greys.shape[1] in (2, 4):
        shown, alpha = greys[:, :-1], greys[:, -1:]
        greys = shown * alpha + 1 - alpha
    if greys.shape[1] == channels:
        return greys
    return greys.expand(-1, 3, -1, -1) if channels == 3 else greys.mean(1, keepdim=True)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
