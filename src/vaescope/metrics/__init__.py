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
from vaescope.metrics.accuracy import accuracy, wilson
from vaescope.metrics.bits import bits_per_dim
from vaescope.metrics.bound import Bound, average, negative_elbo, of_labels
from vaescope.metrics.carried import RateParts, rate_parts
from vaescope.metrics.embeddings import Principal, principal_axes
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
from vaescope.metrics.neighbours import nearest, neighbour_accuracy, vote
from vaescope.metrics.probe import Probe, best_probe, fit_probes
from vaescope.metrics.reconstruction import psnr, squared_errors
from vaescope.metrics.features import FeatureSet, default_features, onnx_features
from vaescope.metrics.importance import importance_bound
from vaescope.metrics.latents import Anatomy, anatomy, examine
from vaescope.metrics.neighbours import neighbour_accuracy
from vaescope.metrics.ranking import auroc, average_precision
from vaescope.metrics.resemblance import authentic, frechet_distance, kernel_distance, manifolds

__all__ = [
    "Anatomy",
    "Annealed",
    "Annealing",
    "Bound",
    "Enclosed",
    "Weights",
    "Principal",
    "Probe",
    "RateParts",
    "Importances",
    "accuracy",
    "anatomy",
    "annealed_bound",
    "annealed_log_weights",
    "average",
    "best_probe",
    "FeatureSet",
    "accuracy",
    "anatomy",
    "auroc",
    "authentic",
    "average",
    "average_precision",
    "bits_per_dim",
    "default_features",
    "examine",
    "fit_probes",
    "importance_bound",
    "importance_weights",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "simulated_bounds",
    "weighing",
    "nearest",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "principal_axes",
    "psnr",
    "rate_parts",
    "squared_errors",
    "vote",
    "wilson",
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
    "frechet_distance",
    "importance_bound",
    "kernel_distance",
    "manifolds",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "onnx_features",
]
