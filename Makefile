# make run     set up what is missing, then start everything with the simulated factory
# make test    set up what is missing, then run every test
# make faults  what is killed, cut off, late, wrong: the promises at full length (over an hour)
# make check   style, types, generated files, the page, compose
# make setup   set up only; make clean removes what was set up in this folder
#
# Options for enms: make run ARGS="--http-port 8080". Another Python: make PYTHON=python3.12 setup.
# Tests run in two processes, file by file: make test PROCESSES=0 runs them in one, and TESTS="-s tests/unit" others.

PYTHON ?= python3
ARGS ?=
TESTS ?= tests
PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NPM_CI := npm ci --no-audit --no-fund --loglevel=error

# Node and npm come with the build lock, into the same environment as Python's packages.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHON

WEB_SOURCES := $(shell find web -name node_modules -prune -o -type f -print) \
	$(shell find web/src web/public -type d 2>/dev/null)

.PHONY: run setup test faults test-setup check clean system system-test
.DELETE_ON_ERROR:
.NOTPARALLEL:

run: setup
	$(BIN)/enms up --demo $(ARGS)

setup: $(STAMPS)/installed gateway/static/index.html

test: test-setup
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile $(TESTS)
	npm --prefix web test

faults: test-setup
	ENMS_TEST_LONG=1 $(BIN)/pytest -s tests/faults

test-setup: $(STAMPS)/dev $(STAMPS)/installed gateway/static/index.html tests/node_red/node_modules/.installed

check: $(STAMPS)/dev $(STAMPS)/installed web/node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m broker.generate --check
	npm --prefix web run check
	@if docker compose version >/dev/null 2>&1; then docker compose --profile demo config --quiet; \
	else echo "docker compose is not here: docker-compose.yml was not checked"; fi

clean:
	rm -rf $(VENV) gateway/static web/node_modules tests/node_red/node_modules

# Order-only: they look each time, and what is already there is not built again because of it.
system:
	@./setup.sh run

system-test:
	@./setup.sh test

$(STAMPS)/venv: | system
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(@D)
	@touch $@

$(STAMPS)/build: requirements/build.lock $(STAMPS)/venv
	$(PIP) install --require-hashes -r $<
	@touch $@

$(STAMPS)/dev: requirements/dev.lock $(STAMPS)/build | system-test
	$(PIP) install --require-hashes -r $<
	@touch $@

$(STAMPS)/installed: pyproject.toml $(STAMPS)/build
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json $(STAMPS)/build
	cd web && $(NPM_CI)
	@touch $@

gateway/static/index.html: $(WEB_SOURCES) web/node_modules/.installed
	npm --prefix web run build
	@touch $@

tests/node_red/node_modules/.installed: tests/node_red/package.json tests/node_red/package-lock.json $(STAMPS)/build
	cd tests/node_red && $(NPM_CI)
	@touch $@
