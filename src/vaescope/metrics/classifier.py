r"""A small convolutional classifier: what it makes of an image just before it decides is the image in a few numbers.

Distances between images mean little in pixels. In the penultimate layer of a network that tells the classes of the
data apart they mean more, and such a network is trained in seconds, on the data themselves:

.. math:: x \to \mathrm{conv}_{5, /2} \to \mathrm{conv}_{3, /2} \to \mathrm{conv}_{3, /2} \to
    \phi(x) \in \mathbb{R}^{64} \to \mathrm{softmax}

Where the images have no labels, the classes are the four quarter turns of an image, which is known by construction.

References:
    | The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang et al., 2018)
    | https://arxiv.org/abs/1801.03924
    | Unsupervised Representation Learning by Predicting Image Rotations (Gidaris et al., 2018)
    | https://arxiv.org/abs/1803.07728
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from vaescope.models import seeded

LARGEST = 32
"""The classifier sees images of at most so many rows and columns."""

SMALLEST = 8

FEATURES = 64
"""The numbers that an image becomes."""

TURNS = 4
"""The quarter turns of an image, which are its classes where it has no label."""

BATCH = 128
RATE = 5e-3

Tick = Callable[[int, int], None]


class Classifier(nn.Module):
    """From greys to classes.

    Args:
        channels: The channels C of an image.
        side: The rows and columns that images are brought to, by bilinear interpolation, antialiased.
        classes: The number K of classes.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.side = side
        small = math.ceil(side / 8)
        self.body = nn.Sequential(
            *_halving(channels, 16, 5),
            *_halving(16, 48, 3),
            *_halving(48, 64, 3),
            nn.Flatten(),
            nn.Linear(64 * small**2, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)

    def features(self, greys: Tensor) -> Tensor:
        """The penultimate activations.

        Args:
            greys: Images in [0, 1], with shape (N, C, H, W).

        Returns:
            Features, with shape (N, 64).
        """
        small = resized(greys, self.side) - 0.5
        return self.body(small.contiguous(memory_format=torch.channels_last))

    def forward(self, greys: Tensor) -> Tensor:
        """The logits of the classes, with shape (N, K)."""
        return self.head(self.features(greys))


def _halving(channels: int, wider: int, kernel: int) -> tuple[nn.Module, ...]:
    """The layers that halve the sides of an image."""
    convolution = nn.Conv2d(channels, wider, kernel, stride=2, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(wider), nn.ReLU()


def resized(greys: Tensor, side: int) -> Tensor:
    """Images with as many rows and columns, by bilinear interpolation, antialiased.

    Args:
        greys: Images, with shape (N, C, H, W).
        side: The rows and columns.
    """
    if greys.shape[2:] == (side, side):
        return greys
    return interpolate(greys, (side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def side_of(shape: tuple[int, ...]) -> int:
    """The rows and columns that a classifier of images of a shape (C, H, W) sees."""
    return max(SMALLEST, min(LARGEST, max(shape[1:])))


def turned(greys: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Every image in its four quarter turns, made square first, and which turn it is.

    Args:
        greys: N images, with shape (N, C, H, W).
        side: The rows and columns of the square.

    Returns:
        Images with shape (4 N, C, side, side) and labels with shape (4 N,).
    """
    square = resized(greys, side)
    turns = torch.cat([square.rot90(turn, (2, 3)) for turn in range(TURNS)])
    return turns, torch.arange(TURNS).repeat_interleave(len(greys))


def train(
    greys: Tensor, labels: Tensor, classes: int, steps: int, seed: int = 0, tick: Tick = lambda done, total: None
) -> Classifier:
    """Trains a classifier: AdamW with one cycle of the learning rate, which ends near zero.

    Args:
        greys: Images in [0, 1], with shape (N, C, H, W).
        labels: Their classes, with shape (N,).
        classes: The number of classes.
        steps: The number of batches of 128 images, drawn with replacement.
        seed: Decides the weights and the batches.
        tick: Is told how many steps are done.

    Returns:
        The classifier, in evaluation mode.
    """
    with seeded(seed), torch.enable_grad():
        model = Classifier(greys.shape[1], side_of(greys.shape[1:]), classes)
        small = resized(greys, model.side)
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
        for step in range(steps):
            batch = torch.randint(len(small), (BATCH,))
            optimizer.zero_grad()
            cross_entropy(model(small[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
            tick(step + 1, steps)
    return model.eval()


@torch.no_grad()
def accuracy(model: Classifier, greys: Tensor, labels: Tensor) -> float:
    """The share of images whose class a classifier finds.

    Args:
        model: The classifier.
        greys: Images in [0, 1], with shape (N, C, H, W).
        labels: Their classes, with shape (N,).
    """
    parts = zip(greys.split(1000), labels.split(1000), strict=True)
    return sum(int((model(part).argmax(1) == known).sum()) for part, known in parts) / len(greys)
