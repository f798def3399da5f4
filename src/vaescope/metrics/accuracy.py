"""How often a classifier is right."""

from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.distributions import centre
from vaescope.models import SemiVAE, in_parts


def accuracy(model: SemiVAE, examples: Examples, labels: Tensor) -> float:
    """The share of images whose most probable label is theirs.

    Args:
        model: A model with a classifier.
        examples: The images as the model is shown them.
        labels: Their labels, with shape (N,).
    """
    found = in_parts(model, lambda x, _: centre(model.classify(x)).argmax(-1), examples)
    return (found == labels).double().mean().item()
