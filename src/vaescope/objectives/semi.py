r"""The bound for images of which only some have a label.

.. math:: \mathcal{U}(x) = \sum_y q(y \mid x)\, \mathcal{L}(x, y) + \mathrm{KL}(q(y \mid x) \,\|\, p(y))

where :math:`\mathcal{L}(x, y)` is the distortion + the rate of z, given the label. A label that is known has all the
weight of the sum.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import OneHotCategorical, kl_divergence

from vaescope.distributions import centre as centre_of
from vaescope.errors import UsageError
from vaescope.families import OptimalGaussian
from vaescope.models import VAE, SemiVAE, each_label, known
from vaescope.objectives.checks import check_amounts
from vaescope.objectives.objective import Objective, Terms
from vaescope.objectives.schedules import Ramp, Schedule
from vaescope.objectives.terms import distortion, site_rate


@dataclass(frozen=True)
class M2(Objective):
    r"""The negative evidence lower bound of images whose labels are not all known, and the loss of the classifier.

    .. math:: D + \beta R - \alpha\, [y \text{ known}] \log q(y \mid x)

    Distortion and rate are exact sums over the labels, weighted by the classifier where the label is not known, so that
    no gradient goes through a draw of a label; each label costs a pass of the decoder. With :math:`\beta = 1` and
    :math:`\alpha = 0` it is a bound on :math:`-\log p(x, y)` where the label is known, with :math:`\log K` nats for it
    among the rate, and on :math:`-\log p(x)` elsewhere. A classifier learns from the bound only where the label is not
    known, hence the last term.

    References:
        | Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), equations 6 to 9
        | https://arxiv.org/abs/1406.5298

    Args:
        alpha: The weight of the classification loss of an image whose label is known. The paper's is 0.1 divided by the
            share of these images.
        beta: The weight of the rate, a number of at least 0.
        warmup: A factor on :math:`\beta` that changes as training goes on.

    Raises:
        UsageError: For a negative weight.
    """

    sums_labels: ClassVar[bool] = True

    alpha: float = 50.0
    beta: float = 1.0
    warmup: Schedule = Ramp(start=0.1, end=1.0, share=0.2)

    def __post_init__(self) -> None:
        check_amounts(self, "alpha", "beta")

    def __str__(self) -> str:
        weight = self.beta * self.warmup(1.0)
        bound = "−ELBO" if weight == 1 else f"distortion + {weight:g} × rate"
        return f"{bound} + {self.alpha:g} × classification loss"

    @property
    def repeats(self) -> bool:
        """Every label in turn adds an axis in front of the batch."""
        return True

    def check(self, model: VAE) -> None:
        """Refuses a model without a classifier, or whose likelihood looks at all labels at once."""
        if not isinstance(model, SemiVAE):
            raise UsageError("M2 needs a classifier, which the model does not have: set the model to SemiSupervised")
        if isinstance(model.likelihood.family, OptimalGaussian):
            raise UsageError(
                "M2 scores every label, and the scale of OptimalGaussian would be that of the wrong ones too: "
                "use the likelihood Gaussian, whose scale is learned"
            )
        super().check(model)

    def __call__(self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0) -> Terms:
        """The terms of a batch.

        Returns:
            The ``loss``, the ``distortion`` and the ``rate``, of the label and of z, in nats per image; the
            ``label_loss``, that of the classifier, in nats per image, where it is 0 without a label; the shares of the
            images that are ``labelled``, and that are so and right (``accuracy``, that of the classifier where all
            labels are known, as in validation).
        """
        assert isinstance(model, SemiVAE)
        trace = model(x, None, each_label())  # sites and likelihood with an axis of K labels in front
        label, latent = trace.sites
        assert isinstance(label.q, OneHotCategorical)
        q = label.q if context is None else known(label.q, context)
        weights = q.mean.T  # (K, B)
        d = (weights * distortion(trace, x)).sum(0).mean()
        r = ((weights * site_rate(latent)).sum(0) + kl_divergence(q, label.p)).mean()
        if context is None:
            context = x.new_zeros(len(x), model.classes)
        label_loss = -(context * label.q.logits).sum(-1).mean()
        right = (context * centre_of(label.q)).sum(-1).mean()
        loss = d + self.beta * self.warmup(progress) * r + self.alpha * label_loss
        terms = {"loss": loss, "distortion": d, "rate": r, "label_loss": label_loss}
        return terms | {"labelled": context.sum(-1).mean(), "accuracy": right}
