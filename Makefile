# Needs make and Python 3.11 or newer; `make PYTHON=python3.13 report` picks another Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
PINS := uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help report test docs lab lint types format pins clean

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

report: $(READY) ## Build the default suite into reports/site
	@$(BIN)/backpain report run

test: $(TOOLS) ## Run the tests
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

lab: $(READY) ## Open the notebooks in JupyterLab
	@$(BIN)/backpain lab

lint: $(TOOLS) ## Check style and that notebooks are stored without outputs
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/nbstripout --verify notebooks/*.ipynb

types: $(TOOLS) ## Check types
	@$(BIN)/mypy

docs: $(TOOLS) ## Build the documentation into docs/_build/html
	@$(BIN)/python -m sphinx -q -W --keep-going -j auto docs docs/_build/html

format: $(TOOLS) ## Put code and notebooks in order
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/nbstripout notebooks/*.ipynb

pins: ## Pin every package with its hashes, for all platforms (needs uv); see CONTRIBUTING
	$(PINS) pyproject.toml --extra build -o requirements.txt
	$(PINS) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)

clean: ## Remove what was built, and the virtual environment
	rm -rf $(VENV) docs/_build docs/generated reports/site build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed; $(PYTHON) is not. Try: make PYTHON=python3.13 report' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(TOOLS): $(READY) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-dev.txt
	@touch $@
