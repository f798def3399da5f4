"""Latent variable models: one pass gives a trace, and everything else reads traces."""

from vaescope.models.aside import aside, encode, in_parts, reconstruct
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
    "encode",
    "given",
    "in_parts",
    "reconstruct",
    "temper",
]
