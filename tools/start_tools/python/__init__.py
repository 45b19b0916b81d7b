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
from typing import TYPE_CHECKING, Literal, NamedTuple

from start_sdk.errors import ConfigError, InterpreterError

if TYPE_CHECKING:
    from start_sdk.protocols import Kernel

__all__ = ["Isolation", "IsolationWarning", "PythonTool"]

_warned = False


class IsolationWarning(UserWarning):
    """Code written by a model is about to run with less protection than one might think."""


class Isolation(NamedTuple):
    """What stands between a cell and the machine."""

    level: str
    reason: str
    """One line: why this level, and what it does not protect from."""


@dataclass(frozen=True, kw_only=True)
class PythonTool:
    """Hands out stateful IPython kernels. It holds settings only: share one as you like.

    It is NOT a sandbox. A cell runs as you: it can read and write your files, use your network,
    start processes and fill memory and disk. Its own environment, working directory and standard
    input are not those of this process, so that nothing is read by accident; but a cell that looks
    for them (under /proc, say) finds them. Processes that a cell starts die with the kernel, unless
    they leave its process group.

    The first `open()` of a process warns of this, unless `isolation="plain"` says that you know.

    Raises:
        ConfigError: a value that cannot be used.
    """

    timeout: float = 10.0
    """Seconds of wall clock that a cell may take; starting the kernel is not counted."""
    max_chars: int = 4000
    """Characters of output that are kept, half of them from the start and half from the end."""
    preload: tuple[str, ...] = ("numpy", "sympy")
    """Modules to import while the kernel starts, so that no cell pays for it. One that is not
    installed is skipped."""
    isolation: Literal["auto", "plain"] = "auto"

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigError(f"timeout is in seconds and above 0, not {self.timeout!r}")
        if self.max_chars < 200:
            raise ConfigError(f"max_chars must be 200 or more, not {self.max_chars!r}")
        if self.isolation not in ("auto", "plain"):
            raise ConfigError(f"isolation is 'auto' or 'plain', not {self.isolation!r}")

    @property
    def isolation_level(self) -> Isolation:
        """The level that `open()` gives here."""
        why = "you asked for it" if self.isolation == "plain" else "no sandbox is built in yet"
        return Isolation("plain", f"{why}: cells run as you, with your files and your network")

    def open(self) -> AbstractAsyncContextManager[Kernel]:
        """A fresh kernel, ready: it has run a cell. Its process ends with the context.

        Raises:
            InterpreterError: no kernel can be started.
        """
        global _warned
        if self.isolation == "auto" and not _warned:
            _warned = True
            warnings.warn(
                "PythonTool runs code written by a model as you, with your files and your network;"
                ' PythonTool(isolation="plain") says that you know',
                IsolationWarning,
                stacklevel=2,
            )
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Kernel]:
        try:
            # In a thread: Jupyter takes 0.2 s to import, and an event loop must not stand still.
            module = await asyncio.to_thread(import_module, "start_tools.python.kernel")
        except ImportError as error:
            raise InterpreterError(f"PythonTool cannot import Jupyter's client: {error}") from error
        kernel = module.PlainKernel(self.timeout, self.max_chars, self.preload)
        try:
            await kernel.start()
            yield kernel
        finally:
            await kernel.aclose()
