"""What metrics look at: a trained model and its images, with what several of them need computed once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet, Split
from vaescope.data.targets import Target
from vaescope.metrics.features import FeatureSet, default_features
from vaescope.metrics.score import InapplicableError
from vaescope.models import VAE, SemiVAE, encode, greys, seeded
from vaescope.streams import stream

SplitName = Literal["train", "validation", "test"]

Tick = Callable[[int, int], None]
"""Is told how much of how much is done of one metric."""

FEWER = 50
"""Of large images at least one in so many is looked at, which makes 20 test images: of less, metrics say nothing."""


@dataclass(frozen=True)
class Effort:
    """How much to look at.

    Args:
        name: What it is called.
        test: How many test images, at equal distances; nothing for all.
        train: How many training images, at equal distances, for what learns from them or compares with them; nothing
            for all.
        samples: The number K of draws for each image in the importance weighted bound.
        draws: How many times test images are binarised anew.
        generated: How many new images are drawn from the model.
        chains: The number of chains for each image, and ``anneal`` the number of steps of each, in annealed importance
            sampling, which looks at ``annealed`` images.
        values: How many values an image has, at most, for ``test`` and ``train`` to be meant as they stand, see
            :meth:`fitting`; nothing for any size.
    """

    name: str
    test: int | None = None
    train: int | None = None
    samples: int = 500
    draws: int = 5
    generated: int = 10_000
    chains: int = 16
    anneal: int = 200
    annealed: int = 100
    values: int | None = None

    def fitting(self, shape: Sequence[int]) -> "Effort":
        """The effort for images of a shape: of larger ones so many fewer that all their values are no more.

        The shape alone decides, and no clock, so that models of the same images are measured on the same ones.

        Args:
            shape: The shape of an image, (C, H, W).
        """
        size = math.prod(shape)
        if self.values is None or size <= self.values:
            return self
        size = min(size, FEWER * self.values)
        test, train = (most and most * self.values // size for most in (self.test, self.train))
        return replace(self, test=test, train=train)


FULL = Effort("full")
QUICK = Effort(
    "quick",
    test=1000,
    train=5000,
    samples=50,
    draws=5,
    generated=1000,
    chains=8,
    anneal=100,
    annealed=10,
    values=28 * 28,
)
"""What takes less than 20 seconds in all: 28x28 and a small network 9, 64x64 RGB and a convolutional one 10 to 17."""


def spaced(count: int, most: int | None) -> slice:
    """At most so many of some rows, at equal distances; all without a number.

    Args:
        count: How many rows there are.
        most: How many to take, or nothing for all.
    """
    step = 1 if most is None else max(1, count // most)
    return slice(0, count if most is None else step * most, step)


@dataclass(frozen=True, eq=False)
class Outliers:
    """Images of another kind than those of a run, for it to be told whether its model finds them strange.

    Args:
        title: What they are.
        images: Levels in the form of the run, with shape (N, C, H, W).
        examples: The images as the model is shown them.
    """

    title: str
    images: Tensor
    examples: Examples


class Subject:
    """A model and the images of its run.

    Args:
        model: The model, in evaluation mode.
        target: What of images it explains.
        images: Its image set.
        effort: How much to look at.
        seed: Decides all draws.
        tick: Is told how much of a metric is done.
        features: The feature space that samples are compared in; by default that of the image set.
        outliers: Images of another kind, where there are any.
    """

    def __init__(
        self,
        model: VAE,
        target: Target,
        images: ImageSet,
        effort: Effort = FULL,
        seed: int = 0,
        tick: Tick = lambda done, total: None,
        features: FeatureSet | None = None,
        outliers: Outliers | None = None,
    ) -> None:
        self.model, self.target, self.images = model, target, images
        self.effort, self.seed, self.tick = effort, seed, tick
        self.outliers = outliers
        self._features = features
        self._codes: dict[SplitName, Tensor] = {}

    def seed_for(self, use: str, *counters: int) -> int:
        """The seed of the draws for one use: other uses get others."""
        return stream(self.seed, use, *counters)

    def split(self, name: SplitName) -> Split:
        """The images of a split that are looked at: all validation images, and as many others as the effort says, at
        equal distances, for images may be sorted."""
        split = self.images.splits[name]
        most = {"train": self.effort.train, "validation": None, "test": self.effort.test}[name]
        return split if most is None or most >= len(split) else split.part(spaced(len(split), most))

    def labels(self, name: SplitName) -> Tensor:
        """The labels of the images of a split, with shape (N,).

        Raises:
            InapplicableError: If there are none, only one class, or some are not known.
        """
        labels = self.split(name).labels
        if labels is None or len(self.images.classes) < 2:
            raise InapplicableError("the images have no labels")
        if int(labels.min()) < 0:
            raise InapplicableError("the labels of some images are not known")
        return labels

    def factors(self, name: SplitName) -> Tensor:
        """What the images of a split were made from, as classes of F factors, with shape (N, F).

        Raises:
            InapplicableError: If that is not known.
        """
        factors = self.split(name).factors
        if factors is None:
            raise InapplicableError("the images have no ground-truth factors")
        return factors

    def greys(self, name: SplitName) -> Tensor:
        """The images of a split as greys in [0, 1], with shape (N, C, H, W), as float32."""
        split = self.split(name)
        return split.images[:].float() / split.top

    @cached_property
    def test(self) -> Examples:
        """The test images as the model is scored on them: binary ones by the fixed draw of the protocol."""
        shown = self.target.evaluation([self.images.validation.images, self.images.test.images])[1]
        return self._conditioned(shown[spaced(len(shown), self.effort.test)], "test")

    @cached_property
    def train(self) -> Examples:
        """The training images as the model is shown them; binary ones by draws that are a hash of each."""
        return self._conditioned(self.target.alone(self.split("train").images), "train")

    @cached_property
    def validation(self) -> Examples:
        """The validation images as the model is scored on them."""
        return self._conditioned(self.target.evaluation([self.images.validation.images])[0], "validation")

    def examples(self, name: SplitName) -> Examples:
        """The images of a split as the model is shown them."""
        return {"train": lambda: self.train, "validation": lambda: self.validation, "test": lambda: self.test}[name]()

    def codes(self, name: SplitName) -> Tensor:
        """The centres of the posteriors of a split, with shape (N, D), on the CPU."""
        if name not in self._codes:
            self._codes[name] = encode(self.model, self.examples(name)).flatten(1)
        return self._codes[name]

    @cached_property
    def features(self) -> FeatureSet:
        """The feature space that samples are compared in."""
        return self._features or default_features(self.images, self.tick)

    @cached_property
    def reconstructions(self) -> Tensor:
        """What the model makes of the test images, from these centres: greys in [0, 1], with shape (N, C, H, W)."""
        return greys.reconstruct(self.model, self.target, self.test)

    def generated(self, count: int, part: int = 0) -> Tensor:
        """New images, the means of the likelihood at draws of the prior: greys in [0, 1], with shape (count, C, H, W).

        Of a model with labels these are drawn as often as training images have them, or from the model's own prior.

        Args:
            count: How many.
            part: Which of several independent sets, for many images to be gone through a few at a time.
        """
        labels = None
        if self.model.classes:
            own = isinstance(self.model, SemiVAE)
            known = torch.arange(self.model.classes) if own else self.labels("train")
            with seeded(self.seed_for("labels", part)):
                labels = known[torch.randint(len(known), (count,))]
        context = self.model.context(labels)
        return greys.sample(self.model, self.target, count, seed=self.seed_for("samples", part), context=context)

    def _conditioned(self, examples: Examples, name: SplitName) -> Examples:
        return examples.conditioned(self.model.context(self.split(name).labels))
