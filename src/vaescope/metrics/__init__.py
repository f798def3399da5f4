"""Metrics: what is reported of a model, each with its unit and protocol."""

from vaescope.metrics.accuracy import accuracy
from vaescope.metrics.annealed import (
    Annealed,
    Annealing,
    Enclosed,
    annealed_bound,
    annealed_log_weights,
    simulated_bounds,
)
from vaescope.metrics.bits import bits_per_dim
from vaescope.metrics.bound import Bound, average, negative_elbo, of_labels
from vaescope.metrics.importance import Weights, importance_bound, importance_weights, weighing
from vaescope.metrics.latents import Anatomy, anatomy, examine
from vaescope.metrics.neighbours import neighbour_accuracy

__all__ = [
    "Anatomy",
    "Annealed",
    "Annealing",
    "Bound",
    "Enclosed",
    "Weights",
    "accuracy",
    "anatomy",
    "annealed_bound",
    "annealed_log_weights",
    "average",
    "bits_per_dim",
    "examine",
    "importance_bound",
    "importance_weights",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "simulated_bounds",
    "weighing",
]
