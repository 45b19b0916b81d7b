"""The host's side of one ipykernel process; plain.py and boxed.py start it."""

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
"""Seconds within which a kernel must be ready; it takes about one."""
ANSWER_WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds to wait for the first answer of a kernel that has started, and of each that replaces one.
It takes milliseconds, but one kernel in 10,000 never answers, and those kept ready die with the
process that they were forked from."""
USAGE_INTERVAL = 0.5
"""Seconds between two measurements of what a kernel uses."""
KILL_LIMIT = 10.0
"""Seconds to wait for a killed process to end; it takes milliseconds, unless Linux is stuck."""


async def first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Waits until one of the futures is done, for at most `timeout` seconds."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


@dataclass(frozen=True, slots=True)
class Used:
    """What a kernel and its processes have used."""

    cpu: float
    """CPU seconds since the kernel started."""
    memory: int
    """Bytes that they hold now."""


class Process:
    """A running kernel. It belongs to the event loop in which it was created."""

    wire: Wire

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._exit = contextlib.AsyncExitStack()
        self._end_fd = -1
        self.exited: asyncio.Future[int] = self._loop.create_future()
        """Holds the exit code, negative for a signal, as soon as the process has ended."""
        self.killed = False
        self.reason = ""
        """Why it was killed, if that is not known to the caller of a cell."""
        self.ran_out_of_memory = False

    def execute(self, code: str, output: Output, tools: ToolHost | None = None) -> Cell:
        """Sends a cell without waiting for its result. One cell at a time."""
        return self.wire.execute(code, output, tools)

    async def ended(self) -> int | None:
        """The exit code if the process has ended, even if the event loop has not noticed yet."""
        poll = select.poll()
        if not self.exited.done():
            poll.register(self._end_fd)
            if not poll.poll(0):
                return None
        await first(self.exited)
        return self.exited.result()

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel and the processes it runs, as Ctrl-C does in a terminal."""
        self._signal(signal.SIGINT)

    def kill(self, reason: str = "") -> None:
        """Ends the kernel and the processes it runs; `exited` is done soon after."""
        self.killed = True
        self.reason = self.reason or reason
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Ends the process and its children and removes its folder. May be called twice."""
        # Started now, and completed even if the caller is cancelled.
        await asyncio.shield(asyncio.ensure_future(self._exit.aclose()))

    async def used(self) -> Used | None:
        """What the kernel has used so far; None if it is not measured."""
        return None

    @abstractmethod
    async def open_file(self, path: str, *, new: bool) -> int:
        """Opens a file in the kernel's working directory and returns its descriptor.

        Raises:
            OSError: the file cannot be opened.
        """

    @abstractmethod
    def _signal(self, number: signal.Signals) -> None: ...

    @abstractmethod
    def _exit_code(self) -> int:
        """The exit code of the process, which has ended."""

    def _watch(self, end_fd: int) -> None:
        """Watches for the end of the process, and ends it on close.

        Args:
            end_fd: a descriptor that can be read from once the process has ended, such as a pidfd.
        """
        self._end_fd = end_fd
        self._loop.add_reader(end_fd, self._on_exit)
        self._exit.push_async_callback(self._end)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._end_fd)
        self.exited.set_result(self._exit_code())

    async def _end(self) -> None:
        self.kill()
        await first(self.exited, timeout=KILL_LIMIT)
        self._loop.remove_reader(self._end_fd)
        os.close(self._end_fd)
