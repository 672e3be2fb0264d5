"""Figures: arrays in, Figure out. Nothing here computes."""
