# Each target sets up .venv from requirements.lock by itself; nothing but Python 3.11+, make and a package index is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
COMPANION_PROFILE ?= laptop
export COMPANION_PROFILE
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

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

bench: $(READY)  ## our training against a plain loop, side by side (some ten minutes; prints a table)
	$(BIN)/python tests/benchmarks/toy_models.py $(ONLY)

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab notebooks

badges: $(READY)  ## write the repository's address (pyproject.toml) into the README and the notebooks
	$(BIN)/python -m companion.render --badges

lint: $(READY)  ## ruff, as the pre-commit hook runs it
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: $(READY)  ## write requirements.lock from what .venv holds
	$(BIN)/python -m pip freeze --exclude-editable --exclude superposition-companion | grep -viE '^(nvidia|triton|cuda)' | sed 's/+cpu//' > requirements.lock

clean:  ## remove .venv and caches of tools (models stay in the user's cache folder)
	rm -rf .venv .pytest_cache .ruff_cache

.PHONY: help figures test bench lab badges lint lock clean
