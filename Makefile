# Whetstone's commands. `make run` needs Python 3.11 or newer and nothing else; PORT, WHETSTONE_HOST, WHETSTONE_HOME and
# DATABASE_URL may be set, as in `make run PORT=8001`.

PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
RUNNING := .venv/.installed-running
TESTING := .venv/.installed-testing
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: run test check bench

run: $(RUNNING)
	@$(BIN)/python -m webapp.serve

# TESTS names a folder, a file or a test; without it, all of them.
test: $(TESTING)
	@.ci/install-chromium
	$(BIN)/python -m pytest -n 2 $(TESTS)

check: $(TESTING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --check --quiet
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run
	$(BIN)/python -m pip --disable-pip-version-check check

# NAME names one of the measurements; without it, all of them.
bench: $(TESTING)
	$(BIN)/python -m tests.bench $(NAME)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Whetstone needs Python 3.11 or newer, named python3.11 or python3," \
		"or set: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making .venv with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(RUNNING): requirements.txt requirements/web.txt requirements/training.txt | $(BIN)/python
	@echo "Installing what Whetstone needs (once; a few minutes) ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(TESTING): requirements/dev.txt $(RUNNING)
	@echo "Installing what the tests need ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@
