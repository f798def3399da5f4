"""What every objective is: a function of a model and a batch whose ``loss`` training minimises."""

from abc import ABC, abstractmethod

from torch import Tensor

from vaescope.models import VAE

Terms = dict[str, Tensor]


class Objective(ABC):
    """A quantity to minimise."""

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
