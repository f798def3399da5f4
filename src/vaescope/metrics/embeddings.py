"""Points that stand for images: the codes of a model, and what they have to be better than.

Latents are compared with as many principal components of the same images, which a linear autoencoder would find, and
with the pixels themselves. All three are made from the same training images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.images import Split
from vaescope.metrics.score import InapplicableError
from vaescope.metrics.subject import SplitName, Subject
from vaescope.models import SemiVAE, encode

WIDE, FEW = 2048, 2000
"""Principal components of images with more values than this are those of so many images at most: the matrix of these
images' products is then the smaller one."""

AT_ONCE = 2000
"""Images at a time."""

NEGLIGIBLE = 1e-7
"""The share of the largest variance below which a component is no more than rounding."""


@dataclass(frozen=True)
class Principal:
    """A projection to principal components.

    Args:
        mean: What is taken off, with shape (P,).
        axes: The components in the order of falling variance, with shape (P, D).
        variance: These variances, with shape (D,).
        images: The number of images that they are the components of.
    """

    mean: Tensor
    axes: Tensor
    variance: Tensor
    images: int

    def __call__(self, rows: Tensor) -> Tensor:
        """Points with shape (N, D), of rows with shape (N, P)."""
        return (rows - self.mean) @ self.axes

    def back(self, points: Tensor) -> Tensor:
        """The rows nearest to these that the components can make, with shape (N, P)."""
        return points @ self.axes.T + self.mean

    @property
    def words(self) -> str:
        """How many components there are."""
        count = self.axes.shape[1]
        return f"PCA, {count} component{'s' if count > 1 else ''}"


def principal_axes(rows: Examples, count: int) -> Principal:
    """The first principal components.

    Args:
        rows: N rows with P values each. Where P is above 2,048, only 2,000 of the rows are looked at.
        count: The number D of components; there are no more than the rows or the values allow.
    """
    width = rows[:1].values.shape[1]
    rows = rows[spread(len(rows), FEW)] if width > WIDE else rows
    count = max(1, min(count, width, len(rows) - 1))
    return (_wide if width > len(rows) else _tall)(rows, count)


def _tall(rows: Examples, count: int) -> Principal:
    """From the covariance of the values, a part of the rows at a time."""
    shift = rows[:AT_ONCE].values.mean(0)  # near the mean, so that no digits cancel
    total, product = torch.zeros(len(shift)).double(), torch.zeros(len(shift), len(shift)).double()
    for part in rows.split(AT_ONCE):
        centred = part.values - shift
        total += centred.sum(0)
        product += centred.T @ centred
    mean = total / len(rows)
    variance, axes = torch.linalg.eigh(product / len(rows) - mean.outer(mean))  # in the order of rising variance
    axes, variance = axes[:, -count:].flip(1), variance[-count:].flip(0).clamp(min=0)
    return Principal((shift + mean).to(shift), axes.to(shift), variance.to(shift), len(rows))


def _wide(rows: Examples, count: int) -> Principal:
    """From the products of the rows with one another."""
    values = rows.values
    mean = values.mean(0)
    centred = values - mean
    variance, combined = torch.linalg.eigh((centred @ centred.T).double() / len(rows))
    kept = variance > NEGLIGIBLE * variance[-1]
    kept[:-count], kept[-1] = False, True
    axes = centred.T @ combined[:, kept].to(mean)
    axes = axes / axes.norm(dim=0).clamp(min=1e-30)
    return Principal(mean, axes.flip(1), variance[kept].flip(0).clamp(min=0).to(mean), len(rows))


@dataclass(frozen=True)
class Embedding:
    """Points for the images of every split.

    Args:
        name: What programs call it, behind the name of a score; nothing for the codes of the model.
        title: What tables call it.
        protocol: How the points are made, in words.
        examples: From the name of a split to its points, as examples whose values have shape (N, D).
        of_data: Whether they are made without the model.
        warning: What keeps numbers of them from being trusted.
    """

    name: str
    title: str
    protocol: str
    examples: Callable[[SplitName], Examples]
    of_data: bool = True
    warning: str = ""


def embeddings(subject: Subject) -> Iterator[Embedding]:
    """The codes of a model, as many principal components, and pixels."""
    codes = Codes(subject)
    latents = codes("test").values.shape[1]
    yield Embedding("", "codes", codes.protocol, codes, False, codes.warning)
    axes = principal_axes(pixels(subject.split("train")), latents)
    of = f"principal components of the greys of {axes.images:,} training images"
    yield Embedding("_pca", axes.words, of, lambda name: viewed(pixels(subject.split(name)), axes))
    yield Embedding("_pixels", "raw pixels", "greys in [0, 1]", lambda name: pixels(subject.split(name)))


def known_labels(subject: Subject, most: int) -> tuple[Tensor, Tensor, str]:
    """Training images whose labels are known, evenly spread, for what learns from labels.

    Args:
        subject: The model and its images.
        most: How many, at most.

    Returns:
        Their numbers and their labels, with shape (N,) each, and how many they are of what, in words.

    Raises:
        InapplicableError: If there are no labels, or only one is among them.
    """
    known = subject.split("train").labels
    whole = known is None or len(subject.images.classes) < 2 or bool((known >= 0).all())
    labels, which = (subject.labels("train"), "") if whole else (known, " whose labels are known")
    assert labels is not None
    places = (labels >= 0).nonzero()[:, 0]
    places = places[spread(len(places), most)]
    if len(labels[places].unique()) < 2:
        raise InapplicableError(f"the {len(places):,} training images{which} to learn from are of one class")
    return places, labels[places], f"{len(places):,} training images{which}"


def spread(count: int, most: int) -> Tensor:
    """The numbers of at most so many of all rows, evenly spread: one's own images often come class after class.

    Args:
        count: The number of all rows.
        most: How many to take.
    """
    taken = min(count, most)
    return torch.arange(taken) * count // taken


def pixels(split: Split) -> Examples:
    """The images of a split as rows of greys in [0, 1], with shape (N, C * H * W), when they are asked for."""
    return Examples(split.images, view=lambda images: images.flatten(1).float() / split.top)


def viewed(rows: Examples, view: Callable[[Tensor], Tensor]) -> Examples:
    """Rows seen in a further way, when they are asked for."""
    return Examples(rows.rows, view=lambda part: view(rows.view(part)))


class Codes:
    """The centres of the posteriors of every split.

    A model that guesses labels has to guess them here: codes from an encoder that is told them would tell them again.

    Args:
        subject: The model and its images.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.guessed: dict[SplitName, Examples] = {}

    def __call__(self, name: SplitName) -> Examples:
        """The codes of a split."""
        if not isinstance(self.subject.model, SemiVAE):
            return Examples(self.subject.codes(name))
        if name not in self.guessed:
            shown = self.subject.examples(name).conditioned(None)
            self.guessed[name] = Examples(encode(self.subject.model, shown).flatten(1))
        return self.guessed[name]

    @property
    def protocol(self) -> str:
        """How they are made."""
        model = self.subject.model
        words = "codes: the centres of q(z|x)"
        words += ", of which the encoder sees one binary draw" if self.subject.target.discrete else ""
        if isinstance(model, SemiVAE):
            return words + ", at the label that the model guesses"
        return words + (", the label of each image given" if model.classes else "")

    @property
    def warning(self) -> str:
        """What keeps labels that are read off them from being trusted."""
        told = self.subject.model.classes and not isinstance(self.subject.model, SemiVAE)
        return "the encoder is told the labels, so codes may hold what images do not" if told else ""
