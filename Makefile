# The commands of this project. Each sets up what it needs first: `make` shows the table.

VENV ?= .venv
STUDY ?= experiments/micro/study.yaml
JOBS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.mmlite-installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup study test lint format types contracts check clean

help:  ## Show this table
	@echo "usage: make TARGET [PYTHON=python3.12] [VENV=.venv] [STUDY=FILE] [JOBS=2]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make the virtual environment and install the pinned packages

study: $(STAMP)  ## Run the micro-world study and say where its report is
	@$(BIN)/mmlite study $(STUDY)

# One thread for each process is faster than several on models this small.
test: $(STAMP)  ## Run the tests
	@echo "Running the tests in $(JOBS) processes ..."
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -q

lint: $(STAMP)  ## Check style, formatting and spelling
	@echo "Checking style, formatting and spelling ..."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@git ls-files -z | xargs -0 $(BIN)/codespell

format: $(STAMP)  ## Repair style and formatting where that is safe
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(STAMP)  ## Check types
	@echo "Checking types ..."
	@$(BIN)/pyright --pythonpath $(BIN)/python

contracts: $(STAMP)  ## Check which room imports which
	@echo "Checking the import contracts ..."
	@$(BIN)/lint-imports

check: lint types contracts test  ## All of lint, types, contracts and test

clean:  ## Remove caches and build leftovers; keeps the environment and runs/
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

# Made again only when the versions asked for change; an existing environment is updated in place.
$(STAMP): pyproject.toml constraints.txt
	@python="$(PYTHON)"; \
	if [ ! -x "$(BIN)/pip" ]; then \
	  for candidate in $${python:-python3.11 python3.12 python3.13 python3}; do \
	    if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	      2>/dev/null; then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "make: found no Python 3.11, 3.12 or 3.13 with the venv module" \
	      "(tried: $${python:-python3.11, python3.12, python3.13, python3});" \
	      "install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	    exit 1; \
	  fi; \
	  echo "Setting up $(VENV) with $$found (once: several minutes, about 6 GB of disk) ..."; \
	  "$$found" -m venv "$(VENV)" || exit 1; \
	else \
	  echo "Bringing $(VENV) up to date with pyproject.toml and constraints.txt ..."; \
	fi; \
	if [ -t 1 ]; then quiet=""; else quiet="-q"; fi; \
	"$(BIN)/python" -m pip install $$quiet -c constraints.txt -e '.[dev]' || exit 1; \
	echo "$(VENV) is ready."
	@touch $@
