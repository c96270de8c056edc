# make demo   sets up and runs the main job        make test   sets up and passes the tests
# PYTHON=python3.12 make test   chooses the interpreter (3.11 to 3.13)
.PHONY: demo test lint bench notebooks clean
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

demo: .venv/ready-run
	.venv/bin/python -m gpu_coord demo --out demo

test: .venv/ready-test
	.venv/bin/python -m pytest

lint: .venv/ready-test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

bench: .venv/ready-test
	.venv/bin/python -m benchmarks

notebooks: .venv/ready-notebooks
	.venv/bin/python -m jupyter lab notebooks

.venv/ready-run: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	touch $@

.venv/ready-test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[test]'
	touch $@ .venv/ready-run

.venv/ready-notebooks: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[notebooks]'
	touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gpu_coord needs Python 3.11 to 3.13; none was found. Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
