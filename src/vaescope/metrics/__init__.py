"""Metrics: what is reported of a model, each with its unit and protocol."""

from vaescope.metrics.accuracy import accuracy
from vaescope.metrics.bits import bits_per_dim
from vaescope.metrics.bound import Bound, average, negative_elbo, of_labels
from vaescope.metrics.features import FeatureSet, default_features, onnx_features
from vaescope.metrics.importance import importance_bound
from vaescope.metrics.latents import Anatomy, anatomy, examine
from vaescope.metrics.neighbours import neighbour_accuracy
from vaescope.metrics.ranking import auroc, average_precision
from vaescope.metrics.resemblance import authentic, frechet_distance, kernel_distance, manifolds

__all__ = [
    "Anatomy",
    "Bound",
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
    "frechet_distance",
    "importance_bound",
    "kernel_distance",
    "manifolds",
    "negative_elbo",
    "neighbour_accuracy",
    "of_labels",
    "onnx_features",
]
