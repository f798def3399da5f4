r"""What objectives with a critic share: the losses of the game and the critic's optimizer.

A critic's logit :math:`a` gives :math:`\sigma(a)`, the probability that it takes what it sees for real. It minimises
:math:`-\log \sigma(a)` on the real and :math:`-\log (1 - \sigma(a))` on the made; its opponent minimises
:math:`-\log \sigma(a)` on the made, which has a slope where the critic is sure of itself.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from vaescope.engine import lightly
from vaescope.models import VAE, Trace
from vaescope.objectives.still import copies

BETAS = (0.5, 0.9)
"""Adam's decay rates for critics: a short memory, since what they look at keeps changing."""


def taken_for_real(logits: Tensor) -> Tensor:
    r"""The loss of things being taken for real, :math:`-\log \sigma(a)`, averaged.

    Args:
        logits: Of any shape.
    """
    return softplus(-logits).mean()


def taken_for_made(logits: Tensor) -> Tensor:
    r"""The loss of things being taken for made, :math:`-\log (1 - \sigma(a))`, averaged.

    Args:
        logits: Of any shape.
    """
    return softplus(logits).mean()


def share_right(real: Tensor, made: Tensor) -> Tensor:
    """The share of things that a critic sees through: 1/2 where it can only guess.

    Args:
        real: Its logits for what is real, of any shape.
        made: Its logits for what is made, of any shape.
    """
    return ((real > 0).float().mean() + (made < 0).float().mean()) / 2


def adam(critic: nn.Module, lr: float) -> Optimizer:
    """The optimizer of a critic.

    Args:
        critic: The critic.
        lr: Its learning rate.
    """
    return lightly(Adam, critic.parameters(), lr=lr, betas=BETAS)


@torch.no_grad()
def look(model: VAE, x: Tensor, context: Tensor | None) -> Trace:
    """A pass over a batch as a critic sees it, without a gradient, which leaves the model as it is.

    Args:
        model: The model.
        x: Images, with shape (B, C, H, W).
        context: A further condition, with shape (B, K).
    """
    trace: Trace = functional_call(model, copies(model), (x, context))
    return trace
