r"""Densities of very many latents, such as thousands of draws for each of thousands of images.

With many draws nearly all time goes into :math:`\log p(x \mid z)`. Under a Bernoulli likelihood whose decoder ends in a
linear layer, with logits :math:`a = W h + b`, most of it need not be done pixel by pixel:

.. math:: \log p(x \mid z) = \langle x, a \rangle - \sum_i \log(1 + e^{a_i})
          = \langle W^\top x, h \rangle + \langle b, x \rangle - \sum_j \log \prod_{i \in G_j} (1 + e^{a_i})

The vector :math:`W^\top x` is computed once for each image, and a group :math:`G_j` of four pixels shares a logarithm.
A mixture of diagonal normals is scored by products of matrices. Everything else is left to its distribution.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaescope.conditional import Conditional
from vaescope.families import Bernoulli

GROUP = 4
"""Pixels that share a logarithm. Their product leaves float32 only where their logits are above 22 on average."""

Explained = Callable[[Tensor, Tensor | None], Tensor]
"""From latents with shape (*S, B, D) and their condition to log p(x|z) of B images, with shape (*S, B)."""


def explaining(likelihood: Conditional, x: Tensor) -> Explained:
    """The log-likelihood of images as a function of latents.

    Args:
        likelihood: p(x|z).
        x: Images, with shape (B, C, H, W).
    """
    if isinstance(likelihood.family, Bernoulli):
        return _bernoulli(likelihood, x.flatten(1))
    return lambda z, context: likelihood(z, context).log_prob(x)


def _bernoulli(likelihood: Conditional, x: Tensor) -> Explained:
    """The same for images with shape (B, P) under a Bernoulli likelihood."""
    trunk, last = divided(likelihood.net)
    bias = x.new_zeros(x.shape[1]) if likelihood.offset is None else likelihood.offset.flatten()
    if last is not None and last.bias is not None:
        bias = bias + last.bias
    along, constant = x if last is None else x @ last.weight, x @ bias  # (B, H), (B,)

    def explained(z: Tensor, context: Tensor | None) -> Tensor:
        h = trunk(likelihood.joined(z, context)).flatten(z.dim() - 1)  # (*S, B, H)
        columns = h.flatten(0, -2).T  # (H, N)

        def logits() -> Tensor:
            return columns + bias[:, None] if last is None else torch.addmm(bias[:, None], last.weight, columns)

        return (h * along).sum(-1) + constant - softplus_sum(logits).view(h.shape[:-1])

    return explained


def divided(net: nn.Module) -> tuple[nn.Module, nn.Linear | None]:
    """A decoder as all that comes before its last layer, and that layer, if it is linear: else nothing."""
    match list(net.children()) if isinstance(net, nn.Sequential) else []:
        case [*trunk, nn.Linear() as last, nn.Unflatten()]:
            return nn.Sequential(*trunk), last
    return net, None


def softplus_sum(logits: Callable[[], Tensor]) -> Tensor:
    r"""The sum of :math:`\log(1 + e^{a_i})` over P logits, with one logarithm for four of them.

    Args:
        logits: Makes them, with shape (P, N). Their memory is used for what is made of them; where a product is too
            large for a number, they are made again.

    Returns:
        Shape (N,).
    """
    first, *others = (made := logits().exp_()).split(-(-len(made) // GROUP))
    product = first.add_(1)
    for other in others:
        head = product[: len(other)]
        head.addcmul_(head, other)  # times 1 + e^a
    total = product.log_().sum(0)
    return total if total.isfinite().all() else softplus(logits()).sum(0)
