"""The tests in another order of summation, as on the next CPU: `python tests/other_kernels.py`, with pytest's arguments if any.

Two CPUs round differently, and training amplifies that; a test that passes here by its rounding fails here too when the
rounding changes. ATEN_CPU_CAPABILITY=default on one thread takes torch's kernels without vector instructions. Where that
changes no bit of a small training, MKL's code path that is the same on every CPU is taken as well (up to 5 times slower).
"""

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = [{"ATEN_CPU_CAPABILITY": "default"}, {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
TRAINING = """
import hashlib, torch
torch.manual_seed(0)
x = torch.randn(256, 64)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.LayerNorm(128), torch.nn.Linear(128, 64))
adam = torch.optim.Adam(model.parameters())
for _ in range(20):
    adam.zero_grad()
    ((model(x) - x) ** 2).mean().backward()
    adam.step()
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())
"""


def bits(setting: dict[str, str]) -> str:
    """Digest of the weights of a small training, in a process of its own: the settings are read when torch is imported."""
    environment = os.environ | ONE_THREAD | setting
    return subprocess.run([sys.executable, "-c", TRAINING], env=environment, capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    """Choose the first setting that changes the bits, say which it is, and run pytest under it."""
    as_it_is = bits({})
    chosen = next((setting for setting in SETTINGS if bits(setting) != as_it_is), None)
    if chosen is None:
        print("other kernels: no setting changes a bit on this machine, so this run shows no more than one thread does", flush=True)
    else:
        print("other kernels:", *(f"{name}={value}" for name, value in (chosen | ONE_THREAD).items()), flush=True)
    environment = os.environ | ONE_THREAD | (chosen or {})
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], env=environment, cwd=Path(__file__).parents[1], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
