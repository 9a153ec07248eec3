"""Variational autoencoders: from data to a trained, measured, usable model."""

__version__ = "0.1.0"
