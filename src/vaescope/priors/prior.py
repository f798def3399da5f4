"""What every prior is: a module without an input that returns a distribution over latents."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.families import Family
from vaescope.nets import Shape


class Prior(nn.Module, ABC):
    """A distribution over latents.

    Args:
        latent: The number of latents D.
    """

    support = "real line"
    """Where latents lie, in the words of :attr:`vaescope.families.Family.support`."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @abstractmethod
    def forward(self, context: Tensor | None = None) -> Distribution:
        """The prior, with no batch axes and event shape (D,)."""

    def borrow(self, posterior: Callable[[Tensor], Distribution], family: Family, shape: Shape) -> None:
        """Is shown the posterior of the model that it becomes part of. Most priors have no use for it.

        Args:
            posterior: From images with shape (*B, C, H, W) to q(z|x).
            family: The family of the posterior, which knows its support.
            shape: The shape of an image, (C, H, W).
        """

    def start_at(self, images: Tensor) -> None:
        """Is shown some training images before the first step. Most priors have no use for them.

        Args:
            images: Values as the encoder sees them, with shape (N, C, H, W).
        """
