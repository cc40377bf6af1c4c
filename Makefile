# Every target does its own set-up; see scripts/setup.sh. Extra arguments: make test ARGS="-k store".
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint format checkpoint figures constraints clean distclean

# The Python to build .venv with; empty means the first of python3.11 … python3.14, python3 that will do.
PYTHON ?=
export PYTHON
ARGS ?=
BIN := .venv/bin

# For `make checkpoint`: folders in the FM_UIA layout, how long to train, and where the result goes.
DATA ?=
TASKS ?=
PRESET ?= tiny
MINUTES ?= 60
CHECKPOINT ?= build/m2dino-$(PRESET).safetensors

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## set up, then open napari with the sample loop and the M2DINO dock
	@scripts/setup.sh run
	@scripts/run.sh $(ARGS)

test: ## set up, then run all tests
	@scripts/setup.sh dev
	@scripts/test.sh $(ARGS)

lint: ## set up, then check style, types, imports and the plugin manifest
	@scripts/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-m2dino

format: ## set up, then put the code into the project's style
	@scripts/setup.sh dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

checkpoint: ## train a checkpoint: make checkpoint DATA="ROOT…" [TASKS=a,b PRESET=tiny MINUTES=60 CHECKPOINT=FILE]
	@test -n "$(DATA)" || { echo 'make checkpoint: say where the labelled data lies: make checkpoint DATA="ROOT…"' >&2; exit 2; }
	@scripts/setup.sh run
	@mkdir -p "$(dir $(CHECKPOINT))"
	$(BIN)/m2dino train $(DATA) --preset $(PRESET) --minutes $(MINUTES) $(if $(TASKS),--tasks $(TASKS)) -o $(CHECKPOINT)

figures: ## write the README's table of the bundled checkpoint from its model card
	@scripts/setup.sh run
	$(BIN)/python scripts/figures.py

constraints: ## write constraints.txt anew from what .venv holds
	@scripts/setup.sh dev
	$(BIN)/python scripts/pin.py

clean: ## remove what building, testing and the tour left behind
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv
