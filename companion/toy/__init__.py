"""Toy models of superposition: data, models, training, closed forms, measures."""
