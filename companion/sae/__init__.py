"""Sparse autoencoders: models, kernels, training, files."""
