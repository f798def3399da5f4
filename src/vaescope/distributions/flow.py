r"""Normalising flows: a simple distribution seen through an invertible map.

.. math:: z = f(\epsilon), \quad
          \log p(z) = \log p(\epsilon) - \log \left| \det \frac{\partial f}{\partial \epsilon} \right|

The maps are those of zuko. An autoregressive map is one pass of its network in one direction and D in the other: a
prior takes the direction in which its density is one pass, a posterior that in which its draws are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Transform, constraints
from zuko.flows import GeneralCouplingTransform, MaskedAutoregressiveTransform
from zuko.lazy import LazyComposedTransform, LazyTransform
from zuko.transforms import MonotonicAffineTransform

from vaescope.distributions.views import centre, draw_at, tempered
from vaescope.errors import UsageError


class Flow(Distribution):
    r"""The distribution of :math:`f(\epsilon)`.

    The last draw is remembered together with the :math:`\epsilon` it came from, so that its log-probability does not
    have to invert :math:`f`. It is known again by being the same tensor: one that was changed in place since it was
    drawn must be copied first.

    References:
        | Variational Inference with Normalizing Flows (Rezende and Mohamed, 2015)
        | https://arxiv.org/abs/1505.05770

    Args:
        base: The distribution of :math:`\epsilon`, with batch shape B and event shape (D,).
        transform: The map :math:`f` on vectors. What it is conditioned on broadcasts to B.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012, as torch has it
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, transform: Transform) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base = base
        self.transform: Any = (
            transform  # zuko gives every transform call_and_ladj: its value and log-determinant at once
        )
        self._last: tuple[Tensor, Tensor, Tensor, bool] | None = None

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Flow":
        """The same distribution with batch axes of more sizes."""
        return Flow(self.base.expand(Size(batch_shape)), self.transform)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws with shape (*S, *B, D), whose gradient is that of the reparameterisation."""
        return self.push(self.base.rsample(Size(sample_shape)))

    def push(self, start: Tensor) -> Tensor:
        r"""The draws that come from values of :math:`\epsilon`, with shape (*S, *B, D), and are remembered."""
        value, stretch = self.transform.call_and_ladj(start)
        self._last = (value, start, stretch, torch.is_grad_enabled())
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of values with shape (*S, *B, D)."""
        start, stretch = self._known(value) or self._inverted(value)
        return self.base.log_prob(start) - stretch

    def _known(self, value: Tensor) -> tuple[Tensor, Tensor] | None:
        """What the last draw came from, unless it was drawn without the gradients that are wanted now."""
        if self._last is None:
            return None
        last, start, stretch, with_gradients = self._last
        return (start, stretch) if value is last and (with_gradients or not torch.is_grad_enabled()) else None

    def _inverted(self, value: Tensor) -> tuple[Tensor, Tensor]:
        start, stretch = self.transform.inv.call_and_ladj(value)
        return start, -stretch


@centre.register
def _(distribution: Flow) -> Tensor:
    return distribution.transform(centre(distribution.base))


@draw_at.register
def _(distribution: Flow, uniform: Tensor) -> Tensor:
    return distribution.push(draw_at(distribution.base, uniform))


@tempered.register
def _(distribution: Flow, temperature: float) -> Flow:
    return Flow(tempered(distribution.base, temperature), distribution.transform)


STRETCH = 8.0
"""The largest factor by which all steps of an affine flow together stretch or squeeze."""

SHIFT = 8.0
"""The largest shift of one step."""


def affine(transforms: int) -> Callable[..., Transform]:
    """The step of one number in an affine flow: stretched, then shifted, both within bounds so that nothing overflows.

    Args:
        transforms: The number of steps, which share what they may stretch.
    """
    slope = STRETCH ** (-1 / transforms)
    return lambda shift, scale: MonotonicAffineTransform(SHIFT * (shift / SHIFT).tanh(), scale, slope=slope)


def autoregressive(
    latent: int,
    transforms: int,
    width: int,
    univariate: Callable[..., Transform],
    shapes: Sequence[Sequence[int]],
    context: int = 0,
) -> LazyTransform:
    r"""Steps :math:`y_i = f(x_i; x_{<i}, c)`, every other one with the latents in reverse order.

    Args:
        latent: The number of latents D. With one, the steps depend on the context alone.
        transforms: The number of steps.
        width: The number of units in each of the two hidden layers of every step.
        univariate: From parameters to the map :math:`f` of one number, which must be the identity at zero.
        shapes: The shapes of these parameters.
        context: The length of the vector :math:`c`.
    """
    order = torch.arange(latent)
    steps = [
        MaskedAutoregressiveTransform(
            latent, context, order=order if i % 2 == 0 else order.flip(0),
            univariate=univariate, shapes=shapes, hidden_features=(width, width), activation=nn.ELU,
        )
        for i in range(transforms)
    ]  # fmt: skip
    return _composed(steps)


def coupling(
    latent: int, transforms: int, width: int, univariate: Callable[..., Transform], shapes: Sequence[Sequence[int]]
) -> LazyTransform:
    r"""Steps in which every other latent stays and decides what becomes of the others, in turns.

    Args:
        latent: The number of latents D, at least 2.
        transforms: The number of steps.
        width: The number of units in each of the two hidden layers of every step.
        univariate: From parameters to the map of one number, which must be the identity at zero.
        shapes: The shapes of these parameters.
    """
    steps = [
        GeneralCouplingTransform(
            latent, mask=torch.arange(latent) % 2 == i % 2,
            univariate=univariate, shapes=shapes, hidden_features=(width, width), activation=nn.ELU,
        )
        for i in range(transforms)
    ]  # fmt: skip
    return _composed(steps)


def _composed(steps: Sequence[LazyTransform]) -> LazyTransform:
    """The steps one after another, each started as the identity, so that a flow starts as its base."""
    for step in steps:
        last = list(step.hyper[-1].parameters()) if hasattr(step, "hyper") else list(step.phi)
        for parameter in last:
            nn.init.zeros_(parameter)
    return LazyComposedTransform(*steps)


def check_steps(owner: str, transforms: int, width: int) -> None:
    """Refuses a number of steps, or of hidden units, that is less than one."""
    if transforms < 1 or width < 1:
        raise UsageError(f"{owner} got transforms {transforms} and width {width}: give at least 1 of each")
