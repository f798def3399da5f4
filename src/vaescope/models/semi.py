r"""Models of images of which only some have a label: the label is a latent variable, observed where it is known.

.. math:: y \sim \mathrm{Uniform}, \quad z \sim p(z), \quad x \sim p(x \mid y, z), \qquad
          q(y, z \mid x) = q(y \mid x)\, q(z \mid x, y)

A trace has two sites, the label and z. The posterior of a label that is known is all in that label, so that its rate is
:math:`\log K`: distortion and rates together are then a bound on :math:`-\log p(x, y)`, and on :math:`-\log p(x)` where
the label is not known.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn.functional import one_hot

from vaescope.conditional import Conditional
from vaescope.distributions import centre as centre_of
from vaescope.errors import UsageError
from vaescope.families import Bernoulli, DiagonalNormal, Family
from vaescope.models.presets import Architecture, Flat
from vaescope.models.trace import Pick, Site, draw
from vaescope.models.vae import VAE, Visit
from vaescope.nets import MLP, Network, Shape
from vaescope.priors import Prior, StandardNormal

CERTAIN = 1e4
"""The difference of logits that stands for certainty: all other probabilities are zero in any precision."""


class Labels(Family):
    """The categorical distribution over labels, as one-hot rows.

    Args:
        shape: The number of classes, (K,).
    """

    support = "labels"
    density = False
    factorised = False
    pathwise = False

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters, which are the logits of the classes."""
        return self.shape

    def forward(self, h: Tensor) -> OneHotCategorical:
        """Takes logits with shape (*B, K), returns a distribution with batch shape B and event shape (K,)."""
        return OneHotCategorical(logits=h, validate_args=False)

    def start(self, mean: Tensor) -> Tensor:
        """The logarithms of the shares of the classes."""
        return mean.clamp(min=1e-6).log()


