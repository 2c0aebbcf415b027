# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= imprint-demo

.PHONY: demo test setup lint types layers unit clean help

help:
	@echo "make demo   the whole story on real text found on this machine (OUT=folder)"
	@echo "make test   every check: lint, types, layers, tests"

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "imprint needs Python 3.11 or newer; call make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $(STAMP)

setup: $(STAMP)

demo: setup
	$(BIN)/imprint demo --out $(OUT)

test: setup lint types layers unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --exclude "*.md" .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports --no-cache

unit: setup
	$(BIN)/pytest -n 2

clean:
	rm -rf $(VENV) build dist *.egg-info
