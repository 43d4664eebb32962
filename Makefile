# make demo    a sentence through the generated hardware
# make check   lint, types and the fast tests, for everyday work (two minutes on two cores)
# make test    lint, types, and every test (what .ci/run calls)
# make formal  properties of the hardware, proved (ten minutes on two cores); writes docs/proofs.md
# make fuzz    readers of files under a fuzzer, ten minutes each (FUZZ='--reader NAME --seconds N'); writes docs/fuzzing.md
# make cross-check  emitted Verilog under other tools (hours); writes docs/tools.md
# make gates   the co-processor tiny as netlists for three families, simulated (hours)
# make bench   cycles and sizes again, and how they differ from the committed ones (PRESETS=tiny: in minutes)
#
# Needed beforehand: Python 3.11 or later, make, perl and a C++ compiler. Everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
# -P keeps the folders of this repository (model, sim, spec) from being importable by their bare names.
RUN := $(VENV)/bin/python -P -m
ROOMS := cli cost golden hdl host model runtime sim spec synth
STAMP := $(VENV)/.installed
# What the installation depends on: the place (an editable install points at it) and the dependencies.
KEY = { pwd; cat pyproject.toml; }

.PHONY: check cross-check debian demo formal fuzz gates lint test bench venv tools clean

demo: tools venv
	@$(VENV)/bin/thresher demo

lint: tools venv
	@echo "ruff";         $(RUN) ruff check .
	@echo "ruff format";  $(RUN) ruff format --check .
	@echo "basedpyright"; $(RUN) basedpyright

# Tests marked `slow` run whole units, build simulators or run synthesis.
check: lint
	@echo "pytest";       $(RUN) pytest -n 2 --dist worksteal -m "not slow"

test: lint debian
	@echo "pytest";       $(RUN) pytest -n 2 --dist worksteal --durations 40 --durations-min 5

# The package `tests` is this one, not one of the environment.
JOBS ?= 2
formal: tools venv
	@PYTHONPATH=$(CURDIR) $(RUN) tests.formal --jobs $(JOBS)

FUZZ ?=
fuzz: tools venv
	@PYTHONPATH=$(CURDIR) $(RUN) tests.fuzz $(FUZZ)

cross-check: tools venv debian
	@PYTHONPATH=$(CURDIR) $(RUN) tests.tools --jobs $(JOBS)

gates: tools venv
	@PYTHONPATH=$(CURDIR) $(RUN) tests.synth.system_gates

# Another version of Verilator, for lint. Without apt, the tests of it are skipped.
DEBIAN := $(VENV)/debian
debian: venv
	@test -d $(DEBIAN) || { rm -rf $(DEBIAN).part && mkdir $(DEBIAN).part && cd $(DEBIAN).part && \
	  apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=20 download verilator && \
	  dpkg-deb -x verilator_*.deb . && mv ../$(notdir $(DEBIAN)).part ../$(notdir $(DEBIAN)); } >/dev/null 2>&1 || \
	  echo "Debian's Verilator cannot be downloaded: its lint is skipped"

# Those that need no data from elsewhere. Each ends with what differs; all of them run.
PRESETS ?= tiny edge
bench: tools venv
	@status=0; for each in attention spmm synth; do \
	  echo "$$each"; $(VENV)/bin/python bench/$$each.py --preset $(PRESETS) || status=1; \
	done; exit $$status

tools:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: $(PYTHON) not found: install Python 3.11 or later, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version) is too old: install Python 3.11 or later, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@command -v perl >/dev/null || \
	  { echo "error: perl not found: install it, Verilator needs it" >&2; exit 1; }
	@for each in '$(firstword $(CXX))' g++ c++ clang++; do command -v "$$each" >/dev/null && exit 0; done; \
	  echo "error: no C++ compiler found: install one (on Debian and Ubuntu: apt install g++)" >&2; exit 1

# The links show the package to the type checker, which cannot follow an editable install.
venv: tools
	@$(KEY) | cmp -s - $(STAMP) || { \
	  echo "setting up $(VENV) (once, a few minutes)" && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -P -m pip install --quiet --disable-pip-version-check --editable '.[dev]' && \
	  mkdir -p $(VENV)/types/thresher && \
	  for room in $(ROOMS) thresher/__init__.py; do ln -sfn ../../../$$room $(VENV)/types/thresher/; done && \
	  $(KEY) > $(STAMP); }

clean:
	rm -rf $(VENV) build out *.egg-info
