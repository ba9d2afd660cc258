# Everything runs in .venv, which the targets make themselves from hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
PAYMENTS ?= 20000
ONLY ?=
.DEFAULT_GOAL := help
# Hundreds of processes start in a run, and each would compile the whole gateway anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test lint format proto lock prove prove-full bench clean

help:  ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.server: requirements/server.txt requirements/score.txt pyproject.toml
	@./scripts/check-machine $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the gateway into $(VENV) (hashed requirements)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/server.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/score.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

DEV_REQUIREMENTS := $(foreach name,dev training readers hsm vault,requirements/$(name).txt)

$(VENV)/.dev: $(VENV)/.server $(DEV_REQUIREMENTS)
	@for file in $(DEV_REQUIREMENTS); do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $$file || exit; done
	@touch $@

# The engines are an option: without cargo (or without the crates) everything runs on their twins in Python.
$(VENV)/.native: scripts/build-native native/Cargo.toml $(wildcard native/src/*.rs native/src/*/*.rs) $(VENV)/.server
	@./scripts/build-native $(BIN)/python
	@touch $@

.venv-proto/.done: requirements/proto.txt
	@$(PYTHON) -m venv .venv-proto
	@.venv-proto/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/proto.txt
	@touch $@

node_modules/.done: package.json package-lock.json
	@npm install --silent --no-audit --no-fund
	@touch $@

demo: $(VENV)/.server $(VENV)/.native  ## the main job on this machine: 20,000 payments, five issuers, a proof (SEED=1 PAYMENTS=20000)
	@$(BIN)/ein demo --seed $(SEED) --payments $(PAYMENTS)

test: $(VENV)/.dev $(VENV)/.native  ## the tests without processes of their own, under 5 minutes
	@$(BIN)/python -m pytest -m "not prove" --ignore=tests/e2e -q -n auto --dist loadfile

lint: $(VENV)/.dev .venv-proto/.done node_modules/.done  ## style, types, imports, contracts
	@./scripts/lint

format: $(VENV)/.dev  ## put the code into form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

proto: .venv-proto/.done  ## generate the stubs from proto/
	@./scripts/generate-stubs .

lock:  ## resolve the hashed requirements again (needs uv)
	@./scripts/lock

prove: $(VENV)/.dev $(VENV)/.native  ## the tests with processes of their own, and what must be shown, reduced counts
	@$(BIN)/python -m pytest tests/e2e -m prove -q -n auto --dist loadfile
	@$(BIN)/python -m tests.prove --reduced

prove-full: $(VENV)/.dev $(VENV)/.native  ## what must be shown, full counts; writes docs/evidence/
	@$(BIN)/python -m tests.prove --full --write docs/evidence

bench: $(VENV)/.dev $(VENV)/.native  ## one JSON line a benchmark (ONLY=name for one)
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

clean:  ## remove what the targets made
	@rm -rf $(VENV) .venv-proto node_modules build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
