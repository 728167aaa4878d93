# make demo        set everything up in .venv, run the main job on data_samples/, and write its report
# make test        set everything up and run all checks and tests
# make lint        the checks alone: ruff, mypy, import-linter
# make docs        the documentation as a site in out/site, warnings as errors
# make pages       remake the pages of docs/ that are made from the code
# make notebooks   execute notebooks/ and keep what they show (a minute)
# make bench       speed and memory of the chain, as JSON
# make figures     remake the figures of limits and setups in docs/images (two minutes)
# make screenshots remake the pictures of report and display in docs/images (needs chromium)
# make samples     remake data_samples/ (see data_samples/README.md)
# make clean       remove .venv, out/ and what packaging leaves
# make help        these lines; the same as make alone

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 2

.PHONY: demo test lint docs pages notebooks bench figures screenshots samples clean help

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

demo: $(VENV)/.base
	$(BIN)/na64reco run electron-invisible-2022 data_samples/fileset.yaml -o out/demo --picture --overwrite
	$(BIN)/na64reco run muon-invisible-2022 data_samples/muon.root -o out/demo-muon --picture --overwrite
	$(BIN)/na64reco report out/demo

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html -c docs -d out/doctrees . out/site
	@echo "Open out/site/index.html"

pages: $(VENV)/.base
	for page in columns selection_reference setup_reference file_reference commands; do \
	  $(BIN)/python docs/make_$$page.py || exit 1; done

notebooks: $(VENV)/.test
	$(BIN)/python notebooks/execute.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

figures: $(VENV)/.base
	$(BIN)/python docs/make_limits.py
	$(BIN)/python docs/make_setups.py

screenshots: $(VENV)/.base
	PATH="$(BIN):$$PATH" docs/make_screenshots.sh

samples: $(VENV)/.base
	$(BIN)/python data_samples/make.py

clean:
	rm -rf $(VENV) out build dist
