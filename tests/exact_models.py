"""Models whose likelihood is known exactly, for laws to be checked against."""

import math
from itertools import product

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vaescope.conditional import Conditional
from vaescope.families import Bernoulli, DiagonalNormal, Gaussian
from vaescope.models import VAE
from vaescope.priors import StandardNormal


class LinearPosterior(nn.Module):
    """The exact posterior of a model with x = W z + mu + noise: N(M^-1 W'(x - mu), s^2 M^-1), M = W'W + s^2 I."""

    def __init__(self, weight: Tensor, mean: Tensor, scale: float) -> None:
        super().__init__()
        precision = weight.T @ weight + scale**2 * torch.eye(weight.shape[1], dtype=weight.dtype)
        self.gain = torch.linalg.solve(precision, weight.T)
        self.mean = mean
        self.covariance = scale**2 * torch.linalg.inv(precision)

    def forward(self, x: Tensor, context: Tensor | None = None) -> MultivariateNormal:
        loc = (x.flatten(1) - self.mean) @ self.gain.T
        return MultivariateNormal(loc, self.covariance.expand(len(x), -1, -1))


def linear_model(weight: Tensor, mean: Tensor, scale: float) -> VAE:
    """Probabilistic PCA as a VAE, for images of shape (1, 1, N)."""
    pixels, latent = weight.shape
    family = Gaussian((1, 1, pixels), scale=scale)
    layer = nn.Linear(latent, pixels).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(mean)
    net = nn.Sequential(layer, nn.Unflatten(-1, (1, 1, pixels)))
    likelihood = Conditional(net, family, ndims=1).double()
    family.log_scale.data.fill_(math.log(scale))
    return VAE(StandardNormal(latent).double(), LinearPosterior(weight, mean, scale), likelihood)  # type: ignore[arg-type]


def linear_case() -> tuple[VAE, Tensor, Tensor]:
    """A linear model, images, and their exact log-likelihood."""
    torch.manual_seed(0)
    weight, mean, scale = torch.randn(6, 2).double(), torch.randn(6).double(), 0.7
    x = torch.randn(50, 1, 1, 6).double()
    marginal = MultivariateNormal(mean, weight @ weight.T + scale**2 * torch.eye(6).double())
    return linear_model(weight, mean, scale), x, marginal.log_prob(x.flatten(1))


class Quadrature:
    """The model with z ~ N(0, 1) and logit_j = w_j z + b_j, whose 256 images can all be scored by quadrature."""

    weight, bias = torch.linspace(-3, 3, 8, dtype=torch.float64), torch.linspace(1, -1, 8, dtype=torch.float64)

    def model(self) -> VAE:
        """It as a VAE, whose posterior is a wide normal around the prior."""
        layer = nn.Linear(1, 8).double()
        layer.weight.data, layer.bias.data = self.weight[:, None], self.bias
        encoder = nn.Sequential(nn.Flatten(-3), nn.Linear(8, 2).double())
        torch.nn.init.zeros_(encoder[1].weight)
        encoder[1].bias.data = torch.tensor([0.0, 0.2]).double()
        decoder = nn.Sequential(layer, nn.Unflatten(-1, (1, 1, 8)))
        posterior = Conditional(encoder, DiagonalNormal((1,)), ndims=3)
        return VAE(StandardNormal(1).double(), posterior, Conditional(decoder, Bernoulli((1, 1, 8)), ndims=1))

    def images(self) -> Tensor:
        """All images, with shape (256, 1, 1, 8)."""
        return torch.tensor(list(product([0.0, 1.0], repeat=8))).double().view(256, 1, 1, 8)

    def log_likelihood(self) -> Tensor:
        """log p(x) of all images, with shape (256,)."""
        z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
        trace = self.model()(pick=lambda i, p, q: z[:, None])
        joint = trace.likelihood.log_prob(self.images()[:, None]) + StandardNormal(1).double()().log_prob(z[:, None])
        return joint.logsumexp(1) + math.log(20 / 4000)
