"""One ipykernel, as the host holds it; what starts it is in plain.py and boxed.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from start_sdk.protocols import ToolHost
from start_tools.python.cell import Cell
from start_tools.python.output import Output
from start_tools.python.wire import Wire

START_LIMIT = 60.0
"""Seconds until a kernel must be ready; it takes about one."""
METER_INTERVAL = 0.5
"""Seconds between two looks at what a kernel has used."""
KILL_LIMIT = 10.0
"""Seconds until a killed process is gone; it takes milliseconds, unless Linux itself is stuck."""


async def first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Waits until one of them is done, or for `timeout` seconds."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


@dataclass(frozen=True, slots=True)
class Used:
    """What a kernel and its processes have used."""

    cpu: float
    """Seconds since it started."""
    memory: int
    """Bytes that they hold."""


class Process:
    """A running kernel. It belongs to the event loop in which it was made."""

    wire: Wire

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._exit = contextlib.AsyncExitStack()
        self._pidfd = -1
        self.exited: asyncio.Future[int] = self._loop.create_future()
        """Holds the exit code, negative for a signal, as soon as the process is gone."""
        self.killed = False
        self.ran_out_of_memory = False

    def execute(self, code: str, output: Output, tools: ToolHost | None = None) -> Cell:
        """Sends a cell, which is not awaited here. One at a time."""
        return self.wire.execute(code, output, tools)

    async def ended(self) -> int | None:
        """The exit code if the process is gone, even if the event loop has not heard of it yet."""
        poll = select.poll()
        if not self.exited.done():
            poll.register(self._pidfd)
            if not poll.poll(0):
                return None
        await first(self.exited)
        return self.exited.result()

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel and the processes it runs, as Ctrl-C does in a terminal."""
        self._signal(signal.SIGINT)
        # A cell that awaits has its future cancelled by the signal, but its event loop sleeps on;
        # any message wakes it (ipykernel#881).
        self.wire.wake()

    def kill(self) -> None:
        """Ends the kernel and the processes it runs; `exited` is done soon after."""
        self.killed = True
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Ends the process with its children and takes its folder away. May be called twice."""
        # Started now and finished even if who waits for it is cancelled.
        await asyncio.shield(asyncio.ensure_future(self._exit.aclose()))

    async def used(self) -> Used | None:
        """What it has used so far; None where nobody counts."""
        return None

    @abstractmethod
    async def open_file(self, path: str, *, new: bool) -> int:
        """A descriptor of a file in the kernel's working directory.

        Raises:
            OSError: it cannot be opened.
        """

    @abstractmethod
    def _signal(self, number: signal.Signals) -> None: ...

    @abstractmethod
    def _exit_code(self) -> int:
        """Of a process that is gone."""

    def _watch(self, pidfd: int) -> None:
        """Waits for the end of the process that `pidfd` stands for, and has it end on close."""
        self._pidfd = pidfd
        self._loop.add_reader(pidfd, self._on_exit)
        self._exit.push_async_callback(self._end)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.exited.set_result(self._exit_code())

    async def _end(self) -> None:
        self.kill()
        await first(self.exited, timeout=KILL_LIMIT)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
