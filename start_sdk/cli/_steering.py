"""Inserts lines from standard input into a running thought: `start-sdk ask --steer`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from contextlib import suppress

from start_sdk.errors import ConfigError
from start_sdk.session import Run


class Steering:
    """Passes each line of standard input to `Run.steer`.

    Standard input may be a terminal, a pipe or a file; if it is closed there are no lines.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lines: list[str] = []

    def start(self) -> None:
        """Starts reading; call it in the run's event loop."""
        try:
            number = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # closed before the start, or not a file
            return
        # A daemon thread, since a blocking read cannot be cancelled. It reads the descriptor,
        # because Python cannot shut down while a thread waits inside `sys.stdin`.
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(number, loop), name="steer", daemon=True).start()

    def unused(self) -> list[str]:
        """The lines that were not inserted into the thought."""
        given = Counter(
            s.text.strip()
            for s in self._run.trace.segments
            if s.hint and s.hint.position == "steer"
        )
        left = Counter(self._lines) - given
        return list(left.elements())

    def _read(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        rest = b""
        with suppress(OSError, RuntimeError):  # standard input or the loop was closed
            while data := os.read(number, 4096):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    loop.call_soon_threadsafe(self._take, line)
            loop.call_soon_threadsafe(self._take, rest)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if text:
            self._lines.append(text)
            with suppress(ConfigError):  # the thought has ended: see `unused`
                self._run.steer(text)
