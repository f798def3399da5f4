r"""Annealed importance sampling: log p(x) of a decoder, and how far off the estimate may be.

A chain starts at a draw of a distribution that is known, and follows densities that turn it into the posterior,

.. math:: f_\beta(z) = q(z \mid x) \left( \frac{p(x, z)}{q(z \mid x)} \right)^\beta, \quad
          0 = \beta_0 < \dots < \beta_T = 1, \qquad
          \log w = \sum_t (\beta_t - \beta_{t-1}) \log \frac{p(x, z_{t-1})}{q(z_{t-1} \mid x)}

with a transition that leaves :math:`f_{\beta_t}` as it is from :math:`z_{t-1}` to :math:`z_t`. The mean of w is p(x),
so the logarithm of the mean over K chains is a lower bound of log p(x) in expectation. With one step it is the
importance weighted bound. With q = p(z), :math:`f_\beta` is :math:`p(z)\, p(x \mid z)^\beta` and needs no encoder.

The latents that an image was drawn from by the model are a draw of its posterior, from which a chain can be run
backwards. One such chain among K - 1 others gives an upper bound of log p(x) in expectation. How far the two bounds are
apart on simulated images tells what the chains are wrong by.

References:
    | Annealed Importance Sampling (Neal, 2001)
    | https://arxiv.org/abs/physics/9803008
    | On the Quantitative Analysis of Decoder-Based Generative Models (Wu et al., 2017), also for the schedule
    | https://arxiv.org/abs/1611.04273
    | Sandwiching the marginal likelihood using bidirectional Monte Carlo (Grosse et al., 2015)
    | https://arxiv.org/abs/1511.02543
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.metrics.bound import NATS, of_labels
from vaescope.metrics.hamiltonian import Hamiltonian, Path, Transition, Tuning
from vaescope.metrics.importance import importance_bound
from vaescope.metrics.score import InapplicableError, Score, mean_score
from vaescope.metrics.subject import Subject, Tick
from vaescope.models import VAE, SemiVAE, aside
from vaescope.objectives.terms import log_mean_exp

TOGETHER = 256
"""Chains at once, of as many images as that gives. More are not faster on a CPU."""
VALUES = 2**20
"""Values of images that are decoded at once, for what gradients need of each is kept in memory."""
PILOTS = 4
"""Chains for each image that find the sizes of leapfrog steps and are thrown away."""
STOPS = 50
"""At most so many steps of theirs, between which sizes hardly change."""
DRAWS = 100
"""Draws that tell how wide the distribution is at which chains start."""

Schedule = Callable[[int], Tensor]
"""From the number T of steps to T + 1 ascending numbers from 0 to 1, as float64."""


def linear(steps: int) -> Tensor:
    r"""Equal steps, :math:`\beta_t = t / T`."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def sigmoidal(steps: int, slope: float = 4.0) -> Tensor:
    r"""Smaller steps at both ends, as Wu et al. (2017) have them.

    .. math:: \tilde\beta_t = \sigma(\delta (2 t / T - 1)), \quad
              \beta_t = \frac{\tilde\beta_t - \tilde\beta_0}{\tilde\beta_T - \tilde\beta_0}

    Args:
        steps: The number of steps T.
        slope: How much smaller, :math:`\delta`.
    """
    betas = (slope * (2 * linear(steps) - 1)).sigmoid()
    return (betas - betas[0]) / (betas[-1] - betas[0])


