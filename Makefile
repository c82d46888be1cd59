# Runs with GNU make 3.81 and BSD tools too, so on Debian and on macOS as they come.
#
# PYTHON       the Python that .venv is made from, 3.11 to 3.13
# TORCH_INDEX  a package index with another build of PyTorch; on Linux the default build brings
#              CUDA along, the CPU build is a tenth of its size
# ARGS         more options for `make demo`, such as ARGS=--resume

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS := build/docs
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check docs format clean

help:
	@echo "make demo     train and evaluate on the bundled data set, into demo/ (minutes on 2 cores)"
	@echo "make test     everything CI checks: style, types, layers, tests with coverage"
	@echo "make check    the same without the tests, in seconds"
	@echo "make format   put the source into the project's style"
	@echo "make docs     build the documentation as a site, into site/"
	@echo "make clean    remove .venv and all that was built"
	@echo
	@echo "Each makes its own environment in .venv first. Variables: PYTHON, TORCH_INDEX, ARGS."

demo: $(INSTALLED)
	$(BIN)/dexa demo $(ARGS)

test: $(INSTALLED)
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

check: $(INSTALLED)
	PATH="$(abspath $(BIN)):$$PATH" scripts/check static

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)/.installed
	$(DOCS)/bin/zensical build --clean

clean:
	rm -rf $(VENV) build demo dist htmlcov site .cache .coverage .hypothesis .ruff_cache

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: '$(PYTHON)' is not Python 3.11 to 3.13; name one: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "error: '$(PYTHON) -m venv' failed; on Debian: apt install python3-venv" >&2; \
	  exit 1; }
	@echo "installing into $(VENV) what requirements.lock names"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' requirements.lock)"
	@$(PIP) --requirement requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

# The pages read the source without importing it: their environment needs neither dexa nor PyTorch.
$(DOCS)/.installed: requirements-docs.lock
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
