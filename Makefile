# What each target is for stands in CONTRIBUTING.md. Everything runs in .venv, which the first call makes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
PYTEST := $(BIN)/python -m pytest -q
# Where byte code may not be written, each worker compiles the tests anew, each time.
unexport PYTHONDONTWRITEBYTECODE
CORES := rpcnet/wire rpcnet/flow rpcnet/cluster/swim rpcnet/cluster/seal

.PHONY: run check test pythons test-slow format setup lint fast cores whole mutants fuzz

run: setup
	$(BIN)/rpcnet-sim run scenarios/worker_death.toml --report reports/worker_death

check: lint fast

test: lint cores whole

# The simulator stands on private names of CPython. What else is tested on other Pythons: test-slow.
pythons: setup
	./tests/other_pythons.sh kernel

test-slow: setup
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=fuzz --timeout=1800
	./tests/other_pythons.sh

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(INSTALLED)

# Collecting finds what cannot be imported, and leaves byte code of the tests, which each worker would make anew.
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	printf '%s\n' pyright mypy 'python -m pytest -qqq --collect-only' | xargs -P 2 -I % sh -c '$(BIN)/%'

fast: setup
	$(PYTEST) -n 2 -m "not gate and not slow"

# Tracing branches slows an event loop more than threefold: only the cores without one are measured.
cores: setup
	$(PYTEST) -n 2 $(addprefix tests/,$(CORES)) -m "not slow" --cov-branch --cov-report=term-missing:skip-covered \
		$(addprefix --cov=,$(subst /,.,$(CORES))) --cov-fail-under=100

# All but the cores, whose tests have just run, traced. Many of these wait for sockets and child processes: three
# workers keep two cores busy.
whole: setup
	$(PYTEST) -n 3 --dist worksteal -rs -m "not slow" --timeout=300 $(addprefix --ignore=tests/,$(CORES))

# By hand: each takes many minutes.
mutants: setup
	$(BIN)/python -m tests.mutation wire
	$(BIN)/python -m tests.mutation flow
	$(BIN)/python -m tests.mutation calls --sample 300

fuzz: setup
	$(BIN)/python -m tests.fuzz all --seconds 600

# Older pips take twice the time, and compiling what nobody imports takes as long as all the rest.
$(INSTALLED): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) 'pip>=25'
	$(PIP) -c constraints.txt --only-binary atheris -e '.[dev,fuzz]' || $(PIP) -c constraints.txt -e '.[dev]'
	touch $@
