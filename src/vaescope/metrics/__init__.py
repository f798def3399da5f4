"""Metrics: what is reported of a model, each with its unit and protocol."""

from vaescope.metrics.accuracy import accuracy
from vaescope.metrics.bits import bits_per_dim
from vaescope.metrics.bound import Bound, average, negative_elbo, of_labels
from vaescope.metrics.disentanglement import (
    Importances,
    beta_vae_metric,
    factor_vae_metric,
    focus,
    importances,
    mig,
    modularity,
    mutual_information,
    sap,
)
from vaescope.metrics.importance import importance_bound
from vaescope.metrics.latents import Anatomy, anatomy, examine
from vaescope.metrics.neighbours import neighbour_accuracy

__all__ = [
    "Anatomy",
    "Bound",
    "Importances",
    "accuracy",
    "anatomy",
    "average",
    "beta_vae_metric",
    "bits_per_dim",
    "examine",
    "factor_vae_metric",
    "focus",
    "importance_bound",
    "importances",
    "mig",
    "modularity",
    "mutual_information",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "sap",
]
