# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint environment models clean

demo: environment
	@echo
	@echo "1. A digit recogniser (64 inputs, two hidden layers): does every pixel change of up to 0.1 leave this 2 a 2?"
	$(BIN)/certify check models/digits_mlp.onnx specs/digits_mlp_0_eps0.1.vnnlib --expect unsat
	@echo
	@echo "2. The same network on an 8, changes of up to 0.08: is there an image it takes for something else?"
	$(BIN)/certify check models/digits_mlp.onnx specs/digits_mlp_1_eps0.08.vnnlib --expect sat
	@echo
	@echo "3. A convolutional network and changes of up to 0.1: bounds do not suffice, the search has to split."
	$(BIN)/certify check models/digits_cnn.onnx specs/digits_cnn_3_eps0.1.vnnlib --timeout 120 --expect unsat
	@echo
	@echo "4. A hard one, given 5 seconds: when in doubt the answer is never a guess, but how far the proof got."
	$(BIN)/certify check models/digits_cnn.onnx specs/digits_cnn_6_eps0.125.vnnlib --timeout 5 --exit-zero
	@echo
	@echo "1 and 3 are proved for every image in the region, 2 is refuted by an image that onnxruntime confirms, 4 stays open."

test: environment
	$(BIN)/python -m pytest -n auto

lint: environment
	$(BIN)/ruff check certify tests models vnncomp
	$(BIN)/ruff format --check certify tests models vnncomp
	$(BIN)/mypy

environment: $(READY)

# auto-lirpa 0.3 demands torch<1.13 in its metadata and works on newer ones with the shims of certify/backends, so it is
# installed without its dependencies, which constraints.txt and the second line provide.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt appdirs packaging pyyaml tqdm
	$(BIN)/python -m pip install --quiet --no-deps auto-lirpa==0.3
	@touch $(READY)

# Train the bundled models and write their specifications again (the committed files are what this makes).
models: environment
	$(BIN)/python models/train_digits.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
