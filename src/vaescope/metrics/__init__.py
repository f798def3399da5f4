"""Metrics: what is reported of a model, each with its unit and protocol."""

from vaescope.metrics.bound import Bound, average, negative_elbo

__all__ = ["Bound", "average", "negative_elbo"]
