r"""The variational autoencoder: a prior, a posterior and a likelihood.

.. math:: z \sim p(z), \quad x \sim p(x \mid z), \qquad q(z \mid x) \approx p(z \mid x)
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from vaescope.conditional import Conditional
from vaescope.errors import UsageError
from vaescope.models.trace import Pick, Site, Trace, draw
from vaescope.priors import Prior

DRAW = draw()

Visit = Callable[[Pick], tuple[tuple[Site, ...], Tensor, Tensor | None]]
"""From a pick to the sites of a pass, and the latents and the condition that the likelihood is given after them."""


class VAE(nn.Module):
    """A model with one latent variable.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114

    Args:
        prior: p(z), with event shape (D,).
        posterior: q(z|x), from images to latents.
        likelihood: p(x|z), from latents to images.
        classes: The number of classes K whose labels every part is conditioned on; 0 for none.

    Example:
        >>> import torch
        >>> from vaescope.models import Flat
        >>> model = Flat(latent=2)(shape=(1, 28, 28))
        >>> trace = model(torch.rand(8, 1, 28, 28))
        >>> trace.sites[0].z.shape, trace.likelihood.mean.shape
        (torch.Size([8, 2]), torch.Size([8, 1, 28, 28]))
    """

    def __init__(self, prior: Prior, posterior: Conditional, likelihood: Conditional, classes: int = 0) -> None:
        super().__init__()
        self.prior, self.posterior, self.likelihood, self.classes = prior, posterior, likelihood, classes

    def forward(self, x: Tensor | None = None, context: Tensor | None = None, pick: Pick = DRAW) -> Trace:
        """One pass.

        Args:
            x: Images, with shape (B, C, H, W). Without them the latents come from the prior.
            context: A further condition for every part of the model, with shape (B, K).
            pick: Where the values of the latents come from.
        """
        sites, z, condition = self.visit(x, context)(pick)
        return Trace(sites, self.likelihood(z, condition))

    def visit(self, x: Tensor | None = None, context: Tensor | None = None) -> Visit:
        """A pass but for its likelihood, to be made with any number of picks: images are encoded only once.

        Args:
            x: Images, with shape (B, C, H, W).
            context: A further condition, with shape (B, K).
        """
        p = self.prior(context)
        q = None if x is None else self.infer(x, context)

        def visited(pick: Pick) -> tuple[tuple[Site, ...], Tensor, Tensor | None]:
            z = pick(0, p, q)
            return (Site(p, q, z),), z, context

        return visited

    def infer(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """The posterior q(z|x) of images, with batch shape (B,) and event shape (D,).

        Args:
            x: Images, with shape (B, C, H, W).
            context: A further condition, with shape (B, K).
        """
        return self.posterior(x, context)

    def context(self, labels: Tensor | None) -> Tensor | None:
        """Labels as what the model is conditioned on: one-hot rows with shape (B, K), nothing where it is not.

        Args:
            labels: The classes, with shape (B,), -1 where one is not known.

        Raises:
            UsageError: If there are none, or some are not known, but the model needs them.
        """
        if not self.classes:
            return None
        if labels is None:
            raise UsageError("the model is conditioned on labels, but there are none: give images with labels")
        if unknown := int((labels < 0).sum()):
            raise UsageError(
                f"the model is conditioned on labels, but {unknown:,} of {len(labels):,} are not known: "
                "set data.labelled to 1, or the model to SemiSupervised"
            )
        return one_hot(labels, self.classes).float()

    def start_at(self, mean: Tensor, images: Tensor) -> None:
        """Lets an untrained model start near the data.

        Args:
            mean: The mean of all training images, with shape (C, H, W).
            images: Some of them as the encoder sees them, with shape (N, C, H, W).
        """
        self.likelihood.start_at(mean)
        self.prior.start_at(images)
