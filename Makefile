# Every target does its own set-up; see scripts/setup.sh. Extra arguments: make test ARGS="-k store".
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint format checkpoint figures constraints clean distclean

# The Python to build .venv with; empty means the first of python3.11 … python3.14, python3 that will do.
PYTHON ?=
export PYTHON
ARGS ?=
BIN := .venv/bin

# For `make checkpoint`: a folder with train/ and val/ in the FM_UIA layout, and how the bundled checkpoint was trained on it.
DATA ?=
TASKS ?= fetal_head,fetal_head_det,fetal_head_biometry,carotid_artery,carotid_artery_det,breast_lesion,breast_lesion_det,breast_2cls,breast_3cls
PRESET ?= tiny
MINUTES ?= 88
CHECKPOINT ?= build/checkpoint/m2dino-$(PRESET).safetensors

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

checkpoint: ## train the bundled checkpoint anew: make checkpoint DATA=FOLDER [TASKS=a,b PRESET=tiny MINUTES=88]
	@test -d "$(DATA)/train" -a -d "$(DATA)/val" || { echo 'make checkpoint: say where train/ and val/ lie: make checkpoint DATA=FOLDER' >&2; exit 2; }
	@scripts/setup.sh run
	@mkdir -p "$(dir $(CHECKPOINT))"
	$(BIN)/m2dino train "$(DATA)/train" --val "$(DATA)/val" --tasks $(TASKS) --preset $(PRESET) --minutes $(MINUTES) \
		--top-k 2 --coarse 0.5 --tasks-per-step 3 --keep last \
		--task-file models/checkpoints/tasks.toml --card models/checkpoints/card.toml --precision float16 \
		--log-every 60 -o "$(CHECKPOINT)"
	@echo "To bundle it: cp $(CHECKPOINT) models/checkpoints/ && make figures"

figures: ## write the README's table of the bundled checkpoint from its model card
	@scripts/setup.sh run
	$(BIN)/python scripts/figures.py

constraints: ## write constraints.txt anew from what .venv holds
	@scripts/setup.sh dev
	$(BIN)/python scripts/pin.py

clean: ## remove what building, testing and the tour left behind, but no trained checkpoint
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 -not -name checkpoint -exec rm -rf {} +; fi
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv and all of build/ as well
	rm -rf .venv build
