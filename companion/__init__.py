"""Reproduction companion for papers on superposition and sparse autoencoders.

Rooms, left to right; a module imports only from rooms to its left (tests/test_house.py holds this):

    toy | lm  ->  sae  ->  evals  ->  dictionaries  ->  plots  ->  the notebook

`run` (profile, device, random generators), `memo` (what was trained is kept; its key is made by `fingerprint` and `source`), `claims` (bands,
controls, figures) and `files` (written whole or not at all) serve all of them; `render` runs the notebooks, `cli` trains and
reports without one; `released` opens what others have published, `prices` counts what the largest rows of the pages would take.

Letters used in shapes and as suffixes of tensors, everywhere in the package:
    B batch   I instance (one model of a sweep)   F features (n)   H hidden dimensions (m)
    T position   D width of the activations (d_model)   L latents   K kept latents   V vocabulary
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("superposition-companion")
except PackageNotFoundError:  # a bare checkout on PYTHONPATH
    __version__ = "0+unknown"
