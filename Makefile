# The doors of the house. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UNIT ?= router
STACK_router := examples/quickstart/stack.yaml
STACK_retrieval := examples/quickstart/retrieval.yaml
FOLDER_router := quickstart-world
FOLDER_retrieval := quickstart-search
.DEFAULT_GOAL := help

.PHONY: help install quickstart check test test-slow bench format clean

help:  ## list these doors
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	@tools/install "$(PYTHON)" "$(VENV)"

install: $(VENV)/.ready  ## make .venv with everything in it (about 500 MB of downloads)

quickstart: $(VENV)/.ready  ## watch weekly releases happen on simulated traffic (minutes on two cores); UNIT=retrieval: of a search (three to four)
	@$(BIN)/mangaops quickstart --stack $(or $(STACK_$(UNIT)),$(error UNIT=$(UNIT) has no quickstart; router and retrieval have one)) --folder $(FOLDER_$(UNIT))

check: $(VENV)/.ready  ## format, lint, types, arrows, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/docs tests/house -p no:cacheprovider

test: $(VENV)/.ready  ## the test suite
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test-slow: $(VENV)/.ready  ## simulations of error rates, 1,000 kills, 10,000 promotions
	@$(BIN)/python -m pytest -m slow -s --timeout 7200 --durations 10

bench: $(VENV)/.ready  ## tables with ratios to a baseline of the same run
	@$(BIN)/python -m bench

format: $(VENV)/.ready  ## put the source in its canonical form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:  ## remove what these doors made
	rm -rf $(VENV) quickstart-world quickstart-search .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
