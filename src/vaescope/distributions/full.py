"""Normal distributions with a full covariance."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.distributions.kl import register_kl

from vaescope.distributions.views import tempered


class FullNormal(MultivariateNormal):
    r"""The normal distribution with a full covariance, :math:`N(\mu, L L^\top)`.

    Args:
        loc: The means :math:`\mu`, with shape (*B, D).
        scale_tril: The lower triangular :math:`L` with a positive diagonal, with shape (*B, D, D).
    """

    def __init__(self, loc: Tensor, scale_tril: Tensor) -> None:
        super().__init__(loc, scale_tril=scale_tril, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "FullNormal":
        """The same distribution with batch axes of more sizes."""
        shape = (*batch_shape, *self.event_shape)
        return FullNormal(self.loc.expand(shape), self.scale_tril.expand(*shape, shape[-1]))


@tempered.register
def _(distribution: FullNormal, temperature: float) -> FullNormal:
    return FullNormal(distribution.loc, distribution.scale_tril * temperature)


def _kl_full_diagonal(q: FullNormal, p: Independent) -> Tensor:
    r"""The general formula, where the covariance of ``p`` is diagonal:

    .. math:: \sum_i \log \frac{s_i}{L_{ii}} - \frac{1}{2}
              + \frac{\sum_j L_{ij}^2 + (\mu_i - m_i)^2}{2 s_i^2}

    References:
        | Pattern Recognition and Machine Learning (Bishop, 2006), exercise 2.13
        | https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
    """
    if not isinstance(p.base_dist, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError(f"no closed form for a full normal and independent {type(p.base_dist).__name__}s")
    m, s = p.base_dist.loc, p.base_dist.scale
    log_ratio = s.log() - q.scale_tril.diagonal(dim1=-2, dim2=-1).log()
    return (log_ratio - 0.5 + (q.variance + (q.loc - m).square()) / (2 * s.square())).sum(-1)


register_kl(FullNormal, Independent)(_kl_full_diagonal)
