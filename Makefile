# The commands for development. All of them use .venv, which scripts/setup creates from requirements.lock and requirements-dev.lock.
.DEFAULT_GOAL := help
.PHONY: help setup ready run test quick lint check benchmarks pictures lock clean

BIN := .venv/bin
LOCK := uv pip compile -q --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## create .venv to run reachq; instant if nothing changed
	@scripts/setup

ready: # setup, the tools, and the browser for the tests of the pages
	@scripts/setup tests

run: setup ## start everything on the sample network; ARGS="--network DIR --port N --data DIR"
	@exec $(BIN)/reachq up $(ARGS)

test: ready ## run all tests; ARGS="-k name" for a part of them
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

quick: ready ## run the fast unit tests and the store's tests on fakeredis, in about 15 seconds; ARGS as for test
	$(BIN)/pytest tests/unit tests/contract -k "not [server" -m "not slow" --hypothesis-profile quick -p no:schemathesis -p no:playwright $(ARGS)

lint: ready ## check format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint and all tests

benchmarks: ready ## run all benchmarks, each beside its reference; ARGS="quick_test" for one of them
	@set -e; for file in $(or $(ARGS:%=benchmarks/%.py),$$(grep -l __main__ benchmarks/*.py)); do \
	    name=$${file#benchmarks/}; echo "== $${name%.py}"; $(BIN)/python -m benchmarks.$${name%.py}; done

pictures: ready ## take the screenshots in docs/pictures again, from a running system
	$(BIN)/python -m tests.browser.pictures

lock: ## resolve the versions of all dependencies again; needs uv; ARGS="--upgrade" for the newest
	@command -v uv >/dev/null || { echo "uv is needed: pipx install uv" >&2; exit 1; }
	$(LOCK) --group build -o requirements.lock $(ARGS)
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock $(ARGS)

clean: ## remove build results and caches; the data folder stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
