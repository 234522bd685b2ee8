# What each target is for stands in CONTRIBUTING.md. Everything runs in .venv, which the first call makes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST := $(BIN)/python -m pytest -q
SCENARIOS := $(sort $(wildcard scenarios/*.toml))
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
CORES := rpcnet/wire rpcnet/flow rpcnet/cluster/swim rpcnet/cluster/seal

.PHONY: run check test test-slow format setup lint fast gate cores notebooks mutants fuzz

run: setup
	$(BIN)/rpcnet-sim run scenarios/worker_death.toml --report reports/worker_death

check: lint fast

# The cores' tests run once, traced.
test: SKIPPED := $(addprefix --ignore=tests/,$(CORES))
test: lint fast cores notebooks gate

test-slow: setup
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=fuzz --timeout=1800
	./tests/other_pythons.sh

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(INSTALLED)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

fast: setup
	$(PYTEST) -n 2 -m "not gate and not slow" $(SKIPPED)

# Tracing branches slows an event loop more than threefold: only the cores without one are measured.
cores: setup
	$(PYTEST) -n 2 $(addprefix tests/,$(CORES)) -m "not slow" --cov-branch --cov-report=term-missing:skip-covered \
		$(addprefix --cov=,$(subst /,.,$(CORES))) --cov-fail-under=100

# By hand: each takes many minutes.
mutants: setup
	$(BIN)/python -m tests.mutation wire
	$(BIN)/python -m tests.mutation flow
	$(BIN)/python -m tests.mutation calls --sample 300

fuzz: setup
	for target in parser server client sealed packet; do $(BIN)/python -m tests.fuzz $$target --seconds 600 || exit 1; done

notebooks: setup
	$(PYTEST) --nbmake --nbmake-timeout=120 $(NOTEBOOKS)

gate: setup
	$(PYTEST) -n 2 -rs -m "gate and not slow" --timeout=300

$(INSTALLED): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris -c constraints.txt -e '.[fuzz]'
	touch $@
