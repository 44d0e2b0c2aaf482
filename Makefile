# make demo   set up .venv and track people over a drawn site of three cameras with the model that ships
# make test   set up .venv with everything the tests need, and run them
# make model  re-make the shipped model, and the weights that training starts from, from nothing (about an hour)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Exact, so that a machine without a GPU can use a CPU build of this version where it has one.
TORCH := torch==2.13.0

.PHONY: demo test lint model clean

demo: $(VENV)/.demo
	$(BIN)/reid demo --output out/demo --overwrite

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# People who do not exist, in the crops of cameras that do not exist; see docs/default-model.md.
model: $(VENV)/.test
	$(BIN)/reid train --recipe edge-from-nothing --data simulated -o out/model/run --hold-out 50 --from-scratch --workers 1 --resume
	$(BIN)/reid convert out/model/run/model.pt -o sdk/models/default.onnx
	$(BIN)/python -m training.start out/model/run/model.pt training/models/drawn.pt

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
