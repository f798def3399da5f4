"""What every objective is: a function of a model and a batch whose ``loss`` training minimises."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from vaescope.errors import UsageError
from vaescope.models import VAE, SemiVAE, Trace
from vaescope.nets import Shape

Terms = dict[str, Tensor]


class Objective(ABC):
    """A quantity to minimise.

    What it needs of a model it says in its class, and :meth:`check` refuses a model that does not have it.
    """

    takes_points: ClassVar[bool] = False
    """Whether the posterior may be a point mass, which has neither a log-probability nor a rate."""

    needs_pathwise: ClassVar[bool] = False
    """Whether draws of the posterior must have a gradient without bias."""

    needs_factorised: ClassVar[bool] = False
    """Whether the latents must be independent of one another in the posterior."""

    sums_labels: ClassVar[bool] = False
    """Whether labels that are not known are summed over, instead of drawn."""

    @property
    def repeats(self) -> bool:
        """Whether several draws of the latents add an axis in front of the batch."""
        return False

    def check(self, model: VAE) -> None:
        """Refuses a model that the objective has no meaning for, before the first step.

        Args:
            model: The model.

        Raises:
            UsageError: With the reason and the remedy.
        """
        family, name = model.posterior.family, type(self).__name__
        posterior = type(family).__name__
        if family.degenerate and not self.takes_points:
            raise UsageError(
                f"{name} needs log q(z|x), which the posterior {posterior} does not have: "
                "use the posterior DiagonalNormal, or an objective for autoencoders such as RAEL2"
            )
        if self.needs_pathwise and not family.pathwise:
            raise UsageError(
                f"{name} needs an unbiased gradient through the latents, which {posterior} does not have: "
                "use the posterior DiagonalNormal, or the objective ELBO"
            )
        if self.needs_factorised and not family.factorised:
            raise UsageError(
                f"{name} looks at every latent by itself, but {posterior} makes them depend on one another: "
                "use the posterior DiagonalNormal"
            )
        if isinstance(model, SemiVAE) and not self.sums_labels:
            raise UsageError(
                f"{name} would draw the labels that are not known, and a classifier has no gradient through a draw: "
                "use the objective M2, or the model Flat"
            )
        if self.repeats and any(isinstance(module, _BatchNorm) for module in model.modules()):
            raise UsageError(
                f"{name} draws several latents for each image, over which batch normalisation would average: "
                "set norm of the network to layer, group or none"
            )

    @abstractmethod
    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The terms of a batch.

        Args:
            model: The model.
            x: Images, with shape (B, C, H, W).
            context: A further condition, with shape (B, K).
            progress: The share of the run that is done, for schedules. At 1, the default, they have arrived.

        Returns:
            ``loss``, a scalar to minimise, and further scalars to log by their names.
        """


class Adversarial(Objective):
    """An objective with an opponent: a critic that is trained against the model, in turns with it.

    The critic is no part of the model and is left behind when training is done. Neither side may change the other:
    :meth:`__call__` trains the model against the critic as it stands, :meth:`challenge` the critic against the model.
    """

    @abstractmethod
    def critic(self, model: VAE, shape: Shape) -> nn.Module:
        """A new critic.

        Args:
            model: The model that it will play against.
            shape: The shape of an image, (C, H, W).
        """

    @abstractmethod
    def optimizer(self, critic: nn.Module) -> Optimizer:
        """The optimizer of the critic."""

    def __call__(
        self,
        model: VAE,
        x: Tensor,
        context: Tensor | None = None,
        progress: float = 1.0,
        critic: nn.Module | None = None,
    ) -> Terms:
        """The terms of a batch for the model.

        Args:
            model: The model.
            x: Images, with shape (B, C, H, W).
            context: A further condition, with shape (B, K).
            progress: The share of the run that is done.
            critic: The critic as it stands. Without one its terms are left out, which makes the value one that can be
                compared between steps: validation goes by it.

        Returns:
            ``loss``, a scalar to minimise, and further scalars to log by their names.
        """
        return self.judged(model, model(x, context), x, context, critic)

    @abstractmethod
    def judged(self, model: VAE, trace: Trace, x: Tensor, context: Tensor | None, critic: nn.Module | None) -> Terms:
        """The terms of one pass, with those of the critic where there is one."""

    @abstractmethod
    def challenge(self, critic: nn.Module, model: VAE, x: Tensor, context: Tensor | None = None) -> Terms:
        """The terms of a batch for the critic. No gradient reaches the model.

        Args:
            critic: The critic.
            model: The model as it stands.
            x: Images, with shape (B, C, H, W).
            context: A further condition, with shape (B, K).

        Returns:
            ``loss``, a scalar for the critic to minimise, and further scalars to log by their names.
        """
