"""A real llama.cpp server in a process of its own, which tests kill and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class LlamaServer:
    """Use it as a context; `url` is its address.

    Args:
        file: the model, a GGUF file.
        slots: generations at the same time.
        context: tokens of each slot.
    """

    def __init__(self, file: Path, *, slots: int = 8, context: int = 1024) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        options = {"file": file, "port": self.port, "slots": slots, "context": context}
        self._command = [sys.executable, "-m", "benchmarks.llama_server"]
        for name, value in options.items():
            self._command += [f"--{name}", str(value)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, f"{self._command} ended"
            assert time.monotonic() < until, f"{self._command} does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        if self._process:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except OSError:
            return False
