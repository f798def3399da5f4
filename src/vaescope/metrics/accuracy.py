"""How often a classifier is right."""

from torch import Tensor

from vaescope.distributions import centre
from vaescope.models import SemiVAE, in_parts


def accuracy(model: SemiVAE, x: Tensor, labels: Tensor) -> float:
    """The share of images whose most probable label is theirs.

    Args:
        model: A model with a classifier.
        x: Values of images, with shape (N, C, H, W).
        labels: Their labels, with shape (N,).
    """
    found = in_parts(model, lambda x: centre(model.classify(x)).argmax(-1), x)
    return (found == labels).double().mean().item()
