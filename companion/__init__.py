"""Reproduction companion for papers on superposition and sparse autoencoders.

Rooms, left to right; a module imports only from rooms to its left (tests/test_house.py holds this):

    toy | lm  ->  sae  ->  evals  ->  plots  ->  the notebook

`run` (profile, device, random generators), `memo` (what was trained is kept) and `claims` (bands, controls, figures) are imported by notebooks.

Letters used in shapes and as suffixes of tensors, everywhere in the package:
    B batch   I instance (one model of a sweep)   F features (n)   H hidden dimensions (m)
    T position   D width of the activations (d_model)   L latents   K kept latents   V vocabulary
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("superposition-companion")
except PackageNotFoundError:  # a bare checkout on PYTHONPATH
    __version__ = "0+unknown"
