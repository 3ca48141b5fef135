# Everything runs in .venv, which is made from infra/constraints.txt and remade when the pins or pyproject.toml change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
CORE := $(VENV)/.core
READY := $(VENV)/.ready
PINS := infra/constraints.txt
BARE := infra/without-dependencies.txt

.PHONY: help env tiny test check format bench docs pins clean

help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS='...' is passed on, for example: make test ARGS='tests/stages -x'"

env: $(READY) ## Create or update the environment

tiny: $(CORE) ## Build a small corpus from the installed Python packages
	@$(BIN)/gristmill run tiny $(ARGS)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest $(ARGS)

check: $(READY) ## Lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Measure, as a table and as JSON (minutes)
	$(BIN)/python -m tests.bench $(ARGS)

docs: $(READY) ## Write docs/schemas.md from the code
	$(BIN)/python -m infra.schema_docs

pins: ## Resolve pyproject.toml afresh into infra/constraints.txt
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(MAKE) --no-print-directory VENV="$$scratch/venv" "$$scratch/venv/bin/pip"; \
	"$$scratch/venv/bin/pip" install --quiet -e '.[cluster,dev]'; \
	head -n 2 $(PINS) > "$$scratch/pins"; \
	"$$scratch/venv/bin/pip" freeze --exclude-editable >> "$$scratch/pins"; \
	mv "$$scratch/pins" $(PINS); git diff --stat -- $(PINS)

clean: ## Remove the environment and all caches; corpora stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CORE): pyproject.toml $(PINS) | $(BIN)/pip
	$(BIN)/pip install --quiet --no-compile -c $(PINS) -e .
	@touch $@

$(READY): $(CORE) $(BARE)
	$(BIN)/pip install --quiet --no-compile -c $(PINS) -e '.[dev]'
	$(BIN)/pip install --quiet --no-compile --no-deps -r $(BARE)
	@touch $@

# Debian ships Python without ensurepip unless python3-venv is installed; a pip outside can fill a bare environment.
$(BIN)/pip:
	@command -v $(PYTHON) > /dev/null || { echo "error: no $(PYTHON); install Python 3.11 or give make PYTHON=PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(f"error: Python 3.11 or later is needed, this is {sys.version.split()[0]}; give make PYTHON=PATH" if sys.version_info < (3, 11) else 0)'
	@if $(PYTHON) -c 'import ensurepip' 2> /dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version > /dev/null 2>&1; then \
		$(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; \
	else \
		echo "error: $(PYTHON) can make no environment: it has neither ensurepip nor pip; apt-get install python3-venv" >&2; exit 1; \
	fi
