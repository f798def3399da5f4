r"""Hamiltonian transitions along a geometric path between two densities.

.. math:: f_\beta(z) = f_0(z)\, r(z)^\beta, \quad 0 \le \beta \le 1

A transition draws a velocity, follows :math:`f_\beta` by leapfrog steps and is accepted with the probability of
Metropolis. It leaves :math:`f_\beta` as it is, whatever the size of its steps, which only decides how far it gets.

References:
    | MCMC Using Hamiltonian Dynamics (Neal, 2011)
    | https://arxiv.org/abs/1206.1901
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""From latents with shape (K, B, D) to log-densities with shape (K, B), each of its own latents alone."""


@dataclass(frozen=True)
class Point:
    """Where K chains of each of B images are, with all that a path says of it.

    Args:
        z: The latents, with shape (K, B, D).
        initial: The logarithm of :math:`f_0`, with shape (K, B), as float64.
        ratio: The logarithm of :math:`r`, likewise.
        initial_slope: The gradient of ``initial``, with shape (K, B, D).
        ratio_slope: The gradient of ``ratio``, likewise.
    """

    z: Tensor
    initial: Tensor
    ratio: Tensor
    initial_slope: Tensor
    ratio_slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        r"""The logarithm of :math:`f_\beta`, with shape (K, B)."""
        return self.initial + beta * self.ratio

    def slope(self, beta: float) -> Tensor:
        """Its gradient, with shape (K, B, D)."""
        return torch.add(self.initial_slope, self.ratio_slope, alpha=beta)

    def where(self, condition: Tensor, other: "Point") -> "Point":
        """This point for the chains where a condition with shape (K, B) holds, the other one elsewhere."""
        wide = condition[..., None]
        return Point(
            torch.where(wide, self.z, other.z),
            torch.where(condition, self.initial, other.initial),
            torch.where(condition, self.ratio, other.ratio),
            torch.where(wide, self.initial_slope, other.initial_slope),
            torch.where(wide, self.ratio_slope, other.ratio_slope),
        )


@dataclass(frozen=True)
class Path:
    r"""The densities :math:`f_\beta(z) = f_0(z)\, r(z)^\beta`.

    Both are kept apart, so that a point that was looked at for one :math:`\beta` is known for every other.

    Args:
        initial: The logarithm of :math:`f_0`.
        ratio: The logarithm of :math:`r`.
    """

    initial: LogDensity
    ratio: LogDensity

    def at(self, z: Tensor) -> Point:
        """What the path says of latents with shape (K, B, D)."""
        z = z.detach().clone()
        values, slopes = [], []
        for log_density in (self.initial, self.ratio):
            with torch.enable_grad():
                value = log_density(z.requires_grad_())
                (slope,) = torch.autograd.grad(value.sum(), z)
            values.append(value.detach().double())
            slopes.append(slope)
        return Point(z.detach(), *values, *slopes)


Transition = Callable[[Path, Point, float], Point]
r"""From chains to where they go next, which leaves :math:`f_\beta` of a path as it is."""


def leapfrog(path: Path, point: Point, velocity: Tensor, beta: float, size: Tensor, count: int) -> tuple[Point, Tensor]:
    """Follows a density from a point: half a step of the velocity, then latents and velocity in turns.

    It preserves volumes, and comes back if the velocity is turned around.

    Args:
        path: The path.
        point: The point, and ``velocity`` where it is heading, with shape (K, B, D).
        velocity: See above.
        beta: Which density of the path.
        size: The size of a step for each latent, with a shape that broadcasts to (K, B, D).
        count: The number of steps.

    Returns:
        The last point and the last velocity.
    """
    velocity = velocity + size / 2 * point.slope(beta)
    for left in reversed(range(count)):
        point = path.at(point.z + size * velocity)
        velocity = velocity + (size if left else size / 2) * point.slope(beta)
    return point, velocity


def hamiltonian(path: Path, point: Point, beta: float, size: Tensor, count: int) -> tuple[Point, Tensor]:
    """One transition.

    Args:
        path: The path.
        point: Where chains are.
        beta: Which density of the path it leaves as it is.
        size: The size of a leapfrog step for each latent, with a shape that broadcasts to (K, B, D).
        count: The number of leapfrog steps.

    Returns:
        Where they are next, and the probability with which each was to be accepted, with shape (K, B), as float64.
    """
    velocity = torch.randn_like(point.z)
    proposal, last = leapfrog(path, point, velocity, beta, size, count)
    gained = proposal.log_density(beta) - point.log_density(beta)
    gained = gained + (velocity.double().square().sum(-1) - last.double().square().sum(-1)) / 2
    chance = gained.clamp(max=0).exp().nan_to_num(0)  # steps that are far too long end where nothing is a number
    return proposal.where(torch.rand_like(chance) < chance, point), chance


@dataclass
class Hamiltonian:
    """Transitions whose leapfrog steps have a size of their own along a path, as :class:`Tuning` finds it.

    Args:
        scale: How wide the density is in each latent, with shape (B, D).
        sizes: For some betas the size of a step for each image, in units of the scale, with shape (B,). Every other
            beta has that of the nearest.
        count: The number of leapfrog steps.
        moved: Is called after every transition.
        chances: The mean probability of acceptance of every transition so far, each with shape (B,).
    """

    scale: Tensor
    sizes: dict[float, Tensor]
    count: int = 5
    moved: Callable[[], None] = lambda: None
    chances: list[Tensor] = field(default_factory=list)

    def __call__(self, path: Path, point: Point, beta: float) -> Point:
        """Where chains are next."""
        nearest = min(self.sizes, key=lambda known: abs(known - beta))
        point = self.step(path, point, beta, self.sizes[nearest])
        self.moved()
        return point

    def step(self, path: Path, point: Point, beta: float, size: Tensor) -> Point:
        """Where chains are after steps of some size for each image, with shape (B,)."""
        point, chance = hamiltonian(path, point, beta, size[:, None] * self.scale, self.count)
        self.chances.append(chance.mean(0))
        return point

    def acceptance(self) -> Tensor:
        """The share of transitions that were to be accepted so far, with shape (B,)."""
        return torch.stack(self.chances).mean(0)


WANTED = 0.65
"""The share of transitions that is to be accepted, as in Wu et al. (2017)."""
RATE = 0.1
"""How much the logarithm of a size changes with the difference from that share."""
NEAR = 0.1
"""How near the share has to be, over all images, before the next density is turned to."""
ROUNDS = 10
"""The transitions after which that is done in any case."""


class Tuning(Hamiltonian):
    """Transitions that change the size of their steps as they go, for each image, towards the share wanted.

    What has been drawn decides the size of the next step, so they are no transitions of a fixed chain: the chains are
    to be thrown away, and the sizes to be kept.
    """

    def __call__(self, path: Path, point: Point, beta: float) -> Point:
        """Where chains are next."""
        size = next(reversed(self.sizes.values()), self.scale.new_ones(len(self.scale)))
        for _ in range(ROUNDS):
            point = self.step(path, point, beta, size)
            off = self.chances[-1] - WANTED
            size = size * (RATE * off).exp().to(size.dtype)
            if off.mean().abs() < NEAR:
                break
        self.sizes[beta] = size
        self.moved()
        return point
