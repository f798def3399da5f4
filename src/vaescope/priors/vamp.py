"""The mixture of posteriors at learned images."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.modules.batchnorm import _BatchNorm

from vaescope.distributions import mixture
from vaescope.errors import UsageError
from vaescope.families import Family
from vaescope.nets import Shape
from vaescope.priors.prior import Prior

LABELLED = "VampPrior has no labels for its pseudo-inputs: use the prior NormalMixture, or no labels"


class VampPrior(Prior):
    r"""The "variational mixture of posteriors" prior, :math:`\sum_k \pi_k\, q(z \mid u_k)`.

    The pseudo-inputs :math:`u_k` are images that training changes like weights, and the components are what the
    encoder makes of them: the prior that is best for a given encoder is the mean of its posteriors over all data, and
    this is one over a few. Every call encodes the pseudo-inputs anew, for the encoder may have changed since the last.

    They start at training images and may then take any value. The original keeps them in the interval of the data by
    a hard clip, which has no gradient at the ends: pseudo-inputs that start at binarised images, all of whose pixels
    lie there, would never move. The bound of a posterior does as much for stability.

    References:
        | VAE with a VampPrior (Tomczak and Welling, 2018)
        | https://arxiv.org/abs/1705.07120

    Args:
        latent: The number of latents D.
        components: The number of pseudo-inputs K.

    Raises:
        UsageError: For less than one component, a posterior without a density or whose draws have no unbiased gradient,
            batch normalisation in the encoder, or a model with labels.
    """

    def __init__(self, latent: int, components: int = 100) -> None:
        super().__init__(latent)
        if components < 1:
            raise UsageError(f"VampPrior got components {components}: give at least 1, such as 100")
        self.logits = nn.Parameter(torch.zeros(components))
        self.register_parameter("inputs", None)
        self._lender: tuple[Callable[[Tensor], Distribution], ...] = ()

    def borrow(self, posterior: Callable[[Tensor], Distribution], family: Family, shape: Shape) -> None:
        """Makes pseudo-inputs of the shape of an image, and takes the support of the posterior."""
        if family.degenerate:
            raise UsageError(
                f"VampPrior is a mixture of posteriors, but {type(family).__name__} has no density: "
                "use the posterior DiagonalNormal, or the prior StandardNormal"
            )
        if not family.pathwise:
            raise UsageError(
                "VampPrior has a rate that is estimated from draws, which have no unbiased gradient in "
                f"{type(family).__name__}: use the posterior DiagonalNormal, or for codes the prior UniformCodes"
            )
        if isinstance(posterior, nn.Module) and any(isinstance(module, _BatchNorm) for module in posterior.modules()):
            raise UsageError(
                "VampPrior encodes its pseudo-inputs, over which batch normalisation would average: "
                "set norm of the network to layer, group or none"
            )
        if getattr(posterior, "beside", None) is not None:
            raise UsageError(LABELLED)
        self.support = family.support
        self.inputs = nn.Parameter(torch.rand(len(self.logits), *shape))
        self._lender = (posterior,)  # in a tuple, so that it is not registered as a part of the prior as well

    @torch.no_grad()
    def start_at(self, images: Tensor) -> None:
        """Puts the pseudo-inputs at the first images, again from the first on where there are too few. Those that come
        again get a little noise, without which they would stay equal for ever."""
        count = len(self.inputs)
        chosen = images[torch.arange(count) % len(images)].to(self.inputs)
        noise = 0.01 * torch.randn_like(chosen[len(images) :])
        self.inputs.copy_(torch.cat((chosen[: len(images)], chosen[len(images) :] + noise)))

    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with event shape (D,)."""
        if context is not None:
            raise UsageError(LABELLED)
        if not self._lender:
            raise UsageError("VampPrior has no posterior to borrow: build it as the prior of a model")
        return mixture(self.logits, self._lender[0](self.inputs))
