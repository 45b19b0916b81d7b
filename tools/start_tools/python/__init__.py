"""The Python interpreter: one Jupyter kernel per `open()`, which keeps variables between cells.

    async with PythonTool().open() as kernel:
        result = await kernel.run("1 + 1")      # result.text == "2"

This module is light: the first `open()` imports Jupyter.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Mapping
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
"""Values of `isolation` whose level has been tested in this process."""
_warned = False


class IsolationWarning(UserWarning):
    """Code written by a model is about to run with less protection than you might expect."""


@dataclass(frozen=True, kw_only=True)
class PythonTool:
    """Hands out stateful IPython kernels. It only holds settings, so it can be shared freely.

    A kernel runs in a sandbox without the machine's files, network, processes and environment
    (`isolation`). Kernels come from a pool that belongs to the process and keeps a few ready.

    Where no sandbox is available, "auto" warns and runs cells as you. In `plain`, a cell can read
    and write your files, use your network, start processes and fill memory and disk: the limits
    below from `cpu_time` on do not apply.

    Raises:
        ConfigError: a setting is invalid.
    """

    timeout: float = 10.0
    """Wall-clock seconds that a cell may take; starting the kernel is not counted."""
    max_chars: int = 4000
    """Characters of output to keep, half from the start and half from the end."""
    preload: tuple[str, ...] = ("numpy", "sympy")
    """Modules to import before a kernel starts, so that no cell spends time on it. Modules that
    are not installed are skipped."""
    isolation: Level | Literal["auto"] = "auto"
    """`auto` takes the strongest available level; a named level is an error if unavailable."""
    cpu_time: float = 30.0
    """CPU seconds that a cell may use, over all its processes and threads."""
    memory_mb: int = 1024
    """MiB of memory that a kernel may hold; without cgroups, each of its processes may."""
    disk_mb: int = 64
    """MiB of files that a kernel may hold, including /tmp and /dev/shm."""
    processes: int = 96
    """Maximum number of processes and threads of a kernel."""
    warm: int = 2
    """Number of kernels to keep ready."""
    max_kernels: int = 256
    """Maximum number of kernels at once in this process, including those kept ready."""
    wait: float = 60.0
    """Seconds to wait, in order, for a kernel while all `max_kernels` are in use."""
    tool_time: float = 120.0
    """Total seconds that a cell's calls of host tools may take. They do not count towards
    `timeout`: a cell's clock is paused while the host works."""

    def __post_init__(self) -> None:
        for name in ("timeout", "cpu_time", "wait", "tool_time"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be seconds above 0, not {getattr(self, name)!r}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be {least} or more, not {getattr(self, name)!r}")
        levels = (*get_args(Level), "auto")
        if self.isolation not in levels:
            raise ConfigError(f"isolation must be one of {levels}, not {self.isolation!r}")

    @property
    def isolation_level(self) -> Isolation:
        """The level that `open()` uses on this machine. The first access tests it, for 0.1 s.

        Raises:
            InterpreterError: the requested level is not available.
        """
        return choose(self.isolation)

    def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AbstractAsyncContextManager[PythonKernel]:
        """Opens a new kernel that is ready to run cells. Its process ends with the context.

        Args:
            tools: host tools that its cells can call, such as `Toolbox([search])`.
            files: contents by name, in its working directory, also after a lost kernel was
                replaced.

        Raises:
            InterpreterError: no kernel can be started.
        """
        return self._opened(tools, files or {})

    @asynccontextmanager
    async def _opened(
        self, tools: ToolHost | None, files: Mapping[str, bytes]
    ) -> AsyncIterator[PythonKernel]:
        if self.isolation not in _tried:
            # In a thread, so as not to block the event loop: this tests a level and imports
            # Jupyter, which takes 0.2 s.
            await asyncio.to_thread(choose, self.isolation)
            try:
                await asyncio.to_thread(import_module, _LAUNCH)
            except ImportError as error:
                raise InterpreterError(f"PythonTool cannot import Jupyter: {error}") from error
            _tried.add(self.isolation)
        level = choose(self.isolation)
        if self.isolation == "auto" and level.level != "namespaces":
            _warn(level)
        kernel: PythonKernel = import_module(_LAUNCH).kernel(self, level.level, tools, files)
        try:
            await kernel.start()
            yield kernel
        finally:
            await kernel.aclose()


def _warn(isolation: Isolation) -> None:
    """Warns once per process that the best sandbox is not available."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"PythonTool runs code written by a model in isolation {isolation.level!r}:"
            f' {isolation.reason}; PythonTool(isolation="{isolation.level}") accepts this',
            IsolationWarning,
            stacklevel=2,
        )
