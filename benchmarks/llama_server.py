"""Serves a GGUF file with llama.cpp's own server: `python -m benchmarks.llama_server`.

For benchmarks, tests, and to try the backend `llamacpp` with the model of `make real`. The package
xllamacpp contains the code of `llama-server`, built for processors; `make real` installs it. Where
`llama-server` itself is installed, it does the same. Serves on 127.0.0.1 until it is interrupted.
"""

# pyright: reportMissingImports=false
# xllamacpp is installed in the environment of `make real`, which type checkers do not see.

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

FILE = Path("runs/smollm2.Q4_1.gguf")
"""What `make real` keeps beside its folder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="the model, a GGUF file")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--context", type=int, default=2048, help="tokens of each slot")
    parser.add_argument("--slots", type=int, default=8, help="sessions at the same time")
    given = parser.parse_args()
    if not given.file.is_file():
        parser.exit(2, f"error: there is no {given.file}: make it with `make real`\n")
    try:
        import xllamacpp
    except ImportError:
        install = "pip install --no-deps xllamacpp==2026.10.11549"
        parser.exit(2, f"error: install the server: {install}\n")
    params: Any = xllamacpp.CommonParams()
    params.model.path = str(given.file)
    params.port = given.port
    params.n_ctx = given.context * given.slots
    params.n_parallel = given.slots
    params.cpuparams.n_threads = 1  # on a busy machine two threads wait for each other
    server = xllamacpp.Server(params)
    print(f"{given.file.name}: http://127.0.0.1:{given.port}/v1", file=sys.stderr)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    del server  # which ends it


if __name__ == "__main__":
    main()
