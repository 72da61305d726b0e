# Every developer command. None asks a question; each prepares what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SEEDS ?= 2000
START ?= 1
RUNS ?= 1
SOURCES := core podagent operator tests e2e bench
TYPED := $(wildcard e2e/*.py) e2e/clients e2e/cluster e2e/probe bench tests/tidy tests/unit/probe tests/unit/bench tests/component/probe
PYTEST := $(BIN)/python -m pytest

.PHONY: demo demo-down test together lint types unit component simulation simulate e2e crds images bench lock packages clean

test: unit together

# What runs servers and clusters waits a good part of its time; what only computes takes what that leaves of the
# processor, at idle priority. It is told of at the end, in one piece.
IDLY := $(shell command -v chrt >/dev/null && echo chrt --idle 0 || echo nice -n 19)
GO_ON := $(MAKE) --no-print-directory --keep-going
together: $(READY) packages
	@told=$$(mktemp); trap 'kill $$computing 2>/dev/null; rm -f $$told' EXIT; \
	$(IDLY) $(GO_ON) lint types simulation >$$told 2>&1 & computing=$$!; \
	$(GO_ON) component e2e; ran=$$?; \
	wait $$computing; computed=$$?; cat $$told; exit $$((ran | computed))

demo: $(READY)
	$(BIN)/python -m e2e.demo up

demo-down: $(READY)
	$(BIN)/python -m e2e.demo down

lint: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --line-length 120 e2e/*.py e2e/clients e2e/cluster e2e/probe bench tests/tidy tests/unit/probe
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy
	MYPYPATH=tests $(BIN)/mypy $(TYPED)
	MYPYPATH=e2e/localkube $(BIN)/mypy -p lk
	MYPYPATH=tests $(BIN)/mypy -p model

unit: $(READY)
	$(PYTEST) -q -n 4 -m "not component and not e2e" --ignore=tests/simulation --ignore=tests/model

component: $(READY) packages
	$(PYTEST) -q -n 4 --dist loadfile -m component

simulation: $(READY)
	$(PYTEST) -q -n auto -m "not component and not e2e" tests/simulation tests/model

# More seeds than continuous integration runs; a failing one is printed with the command that replays it. START=0: fresh
# ones. JSON=file: the figures for docs/reliability.md as well.
simulate: $(READY)
	cd tests && ../$(BIN)/python -m simulation --seeds $(SEEDS) --start $(START) $(if $(JSON),--json $(abspath $(JSON)))

e2e: $(READY) packages
	$(PYTEST) -v --durations=20 -m e2e -n auto --dist loadfile --no-loadscope-reorder e2e

# The CustomResourceDefinition, its copy in the chart, and the plain manifests that are rendered from the chart.
crds: $(READY)
	$(BIN)/python -m matriarch.spec.crdgen > crds/matriarch.dev_postgresclusters.yaml
	cp crds/matriarch.dev_postgresclusters.yaml helm/matriarch/files/
	PATH="$$HOME/.cache/localkube/bin:$$PATH" $(BIN)/python helm/render_install.py

images: $(READY)
	$(BIN)/python -m e2e.images

bench: $(READY)
	bench/outage --runs $(RUNS)

# Component tests start throw-away servers of their own; Debian's package must not start one beside them. haproxy and
# prometheus come with a service each, which may be stopped: tests run the programs on ports of their own.
packages:
	@if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  mkdir -p /etc/postgresql-common && \
	  { [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; } && \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql; \
	fi
	@missing=; for program in haproxy prometheus openssl; do \
	  PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	[ -z "$$missing" ] || { apt-get update -q && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; }

# pip brings uv, which brings the rest in a tenth of the time: what it once fetched it links from its cache. Where only
# pip is told of an index, pip brings it all.
$(READY): requirements/uv.txt requirements/test.txt pyproject.toml
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { apt-get update -q && apt-get install -q -y --no-install-recommends python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install -q --no-compile --no-deps --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --require-hashes -r requirements/test.txt || \
	  $(BIN)/python -m pip install -q --no-compile --no-deps --require-hashes -r requirements/test.txt
	$(BIN)/uv pip install -q --offline --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# Locked with hashes and without addresses; the images run Python 3.13 on Debian trixie.
UV_COMPILE = $(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header
IMAGE_PLATFORM = --python-version 3.13 --python-platform x86_64-manylinux_2_28
lock: $(READY)
	$(UV_COMPILE) pyproject.toml requirements/test.in --extra agent --extra operator --python-version 3.11 -o requirements/test.txt
	$(UV_COMPILE) pyproject.toml --extra agent $(IMAGE_PLATFORM) -o requirements/agent.txt
	$(UV_COMPILE) pyproject.toml --extra operator $(IMAGE_PLATFORM) -o requirements/operator.txt
	$(UV_COMPILE) requirements/clients.in --python-version 3.11 -o requirements/clients.txt
	$(UV_COMPILE) requirements/uv.in --python-version 3.11 -o requirements/uv.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis e2e/out
