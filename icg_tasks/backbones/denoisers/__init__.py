"""Diffusion denoisers with their autoencoder and text encoder: one family per file, all listed in ``table``."""
