r"""What latents tell of the classes: the accuracy of a linear probe, multinomial logistic regression on codes.

.. math:: \min_{W, b} \; -\frac{1}{N} \sum_n \log \mathrm{softmax}(W^\top x_n + b)_{y_n} + \frac{\lambda}{2} \|W\|^2

The loss is convex and its minimum does not depend on how it is found: Newton's method, whose steps are solved for by
conjugate gradients. The penalty is chosen on validation images.

References:
    | Understanding intermediate layers using linear classifier probes (Alain and Bengio, 2016)
    | https://arxiv.org/abs/1610.01644
    | Trust Region Newton Method for Large-Scale Logistic Regression (Lin et al., 2008), for its solution
    | https://www.jmlr.org/papers/v9/lin08b.html
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaescope.data.examples import Examples
from vaescope.metrics.accuracy import guesses, share_right
from vaescope.metrics.embeddings import AT_ONCE, Principal, embeddings, known_labels, principal_axes
from vaescope.metrics.score import Score
from vaescope.metrics.subject import Subject
from vaescope.models import SemiVAE

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)
"""From which the penalty is chosen, as multiples of D / N: it weighs as much as the freedom that there is to overfit.
Each solution is where the search for the next one starts."""

IMAGES, VALUES = 20_000, 2**26
"""Training images, and values of all of them together, at most."""

STEPS, INNER = 50, 50
"""Steps of Newton's method, and of conjugate gradients in each, at most."""

MOST_AXES = 2048
"""Directions in which the curvature of the loss is estimated, at most; in all others it is taken to be the same."""

