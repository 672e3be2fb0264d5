"""Measures of a trained autoencoder. Nothing here trains."""
