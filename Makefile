# make setup   the virtual environment in .venv, from the lock file
# make demo    the main job on the simulated board; leaves a report in runs/
# make test    lint, types, layers and every test
# make bench   every benchmark in its quick form
# make firmware  the images for the STM32F407 (ELF, hex) and their sizes, in firmware/build/arm
# make soak    ten million random and mutated frames into the firmware; SOAK_FRAMES=...

SHELL := /bin/bash
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
BIN := .venv/bin
STAMP := .venv/.complete
DEBIAN_PACKAGES := python3-venv python3-dev gcc
# One numerical thread: with small matrices more threads cost more than they bring.
export OMP_NUM_THREADS ?= 1
export PYTHONHASHSEED ?= 0

.PHONY: setup demo test lint bench clean firmware firmware-tools soak

setup: $(STAMP)

# A virtual environment, Python's headers and a C compiler (the COBS codec has a C core). Debian
# packages are installed only where one of these is missing and we may install.
$(STAMP): requirements.lock pyproject.toml Makefile
	@if ! $(PYTHON) -c 'import ensurepip, sysconfig, pathlib, shutil, sys; \
	    sys.exit(not (pathlib.Path(sysconfig.get_path("include"), "Python.h").exists() and shutil.which("cc")))' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(DEBIAN_PACKAGES); \
	  else \
	    echo "Missing: Python headers, venv or a C compiler. As root: apt-get install $(DEBIAN_PACKAGES)" >&2; exit 1; \
	  fi; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv (downloads once; a few minutes) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Compilers and emulator of the firmware. `test` tries to install them once, this each time.
firmware-tools:
	@sh firmware/install_tools.sh

firmware: firmware-tools
	@$(MAKE) --no-print-directory -C firmware arm

soak: firmware-tools
	@$(MAKE) --no-print-directory -C firmware soak

demo: setup
	@$(BIN)/hil demo

lint: setup
	@$(BIN)/python -m protocols.codegen --check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: lint
	@sh firmware/install_tools.sh .venv/.firmware-tools
	@$(BIN)/python -m pytest

# The cell model is held against measurements that are not part of this project; they are where
# HIL_MEASURED_DATA says. Every benchmark is run, also after one that missed a bar.
bench: setup
	@failed=; for script in benchmarks/[a-z]*.py; do \
	  echo "== $$script"; \
	  if [ $$script = benchmarks/cell_model.py ] && [ -z "$$HIL_MEASURED_DATA" ]; then \
	    echo "skipped: no measurements (HIL_MEASURED_DATA names their folder)"; continue; \
	  fi; \
	  $(BIN)/python $$script --quick || failed="$$failed $$script"; \
	done; \
	[ -z "$$failed" ] || { echo "Missed:$$failed" >&2; exit 1; }

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
