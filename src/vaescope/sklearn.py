r"""A variational autoencoder as a scikit-learn estimator, for rows of real numbers and for images as rows.

.. code-block:: python

    embedding = VAEEmbedding(n_components=8, random_state=0).fit(X)
    embedding.transform(X)            # (n_samples, 8), the means of the posterior
    embedding.score_samples(X)        # (n_samples,), log p(x) in nats, from below

Models, objective and training are those of ``vaescope train``: :class:`~vaescope.models.Flat` for images of shape
(1, 1, n_features), the evidence lower bound, and :func:`vaescope.training.fit`. Every feature is brought to mean zero
and scale one before the model sees it. What comes back is in the units of X: with :math:`u = (x - m) / s`,

.. math:: \log p(x) = \log p(u) - \sum_i \log s_i

With the network ``linear`` this is probabilistic PCA, which ``sklearn.decomposition.PCA`` solves exactly.
"""

import copy
import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.optim import AdamW

from vaescope.data.batches import Batches
from vaescope.data.examples import Examples
from vaescope.data.targets import Whole
from vaescope.encoding import log_likelihood
from vaescope.engine import Engine, lightly
from vaescope.errors import RunError, UsageError
from vaescope.families import Bernoulli, Family, Gaussian, Laplace
from vaescope.models import VAE, Flat, aside, draw, encode, in_parts, seeded
from vaescope.nets import MLP, Conv, Linear, Network, Shape
from vaescope.objectives import ELBO, Terms
from vaescope.streams import stream
from vaescope.training import ADAMW, Observer, Player, State, Trainer, fit, put

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import Tags, check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise ImportError(
        f"vaescope.sklearn needs scikit-learn 1.6 or newer ({missing}): pip install 'vaescope[sklearn]'"
    ) from None

Array = NDArray[Any]

FLOATS = [np.float64, np.float32]
"""The types that are kept: a model looks at X in the precision of X. All others become the first."""

LIKELIHOODS: dict[str, Callable[[Shape], Family]] = {
    "gaussian": partial(Gaussian, scale=1.0),  # as broad as the data at first: few rows are learned by heart otherwise
    "laplace": partial(Laplace, scale=1.0),
    "bernoulli": Bernoulli,
}

NETWORKS: dict[str, Callable[[int], Network]] = {
    "mlp": partial(MLP, encoder_blocks=1, decoder_blocks=1),
    "linear": lambda width: Linear(),
    "conv": lambda width: Conv(),
}

VALIDATIONS = 25
"""How often the held-out rows are scored in the course of training."""


class AsGiven(Whole):
    """Real values, which the model explains as they are."""

    interval = (-math.inf, math.inf)
    protocol = "values as given, one sample, KL weight 1"

    def values(self, images: Tensor) -> Tensor:
        """The values."""
        return images