@dataclass(frozen=True)
class Annealing:
    """How chains are run.

    Args:
        steps: The number T of steps from the first density to the last, at least 2.
        chains: The number K of chains for each image.
        leapfrogs: The number of leapfrog steps in a transition.
        start: What chains start at: "posterior" for q(z|x), or "prior", which does not depend on the encoder.
        schedule: Where on the path the steps are.

    Raises:
        UsageError: For fewer than two steps, or less than one chain or leapfrog step.
    """

    steps: int = 1000
    chains: int = 16
    leapfrogs: int = 5
    start: Literal["posterior", "prior"] = "posterior"
    schedule: Schedule = linear

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise UsageError(f"steps is {self.steps}: give at least 2, such as 1000, or use importance_bound")
        for name in ("chains", "leapfrogs"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: give at least 1, such as 10")

    def __str__(self) -> str:
        start = "q(z|x)" if self.start == "posterior" else "p(z)"
        return (
            f"{self.chains:,} annealed chains from {start} in {self.steps:,} {self.schedule.__name__} steps, "
            f"transitions of {self.leapfrogs} leapfrogs"
        )


@dataclass(frozen=True)
class Annealed:
    """What chains found.

    Args:
        weights: The logarithms of their weights, with shape (K, N), as float64 on the CPU.
        acceptance: The share of transitions that were accepted, for each image, with shape (N,).
    """

    weights: Tensor
    acceptance: Tensor

    def bound(self) -> Tensor:
        """The logarithm of the mean weight of every image: a lower bound of log p(x) in nats, with shape (N,)."""
        return log_mean_exp(self.weights)


@dataclass(frozen=True)
class Enclosed:
    """Bounds of log p(x) of images that were drawn from a model.

    Args:
        images: The images, with shape (N, C, H, W), on the CPU.
        forward: What chains found that were run forwards.
        backward: The logarithm of the weight of a chain that was run backwards, with shape (N,).
    """

    images: Tensor
    forward: Annealed
    backward: Tensor

    def lower(self) -> Tensor:
        """A bound in nats that is below log p(x) in expectation, with shape (N,)."""
        return self.forward.bound()

    def upper(self) -> Tensor:
        """A bound in nats that is above log p(x) in expectation, with shape (N,)."""
        return log_mean_exp(torch.cat((self.backward[None], self.forward.weights[1:])))


def annealed_log_weights(path: Path, z: Tensor, betas: Tensor, transition: Transition) -> Tensor:
    r"""The logarithms of the weights of chains, :math:`\sum_t (\beta_t - \beta_{t-1}) \log r(z_{t-1})`.

    With ascending betas from 0 to 1 and draws of :math:`f_0`, the mean of the weights is :math:`Z = \int f_1`. With
    descending ones and draws of :math:`f_1` (up to :math:`Z`) chains run backwards, and it is :math:`1 / Z`. This holds
    for every transition that leaves the densities as they are; a better one makes the weights vary less.

    Args:
        path: The densities.
        z: Where chains start, with shape (K, B, D).
        betas: Where on the path the steps are, with shape (T + 1,).
        transition: Moves chains at each of them but the first and the last.

    Returns:
        The logarithms, with shape (K, B), as float64.

    Example:
        >>> import torch
        >>> path = Path(lambda z: -z.square().sum(-1) / 2, lambda z: -z.square().sum(-1) / 2)
        >>> stay = lambda path, point, beta: point
        >>> annealed_log_weights(path, torch.ones(1, 1, 3), linear(4), stay)
        tensor([[-1.5000]], dtype=torch.float64)
    """
    point, weights = path.at(z), torch.zeros(z.shape[:-1], dtype=torch.float64, device=z.device)
    ladder = betas.tolist()
    for t, (last, beta) in enumerate(pairwise(ladder), 1):
        weights = weights + (beta - last) * point.ratio
        if t < len(ladder) - 1:
            point = transition(path, point, beta)
    return weights


def annealed_bound(
    model: VAE,
    examples: Examples,
    how: Annealing = Annealing(),
    seed: int = 0,
    tick: Tick = lambda done, total: None,
) -> Annealed:
    """Annealed importance sampling of log p(x). Memory does not grow with the number of images or steps.

    The sizes of the leapfrog steps are found by chains of their own, see :class:`vaescope.metrics.hamiltonian.Tuning`,
    so that those that count have weights whose mean is p(x).

    Args:
        model: The model, with one latent variable on the real line.
        examples: N images as the model is shown them.
        how: How chains are run.
        seed: Decides all draws.
        tick: Is told how much is done.

    Raises:
        UsageError: For a model whose latents are not one vector on the real line, or whose posterior is a point mass.
    """
    check(model)
    device, found = next(model.parameters()).device, []
    with _still(model, seed):
        for rows, moved in _parts(model, how, len(examples), tick):
            found.append(_Ladder(model, examples[rows].to(device), how, moved).forward())
    return _joined(found)


def simulated_bounds(
    model: VAE,
    count: int,
    context: Tensor | None = None,
    how: Annealing = Annealing(),
    seed: int = 0,
    tick: Tick = lambda done, total: None,
) -> Enclosed:
    """Bounds of log p(x) from both sides, for images that are drawn from the model.

    Args:
        model: The model, with one latent variable on the real line.
        count: The number N of images.
        context: What each is conditioned on, with shape (N, K), for a model with labels.
        how: How chains are run.
        seed: Decides all draws.
        tick: Is told how much is done.

    Raises:
        UsageError: For a model whose latents are not one vector on the real line, or whose posterior is a point mass.
    """
    check(model)
    device, images, forward, backward = next(model.parameters()).device, [], [], []
    with _still(model, seed):
        for rows, moved in _parts(model, how, count, tick, backwards=1):
            given = None if context is None else context[rows].to(device)
            z = model.prior(given).sample(torch.Size((rows.stop - rows.start,)))
            x = model.likelihood(z, given).sample()
            ladder = _Ladder(model, Examples(x, given), how, moved)
            images.append(x.cpu())
            forward.append(ladder.forward())
            backward.append(ladder.backward(z))
    return Enclosed(torch.cat(images), _joined(forward), torch.cat(backward))


def check(model: VAE) -> None:
    """Refuses models for which there are no such chains.

    Raises:
        UsageError: Always saying why.
    """
    if reason := inapplicable(model):
        raise UsageError(f"the model has no annealed importance sampling: {reason}")


def inapplicable(model: VAE) -> str:
    """Why there are no such chains for a model, in one clause; empty where there are."""
    if isinstance(model, SemiVAE):
        return "its label is a latent variable, too, and no step along a gradient changes that"
    if model.posterior.family.degenerate:
        return "it is an autoencoder, whose posterior is a point mass"
    if model.prior.support != "real line":
        return f"chains move on the real line, but the support of its latents is another ({model.prior.support})"
    return ""


class _Ladder:
    """The densities between the start and the posterior of some images, and transitions at each of them."""

    def __init__(self, model: VAE, part: Examples, how: Annealing, moved: Callable[[], None]) -> None:
        self.room, self.chains, x, context = room(model), how.chains, part.values, part.context
        prior, q = model.prior(context), model.infer(x, context)

        def log_likelihood(z: Tensor) -> Tensor:
            return model.likelihood(z, context).log_prob(x)

        def log_weight(z: Tensor) -> Tensor:
            return log_likelihood(z) + prior.log_prob(z) - q.log_prob(z)

        self.shape = torch.Size((len(x),) if how.start == "prior" else ())
        self.initial: Distribution = prior if how.start == "prior" else q
        self.path = Path(self.initial.log_prob, log_likelihood if how.start == "prior" else log_weight)
        self.betas = how.schedule(how.steps)
        scale = self.initial.sample(torch.Size((DRAWS,))).std(0).expand(len(x), -1)
        pilot = Tuning(scale, {}, how.leapfrogs, moved)
        annealed_log_weights(self.path, self.draw(PILOTS), how.schedule(min(STOPS, how.steps)), pilot)
        self.transition = Hamiltonian(scale, pilot.sizes, how.leapfrogs, moved)

    def draw(self, chains: int) -> Tensor:
        """Where so many chains of each image start, with shape (chains, B, D)."""
        return self.initial.sample(torch.Size((chains, *self.shape)))

    def forward(self) -> Annealed:
        """All chains, as many together as there is room for."""
        weights = [
            annealed_log_weights(self.path, self.draw(chains), self.betas, self.transition)
            for chains in _groups(self.chains, self.room)
        ]
        return Annealed(torch.cat(weights).cpu(), self.transition.acceptance().cpu())

    def backward(self, z: Tensor) -> Tensor:
        """The weight of a chain backwards from draws of the posterior with shape (B, D), as that of one forwards."""
        return -annealed_log_weights(self.path, z[None], self.betas.flip(0), self.transition)[0].cpu()


def room(model: VAE) -> int:
    """How many chains are run together."""
    return max(1, min(TOGETHER, VALUES // math.prod(model.likelihood.family.shape)))


def _groups(chains: int, most: int) -> list[int]:
    """The chains of an image, in groups of at most so many."""
    return [min(most, chains - first) for first in range(0, chains, most)]


def _parts(
    model: VAE, how: Annealing, images: int, tick: Tick, backwards: int = 0
) -> Iterator[tuple[slice, Callable[[], None]]]:
    """The rows of the images that are looked at together, and what to call after each of their transitions."""
    most = room(model)
    size = max(1, most // how.chains)
    runs = (how.steps - 1) * (len(_groups(how.chains, most)) + backwards)
    total, done = math.ceil(images / size) * (min(STOPS, how.steps) - 1 + runs), 0

    def moved() -> None:
        nonlocal done
        done += 1
        tick(done, total)

    for start in range(0, images, size):
        yield slice(start, min(start + size, images)), moved


def _joined(parts: list[Annealed]) -> Annealed:
    """What was found of all parts."""
    return Annealed(torch.cat([part.weights for part in parts], 1), torch.cat([part.acceptance for part in parts]))


@contextmanager
def _still(model: nn.Module, seed: int) -> Iterator[None]:
    """Within the block the model is looked at aside, and its parameters need no gradients, which saves their memory."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with aside(model, seed):
        try:
            for parameter in learned:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in learned:
                parameter.requires_grad_()


LOW, HIGH = 0.3, 0.95
"""Shares of accepted transitions outside of which chains hardly move, or move in steps that are needlessly small."""
WIDE = 1.0
"""A gap in nats beyond which the bounds say little."""
SIMULATED = 20
"""At most so many images are drawn from the model."""


def ais(subject: Subject) -> Iterator[Score]:
    """-log p(x) by annealed importance sampling, beside the importance weighted bound, and what it may be wrong by."""
    model, effort = subject.model, subject.effort
    if reason := inapplicable(model):
        raise InapplicableError(reason)
    how = Annealing(effort.anneal, effort.chains)
    test = subject.test[: effort.annealed]
    drawn = min(SIMULATED, len(test))
    first = len(test) / (len(test) + drawn)
    found = annealed_bound(model, test, how, subject.seed_for("annealed"), _share(subject.tick, 0, first))
    seed = subject.seed_for("annealed, simulated")
    known = simulated_bounds(model, drawn, test[:drawn].context, how, seed, _share(subject.tick, first, 1))
    weighted = importance_bound(model, test, effort.samples, seed=subject.seed_for("annealed, importance"))

    images = subject.target.shown + of_labels(model)
    protocol, drawing = f"{images}; {how}", f"images drawn from the model; {how}"
    gap = known.upper() - known.lower()
    warning = _doubts(found.bound(), weighted, gap)
    score = mean_score("nll", "−log p(x), annealed", -found.bound(), NATS, protocol, better="lower")
    yield replace(score, warning=warning)
    draws = f"{images}; importance weighted bound of {effort.samples:,} draws"
    yield mean_score("importance", f"−log p(x), IWAE of {effort.samples:,} draws", -weighted, NATS, draws)
    yield replace(
        mean_score("acceptance", "accepted transitions", found.acceptance, "", protocol),
        warning=_refusals(found.acceptance),
    )
    for name, title, each in (
        ("simulated_forward", "simulated, chains forwards", -known.lower()),
        ("simulated_backward", "simulated, one backwards", -known.upper()),
        ("gap", "gap between the two", gap),
    ):
        yield replace(mean_score(name, title, each, NATS, drawing), cases="simulated images", each=None)


def _share(tick: Tick, first: float, last: float) -> Tick:
    """Tells how far a part of the whole is, that goes from one share of it to another."""
    return lambda done, total: tick(round(1000 * (first + (last - first) * done / total)), 1000)


def _doubts(bound: Tensor, weighted: Tensor, gap: Tensor) -> str:
    """Why the bound may be far from log p(x), empty if nothing speaks for it."""
    if gap.mean() > WIDE:
        apart = f"on simulated images the bounds are {gap.mean():.1f} nats apart"
        few = int((gap > WIDE).sum())
        if gap.median() > WIDE / 2:
            return f"{apart}: give more --anneal steps"
        return f"{apart}, because of {few} of {len(gap)}: q(z|x) may miss a part of their posterior"
    lead = weighted - bound
    error = lead.std().item() / math.sqrt(len(lead)) if len(lead) > 1 else math.inf
    if lead.mean() > max(2 * error, 0.05):
        return f"the importance weighted bound is tighter by {lead.mean():.2f} nats: give more --anneal steps"
    return ""


def _refusals(acceptance: Tensor) -> str:
    """What is wrong with the shares of accepted transitions, empty if nothing is."""
    outside = int(((acceptance < LOW) | (acceptance > HIGH)).sum())
    if not outside:
        return ""
    return f"outside of {LOW} to {HIGH} for {outside} of {len(acceptance)} images: give more --anneal steps"
