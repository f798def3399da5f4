"""What latents tell of the classes: the accuracy of a vote among nearest neighbours."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.metrics.accuracy import share_right
from vaescope.metrics.embeddings import AT_ONCE, embeddings, known_labels
from vaescope.metrics.score import Score
from vaescope.metrics.subject import Subject

NEIGHBOURS = 10
"""How many vote."""

MOST = 50_000
"""Training images that may vote, at most."""

ASKED = 1000
"""Points whose neighbours are looked for together."""


def nearest(known: Iterable[Tensor], asked: Tensor, count: int) -> Tensor:
    """The nearest of many points, by Euclidean distance, the nearest one first.

    Args:
        known: The N points among which they are looked for, a part at a time, with shape (n, D).
        asked: Points whose neighbours are looked for, with shape (M, D).
        count: How many neighbours each has; all N where there are fewer.

    Returns:
        Their numbers, in the order in which they come, with shape (M, count).
    """
    near, indices = asked.new_empty(len(asked), 0), torch.empty(len(asked), 0, dtype=torch.int64)
    centre, before = asked.mean(0), 0  # taken off, so that distances do not drown in what all points share
    points = asked - centre
    for part in known:
        part = part - centre
        offset = part.square().sum(1) / 2
        found = [(rows @ part.T).sub_(offset).topk(min(count, len(part))) for rows in points.split(ASKED)]
        values = torch.cat((near, torch.cat([top.values for top in found])), dim=1)
        numbers = torch.cat((indices, torch.cat([top.indices for top in found]) + before), dim=1)
        near, order = values.topk(min(count, values.shape[1]))
        indices, before = numbers.gather(1, order), before + len(part)
    return indices


def vote(known: Iterable[Tensor], labels: Tensor, asked: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """The most frequent label among the nearest neighbours of points; of labels with as many votes the smallest.

    Args:
        known: Points whose labels vote, a part at a time, with shape (n, D).
        labels: The labels of all of them, with shape (N,).
        asked: Points whose labels are guessed, with shape (M, D).
        neighbours: How many of the nearest vote.

    Returns:
        Labels, with shape (M,).
    """
    return labels[nearest(known, asked, neighbours)].mode(1).values


def neighbour_accuracy(
    known: Tensor, known_labels: Tensor, asked: Tensor, asked_labels: Tensor, neighbours: int = NEIGHBOURS
) -> float:
    """The share of points whose label is the most frequent one among their nearest neighbours, by Euclidean distance.

    Args:
        known: Points whose labels vote, with shape (N, D).
        known_labels: Their labels, with shape (N,).
        asked: Points whose labels are guessed, with shape (M, D).
        asked_labels: Their labels, with shape (M,).
        neighbours: How many of the nearest vote. Of labels with as many votes the smallest wins.
    """
    guesses = vote(known.split(AT_ONCE), known_labels, asked, neighbours)
    return (guesses == asked_labels).double().mean().item()


def neighbours(subject: Subject) -> Iterator[Score]:
    """The accuracy of a vote among the nearest training images, in the codes, in principal components, in pixels."""
    places, labels, learned = known_labels(subject, MOST)
    answers = subject.labels("test")
    voters = f"the {min(NEIGHBOURS, len(labels))} nearest by Euclidean distance of {learned}"
    for turn, embedding in enumerate(embeddings(subject)):
        known = ticked(subject, embedding.examples("train"), places, turn)
        right = vote(known, labels, embedding.examples("test").values) == answers
        name, title = f"neighbours{embedding.name}", f"kNN accuracy, {embedding.title}"
        words = f"test images, by a vote of {voters}; {embedding.protocol}"
        yield share_right(name, title, right, words, embedding.of_data, embedding.warning)


def ticked(subject: Subject, points: Examples, index: Tensor, turn: int) -> Iterator[Tensor]:
    """Some of many points, a part at a time; says how far it is, of three embeddings."""
    parts = index.split(AT_ONCE)
    for number, part in enumerate(parts):
        subject.tick(turn * len(parts) + number, 3 * len(parts))
        yield points[part].values