class Curve(Observer):
    """Remembers the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def stepped(self, state: State, terms: Terms) -> None:
        """After every step."""
        self.losses.append(terms["loss"].clone())


class VAEEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Latents, reconstructions, samples and likelihoods of a variational autoencoder.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114

    Args:
        n_components: The number of latents.
        network: The encoder and the decoder: mlp, linear (the model is then probabilistic PCA), conv (which needs
            ``image_shape``), or a network of :mod:`vaescope.nets` such as ``ResConv(channels=32)``.
        width: The units in every hidden layer of an mlp; another network has its own sizes.
        image_shape: The shape (H, W) or (C, H, W) of the images whose flattened pixels are the rows of X, or nothing
            for rows of any kind. All pixels of a channel then have one mean and one scale instead of their own.
        likelihood: How values vary around what is decoded: gaussian or laplace, with a learned scale; bernoulli for
            values in [0, 1], which are then left as they are; or a family of :mod:`vaescope.families`.
        beta: The weight of the KL divergence in training. Scores always have it at 1.
        max_iter: The number of training steps, each on one batch.
        batch_size: Rows a step; all of them where there are fewer.
        learning_rate: The largest learning rate in the course of training.
        validation_fraction: The share of rows that are held out to choose the best weights by. If that is less than
            one row, all are trained on and the last weights are kept.
        samples: Draws of the latents for each row that is scored. The more there are, the tighter is the bound.
        random_state: Decides all that is random: an int for the same result every time.
        device: Where to train and look: cpu, cuda, or auto for a GPU if there is one.

    Attributes:
        model_: The model, a :class:`vaescope.models.VAE` of the standardised values, on the CPU.
        mean_: The mean that is taken from every feature, with shape (n_features,).
        scale_: The scale that every feature is then divided by, with shape (n_features,).
        loss_curve_: The training loss of every step, in nats per row of standardised values.
        n_iter_: The number of steps done.
        n_features_in_: The number of features.
        feature_names_in_: Their names, where X had some.

    Raises:
        UsageError: From ``fit``, for a setting that is out of its range. It is a ValueError.

    Example:
        >>> import numpy as np
        >>> from vaescope.sklearn import VAEEmbedding
        >>> X = np.random.default_rng(0).normal(size=(100, 5))
        >>> VAEEmbedding(n_components=2, max_iter=10, random_state=0).fit_transform(X).shape
        (100, 2)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        network: str | Network = "mlp",
        width: int = 128,
        image_shape: tuple[int, ...] | None = None,
        likelihood: str | Callable[[Shape], Family] = "gaussian",
        beta: float = 1.0,
        max_iter: int = 1000,
        batch_size: int = 128,
        learning_rate: float = 0.005,
        validation_fraction: float = 0.1,
        samples: int = 100,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        self.n_components = n_components
        self.network = network
        self.width = width
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.beta = beta
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.samples = samples
        self.random_state = random_state
        self.device = device

    def fit(self, X: ArrayLike, y: object = None) -> "VAEEmbedding":
        """Trains a new model.

        Args:
            X: The rows, with shape (n_samples, n_features).
            y: Not looked at; it is there for pipelines.

        Raises:
            UsageError: For a setting that is out of its range, or values that the likelihood cannot score.
            RunError: If training breaks down.
        """
        check_settings(self)
        rows: Array = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        shape = rows_as(self.image_shape, rows.shape[1])
        likelihood = LIKELIHOODS[self.likelihood] if isinstance(self.likelihood, str) else self.likelihood
        architecture = Flat(self.n_components, network_of(self), likelihood=likelihood)
        device = Trainer(device=self.device).find_device()  # type: ignore[arg-type]
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with seeded(stream(seed, "weights"), device):
            model = architecture(shape)
            self.mean_, self.scale_ = units(rows, model.likelihood.family, shape)
            train, held_out = split(self._values(rows, shape).float(), self.validation_fraction, seed)
            self.model_, self.loss_curve_ = self._trained(model, train, held_out, seed, device)
        self.n_iter_ = len(self.loss_curve_)
        self._n_features_out = self.n_components
        return self

    def _trained(
        self, model: VAE, train: Tensor, held_out: Tensor, seed: int, device: torch.device
    ) -> tuple[VAE, Array]:
        """The model after training, and its losses."""
        objective, curve = ELBO(self.beta), Curve()
        objective.check(model)
        model.start_at(train.mean(0), train[:1])
        engine = put(model, device, Engine(keep_memory=False))  # the process is not ours
        settings = Trainer(
            optimizer=partial(lightly, AdamW, **{**ADAMW, "lr": self.learning_rate}),
            validate_every=math.ceil(self.max_iter / VALIDATIONS) if len(held_out) else self.max_iter,
        )
        player = Player(objective, [model], settings.optimizer, settings.schedule)
        batches = Batches(train.to(device), AsGiven(), min(self.batch_size, len(train)), seed)
        state = State(model, objective, [player], batches, self.max_iter, engine=engine)
        try:
            fit(state, settings, Examples(held_out if len(held_out) else train[:1]), [curve])
        except RunError as error:
            raise RunError(f"training broke down: give a learning_rate below {self.learning_rate:g}") from error
        if len(held_out):
            model.load_state_dict(state.best_weights)
        return model.cpu().eval(), torch.stack(curve.losses).cpu().numpy()

    def transform(self, X: ArrayLike) -> Array:
        """The means of the posterior.

        Args:
            X: Rows, with shape (n_samples, n_features).

        Returns:
            The latents, with shape (n_samples, n_components).
        """
        rows = self._checked(X)
        return encode(self._model(rows.dtype), Examples(self._values(rows))).numpy()

    def inverse_transform(self, X: ArrayLike) -> Array:
        """The means of the likelihood.

        Args:
            X: Latents, with shape (n_samples, n_components).

        Returns:
            Rows in the units of what the model was fitted to, with shape (n_samples, n_features).

        Raises:
            UsageError: For another number of latents.
        """
        check_is_fitted(self, "model_")
        latents: Array = check_array(X, dtype=FLOATS, copy=True)
        if latents.shape[1] != self._n_features_out:
            raise UsageError(f"X has {latents.shape[1]} columns: give the {self._n_features_out} latents of each row")
        model = self._model(latents.dtype)
        return self._rows(in_parts(model, lambda z, _: model.likelihood(z).mean, Examples(torch.from_numpy(latents))))

    def score_samples(self, X: ArrayLike) -> Array:
        r"""The logarithm of the likelihood of every row, from below: the importance weighted bound.

        .. math:: \log p(x) \ge \mathbb{E} \log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)}

        The draws of a row are a hash of it, so that it has the same score wherever it stands.

        Args:
            X: Rows, with shape (n_samples, n_features).

        Returns:
            The bounds with K = ``samples``, in nats and in the units of X, with shape (n_samples,).
        """
        rows = self._checked(X)
        model, values = self._model(rows.dtype), self._values(rows)
        return log_likelihood(model, Examples(values), self.samples) - np.log(self.scale_).sum()

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of :meth:`score_samples`, which a grid search maximises.

        Args:
            X: Rows, with shape (n_samples, n_features).
            y: Not looked at.
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Array:
        """Draws new rows from the model: latents from the prior, then values from the likelihood.

        Args:
            n_samples: How many.
            random_state: Decides the draws.

        Returns:
            Rows in the units of X, with shape (n_samples, n_features).

        Raises:
            UsageError: For less than one.
        """
        check_is_fitted(self, "model_")
        if n_samples < 1:
            raise UsageError(f"n_samples is {n_samples}: give at least 1")
        model = self._model(np.float64)
        with aside(model, int(check_random_state(random_state).randint(np.iinfo(np.int32).max))):
            return self._rows(model(pick=draw(n_samples)).likelihood.sample().cpu())

    def _checked(self, X: ArrayLike) -> Array:
        """Rows like those that the model was fitted to."""
        check_is_fitted(self, "model_")
        rows: Array = validate_data(self, X, dtype=FLOATS, reset=False)
        check_values(rows, self.model_.likelihood.family)
        return rows

    def _values(self, rows: Array, shape: Shape | None = None) -> Tensor:
        """Rows as the model sees them, with shape (N, C, H, W)."""
        shape = shape or self.model_.likelihood.family.shape
        return torch.from_numpy(((rows - self.mean_) / self.scale_).astype(rows.dtype)).view(-1, *shape)

    def _rows(self, values: Tensor) -> Array:
        """What the model gives, in the units of X."""
        rows = values.flatten(1).numpy()
        return (rows * self.scale_ + self.mean_).astype(rows.dtype)

    def _model(self, dtype: Any) -> VAE:
        """The model in the precision of what it is to look at."""
        device = Trainer(device=self.device).find_device()  # type: ignore[arg-type]
        return copy.deepcopy(self.model_).to(device, torch.float32 if dtype == np.float32 else torch.float64)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [dtype.__name__ for dtype in FLOATS]
        return tags


def check_settings(estimator: VAEEmbedding) -> None:
    """Refuses settings that are out of their range.

    Raises:
        UsageError: For the first of them.
    """
    for name in ("n_components", "width", "max_iter", "batch_size", "samples"):
        value = getattr(estimator, name)
        if not isinstance(value, Integral) or value < 1:
            raise UsageError(f"{name} is {value!r}: give a whole number of at least 1")
    for name, low, high in (("beta", 0, math.inf), ("learning_rate", 1e-12, math.inf), ("validation_fraction", 0, 1)):
        value = getattr(estimator, name)
        if not isinstance(value, float | int | np.floating | np.integer) or not low <= value < high:
            raise UsageError(f"{name} is {value!r}: give a number from {low:g} to below {high:g}")
    if not (named(estimator.network, NETWORKS) or isinstance(estimator.network, Network)):
        raise UsageError(f"network is {estimator.network!r}: give mlp, linear, conv, or a network of vaescope.nets")
    if not (named(estimator.likelihood, LIKELIHOODS) or callable(estimator.likelihood)):
        raise UsageError(
            f"likelihood is {estimator.likelihood!r}: give gaussian, laplace, bernoulli, or one of vaescope.families"
        )
    if estimator.device not in ("cpu", "cuda", "auto"):
        raise UsageError(f"device is {estimator.device!r}: give cpu, cuda, or auto for a GPU if there is one")
    if estimator.network == "conv" and estimator.image_shape is None:
        raise UsageError("network is 'conv', but rows have no neighbours: give image_shape, such as (28, 28), or mlp")


def named(value: object, known: Collection[str]) -> bool:
    """Whether a value is a known name."""
    return isinstance(value, str) and value in known


def network_of(estimator: VAEEmbedding) -> Network:
    """The network that an estimator names, or was given."""
    return NETWORKS[estimator.network](estimator.width) if isinstance(estimator.network, str) else estimator.network


def rows_as(image_shape: Sequence[int] | None, features: int) -> Shape:
    """The shape (C, H, W) in which the model sees a row.

    Args:
        image_shape: What the user gave, (H, W) or (C, H, W) or nothing.
        features: The number of features.

    Raises:
        UsageError: For a shape of another number of pixels.
    """
    if image_shape is None:
        return (1, 1, features)
    shape = tuple(image_shape)
    if len(shape) not in (2, 3) or math.prod(shape) != features:
        raise UsageError(f"image_shape is {shape}: give (H, W) or (C, H, W) whose product is the {features} features")
    return (1, *shape) if len(shape) == 2 else shape


def units(rows: Array, family: Family, shape: Shape) -> tuple[Array, Array]:
    """The mean and the scale by which every feature becomes what the likelihood scores.

    Args:
        rows: Rows, with shape (n_samples, n_features).
        family: The likelihood. Only real values are brought to mean zero and scale one.
        shape: The shape (C, H, W) of a row. The features of a channel share their mean and scale if it has two sides.

    Returns:
        Two arrays of shape (n_features,).

    Raises:
        UsageError: For values that are not in the support of the likelihood.
    """
    check_values(rows, family)
    features = rows.shape[1]
    if family.support != "real line":
        return np.zeros(features), np.ones(features)
    together = 1 if shape[0] == shape[1] == 1 else shape[1] * shape[2]  # the features that are alike
    columns = rows.reshape(len(rows), -1, together).swapaxes(1, 2).reshape(-1, features // together)
    scaler = StandardScaler().fit(columns)  # its scale of a constant is 1
    return np.repeat(scaler.mean_, together), np.repeat(scaler.scale_, together)


def check_values(rows: Array, family: Family) -> None:
    """Refuses values that a likelihood cannot score.

    Raises:
        UsageError: If some are not in its support, or if it scores no real numbers at all.
    """
    kind, low, high = type(family).__name__, rows.min(), rows.max()
    if family.support not in ("real line", "unit interval") or family.degenerate:
        raise UsageError(f"the likelihood {kind} scores no real numbers: give gaussian, laplace or bernoulli")
    if family.support == "unit interval" and (low < 0 or high > 1):
        raise UsageError(f"the likelihood {kind} scores values in [0, 1], but X goes from {low:g} to {high:g}: scale X")


def split(values: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """The rows to train on, and those held out: drawn by lot, and less than one is none."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(stream(seed, "validation")))
    held_out = int(fraction * len(values))
    return values[order[held_out:]], values[order[:held_out]]
