# Two commands for a fresh machine: `make demo` and `make test`. Each makes or reuses .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/python sample_data/demo.py

test: install
	$(BIN)/python -m pytest -m 'not gpu' tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs build *.egg-info
