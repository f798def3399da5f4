"""What objectives share that look at the codes of a batch: the draws of q(z|x), against draws of p(z)."""

from torch import Tensor

from vaescope.errors import UsageError
from vaescope.models import VAE, Site, Trace
from vaescope.objectives.objective import Terms
from vaescope.objectives.terms import rate


def code(trace: Trace) -> Site:
    """The one latent variable of a trace.

    Args:
        trace: One pass.

    Raises:
        UsageError: For a model with several.
    """
    if len(trace.sites) != 1:
        raise UsageError(
            f"the objective looks at one latent variable, but the model has {len(trace.sites)}: use the objective ELBO"
        )
    return trace.sites[0]


def prior_draws(site: Site) -> Tensor:
    """As many draws of the prior as there are values in a site, without a gradient.

    Args:
        site: A site, with values of shape (*S, B, *event).
    """
    batch = site.z.shape[: site.z.dim() - len(site.p.event_shape)]
    return site.p.sample(batch[: len(batch) - len(site.p.batch_shape)])


def measured_rate(model: VAE, trace: Trace) -> Terms:
    """The mean rate as a number to log, or nothing where the posterior is a point, which has none.

    Args:
        model: The model.
        trace: One pass over images.
    """
    return {} if model.posterior.family.degenerate else {"rate": rate(trace).mean().detach()}


def prior_fit(model: VAE, site: Site) -> Terms:
    r"""The cross-entropy :math:`-\log p(z)` of the codes as they are, or nothing where the prior cannot change.

    An autoencoder can only be sampled from where the density of its codes is known. Minimised along the way this fits
    a learned prior to them. No gradient reaches the codes, so that neither encoder nor decoder is touched. (A prior
    that is made of the encoder, such as VampPrior, shares its parameters with it.)

    References:
        | From Variational to Deterministic Autoencoders (Ghosh et al., 2020), where it is done afterwards
        | https://arxiv.org/abs/1903.12436

    Args:
        model: The model.
        site: Its latent variable.
    """
    if not any(parameter.requires_grad for parameter in model.prior.parameters()):
        return {}
    return {"cross_entropy": -site.p.log_prob(site.z.detach()).mean()}
