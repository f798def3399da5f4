"""What latents tell of the classes: the accuracy of a vote among nearest neighbours."""

import torch
from torch import Tensor


def neighbour_accuracy(
    known: Tensor, known_labels: Tensor, asked: Tensor, asked_labels: Tensor, neighbours: int = 10
) -> float:
    """The share of points whose label is the most frequent one among their nearest neighbours, by Euclidean distance.

    Args:
        known: Points whose labels vote, with shape (N, D).
        known_labels: Their labels, with shape (N,).
        asked: Points whose labels are guessed, with shape (M, D).
        asked_labels: Their labels, with shape (M,).
        neighbours: How many of the nearest vote. Of labels with as many votes the smallest wins.
    """
    right = 0
    for points, labels in zip(asked.split(500), asked_labels.split(500), strict=True):
        nearest = torch.cdist(points, known).topk(min(neighbours, len(known)), largest=False).indices
        right += int((known_labels[nearest].mode(1).values == labels).sum())
    return right / len(asked)
