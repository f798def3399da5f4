r"""Discretised logistics: masses over the levels of a pixel, alone and mixed.

A logistic variable is rounded to the nearest of L levels, and what falls beyond the first or the last counts for these.
So the masses sum to one for every location and scale. In units of the distance between two levels, with location m,
scale t and :math:`a_k = (k + \tfrac12 - m) / t`, the mass of level k is

.. math:: \sigma(a_k) - \sigma(a_{k-1}) = \sigma(a_k)\, \sigma(-a_{k-1})\, (1 - e^{-1/t})

and without the factor that belongs to the missing edge at the first and the last level. In logarithms the right side is
a sum in which nothing cancels, however narrow, wide or far away the logistic is.

The mean is the sum over all levels of the chance to lie above them. Of a wide logistic that is an integral and what the
Euler-Maclaurin formula adds at its ends; of a narrow one only few chances are neither 0 nor 1.
"""

import math
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn.functional import logsigmoid, softplus

Interval = tuple[float, float]

NARROW = (0.25, 1.0, 3.0)
"""Scales, in steps between levels, up to each of which means are summed over as many levels as the scale asks for."""

SLOPES = (
    (1 / 24, (1,)),
    (-7 / 5760, (1, -6)),
    (31 / 967_680, (1, -30, 120)),
    (-127 / 154_828_800, (1, -126, 1680, -5040)),
    (73 / 3_503_554_560, (1, -510, 17_640, -151_200, 362_880)),
)
"""The weights of the odd derivatives of a sigmoid s at the ends of a sum over midpoints, and what of s (1 - s) each
derivative is: the coefficients of a polynomial, without one factor."""


