# make setup   the virtual environment in .venv, from the lock file
# make demo    the main job on the simulated board; leaves a report in runs/
# make test    lint, types, layers and every test; TEST_WORKERS=n processes, one per core by default
# make bench   every benchmark in its quick form
# make firmware  the images for the STM32F407 (ELF, hex) and their sizes, in firmware/build/arm
# make fuzz    hostile input for FUZZ_SECONDS (60) into decoder, board and every reader of files
# make soak    ten million random frames into the firmware (SOAK_FRAMES), then random jobs over a
#              hostile line, killed and reset at random, for SOAK_SECONDS (60)

SHELL := /bin/bash
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
BIN := .venv/bin
STAMP := .venv/.complete
DEBIAN_PACKAGES := python3-venv python3-dev gcc
# One numerical thread: with small matrices more threads cost more than they bring.
export OMP_NUM_THREADS ?= 1
export PYTHONHASHSEED ?= 0
TEST_WORKERS ?= auto

.PHONY: setup demo test lint bench clean firmware firmware-tools fuzz soak

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

# The Python side by spoiled inputs and by coverage (atheris), then the C side (libFuzzer).
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
fuzz: setup
	@$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)
	@sh firmware/install_tools.sh .venv/.firmware-tools
	@if command -v clang-14 >/dev/null; then \
	  $(MAKE) --no-print-directory -C firmware fuzz FUZZ_SECONDS=$(FUZZ_SECONDS); \
	else echo "The firmware was not fuzzed: clang-14 is missing." >&2; exit 1; fi

SOAK_SECONDS ?= 60
SOAK_SEED ?= 1
soak: setup firmware-tools
	@$(MAKE) --no-print-directory -C firmware soak
	@$(BIN)/python benchmarks/soak.py --seconds $(SOAK_SECONDS) --seed $(SOAK_SEED)

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
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

# Libraries that only the benchmarks compare with: beside the environment, so that nothing in it
# changes. Without them the benchmark says so and misses its bar.
PEERS := .venv/peers/.complete
$(PEERS): requirements-bench.lock $(STAMP)
	@rm -rf .venv/peers
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --target .venv/peers \
	  -r requirements-bench.lock && touch $@ \
	  || echo "The libraries of requirements-bench.lock were not installed." >&2

# The cell model is held against measurements that are not part of this project; they are where
# HIL_MEASURED_DATA says; the circuit simulator is installed where we may. Every benchmark is run,
# also after one that missed a bar.
bench: setup $(PEERS)
	@sh benchmarks/install_tools.sh
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
