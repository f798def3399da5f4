r"""How alike two sets of points are: real images and generated ones in a feature space.

The Fréchet distance compares two moments,

.. math:: d^2 = \lVert \mu_r - \mu_g \rVert^2 + \mathrm{tr}\big(C_r + C_g - 2 (C_r C_g)^{1/2}\big),

and is the larger the fewer points there are. The kernel distance, a squared maximum mean discrepancy, compares three
and has no such bias. Precision and recall, density and coverage ask point by point, with balls that reach from each
point to its k-th nearest neighbour: are generated points where real ones are, and are there some around every real one?

References:
    | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
    | https://arxiv.org/abs/1706.08500
    | Demystifying MMD GANs (Bińkowski et al., 2018), for the kernel distance
    | https://arxiv.org/abs/1801.01401
    | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019)
    | https://arxiv.org/abs/1904.06991
    | Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020)
    | https://arxiv.org/abs/2002.09797
    | How Faithful is your Synthetic Data? (Alaa et al., 2022), for authenticity
    | https://arxiv.org/abs/2102.08921
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

TOGETHER = 1 << 22
"""Distances at a time."""

BLOCKS = 10
"""Parts that points are divided into, for a kernel distance or an error."""


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """The mean, with shape (F,), and the covariance, with shape (F, F), of points with shape (N, F), as float64."""
    points = points.double()
    mean = points.mean(0)
    centred = points - mean
    return mean, centred.T @ centred / max(1, len(points) - 1)


def frechet(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """The squared Fréchet distance of two normal distributions, in closed form.

    Args:
        first: The mean, with shape (F,), and the covariance, with shape (F, F), of one.
        second: Those of the other.
    """
    (mean, covariance), (other_mean, other) = first, second
    values, vectors = torch.linalg.eigh(covariance.double())
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ other.double() @ root
    overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    distance = (mean - other_mean).double().square().sum() + covariance.trace() + other.trace() - 2 * overlap
    return max(0.0, float(distance))


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The squared Fréchet distance of the normal distributions with the moments of two sets of points.

    Args:
        real: Points, with shape (N, F).
        generated: Points, with shape (M, F).
    """
    return frechet(moments(real), moments(generated))


def divided(points: Tensor, parts: int) -> list[Tensor]:
    """Points in parts of nearly the same size, shuffled first, always in the same way: their order may say something.

    Args:
        points: Points, with shape (N, F).
        parts: How many parts.
    """
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    return list(points[order].tensor_split(parts))


def jackknife_error(
    statistic: Callable[[Tensor, Tensor], float], real: Tensor, generated: Tensor, groups: int = BLOCKS
) -> float:
    """The standard error of a number that is made of two sets, from what it becomes without a part of both in turn.

    Args:
        statistic: From points with shapes (N, F) and (M, F) to the number.
        real: The points of one set.
        generated: Those of the other.
        groups: How many parts are left out in turn.
    """
    sets = [divided(points, groups) for points in (real, generated)]
    left = [statistic(*(torch.cat(parts[:k] + parts[k + 1 :]) for parts in sets)) for k in range(groups)]
    found = torch.tensor(left, dtype=torch.float64)
    return float(((groups - 1) / groups * (found - found.mean()).square().sum()).sqrt())


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """The squared maximum mean discrepancy with the kernel (x·y/F + 1)^3, without bias, so that it may be negative.

    Args:
        real: Points, with shape (N, F), at least two.
        generated: Points, with shape (M, F), at least two.
    """
    real, generated = real.double(), generated.double()
    within = sum(_off_diagonal_mean(_kernel(points, points)) for points in (real, generated))
    return float(within - 2 * _kernel(real, generated).mean())


def kernel_distances(real: Tensor, generated: Tensor, blocks: int = BLOCKS) -> Tensor:
    """The kernel distances of parts of two sets, which have no point in common.

    Args:
        real: Points, with shape (N, F), at least two for each part.
        generated: Points, with shape (M, F), at least two for each part.
        blocks: How many parts.

    Returns:
        The distances, with shape (blocks,), as float64.
    """
    pairs = zip(divided(real, blocks), divided(generated, blocks), strict=True)
    return torch.tensor([kernel_distance(*pair) for pair in pairs], dtype=torch.float64)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _off_diagonal_mean(matrix: Tensor) -> Tensor:
    return (matrix.sum() - matrix.trace()) / (len(matrix) * (len(matrix) - 1))


@dataclass(frozen=True, eq=False)
class Manifolds:
    """Of each point, whether it is where the others are.

    Args:
        precision: Of each generated point whether it is in the ball of a real one, with shape (M,).
        recall: Of each real point whether it is in the ball of a generated one, with shape (N,).
        density: For each generated point the number of real balls that it is in, divided by k, with shape (M,).
        coverage: Of each real point whether a generated one is in its ball, with shape (N,).
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def manifolds(real: Tensor, generated: Tensor, neighbours: int = 5) -> Manifolds:
    """Precision, recall, density and coverage, point by point; their means are these numbers.

    Args:
        real: Points, with shape (N, F), more than k.
        generated: Points, with shape (M, F), more than k.
        neighbours: The number k of neighbours that a ball reaches to.
    """
    real, generated = real.double(), generated.double()
    reach, other_reach = radii(real, neighbours), radii(generated, neighbours)
    dense, recalled, covered = torch.zeros(len(generated), dtype=torch.float64), [], []
    for part, distances in _rows(real, generated):
        inside = distances < reach[part, None]  # (n, M)
        dense += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distances < other_reach).any(1))
    return Manifolds(
        (dense > 0).double(), torch.cat(recalled).double(), dense / neighbours, torch.cat(covered).double()
    )


def radii(points: Tensor, neighbours: int) -> Tensor:
    """The distance of each point to its k-th nearest among the others, with shape (N,).

    Args:
        points: Points, with shape (N, F), more than k.
        neighbours: The number k.
    """
    return torch.cat(
        [d.kthvalue(neighbours + 1, dim=1).values for _, d in _rows(points, points)]
    )  # the first is itself


def nearest(asked: Tensor, known: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The nearest known points of each asked one.

    Args:
        asked: Points, with shape (N, F).
        known: Points, with shape (M, F), at least ``count``.
        count: The number K of neighbours.

    Returns:
        Their distances and their numbers, from the nearest on, both with shape (N, K).
    """
    found = [distances.topk(count, largest=False) for _, distances in _rows(asked, known)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def authentic(points: Tensor, training: Tensor) -> Tensor:
    """Of each point whether it is as far from the nearest training point as that one from its nearest other.

    A copy of a training point is not authentic, and neither is one that differs less than training points differ.

    Args:
        points: Points, with shape (N, F).
        training: Points, with shape (M, F), at least two.

    Returns:
        Ones and zeros, with shape (N,), as float64.
    """
    distances, found = nearest(points, training)
    places, back = found[:, 0].unique(return_inverse=True)
    apart = nearest(training[places], training, 2)[0][:, 1]  # the first is the point itself, or its copy
    return (distances[:, 0] >= apart[back]).double()


def _rows(asked: Tensor, known: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The distances of some asked points at a time to all known ones, with which points they are."""
    size = max(1, TOGETHER // len(known))
    for start in range(0, len(asked), size):
        part = slice(start, min(start + size, len(asked)))
        yield part, torch.cdist(asked[part], known)
