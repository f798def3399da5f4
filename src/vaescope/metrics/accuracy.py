"""How often a classifier is right."""

import math

from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.distributions import centre
from vaescope.metrics.score import NORMAL, Score
from vaescope.models import SemiVAE, in_parts


def guesses(model: SemiVAE, examples: Examples) -> Tensor:
    """The most probable label of every image, with shape (N,).

    Args:
        model: A model with a classifier, which is not told what is known of labels.
        examples: The images as the model is shown them.
    """
    return in_parts(model, lambda x, _: centre(model.classify(x)).argmax(-1), examples)


def accuracy(model: SemiVAE, examples: Examples, labels: Tensor) -> float:
    """The share of images whose most probable label is theirs.

    Args:
        model: A model with a classifier.
        examples: The images as the model is shown them.
        labels: Their labels, with shape (N,).
    """
    return (guesses(model, examples) == labels).double().mean().item()


def share_right(name: str, title: str, right: Tensor, protocol: str, of_data: bool = False, warning: str = "") -> Score:
    """The share of test images of which a guess is right, with its interval.

    Args:
        name: See :class:`Score`, as for the others.
        title: What tables call it.
        right: Whether each guess is right, with shape (N,).
        protocol: How it was measured.
        of_data: Whether it is a number of the data alone.
        warning: What keeps it from being trusted.
    """
    each = right.double().numpy()
    share, count = float(each.mean()), len(each)
    return Score(
        name, title, share, "", protocol, count, error=math.sqrt(share * (1 - share) / count),
        interval=wilson(share, count), better="higher", of_data=of_data, warning=warning, each=each,
    )  # fmt: skip


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of Wilson for the probability behind a share: it stays in [0, 1] and is never empty.

    References:
        | Probable Inference, the Law of Succession, and Statistical Inference (Wilson, 1927)
        | https://doi.org/10.1080/01621459.1927.10502953

    Args:
        share: The share of cases.
        count: The number of cases that it is a share of.
    """
    squared = NORMAL**2 / count
    middle = (share + squared / 2) / (1 + squared)
    half = NORMAL / (1 + squared) * math.sqrt(share * (1 - share) / count + squared / count / 4)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
