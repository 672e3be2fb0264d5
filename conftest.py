"""`pytest` anywhere in the project: the quick profile, no hub, and a cache that begins empty. Notebook kernels inherit all of it."""

import os
import shutil
import tempfile

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
CACHE = os.environ["COMPANION_CACHE"] if IS_WORKER else tempfile.mkdtemp(prefix="superposition-companion-tests-")
"""Of this run alone, whatever COMPANION_CACHE was: a test must not pass on what an older run trained. Its workers share it."""

os.environ.setdefault("COMPANION_PROFILE", "quick")
os.environ["COMPANION_CACHE"] = CACHE
for name in ("COMPANION_SEED", "COMPANION_SUBJECT"):
    os.environ.pop(name, None)  # the tests are of the default
if IS_WORKER:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker per core, with the kernels that it starts
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports from Hugging Face: a test that asks the hub must fail at once

import torch  # noqa: E402, the variables above come first

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is first imported, which torch's optimisers do where it is installed


def pytest_unconfigure() -> None:
    """Remove the cache. Not at the interpreter's exit, which forked children would reach as well."""
    if not IS_WORKER:
        shutil.rmtree(CACHE, ignore_errors=True)
