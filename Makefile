# What README and CI call. Everything is installed into .venv from pinned versions (constraints.txt).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test check bench clean

run: .venv/run.done
	$(BIN)/fibsem-runtime run

test: .venv/test.done
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/test.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test.done
	$(BIN)/python benchmarks/simulator.py
	$(BIN)/python benchmarks/detection.py

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

# torch first: a CPU build where one is at hand, and never a second version because another package asked for it.
.venv/test.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) --editable ".[learn,test]"
	touch $@
	touch .venv/run.done
