# The commands of this project. Each works on a fresh machine that has Python 3.11, make and git.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 8000
# More arguments for the command of a target: make test ARGS="tests/organisations -k admin"
ARGS ?=

INSTALLED := .venv/.installed
BIN := .venv/bin
PYTHON := $(shell command -v python3.11 || command -v python3)

# Tests on PostgreSQL use the server of DATABASE_URL, else one at its usual place on this machine.
LOCAL_POSTGRESQL := postgres://postgres@127.0.0.1:5432
GIVEN_POSTGRESQL := $(filter postgres://% postgresql://%,$(DATABASE_URL))
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# What needs no database, brings one along, or looks at pages and settings that are alike on each.
TRIED_ON_SQLITE_ALONE := architecture browser definitions simulation site
ON_POSTGRESQL := $(or $(ARGS),$(TRIED_ON_SQLITE_ALONE:%=--ignore=tests/%))

.PHONY: help setup run test test-sqlite test-postgresql browser check bench chaos limits simulate

help:  ## Say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(INSTALLED)  ## Make .venv with the pinned requirements

$(INSTALLED): requirements.txt requirements-dev.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 is needed.")'
	@"$(PYTHON)" -m venv .venv || { echo "Python's venv is needed (Debian: apt-get install python3.11-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: setup  ## Start the platform, web and workers, at 127.0.0.1:8000 (PORT= moves it)
	@DEBUG=1 exec $(BIN)/python manage.py dev --port $(PORT) $(ARGS)

test: test-sqlite test-postgresql  ## Run the tests on SQLite, and on PostgreSQL where one answers

test-sqlite: setup
	@echo "== Tests on SQLite"
	@env -u DATABASE_URL $(PYTEST) $(ARGS)

# A server that was named must answer; the local one is a bonus. Its own database is left alone:
# tests make theirs, test_..., beside it.
test-postgresql: test-sqlite
	@answers() { $(BIN)/python -c 'import sys, psycopg; psycopg.connect(sys.argv[1], connect_timeout=5).close()' "$$1"; }; \
	if [ -n "$(GIVEN_POSTGRESQL)" ]; then \
	  answers "$$DATABASE_URL" || { echo "The PostgreSQL of DATABASE_URL does not answer." >&2; exit 1; }; \
	  echo "== Tests on PostgreSQL, at DATABASE_URL"; \
	  $(PYTEST) $(ON_POSTGRESQL); \
	elif answers $(LOCAL_POSTGRESQL)/postgres 2>/dev/null; then \
	  echo "== Tests on PostgreSQL, at 127.0.0.1:5432"; \
	  DATABASE_URL=$(LOCAL_POSTGRESQL)/fsa_platform $(PYTEST) $(ON_POSTGRESQL); \
	else \
	  echo "== No PostgreSQL answers at 127.0.0.1:5432 and DATABASE_URL names none: tested on SQLite only"; \
	fi

browser:  ## Install Debian's Chromium, in which the operators' screens are tested
	@command -v chromium >/dev/null || { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
	  || echo "Chromium cannot be installed here: the tests in tests/browser are skipped."

check: setup  ## Check format, lint, types, layers, migrations and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@# On SQLite, so that no server is needed to compare the models with their migrations.
	env -u DATABASE_URL DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/codespell

bench: setup  ## Run the benchmarks, on SQLite or on DATABASE_URL
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: setup  ## Kill, pause and cut off real processes, and see that no promise breaks
	@$(BIN)/python -m tests.chaos $(ARGS)

limits: setup  ## Kill workers under load, and see in a journal of their bodies that no limit is exceeded
	@$(BIN)/python -m tests.limits $(ARGS)

# Without SEEDS it goes on until something breaks.
simulate: setup  ## Play histories full of faults against the engine: SEEDS=17, or SEEDS=1-500
	@$(BIN)/python -m tests.simulation $(SEEDS)
