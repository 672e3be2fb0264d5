# Each target sets up .venv from requirements.lock by itself; nothing but Python 3.11+, make and a package index is needed.
# On Windows, or without make: the README lists the commands behind the targets.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-peers
OLDER := 2.1.3 5.11.0
COMPANION_PROFILE ?= laptop
export COMPANION_PROFILE
SEED ?= 1
.DEFAULT_GOAL := help

# What installs into the environment whose python is $(1). On Linux pip's default index brings torch with CUDA: several GB.
# TORCH=cpu (or cu130, ...) has uv fetch that build of PyTorch's; PIP_ARGS="..." hands pip the index that PyTorch's installation page names.
TORCH ?=
PIP_ARGS ?=
PIP := -m pip install --quiet --disable-pip-version-check
install = $(1) $(if $(TORCH),-m uv pip install --quiet --python $(1) --torch-backend $(TORCH),$(PIP) $(PIP_ARGS))

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-20s %s\n", $$1, $$2 }' Makefile

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11')"
	$(PYTHON) -m venv .venv
	$(if $(TORCH),$(BIN)/python $(PIP) uv)
	$(call install,$(BIN)/python) -r requirements.lock
	$(call install,$(BIN)/python) --no-deps --no-build-isolation -e .
	@touch $(READY)

figures: $(READY)  ## run every notebook at the laptop profile, draw figures/, compare with the record (ONLY=name for one)
	$(BIN)/python -m companion.render $(ONLY)

record: $(READY)  ## the same, and make it the record: claims.json, CLAIMS.md, the notebooks' outputs (ONLY=name for one)
	$(BIN)/python -m companion.lm.ship
	$(BIN)/python -m companion.render --record $(ONLY)
	$(BIN)/python -m companion.prices

figures-again: $(READY)  ## every figure from other random numbers (SEED=1), in a cache of its own; lists the verdicts that differ
	COMPANION_SEED=$(SEED) $(BIN)/python -m companion.render --again $(ONLY)

test test-other-kernels test-gpu test-browser: COMPANION_PROFILE := quick

test: $(READY)  ## unit tests, and every notebook at the quick profile, on a worker per core (ARGS="-n 0" for one process)
	$(BIN)/python -m pytest $(ARGS)

test-other-kernels: $(READY)  ## the same tests in another order of summation, as on another CPU
	$(BIN)/python tests/other_kernels.py $(ARGS)

test-gpu: $(READY)  ## the GPU kernels on a real GPU (skipped with a plain message where there is none)
	$(BIN)/python -m pytest -n 0 -rs tests/gpu tests/sae/test_triton_kernels.py

test-browser: $(READY) .venv/.browser  ## the live parts in a real browser, JupyterLab's and of files (skipped with a plain message where there is none)
	$(BIN)/python -m pytest -n 0 -rs tests/browser $(ARGS)

# Of no use to anyone else, so not in requirements.lock: the driver of a browser, and no browser.
.venv/.browser: $(READY) tests/browser/requirements.txt
	$(call install,$(BIN)/python) --no-deps -r tests/browser/requirements.txt
	@touch $@

# FIXTURES=tests/fixtures/saelens replaces the files that `make test` opens without these libraries.
FIXTURES ?= $(PEERS)/fixtures
test-peers: $(READY) $(PEERS)/.ready $(OLDER:%=$(PEERS)/sae-lens-%)  ## files of other libraries, written and read by those libraries
	$(PEERS)/bin/python tests/benchmarks/saelens_fixtures.py $(FIXTURES)
	for version in $(OLDER); do PYTHONPATH=$(PEERS)/sae-lens-$$version $(PEERS)/bin/python tests/benchmarks/saelens_fixtures.py $(FIXTURES) || exit 1; done
	SAELENS_FIXTURES=$(abspath $(FIXTURES)) $(BIN)/python -m pytest -q tests/sae/test_published.py
	PYTHONPATH=. $(PEERS)/bin/python tests/benchmarks/interop.py

bench: $(READY) $(PEERS)/.ready  ## side by side: a training step beside SAELens, dictionary_learning and sparsify; files; ranks (15 minutes)
	$(BIN)/python tests/benchmarks/sae_step.py --peers $(PEERS)/bin/python --out figures/16_speed/bench.json
	$(BIN)/python tests/benchmarks/sae_step.py --sweeps --out figures/16_speed/sweeps.json
	PYTHONPATH=. $(PEERS)/bin/python tests/benchmarks/interop.py --out figures/16_speed/interop.json
	$(BIN)/python tests/benchmarks/weak_scaling.py --out figures/16_speed/weak_scaling.json
	$(BIN)/python tests/benchmarks/gpu_step.py --out figures/16_speed/gpu.json

paper-dry: $(READY)  ## the rows published and paper of some pages, offline, on models and autoencoders of stand-in size (ONLY=page:row for one)
	$(BIN)/python tests/paper_dry.py $(ONLY)

toybench: $(READY)  ## the toy models' training beside a plain loop (ten minutes; prints a table)
	$(BIN)/python tests/benchmarks/toy_models.py $(ONLY)

# The peers pin an older transformer-lens, so they have an environment of their own, thrown away by make clean.
$(PEERS)/.ready: tests/benchmarks/peers.txt requirements.lock
	$(PYTHON) -m venv $(PEERS)
	$(if $(TORCH),$(PEERS)/bin/python $(PIP) uv)
	$(call install,$(PEERS)/bin/python) "$$(grep '^torch==' requirements.lock)"
	$(call install,$(PEERS)/bin/python) --no-deps -r tests/benchmarks/peers.txt
	@touch $@

# SAELens of other years, whose files are in use: the library alone, on the rest of the environment.
$(PEERS)/sae-lens-%: $(PEERS)/.ready
	$(PEERS)/bin/python $(PIP) $(PIP_ARGS) --no-deps --target $@ sae-lens==$*

bench-evals: $(READY)  ## probes (beside scikit-learn where it is installed) and N2G: seconds for thousands of latents (minutes)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/probes.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/n2g.py

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab notebooks

badges: $(READY)  ## write the repository's address (pyproject.toml) into the README and the notebooks
	$(BIN)/python -m companion.render --tables

lint: $(READY)  ## ruff, as the pre-commit hook runs it
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

# For every platform and Python at once, which a freeze of one machine cannot be. CUDA's libraries are left out: torch's CUDA wheels
# name theirs exactly, and its CPU wheels need none.
lock: $(READY)  ## bring requirements.lock in line with pyproject.toml (UPGRADE=--upgrade for the newest of everything)
	$(BIN)/python $(PIP) uv
	cp requirements.lock .venv/lock
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate $(UPGRADE) pyproject.toml --output-file .venv/lock
	awk '!/^(nvidia|cuda)-/ && !/== .emscripten/' .venv/lock > requirements.lock

clean:  ## remove the environments and the caches of tools (what was trained stays: make clean-cache)
	rm -rf .venv $(PEERS) .pytest_cache .ruff_cache

clean-cache: $(READY)  ## remove what was trained from the user's cache folder
	$(BIN)/python -m companion.memo --clean

.PHONY: help figures record figures-again test test-other-kernels test-gpu test-browser test-peers bench bench-evals paper-dry toybench lab badges lint lock clean clean-cache
