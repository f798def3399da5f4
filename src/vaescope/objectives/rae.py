r"""Regularised autoencoders: a smooth decoder and small codes in place of noise.

.. math:: D + \frac{\beta}{2} \|z\|^2 + \lambda\, \Omega(\text{decoder}) - \log p(\bar{z})

The noise of a VAE's posterior keeps its decoder smooth; here a penalty :math:`\Omega` does. The codes then follow no
prior of their own accord, so a prior with parameters, such as a mixture or a flow, is fitted to them along the way.
That last term moves no code (:math:`\bar{z}` stands for z without its gradient), and is left out of the loss for a
prior that has nothing to fit.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from vaescope.models import VAE
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.codes import code, measured_rate, prior_fit
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.still import copies
from vaescope.objectives.terms import distortion


@dataclass(frozen=True)
class RAE(Objective):
    """What all regularised autoencoders share; the penalty on the decoder is what tells them apart."""

    takes_points: ClassVar[bool] = True
    words: ClassVar[str]
    """The penalty in words."""

    beta: float = 1.0
    decoder: float = 0.01

    def __post_init__(self) -> None:
        check_amounts(self, "beta", "decoder")

    @abstractmethod
    def penalty(self, model: VAE, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The penalty on the decoder, a scalar.

        Args:
            model: The model.
            z: Codes, with shape (B, D).
            context: A further condition, with shape (B, K).
        """

    def __str__(self) -> str:
        return f"distortion + {self.beta:g} × |z|²/2 + {self.decoder:g} × {self.words}"

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The loss, the distortion, the size of the codes, the penalty and, where there is one, the rate of a batch."""
        trace = model(x, context)
        site = code(trace)
        d, fit = distortion(trace, x).mean(), prior_fit(model, site)
        size, penalty = site.z.square().sum(-1).mean() / 2, self.penalty(model, site.z, context)
        loss = d + self.beta * size + self.decoder * penalty + sum(fit.values())
        return {
            "loss": loss,
            "distortion": d,
            **measured_rate(model, trace),
            "code_size": size,
            "penalty": penalty,
            **fit,
        }


@dataclass(frozen=True)
class RAEL2(RAE):
    r"""A regularised autoencoder with small weights in its decoder.

    .. math:: D + \frac{\beta}{2} \|z\|^2 + \lambda \|\theta\|^2 - \log p(\bar{z})

    :math:`\theta` are the weights and biases of the decoder's network; the mean image that it starts from is not
    counted. A prior with parameters is fitted to the codes along the way, without moving them.

    References:
        | From Variational to Deterministic Autoencoders (Ghosh et al., 2020)
        | https://arxiv.org/abs/1903.12436

    Args:
        beta: The weight :math:`\beta` of the codes. With 1 their cost is that of N(0, I).
        decoder: The weight :math:`\lambda` of the penalty on the decoder.

    Raises:
        UsageError: For a negative weight.
    """

    words: ClassVar[str] = "|weights of the decoder|²"

    def penalty(self, model: VAE, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The sum of the squared weights of the decoder."""
        return torch.stack([weight.square().sum() for weight in model.likelihood.net.parameters()]).sum()


@dataclass(frozen=True)
class RAEGradientPenalty(RAE):
    r"""A regularised autoencoder whose images change little with its codes.

    .. math:: D + \frac{\beta}{2} \|z\|^2 + \lambda\, \Big\| \frac{\partial \hat{x}}{\partial z} \Big\|_F^2
              - \log p(\bar{z})

    :math:`\hat{x}` is the mean of p(x|z). The norm is estimated without bias from one vector of random signs,
    :math:`\|J\|_F^2 = \mathbb{E}_v \|v^\top J\|^2`, since the exact one takes a backward pass for every pixel. A prior
    with parameters is fitted to the codes along the way, without moving them.

    References:
        | From Variational to Deterministic Autoencoders (Ghosh et al., 2020)
        | https://arxiv.org/abs/1903.12436

    Args:
        beta: The weight :math:`\beta` of the codes. With 1 their cost is that of N(0, I).
        decoder: The weight :math:`\lambda` of the penalty on the decoder.

    Raises:
        UsageError: For a negative weight.
    """

    words: ClassVar[str] = "|slope of the decoder|²"

    def penalty(self, model: VAE, z: Tensor, context: Tensor | None = None) -> Tensor:
        """An estimate of the squared norm of the decoder's Jacobian, averaged over the codes."""
        training = torch.is_grad_enabled()
        with torch.enable_grad():  # validation runs without gradients, but here one is part of the value
            z = z if z.requires_grad else z.detach().requires_grad_()
            image = functional_call(model.likelihood, copies(model.likelihood), (z, context)).mean
            signs = torch.randint_like(image, 2) * 2 - 1
            (gradient,) = torch.autograd.grad(image, z, signs, create_graph=training)
        return gradient.square().sum(-1).mean()
