r"""Passes through parts of a model whose parameters stand still, so that a gradient takes one path and not another.

A draw :math:`z = g(\epsilon, \phi)` of the posterior depends on the parameters :math:`\phi`, and so does the density
:math:`\log q_\phi(z \mid x)` that it is scored with. Some estimators want the gradient through the draw alone. To
detach the parameters of a distribution that is there already, one would have to know its family. Running the posterior
again with detached parameters works for every family, flows and mixtures too, at the cost of one pass of the encoder,
which many draws share.
"""

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call
from torch.nn.modules.dropout import _DropoutNd

from vaescope.errors import UsageError
from vaescope.models import VAE


def copies(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the buffers of a module, for a further pass: the statistics of batch normalisation would otherwise
    count a batch twice.

    Args:
        module: Any module.
    """
    return {name: value.clone() for name, value in module.named_buffers()}


def still(module: nn.Module) -> dict[str, Tensor]:
    """The parameters of a module without their gradient, and copies of its buffers.

    Args:
        module: Any module.
    """
    return {name: value.detach() for name, value in module.named_parameters()} | copies(module)


def still_posterior(model: VAE, x: Tensor, context: Tensor | None = None) -> Distribution:
    """The posterior q(z|x) as it is, with a gradient for z and none for its parameters.

    Args:
        model: The model.
        x: Images, with shape (B, C, H, W).
        context: A further condition, with shape (B, K).
    """
    return functional_call(model.posterior, still(model.posterior), (x, context))


def check_repeatable(objective: str, module: nn.Module) -> None:
    """Refuses a module that is another one when it is run again.

    Args:
        objective: The name of the objective that runs it twice.
        module: The module.

    Raises:
        UsageError: If it has dropout.
    """
    if any(isinstance(part, _DropoutNd) and part.p > 0 for part in module.modules()):
        raise UsageError(
            f"{objective} runs a network twice on the same images, but dropout makes it another one each time: "
            "set dropout of the network to 0, or use the objective IWAE"
        )
