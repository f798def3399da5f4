r"""Terms of the loss with gradients written by hand.

Autograd differentiates a formula operation by operation, and each one writes a tensor as large as a batch. Written out,
the gradients are shorter than what they come from:

.. math:: \log p(x) = x l - \mathrm{softplus}(l), \quad \partial_l = x - \sigma(l)

.. math:: \mathrm{KL} = \sum_j \tfrac{1}{2} (r_j^2 + t_j^2 - 1) - \log r_j, \quad r = \sigma_q / \sigma_p, \;
          t = (\mu_q - \mu_p) / \sigma_p

Both can be differentiated twice. The softplus is the one that neither overflows nor loses digits for any logit.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import softplus


class _BernoulliLogProb(Function):
    """Of logits and values with one shape (N, D) to sums with shape (N,)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        return torch.linalg.vecdot(logits, x) - softplus(logits).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, x = ctx.saved_tensors
        each = gradients[0].unsqueeze(-1)
        of_logits = (x - logits.sigmoid()) * each if ctx.needs_input_grad[0] else None
        return of_logits, logits * each if ctx.needs_input_grad[1] else None


def bernoulli_log_prob(logits: Tensor, x: Tensor, ndims: int) -> Tensor:
    r"""The log-probability of independent binary values, or its expectation where ``x`` is between 0 and 1.

    Args:
        logits: Shape (*S, *B, *event).
        x: Values, with a shape that broadcasts to that of ``logits``.
        ndims: The number of axes of the event, at least 1.

    Returns:
        Shape (*S, *B), in nats.
    """
    logits, x = torch.broadcast_tensors(logits, x)
    summed: Tensor = _BernoulliLogProb.apply(logits.flatten(-ndims), x.flatten(-ndims))
    return summed


class _NormalKL(Function):
    """Of two pairs of means and scales with one shape (*B, D) to sums with shape (*B,)."""

    @staticmethod
    def forward(ctx: Any, loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
        ctx.save_for_backward(loc, scale, prior_loc, prior_scale)
        r, t = scale / prior_scale, (loc - prior_loc) / prior_scale
        return torch.addcmul(r.log().add_(0.5), r, r, value=-0.5).addcmul_(t, t, value=-0.5).sum(-1).neg_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        loc, scale, prior_loc, prior_scale = ctx.saved_tensors
        r, t = scale / prior_scale, (loc - prior_loc) / prior_scale
        step = gradients[0].unsqueeze(-1) / prior_scale
        needed = ctx.needs_input_grad
        return (
            t * step if needed[0] else None,
            (r - r.reciprocal()) * step if needed[1] else None,
            -t * step if needed[2] else None,
            (1 - r.square() - t.square()) * step if needed[3] else None,
        )


def normal_kl(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    r"""The KL divergence :math:`\mathrm{KL}(N(\mu_q, \sigma_q^2) \,\|\, N(\mu_p, \sigma_p^2))` of independent normals.

    Args:
        loc: The means of q, with shape (*B, D).
        scale: The standard deviations of q, likewise.
        prior_loc: The means of p, with a shape that broadcasts to that of ``loc``, as that of the next.
        prior_scale: The standard deviations of p.

    Returns:
        Shape (*B,), in nats.
    """
    parts = torch.broadcast_tensors(loc, scale, prior_loc, prior_scale)
    summed: Tensor = _NormalKL.apply(*parts)
    return summed
