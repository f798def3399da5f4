r"""The variational autoencoder: a prior, a posterior and a likelihood.

.. math:: z \sim p(z), \quad x \sim p(x \mid z), \qquad q(z \mid x) \approx p(z \mid x)
"""

from torch import Tensor, nn

from vaescope.conditional import Conditional
from vaescope.models.trace import Pick, Site, Trace, draw
from vaescope.priors import Prior

DRAW = draw()


class VAE(nn.Module):
    """A model with one latent variable.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114

    Args:
        prior: p(z), with event shape (D,).
        posterior: q(z|x), from images to latents.
        likelihood: p(x|z), from latents to images.

    Example:
        >>> import torch
        >>> from vaescope.models import Flat
        >>> model = Flat(latent=2)(shape=(1, 28, 28))
        >>> trace = model(torch.rand(8, 1, 28, 28))
        >>> trace.sites[0].z.shape, trace.likelihood.mean.shape
        (torch.Size([8, 2]), torch.Size([8, 1, 28, 28]))
    """

    def __init__(self, prior: Prior, posterior: Conditional, likelihood: Conditional) -> None:
        super().__init__()
        self.prior, self.posterior, self.likelihood = prior, posterior, likelihood

    def forward(self, x: Tensor | None = None, context: Tensor | None = None, pick: Pick = DRAW) -> Trace:
        """One pass.

        Args:
            x: Images, with shape (B, C, H, W). Without them the latents come from the prior.
            context: A further condition for every part of the model, with shape (B, K).
            pick: Where the values of the latents come from.
        """
        p = self.prior(context)
        q = None if x is None else self.posterior(x, context)
        z = pick(0, p, q)
        return Trace((Site(p, q, z),), self.likelihood(z, context))
