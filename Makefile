# `make train` and `make test` need only Python >= 3.10; they create the environment in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Two processes on any machine: each needs up to 2.5 GB. The tests of a file share compiled programs.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

.PHONY: train test test-all coverage lint browser tensorboard docs babi bench bench-solved soak results mutants dist clean

train: $(READY)  ## Train repeat copy, up to six rows three times, until it makes no errors.
	$(BIN)/python train.py --max_length=6 --max_repeats=3 --learning_rate=1e-3 --stop_when_solved --report_interval=500

# In two runs, because memory of XLA's programs is released only at the end of a process.
test: lint  ## Lint, check types, and run the fast tests (under 6 minutes and 6 GB on two cores).
	$(PYTEST) tests/unit/dnc dnc
	$(PYTEST) tests/unit --ignore=tests/unit/dnc

# Comparisons with recorded numbers are repeated as users compile them, and tests on random examples
# are repeated with ten times as many.
test-all: test $(if $(CI),browser)  ## All tests, including processes, browsers, documentation, trained models.
	XLA_FLAGS= HYPOTHESIS_PROFILE=thorough $(PYTEST) tests/unit/training/test_step.py \
	  tests/system/test_conformance.py \
	  $(addprefix tests/unit/dnc/test_,conformance.py fuzz.py properties.py)
	$(PYTEST) tests/system

coverage: $(READY)  ## Measure the lines and branches of dnc/ that the fast tests run.
	$(PYTEST) tests/unit/dnc dnc --cov=dnc --cov-branch --cov-report=term-missing:skip-covered

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

browser:  ## Install Chromium, Node.js and TypeScript for the tests of the inspector, on Debian as root.
	missing=$$(for each in chromium:chromium chromedriver:chromium-driver node:nodejs tsc:node-typescript; do \
	  command -v $${each%:*} >/dev/null || echo $${each#*:}; done); \
	[ -z "$$missing" ] || { \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    fonts-dejavu-core $$missing; }

tensorboard: $(READY)  ## Show all runs in the browser: curves, panels, and the tab DNC Memory.
	@echo 'Look into the memories: http://localhost:6006/#dnc_memory'
	$(BIN)/tensorboard --logdir checkpoints

docs: $(READY)  ## Make a web site of the documentation, with the API reference: site/index.html.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

babi: $(READY)  ## Download the bAbI tasks to data/babi, and check each file.
	$(BIN)/python -m tasks.babi.fetch

bench: $(READY)  ## Time training steps, inference and growing sizes; measure memory (10-15 minutes).
	$(BIN)/python -m bench.step
	@echo
	$(BIN)/python -m bench.inference
	@echo
	$(BIN)/python -m bench.scaling --axis=slots
	@echo
	$(BIN)/python -m bench.scaling --axis=steps
	@echo
	$(BIN)/python -m bench.scaling --axis=batch
	@echo
	$(BIN)/python -m bench.memory
	@echo
	$(BIN)/python -m bench.summaries
	@echo
	$(BIN)/python -m bench.safety

soak: $(READY)  ## Disturb training for ten minutes: kill it, damage its files, fill its disk.
	$(BIN)/python -m bench.soak --minutes=10

bench-solved: $(READY)  ## Time until repeat copy is solved, for three seeds and both linkages (a quarter of an hour).
	$(BIN)/python -m bench.solved

results: $(READY)  ## Train the tasks with three seeds, DNC and LSTM, and measure them: docs/results.md (hours).
	$(BIN)/python -m bench.results --cores=dnc,lstm \
	  --presets=addition,argmax,associative_recall,copy,copy_series,key_value,ngrams,priority_sort_chainer,repeat_copy

mutants: $(READY)  ## Put small faults into a copy of the code, to see that the tests find each (minutes on two cores).
	$(BIN)/python -m tests.mutants --jobs=2

dist: $(READY)  ## Build the sdist and the wheel for PyPI in dist/, and check them.
	$(BIN)/python -m pip install --quiet --editable '.[dist]'
	rm -rf dist *.egg-info/SOURCES.txt  # Setuptools adds every file that this lists, also old ones.
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

clean:  ## Remove the environment and caches; trained models stay.
	rm -rf $(VENV) build dist site *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python >= 3.10 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
