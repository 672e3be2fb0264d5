# Each target sets up .venv from requirements.lock by itself; nothing but Python 3.11+, make and a package index is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-peers
COMPANION_PROFILE ?= laptop
export COMPANION_PROFILE
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

figures: $(READY)  ## run every notebook at the laptop profile; refresh figures/ and the claims table (ONLY=name for one)
	$(BIN)/python -m companion.render $(ONLY)

test: COMPANION_PROFILE := quick
test: $(READY)  ## unit tests, and every notebook at the quick profile
	$(BIN)/python -m pytest

test-gpu: $(READY)  ## the GPU kernels on a real GPU (skipped with a plain message where there is none)
	$(BIN)/python -m pytest -rs tests/gpu tests/sae/test_triton_kernels.py

bench: $(READY) $(PEERS)/.ready  ## side by side: a training step beside SAELens, dictionary_learning and sparsify; files; ranks (15 minutes)
	$(BIN)/python tests/benchmarks/sae_step.py --peers $(PEERS)/bin/python --out figures/16_speed/bench.json
	PYTHONPATH=. $(PEERS)/bin/python tests/benchmarks/interop.py --out figures/16_speed/interop.json
	$(BIN)/python tests/benchmarks/weak_scaling.py --out figures/16_speed/weak_scaling.json
	$(BIN)/python tests/benchmarks/gpu_step.py --out figures/16_speed/gpu.json

toybench: $(READY)  ## the toy models' training beside a plain loop (ten minutes; prints a table)
	$(BIN)/python tests/benchmarks/toy_models.py $(ONLY)

# The peers pin an older transformer-lens, so they have an environment of their own, thrown away by make clean.
$(PEERS)/.ready: tests/benchmarks/peers.txt requirements.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.lock)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/benchmarks/peers.txt
	@touch $@

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab notebooks

badges: $(READY)  ## write the repository's address (pyproject.toml) into the README and the notebooks
	$(BIN)/python -m companion.render --badges

lint: $(READY)  ## ruff, as the pre-commit hook runs it
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: $(READY)  ## write requirements.lock from what .venv holds
	$(BIN)/python -m pip freeze --exclude-editable --exclude superposition-companion | grep -viE '^(nvidia|cuda)' | sed -E 's/\+cpu//; s/^triton==.*/& ; platform_system == "Linux" and platform_machine == "x86_64"/' > requirements.lock

clean:  ## remove .venv and caches of tools (models stay in the user's cache folder)
	rm -rf .venv $(PEERS) .pytest_cache .ruff_cache

.PHONY: help figures test test-gpu bench toybench lab badges lint lock clean
