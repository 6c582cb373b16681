# make run, make test: each does everything on a fresh machine; a second call does not install again.
# PYTHON=python3.12 picks the interpreter, ARGS="..." is handed to the command.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: help run simulate test slow mutants lint docs notebooks clean

help:
	@echo "make run    every task whose data are found, with tables and figures in results/"
	@echo "make simulate  the studies in simulated worlds"
	@echo "make test   tests, doctests and notebooks"
	@echo "make slow   the tests that take longer: published numbers, and runs killed halfway"
	@echo "make mutants  plant errors, one at a time, and see that tests catch each"
	@echo "make lint   ruff and mypy"
	@echo "make docs   the site, in build/docs"
	@echo "make notebooks  run the notebooks and keep their outputs, which the site shows"
	@echo "make clean  remove the environment and what was built (not the results)"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -c constraints.txt -e ".[all]"
	@touch $@

run: $(INSTALLED)
	$(PY) experiments/run_real.py $(ARGS)

simulate: $(INSTALLED)
	$(PY) experiments/run_synthetic.py all $(ARGS)

test: $(INSTALLED)
	$(PY) -m pytest --nbmake $(ARGS)

slow: $(INSTALLED)
	$(PY) -m pytest -m "slow and not gpu" $(ARGS)

mutants: $(INSTALLED)
	$(PY) -m tests.mutants $(ARGS)

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy mke_theory experiments benchmarks

docs: $(INSTALLED)
	$(PY) -m sphinx -q -W --keep-going -n -b html -d build/doctrees docs build/docs
	@echo build/docs/index.html

notebooks: $(INSTALLED)
	$(PY) notebooks/execute.py $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