class DiscretisedLogistic(Distribution):
    r"""A logistic variable rounded to the nearest level.

    References:
        | Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), section 5.2
        | https://arxiv.org/abs/1606.04934

    Args:
        loc: The location :math:`\mu`, with shape (*B,), in the units of the values.
        scale: The scale :math:`s`, with the same shape and in the same units.
        levels: The number of levels L.
        interval: The first and the last level. The others lie between them at equal distances.
        validate_args: Whether torch checks values. It has no constraint for them, so leave it off.
    """

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        levels: int = 256,
        interval: Interval = (0.0, 1.0),
        validate_args: bool | None = False,
    ) -> None:
        self.loc, self.scale, self.levels, self.interval = loc, scale, levels, interval
        self.step = (interval[1] - interval[0]) / (levels - 1)
        # in steps between levels, where the edges are exact numbers: what is rounded is rounded alike for all levels
        self.m, self.t = (loc - interval[0]) / self.step, scale / self.step
        super().__init__(loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiscretisedLogistic":
        """The same distribution with a larger batch."""
        loc, scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        return DiscretisedLogistic(loc, scale, self.levels, self.interval)

    def _log_mass(self, k: Tensor) -> Tensor:
        """The log-mass of levels by their index."""
        below = logsigmoid((k + 0.5 - self.m) / self.t)
        above = logsigmoid((self.m - (k - 0.5)) / self.t)
        inside = (-torch.expm1(-1 / self.t)).log()
        last, first = k == self.levels - 1, k == 0
        return below.masked_fill(last, 0) + above.masked_fill(first, 0) + inside.masked_fill(first | last, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-mass of the level that is nearest to each value, with shape (*S, *B)."""
        k = ((value.detach() - self.interval[0]) / self.step).round().clamp(0, self.levels - 1)
        return self._log_mass(k)

    @property
    def mean(self) -> Tensor:
        """The mean, with shape (*B,)."""
        edges, saturated = self.levels - 1, -math.log(torch.finfo(self.m.dtype).eps)
        steps = _integral(self.m, self.t.clamp(min=NARROW[-1]), edges)
        for low, high in pairwise((-math.inf, *NARROW)):
            narrow = (low <= self.t) & (self.t < high)
            reach = math.ceil(saturated * high)
            if steps.is_meta or torch.compiler.is_compiling():  # there no shape may depend on values
                steps = torch.where(narrow, _window(self.m, self.t, edges, reach), steps)
            else:
                steps = steps.masked_scatter(narrow, _window(self.m[narrow], self.t[narrow], edges, reach))
        return self.interval[0] + self.step * steps.clamp(0, edges)  # what is rounded may leave the interval

    @property
    def variance(self) -> Tensor:
        """The variance, with shape (*B,): a sum over all levels, one after another, which takes its time."""
        mean = (self.mean - self.interval[0]) / self.step
        total = torch.zeros_like(self.m)
        for k in torch.arange(self.levels, dtype=self.m.dtype, device=self.m.device):
            total = total + self._log_mass(k).exp() * (k - mean).square()
        return self.step**2 * total

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Levels drawn by the inverse of the distribution function, with shape (*S, *B)."""
        with torch.no_grad():
            u = torch.rand((*sample_shape, *self.batch_shape), dtype=self.m.dtype, device=self.m.device)
            k = (self.m + self.t * u.logit()).round().clamp(0, self.levels - 1)
            return self.interval[0] + self.step * k


def _integral(m: Tensor, t: Tensor, edges: int) -> Tensor:
    """The sum of the chances to lie above each of the first edges between levels, for scales of at least 3.

    References:
        | Digital Library of Mathematical Functions, section 2.10(i), https://dlmf.nist.gov/2.10.i
    """

    def end(u: int) -> Tensor:
        a = (m - u) / t
        p = a.sigmoid() * (-a).sigmoid()
        polynomials = (reduce(lambda sum_, c: sum_ * p + c, coefficients[::-1]) for _, coefficients in SLOPES)
        weights = (weight * t ** (-2 * i - 1) for i, (weight, _) in enumerate(SLOPES))
        return t * softplus(a, threshold=40) - p * sum(
            w * polynomial for w, polynomial in zip(weights, polynomials, strict=True)
        )

    return end(0) - end(edges)


def _window(m: Tensor, t: Tensor, edges: int, reach: int) -> Tensor:
    """The same sum, level by level from ``reach`` levels below the middle to as many above it: all edges before count
    as 1, all after as 0."""
    width = min(2 * reach + 1, edges)
    first = (m.detach().floor() - reach).clamp(0, edges - width)
    inside = torch.zeros_like(m)
    for k in range(width):
        inside = inside + ((m - first - (k + 0.5)) / t).sigmoid()
    return first + inside


class LogisticMixture(Distribution):
    r"""A mixture of discretised logistics for every pixel, whose channels see one another.

    .. math:: p(x) = \prod_{h, w} \sum_k \pi_k \prod_c \mathrm{DL}\Big(x_c;\; \mu_{kc} + \sum_{j < c} A_{kcj}\, x_j,\;
              s_{kc}\Big)

    All channels of a pixel come from the same component. A channel's location is moved by the *values* of the channels
    before it, which makes the channels dependent within a component as well.

    References:
        | PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood (Salimans et al., 2017)
        | https://arxiv.org/abs/1701.05517

    Args:
        logits: The unnormalised log-weights of the components, with shape (*B, K, H, W).
        loc: The locations :math:`\mu`, with shape (*B, K, C, H, W).
        scale: The scales :math:`s`, with the same shape.
        coupling: The coefficients :math:`A`, with shape (*B, K, C (C - 1) / 2, H, W), in the order (c, j) = (1, 0),
            (2, 0), (2, 1), (3, 0) ...
        levels: The number of levels L.
        interval: The first and the last level.
        validate_args: Whether torch checks values. It has no constraint for them, so leave it off.
    """

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        coupling: Tensor,
        levels: int = 256,
        interval: Interval = (0.0, 1.0),
        validate_args: bool | None = False,
    ) -> None:
        self.logits, self.loc, self.scale, self.coupling = logits, loc, scale, coupling
        self.levels, self.interval = levels, interval
        super().__init__(loc.shape[:-4], loc.shape[-3:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LogisticMixture":
        """The same distribution with a larger batch."""

        def wide(part: Tensor, ndims: int) -> Tensor:
            return part.expand(*batch_shape, *part.shape[-ndims:])

        logits, coupling = wide(self.logits, 3), wide(self.coupling, 4)
        return LogisticMixture(logits, wide(self.loc, 4), wide(self.scale, 4), coupling, self.levels, self.interval)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-mass of images, with shape (*S, *B)."""
        seen = value.unsqueeze(-4)  # (*S, *B, 1, C, H, W)
        channels = range(self.event_shape[0])
        moved = [self._channel(c, [seen[..., j, :, :] for j in range(c)]) for c in channels]
        terms = [one.log_prob(seen[..., c, :, :]) for c, one in enumerate(moved)]
        joint = self.logits.log_softmax(-3) + torch.stack(terms).sum(0)  # (*S, *B, K, H, W)
        return joint.logsumexp(-3).sum((-2, -1))

    @property
    def mean(self) -> Tensor:
        """The mean of every channel where the channels before it are at theirs, with shape (*B, C, H, W).

        With one channel this is the mean of the mixture (see :attr:`DiscretisedLogistic.mean`). With more it leaves out
        what the channels before tell of the component, and of the noise that is cut off at the ends of the interval.
        """
        weights = self.logits.softmax(-3)
        means: list[Tensor] = []
        for c in range(self.event_shape[0]):
            one = self._channel(c, [m.unsqueeze(-3) for m in means])
            means.append((weights * one.mean).sum(-3))
        return torch.stack(means, -3)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Images drawn a channel at a time, with shape (*S, *B, C, H, W)."""
        with torch.no_grad():
            wide = self.expand((*sample_shape, *self.batch_shape))
            picked = Categorical(logits=wide.logits.movedim(-3, -1), validate_args=False).sample()  # (*S, *B, H, W)
            one = wide._picked(picked[..., None, None, :, :])
            values: list[Tensor] = []
            for c in range(self.event_shape[0]):
                values.append(one._channel(c, values).sample())
            return torch.cat(values, -3)

    def _channel(self, c: int, before: list[Tensor]) -> DiscretisedLogistic:
        """Channel c of every component, given the channels before it with shapes that broadcast to (*B, K, H, W)."""
        first = c * (c - 1) // 2
        loc = self.loc[..., c, :, :]
        for j, value in enumerate(before):
            loc = loc + self.coupling[..., first + j, :, :] * value
        return DiscretisedLogistic(loc, self.scale[..., c, :, :].expand(loc.shape), self.levels, self.interval)

    def _picked(self, k: Tensor) -> "LogisticMixture":
        """A mixture of the one component that each pixel has picked, by its index with shape (*B, 1, 1, H, W)."""

        def pick(part: Tensor) -> Tensor:
            return part.gather(-4, k.expand(*k.shape[:-3], part.shape[-3], *k.shape[-2:]))

        logits = self.logits[..., :1, :, :]
        return LogisticMixture(
            logits, pick(self.loc), pick(self.scale), pick(self.coupling), self.levels, self.interval
        )


def logistic_at(mean: Tensor, scale: Tensor | float, least: float = 1e-3) -> Tensor:
    r"""The location at which a logistic variable that is cut off at 0 and 1 has a wanted mean,
    :math:`\mu = s \log(e^{m / s} - 1) - s \log(1 - e^{(m - 1) / s})`.

    Args:
        mean: Means in [0, 1], with any shape.
        scale: The scale :math:`s`, with a shape that broadcasts.
        least: How far means are kept from 0 and 1, where the location would be infinite.
    """
    mean = mean.clamp(least, 1 - least)
    rest = -torch.expm1((mean - 1) / scale)
    # log(e^y - 1) = y + log(1 - e^-y), which does not overflow
    return mean + scale * ((-torch.expm1(-mean / scale)).log() - rest.log())
