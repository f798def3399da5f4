"""Latent variable models: one pass gives a trace, and everything else reads traces."""

from vaescope.models import greys
from vaescope.models.aside import (
    aside,
    encode,
    encoding,
    in_parts,
    looked,
    reconstruct,
    reconstruction,
    seeded,
)
from vaescope.models.presets import Architecture, Flat
from vaescope.models.semi import SemiSupervised, SemiVAE, each_label, known
from vaescope.models.trace import Pick, Site, Trace, centre, draw, given, own_draw, temper
from vaescope.models.vae import VAE

__all__ = [
    "VAE",
    "Architecture",
    "Flat",
    "Pick",
    "SemiSupervised",
    "SemiVAE",
    "Site",
    "Trace",
    "aside",
    "centre",
    "draw",
    "each_label",
    "encode",
    "encoding",
    "given",
    "greys",
    "in_parts",
    "known",
    "looked",
    "own_draw",
    "reconstruct",
    "reconstruction",
    "seeded",
    "temper",
]
