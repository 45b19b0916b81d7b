"""The Python interpreter: one Jupyter kernel per `open()`, whose variables live from cell to cell.

    async with PythonTool().open() as kernel:
        result = await kernel.run("1 + 1")      # result.text == "2"

This module is light: Jupyter is imported by the first `open()`.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, get_args

from start_sdk.errors import ConfigError, InterpreterError
from start_sdk.protocols import ToolHost
from start_tools.python.isolation import Isolation, Level, choose

if TYPE_CHECKING:
    from start_tools.python.kernel import PythonKernel

__all__ = ["Isolation", "IsolationWarning", "PythonTool"]

_LEAST = {
    "max_chars": 200,
    "memory_mb": 64,
    "disk_mb": 1,
    "processes": 16,  # a kernel itself has eleven threads
    "warm": 0,
    "max_kernels": 1,
}
_LAUNCH = "start_tools.python.launch"
_tried: set[str] = set()
"""Values of `isolation` whose level has been tried out in this process."""
_warned = False


class IsolationWarning(UserWarning):
    """Code written by a model is about to run with less protection than one might think."""


@dataclass(frozen=True, kw_only=True)
class PythonTool:
    """Hands out stateful IPython kernels. It holds settings only: share one as you like.

    A kernel runs in a sandbox without the machine's files, network, processes and environment
    (`isolation`). Kernels come from a pool that belongs to the process: a few are kept ready.

    Where a sandbox cannot be had, "auto" warns and runs cells as you. In `plain`, a cell can read
    and write your files, use your network, start processes and fill memory and disk: the limits
    below from `cpu_time` on do not hold there.

    Raises:
        ConfigError: a value that cannot be used.
    """

    timeout: float = 10.0
    """Seconds of wall clock that a cell may take; starting the kernel is not counted."""
    max_chars: int = 4000
    """Characters of output that are kept, half of them from the start and half from the end."""
    preload: tuple[str, ...] = ("numpy", "sympy")
    """Modules to import before a kernel starts, so that no cell pays for it. One that is not
    installed is skipped."""
    isolation: Level | Literal["auto"] = "auto"
    """`auto` takes the best level that there is here; a level by name is that or an error."""
    cpu_time: float = 30.0
    """Seconds of CPU that a cell may take, all its processes and threads together."""
    memory_mb: int = 1024
    """MiB of memory that a kernel may hold; where there are no cgroups, each of its processes."""
    disk_mb: int = 64
    """MiB of files that a kernel may hold, /tmp and /dev/shm included."""
    processes: int = 96
    """Processes and threads of a kernel."""
    warm: int = 2
    """Kernels that are kept ready."""
    max_kernels: int = 256
    """Kernels that there may be at once in this process, those that are ready included."""
    wait: float = 60.0
    """Seconds to wait, in order, for a kernel while there are `max_kernels`."""
    tool_time: float = 120.0
    """Seconds that calls of the host's tools may take of a cell, all together. They are not counted
    in `timeout`: while the host works, the clock of a cell stands still."""

    def __post_init__(self) -> None:
        for name in ("timeout", "cpu_time", "wait", "tool_time"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is in seconds and above 0, not {getattr(self, name)!r}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be {least} or more, not {getattr(self, name)!r}")
        levels = (*get_args(Level), "auto")
        if self.isolation not in levels:
            raise ConfigError(f"isolation is one of {levels}, not {self.isolation!r}")

    @property
    def isolation_level(self) -> Isolation:
        """The level that `open()` gives here. The first time, it is tried out: 0.1 s.

        Raises:
            InterpreterError: the level that was asked for cannot be had.
        """
        return choose(self.isolation)

    def open(self, *, tools: ToolHost | None = None) -> AbstractAsyncContextManager[PythonKernel]:
        """A fresh kernel, ready: it has run a cell. Its process ends with the context.

        Args:
            tools: of this process, for its cells to call: `Toolbox([search])`.

        Raises:
            InterpreterError: no kernel can be started.
        """
        return self._opened(tools)

    @asynccontextmanager
    async def _opened(self, tools: ToolHost | None) -> AsyncIterator[PythonKernel]:
        if self.isolation not in _tried:
            # In a thread: a level is tried out, and Jupyter takes 0.2 s to import; an event loop
            # must not stand still.
            await asyncio.to_thread(choose, self.isolation)
            try:
                await asyncio.to_thread(import_module, _LAUNCH)
            except ImportError as error:
                raise InterpreterError(f"PythonTool cannot import Jupyter: {error}") from error
            _tried.add(self.isolation)
        level = choose(self.isolation)
        if self.isolation == "auto" and level.level != "namespaces":
            _warn(level)
        kernel: PythonKernel = import_module(_LAUNCH).kernel(self, level.level, tools)
        try:
            await kernel.start()
            yield kernel
        finally:
            await kernel.aclose()


def _warn(isolation: Isolation) -> None:
    """Says once per process that the best sandbox is not to be had."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"PythonTool runs code written by a model in isolation {isolation.level!r}:"
            f' {isolation.reason}; PythonTool(isolation="{isolation.level}") says that you know',
            IsolationWarning,
            stacklevel=2,
        )