class SemiVAE(VAE):
    r"""A model with two latent variables, a label and z.

    References:
        | Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), its model M2
        | https://arxiv.org/abs/1406.5298

    Args:
        prior: p(z), with event shape (D,).
        classifier: q(y|x), from images to one-hot labels.
        posterior: q(z|x,y), from images beside labels to latents.
        likelihood: p(x|y,z), from latents beside labels to images.
        classes: The number of classes K.
    """

    def __init__(
        self, prior: Prior, classifier: Conditional, posterior: Conditional, likelihood: Conditional, classes: int
    ) -> None:
        super().__init__(prior, posterior, likelihood, classes)
        self.classifier = classifier

    def visit(self, x: Tensor | None = None, context: Tensor | None = None) -> Visit:
        """A pass but for its likelihood: first the label, then z. Images are classified only once.

        Args:
            x: Images, with shape (B, C, H, W). Without them the latents come from their priors.
            context: One-hot labels with shape (B, K), whose rows are zero where the label is not known; without it
                none is known.
        """
        labels, prior = self.labels(), self.prior()
        seen = self.classifier(x) if x is not None else labels
        q = known(seen, context) if context is not None else None if x is None else seen

        def visited(pick: Pick) -> tuple[tuple[Site, ...], Tensor, Tensor | None]:
            y = pick(0, labels, q)  # (*S, B, K)
            if context is not None:  # what is known stays, wherever the rest comes from
                y = torch.where(context.any(-1, keepdim=True), context.to(y.dtype), y)
            if x is None:
                p, posterior = prior.expand(y.shape[:-1]), None  # as many latents as labels
            else:
                p, posterior = prior, self.posterior(x.expand(*y.shape[:-1], *x.shape[1:]), y)
            z = pick(1, p, posterior)  # (*S, B, D)
            return (Site(labels, q, y), Site(p, posterior, z)), z, y

        return visited

    def labels(self) -> OneHotCategorical:
        """The prior of the label, which is uniform, with no batch axes and event shape (K,)."""
        logits = next(self.parameters()).new_zeros(self.classes)
        return OneHotCategorical(logits=logits, validate_args=False)

    def classify(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """The posterior q(y|x) of the labels of images, with batch shape (B,) and event shape (K,).

        Args:
            x: Images, with shape (B, C, H, W).
            context: What is known of their labels, with shape (B, K).
        """
        q = self.classifier(x)
        return q if context is None else known(q, context)

    def infer(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """The posterior q(z|x,y) at the label that is known, or else the most probable one.

        Args:
            x: Images, with shape (B, C, H, W).
            context: What is known of their labels, with shape (B, K).
        """
        return self.posterior(x, centre_of(self.classify(x, context)))

    def context(self, labels: Tensor | None) -> Tensor | None:
        """Labels as one-hot rows with shape (B, K), zero where they are not known; nothing where none is.

        Args:
            labels: The classes, with shape (B,), -1 where they are not known.
        """
        if labels is None:
            return None
        return one_hot(labels.clamp(min=0), self.classes).float() * (labels >= 0)[:, None]


def known(q: Distribution, context: Tensor) -> OneHotCategorical:
    """Labels of which some are known: those distributions are all in one label.

    Args:
        q: What is thought of labels, one-hot categorical with batch shape (B,) or none.
        context: One-hot rows with shape (B, K), zero where a label is not known.
    """
    assert isinstance(q, OneHotCategorical)
    logits = torch.where(context.any(-1, keepdim=True), CERTAIN * (context - 1), q.logits)
    return OneHotCategorical(logits=logits, validate_args=False)


def each_label() -> Pick:
    """Takes every label in turn, K values in a new first axis, and draws what comes after it."""
    chosen = draw()

    def pick(index: int, p: Distribution, q: Distribution | None) -> Tensor:
        if index > 0:
            return chosen(index, p, q)
        batch, classes = (p if q is None else q).batch_shape, p.event_shape[0]
        every = torch.eye(classes, device=p.mean.device, dtype=p.mean.dtype)
        return every.view(classes, *[1] * len(batch), classes).expand(classes, *batch, classes)

    return pick


@dataclass(frozen=True)
class SemiSupervised(Architecture):
    """A VAE that classifies, for images of which only some have a label: see data.labelled.

    The label is a latent variable with a classifier as its posterior, q(y|x), and is beside the image in q(z|x,y) and
    beside z in p(x|y,z). It is for the objective M2.

    Args:
        latent: The number of latents D beside the label.
        network: The encoder and the decoder.
        prior: p(z), such as StandardNormal or NormalMixture.
        posterior: q(z|x,y), such as DiagonalNormal.
        likelihood: p(x|y,z), such as Bernoulli for binary (or grey) pixels, or Gaussian for real values.
        classifier: The network of q(y|x), of which only the encoder is used.

    References:
        | Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), its model M2
        | https://arxiv.org/abs/1406.5298

    Raises:
        UsageError: For less than one latent, for images without labels, or for a prior that is not over the latents
            that the posterior gives.
    """

    latent: int = 2
    network: Network = MLP()
    prior: Callable[[int], Prior] = StandardNormal
    posterior: Callable[[Shape], Family] = DiagonalNormal
    likelihood: Callable[[Shape], Family] = Bernoulli
    classifier: Network = MLP()

    def __post_init__(self) -> None:
        self._generator()

    def __call__(self, shape: Shape, classes: int = 0) -> SemiVAE:
        """The model for images of ``shape`` (C, H, W) in so many classes, with new weights."""
        if not classes:
            raise UsageError("SemiSupervised learns classes, but the images have no labels: use Flat, or give some")
        made = self._generator()(shape, classes)
        net = self.classifier.encoder(tuple(shape), (classes,))
        return SemiVAE(
            made.prior, Conditional(net, Labels((classes,)), ndims=3), made.posterior, made.likelihood, classes
        )

    def _generator(self) -> Flat:
        """The model of images whose labels are all known."""
        return Flat(self.latent, self.network, self.prior, self.posterior, self.likelihood, labels=True)
