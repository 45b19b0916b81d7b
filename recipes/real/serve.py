"""Serves a GGUF file with llama.cpp's own server: `python -m recipes.real.serve`.

The package xllamacpp contains the code of `llama-server`, built for processors; install it without
its dependencies: `pip install --no-deps xllamacpp==2026.10.11549`. Where `llama-server` itself is
installed, it does the same.
"""

# pyright: reportMissingImports=false
# xllamacpp is installed in the environment of `make real`, which type checkers do not see.

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from recipes.command import CommandLine
from recipes.real import QUANTISED
from start_sdk import ConfigError, StartError
from start_sdk.cli import say


def serve(file: Path, port: int, context: int, slots: int) -> Any:
    """Starts a server on this machine; it ends with the object returned, or with the process.

    Args:
        file: the model.
        port: on 127.0.0.1.
        context: tokens of each slot.
        slots: sessions that are generated for at the same time.

    Raises:
        ConfigError: there is no such file, or no package to serve it with.
    """
    if not file.is_file():
        raise ConfigError(f"there is no {file}: make it with `make real`")
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigError(
            "install the server: pip install --no-deps xllamacpp==2026.10.11549"
        ) from error
    params: Any = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.port = port
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.cpuparams.n_threads = 1  # on a busy machine two threads wait for each other
    return xllamacpp.Server(params)


def main() -> int:
    """Serves until it is interrupted; 2 if that is not possible."""
    about = (__doc__ or "").partition("\n\n")
    parser = CommandLine(prog="python -m recipes.real.serve", description=about[2])
    parser.add_argument("--file", type=Path, default=QUANTISED, help="the model, a GGUF file")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--context", type=int, default=2048, help="tokens of each slot")
    parser.add_argument("--slots", type=int, default=8, help="sessions at the same time")
    args = parser.parse_args()
    try:
        server = serve(args.file, args.port, args.context, args.slots)
    except (StartError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    say(f"{args.file.name}: http://127.0.0.1:{args.port}/v1")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
