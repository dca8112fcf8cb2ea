# Needs make and Python 3.11 or newer, nothing else; every target builds its environment first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?= -n auto --maxprocesses=8 --dist worksteal -q

.DEFAULT_GOAL := help
.PHONY: help demo cluster test soak soak-table bench bench-full check lint docs lock clean

help:
	@echo "make demo    import a real history, push it to a hub, clone it, compare"
	@echo "make cluster run two hubs on PostgreSQL and S3 under load, and kill some of it"
	@echo "make test    run all tests (PYTEST_ARGS='-q tests/muse' for some of them)"
	@echo "make soak    two gigabytes in parts, thousands of pushes under faults (SOAK_SCENES, SOAK_SECONDS, SOAK_SEED)"
	@echo "make soak-table  write docs/reliability.md from every fault at every step (SOAK_SCENES, SOAK_SEED)"
	@echo "make bench   measure the goals beside Git, Git LFS and the raw store (bench-full: all of it, up to a million objects)"
	@echo "make check   lint, types, import contracts and tests: what CI runs"
	@echo "make lint    the same without the tests"
	@echo "make docs    write the generated documents again"
	@echo "make lock    pin the dependencies again (UPGRADE=--upgrade for newer ones)"
	@echo "make clean   remove the environment and all caches"

demo: $(VENV)/.installed
	@$(BIN)/python scripts/demo.py

cluster: $(VENV)/.installed
	@$(BIN)/python scripts/cluster.py

test: $(VENV)/.installed
	@$(BIN)/pytest $(PYTEST_ARGS)

soak: $(VENV)/.installed
	@MUSE_TEST_LARGE_MIB=2048 $(BIN)/pytest -q tests/scenarios/test_push_memory.py
	@$(BIN)/python scripts/soak.py

soak-table: $(VENV)/.installed
	@$(BIN)/python scripts/soak.py --table

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-full: $(VENV)/.installed
	@$(BIN)/python -m benchmarks --full $(BENCH_ARGS)

check: lint test

# Each check runs even if one before it failed.
lint: $(VENV)/.installed
	@status=0; \
	for check in "ruff check ." "ruff format --check ." "mypy --strict src" "lint-imports --no-cache" \
	  "python scripts/generate_docs.py --check"; \
	do echo "$$check"; $(BIN)/$$check || status=1; done; \
	exit $$status

docs: $(VENV)/.installed
	$(BIN)/python scripts/generate_docs.py

lock: $(VENV)/.installed
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet $(UPGRADE) --output-file requirements.lock

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Two steps, because the second takes a second and the first may take minutes.
$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@