SOLVED = 1e-4
"""How far from its minimum the loss may be, in nats a point. Of a loss whose curvature is nowhere below the penalty it
is so near where half the square of the gradient, divided by the penalty, is."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of standardised points.

    Args:
        mean: What is taken off a point, with shape (D,).
        scale: What it is divided by then, with shape (D,).
        weight: One row for each dimension, and a last one for the constant, with shape (D + 1, K).
        classes: The labels of the K columns, with shape (K,).
        penalty: The weight of the penalty.
        loss: The minimum of the loss, in nats a point, with the penalty.
        slope: The length of the gradient there.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    classes: Tensor
    penalty: float
    loss: float
    slope: float

    def __call__(self, points: Tensor) -> Tensor:
        """The labels that it guesses, with shape (N,), of points with shape (N, D)."""
        return self.classes[((points - self.mean) / self.scale @ self.weight[:-1] + self.weight[-1]).argmax(1)]


def fit_probes(points: Tensor, labels: Tensor, penalties: Sequence[float]) -> Iterator[Probe]:
    """The linear probe of some points for each of several penalties.

    Args:
        points: The points, with shape (N, D). Each dimension is brought to mean 0 and, unless constant, variance 1.
        labels: Their labels, with shape (N,). Labels that none has are never guessed.
        penalties: The weights of the penalty, best in falling order.
    """
    mean, spread = points.mean(0), points.std(0, unbiased=False)
    scale = torch.where(spread > 1e-6 * (1 + mean.abs()), spread, 1.0)
    x = (points - mean) / scale
    classes, y = labels.unique(return_inverse=True)
    problem = Problem(x, one_hot(y, len(classes)).to(x), principal_axes(Examples(x), MOST_AXES))
    weight = x.new_zeros(x.shape[1] + 1, len(classes))
    for penalty in penalties:
        weight, loss, slope = problem.minimum(penalty, weight)
        yield Probe(mean, scale, weight, classes, penalty, loss, slope)


@dataclass(frozen=True)
class Problem:
    """Points, their labels, and in which directions the points vary.

    Args:
        x: Points with mean 0, with shape (N, D).
        y: Their labels as one-hot rows, with shape (N, K).
        axes: Principal components of the points, all of them where that is not too many.
    """

    x: Tensor
    y: Tensor
    axes: Principal

    def minimum(self, penalty: float, weight: Tensor) -> tuple[Tensor, float, float]:
        """The weights that minimise the loss, the loss there, and the length of its gradient.

        Args:
            penalty: The weight of the penalty.
            weight: Where to start, with shape (D + 1, K).
        """
        penalties = weight.new_full((len(weight), 1), penalty)
        penalties[-1] = 0  # the constant is free

        def loss(weight: Tensor) -> tuple[float, Tensor]:
            logs = self.times(weight).log_softmax(1)
            return ((penalties * weight * weight).sum() / 2 - (self.y * logs).sum() / len(logs)).item(), logs.exp()

        value, p = loss(weight)
        for _ in range(STEPS):
            slope = self.gathered(p - self.y) + penalties * weight
            length = slope.norm().item()
            if length**2 <= 2 * penalty * SOLVED:
                break
            step = self.step(p, penalties, slope, min(0.1, math.sqrt(length)))
            expected, share = (slope * step).sum().item(), 1.0
            while (found := loss(weight + share * step))[0] > value + 1e-4 * share * expected and share > 1e-4:
                share /= 2
            if found[0] >= value:
                break  # as near as rounding lets it come
            weight, (value, p) = weight + share * step, found
        return weight, value, length

    def times(self, weight: Tensor) -> Tensor:
        """The logits of all points, with shape (N, K)."""
        return (weight[:-1].T @ self.x.T).T + weight[-1]  # this way round twice as fast

    def gathered(self, of_points: Tensor) -> Tensor:
        """The mean over points of the products of something of each, with shape (N, K), and the point."""
        return torch.cat(((of_points.T @ self.x).T, of_points.sum(0, keepdim=True))) / len(of_points)

    def step(self, p: Tensor, penalties: Tensor, slope: Tensor, accuracy: float) -> Tensor:
        """The step of Newton's method, about.

        Args:
            p: The probabilities of the labels, with shape (N, K).
            penalties: The weight of the penalty on each weight, with shape (D + 1, 1).
            slope: The gradient, with shape (D + 1, K).
            accuracy: At which share of the gradient the rest is small enough.
        """
        bend = (p * (1 - p)).mean(0).clamp(min=1e-6)  # (K,), the mean curvature of each label
        curved = self.axes.variance[:, None] * bend + penalties[0]  # (A, K)
        rest = curved[-1]  # along directions that are none of the axes

        def hessian(v: Tensor) -> Tensor:
            moved = p * self.times(v)
            return self.gathered(moved - p * moved.sum(1, keepdim=True)) + penalties * v

        def inverse(v: Tensor) -> Tensor:
            """Nearly that of the Hessian, as if all points were guessed with the same probabilities."""
            along = self.axes.axes.T @ v[:-1]
            return torch.cat((v[:-1] / rest + self.axes.axes @ (along / curved - along / rest), v[-1:] / bend))

        return conjugate(hessian, inverse, -slope, accuracy)


def conjugate(
    times: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor], right: Tensor, accuracy: float
) -> Tensor:
    """The solution of a symmetric linear system by conjugate gradients.

    Args:
        times: The product with its matrix, which has no negative eigenvalues.
        inverse: The product with something near the inverse of it.
        right: Its right side.
        accuracy: At which share of the right side the rest is small enough.
    """
    solution, rest = torch.zeros_like(right), right
    direction = inverse(rest)
    square, goal = (rest * direction).sum(), accuracy * rest.norm()
    for _ in range(INNER):
        image = times(direction)
        bent = (direction * image).sum()
        if bent <= 0:
            break
        solution, rest = solution + square / bent * direction, rest - square / bent * image
        if rest.norm() <= goal:
            break
        nearer = inverse(rest)
        before, square = square, (rest * nearer).sum()
        direction = nearer + square / before * direction
    return solution


def best_probe(points: Tensor, labels: Tensor, held: Tensor, held_labels: Tensor) -> Probe:
    """The probe that is right most often of points that it has not learned from.

    The penalty is lowered for as long as that does not make it worse.

    Args:
        points: Points to learn from, with shape (N, D).
        labels: Their labels, with shape (N,).
        held: Points to choose the penalty by, with shape (M, D).
        held_labels: Their labels, with shape (M,).
    """
    best, most = None, -1
    freedom = points.shape[1] / len(points)
    for probe in fit_probes(points, labels, [freedom * share for share in PENALTIES]):
        right = int((probe(held) == held_labels).sum())
        if right < most:
            break
        best, most = (probe, right) if right > most else (best, most)
    assert best is not None
    return best


def probe(subject: Subject) -> Iterator[Score]:
    """The accuracy of logistic regression on codes, on principal components and on pixels."""
    count = max(1, min(IMAGES, VALUES // math.prod(subject.images.shape)))
    places, labels, learned = known_labels(subject, count)
    held, test = (subject.labels(name) for name in ("validation", "test"))
    words = (
        f"test images, by logistic regression on {learned}, standardised; "
        f"L2 penalty {PENALTIES[0]:g} to {PENALTIES[-1]:g} D / N, chosen on {len(held):,} validation images"
    )
    if isinstance(subject.model, SemiVAE):
        right = guesses(subject.model, subject.test) == test
        yield share_right("classifier", "accuracy of q(y|x)", right, "test images, by the model's own classifier")
    for turn, embedding in enumerate(embeddings(subject)):
        subject.tick(turn, 3)
        points = embedding.examples("train")[places].values
        found = best_probe(points, labels, embedding.examples("validation").values, held)
        right = torch.cat([found(part.values) for part in embedding.examples("test").split(AT_ONCE)]) == test
        title, protocol = f"probe accuracy, {embedding.title}", f"{words}; {embedding.protocol}"
        yield share_right(f"probe{embedding.name}", title, right, protocol, embedding.of_data, embedding.warning)
