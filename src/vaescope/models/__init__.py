"""Latent variable models: one pass gives a trace, and everything else reads traces."""

from vaescope.models.aside import aside, in_parts
from vaescope.models.presets import Architecture, Flat
from vaescope.models.trace import Pick, Site, Trace, centre, draw, given, temper
from vaescope.models.vae import VAE

__all__ = [
    "VAE",
    "Architecture",
    "Flat",
    "Pick",
    "Site",
    "Trace",
    "aside",
    "centre",
    "draw",
    "given",
    "in_parts",
    "temper",
]
