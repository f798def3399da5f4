"""Train a variational autoencoder on images, measure it honestly, and look inside."""

__version__ = "0.1.0"
