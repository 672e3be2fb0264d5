"""`pytest` anywhere in the project means the quick profile, no hub, and a cache of the tests' own; notebook kernels inherit it."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("COMPANION_PROFILE", "quick")
os.environ.setdefault("COMPANION_CACHE", str(Path(tempfile.gettempdir()) / "superposition-companion-tests"))
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports from Hugging Face: a test that asks the hub must fail at once

import torch  # the variables above come first

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is first imported, which torch's optimisers do where it is installed
