"""Priors that are normalising flows."""

from abc import ABC

from torch import Tensor
from torch.distributions import Distribution
from zuko.lazy import LazyTransform

from vaescope.distributions import Flow
from vaescope.distributions.flow import affine, autoregressive, check_steps, coupling
from vaescope.errors import UsageError
from vaescope.priors.normal import StandardNormal
from vaescope.priors.prior import Prior


class _Flowing(Prior, ABC):
    """A standard normal seen through steps whose one-pass direction is from latents to noise."""

    def __init__(self, latent: int, steps: LazyTransform) -> None:
        super().__init__(latent)
        self.base, self.steps = StandardNormal(latent), steps

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        return Flow(self.base(), self.steps().inv)


class AutoregressiveFlow(_Flowing):
    r"""A masked autoregressive flow.

    .. math:: \epsilon_i = e^{s(z_{<i})} z_i + b(z_{<i}), \quad
              \log p(z) = \log N(\epsilon; 0, I) + \sum_i s(z_{<i})

    A density takes one pass of each step, a draw as many as there are latents: training is fast, and samples come
    slower. It starts as the standard normal, with the latents in reverse order in every other step; its steps are
    bounded, see :func:`vaescope.distributions.flow.affine`. With one latent it stays a normal.

    References:
        | Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017)
        | https://arxiv.org/abs/1705.07057
        | Variational Lossy Autoencoder (Chen et al., 2017), for the flow as a prior
        | https://arxiv.org/abs/1611.02731

    Args:
        latent: The number of latents D.
        transforms: The number of steps.
        width: The number of units in each of the two hidden layers of every step.

    Raises:
        UsageError: For less than one step or unit.
    """

    def __init__(self, latent: int, transforms: int = 3, width: int = 64) -> None:
        check_steps("AutoregressiveFlow", transforms, width)
        super().__init__(latent, autoregressive(latent, transforms, width, affine(transforms), ((), ())))


class CouplingFlow(_Flowing):
    r"""A coupling flow.

    .. math:: \epsilon_a = z_a, \quad \epsilon_b = e^{s(z_a)} z_b + b(z_a)

    Every step leaves half of the latents as they are, in turns, so that densities and draws both take one pass of each
    step. It starts as the standard normal.

    References:
        | Density Estimation Using Real NVP (Dinh et al., 2017)
        | https://arxiv.org/abs/1605.08803

    Args:
        latent: The number of latents D, at least 2.
        transforms: The number of steps.
        width: The number of units in each of the two hidden layers of every step.

    Raises:
        UsageError: For less than two latents or steps, or less than one unit.
    """

    def __init__(self, latent: int, transforms: int = 6, width: int = 64) -> None:
        check_steps("CouplingFlow", transforms, width)
        if latent < 2 or transforms < 2:
            raise UsageError(
                f"CouplingFlow got {latent} latents and transforms {transforms}, but half of the latents transform the "
                "other half in turns: give at least 2 of each, or use the prior AutoregressiveFlow"
            )
        super().__init__(latent, coupling(latent, transforms, width, affine(transforms), ((), ())))
