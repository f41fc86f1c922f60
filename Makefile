# make help lists the targets.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3) python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup run test test-fast test-cluster check ui clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
	@echo "TORCH_INDEX=<address> takes torch from there, for example a CPU build where there is no GPU"

setup: $(READY)  ## create .venv with all pinned packages; the other targets do so when needed

$(READY): pyproject.toml constraints.txt
	@echo "Installing torch, then all other packages, into $(VENV)/: 2.5 GB with torch for CPUs, more with CUDA."
	@echo "This takes minutes, two where the connection is fast, and pip says nothing meanwhile."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=<path>")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

run: $(READY)  ## the main job: fine-tune the embedded model and measure it; minutes on two cores
	$(BIN)/python -m mcqa.train +experiment=qlora_mcqa

test: $(READY)  ## all tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(READY)  ## the tests that start no process and train nothing, in minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile --fast

test-cluster: $(READY)  ## runs and studies on a real SLURM, started on this machine; needs root and Debian's packages
	timeout 20m $(BIN)/python -m pytest -vv -rs tests/cluster

check: $(READY)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: $(READY)  ## MLflow's list of the runs under outputs/: its address, opened where there is a browser
	@$(BIN)/python -m mcqa.runs.tracking.ui outputs

clean:  ## remove the virtual environment and caches, never outputs/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
