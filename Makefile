# make demo   set up .venv and track a drawn two-camera scene with the model that ships with the package
# make test   set up .venv with everything the tests need, and run them
# make model  re-make the shipped model from nothing (about an hour on 4 cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Exact, so that a machine without a GPU can use a CPU build of this version where it has one.
TORCH := torch==2.13.0

.PHONY: demo test lint model clean

demo: $(VENV)/.demo
	$(BIN)/reid demo --output out/demo

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) out

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; choose one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[track]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@
