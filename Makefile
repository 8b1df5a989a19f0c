# Needs Python 3.11 or newer, make, and a package index. Everything else is installed into .venv.
#
#   make demo       showcase, chat and caching on http://127.0.0.1:8000 and https://localhost:8443
#   make test       every test that needs Python packages only
#   make test-all   the slow tests too, and those that need programs of the system (wrk, nghttp, nginx, curl)
#   make test-slow  the slow tests alone
#   make coverage   all but the slow tests, measured, with the thresholds
#   make lint       ruff, mypy, import-linter
#   make reference  the options in docs/configuration.md, written anew from the code
#   make bench      the benchmarks (wrk, h2load, nginx)
#   make docs       the documentation as a site, in site/
#   make docs-serve the same on http://127.0.0.1:8000, rebuilt when a page changes
#   make package    sdist and wheel in dist/, installed and tried in clean environments
#   make clean      remove what was installed and measured

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
HOST ?= 127.0.0.1
PORT ?= 8000
TLS_PORT ?= 8443

# Bytecode is worth its place here: without it every process of the tests would compile all over
# again what it imports, and pytest would rewrite every assertion.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all test-slow coverage lint format reference bench docs docs-serve package clean

demo: $(VENV)/demo.stamp
	$(BIN)/httpkit run examples.showcase.app:app --host $(HOST) --port $(PORT) --tls-port $(TLS_PORT)

test: $(VENV)/test.stamp
	$(PYTEST) -n auto -m "not slow and not system"

test-all: $(VENV)/test.stamp
	$(PYTEST) -n auto -m "not slow"
	$(PYTEST) -m slow

# One after the other: some of them compare what they measure.
test-slow: $(VENV)/test.stamp
	$(PYTEST) -m slow

# Without the slow tests: gigabytes and thousands of sockets reach no further line, only later.
coverage: $(VENV)/test.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include="httpkit/protocol/*,httpkit/semantics/*"

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/lint.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

reference: $(VENV)/test.stamp
	$(BIN)/python -m httpkit.cli.reference docs/configuration.md

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks

docs: $(VENV)/docs.stamp
	$(BIN)/python docs/build_site.py

docs-serve: $(VENV)/docs.stamp
	$(BIN)/python docs/build_site.py --serve $(HOST):$(PORT)

package: $(VENV)/package.stamp
	bash .ci/package

clean:
	rm -rf $(VENV) dist build site .cache .coverage .coverage.*

# A stamp says what is installed; it is older than pyproject.toml when that has changed.
# --group needs a pip of 2025, and the one that Python brings may be older.
$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	touch $@

$(VENV)/%.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group $*
	touch $@
