"""Normal distributions over vectors and images, alone and mixed."""

from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal


def diagonal_normal(loc: Tensor, scale: Tensor, ndims: int = 1) -> Independent:
    r"""The normal distribution with a diagonal covariance, :math:`N(\mu, \mathrm{diag}(\sigma^2))`.

    Args:
        loc: The means, with shape (*B, *event).
        scale: The standard deviations, with the shape of ``loc`` or one that broadcasts to it.
        ndims: How many of the last axes are the event.
    """
    return Independent(Normal(loc, scale, validate_args=False), ndims, validate_args=False)


def mixture(logits: Tensor, components: Distribution) -> MixtureSameFamily:
    r"""The mixture :math:`\sum_k \pi_k\, p_k(z)` with weights that sum to one, :math:`\pi = \mathrm{softmax}(a)`.

    Args:
        logits: The unnormalised log-weights :math:`a`, with shape (K,).
        components: A distribution whose last batch axis is the component, with batch shape (*B, K).
    """
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)
