"""Metrics: what is reported of a model, each with its unit and protocol."""

from vaescope.metrics.accuracy import accuracy, wilson
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
from vaescope.metrics.carried import RateParts, rate_parts
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
from vaescope.metrics.embeddings import Principal, principal_axes
from vaescope.metrics.features import FeatureSet, default_features, onnx_features
from vaescope.metrics.importance import Weights, importance_bound, importance_weights, weighing
from vaescope.metrics.latents import Anatomy, anatomy, examine
from vaescope.metrics.neighbours import nearest, neighbour_accuracy, vote
from vaescope.metrics.probe import Probe, best_probe, fit_probes
from vaescope.metrics.ranking import auroc, average_precision
from vaescope.metrics.reconstruction import psnr, squared_errors
from vaescope.metrics.resemblance import authentic, frechet_distance, kernel_distance, manifolds

__all__ = [
    "Anatomy",
    "Annealed",
    "Annealing",
    "Bound",
    "Enclosed",
    "FeatureSet",
    "Importances",
    "Principal",
    "Probe",
    "RateParts",
    "Weights",
    "accuracy",
    "anatomy",
    "annealed_bound",
    "annealed_log_weights",
    "auroc",
    "authentic",
    "average",
    "average_precision",
    "best_probe",
    "beta_vae_metric",
    "bits_per_dim",
    "default_features",
    "examine",
    "factor_vae_metric",
    "fit_probes",
    "focus",
    "frechet_distance",
    "importance_bound",
    "importance_weights",
    "importances",
    "kernel_distance",
    "manifolds",
    "mig",
    "modularity",
    "mutual_information",
    "nearest",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "onnx_features",
    "principal_axes",
    "psnr",
    "rate_parts",
    "sap",
    "simulated_bounds",
    "squared_errors",
    "vote",
    "weighing",
    "wilson",
]
