# `make demo` and `make test` work on a fresh checkout; they build .venv first (once: it is kept while
# pyproject.toml and constraints.txt stay as they are).

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench docs integrations clean

demo: $(READY)
	$(BIN)/python -m recipes.demo

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/python .ci/check_wheel.py

bench: $(READY)
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.splice
	$(BIN)/python -m benchmarks.pretrain
	$(BIN)/python -m benchmarks.kernel
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.tools
	$(BIN)/python -m benchmarks.survival

# In an environment of its own: what builds the site is no part of the development environment.
docs:
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/pip install -q -c constraints.txt -e '.[docs]'
	$(VENV)-docs/bin/mkdocs build --strict -d site

# Slower things, each in an environment of its own, outside the gate. The dated result of each is
# in docs/integrations.md.
integrations: docs

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[transformers,eval,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-docs dist site .mypy_cache .pytest_cache .ruff_cache
