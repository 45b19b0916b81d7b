"""The kernel of a run: opens on first use, runs cells, and replays the cells of a trace."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from start_sdk.errors import ConfigError, InterpreterError, StartError
from start_sdk.protocols import CellResult, Interpreter, Kernel, Tool
from start_sdk.tools import Toolbox
from start_sdk.trace import CallRecord, Segment

LOST = "The kernel was lost; variables of earlier cells are gone."
OVER = "TimeoutError: the time of this whole run is over; the cell was interrupted."


READER: ContextVar[object] = ContextVar("reader", default=None)
"""Who reads, where that is no task: a blocking session sets its caller's thread."""


def who_reads() -> object:
    """Who asks for events now, or for the kernel."""
    return READER.get() or asyncio.current_task()


class Holder(Protocol):
    """A run that holds a kept kernel."""

    @property
    def abandoned(self) -> bool:
        """Whether it is suspended and nobody iterates over it any more."""
        ...

    @property
    def reader(self) -> object:
        """Who last asked for an event of it."""
        ...

    async def aclose(self) -> None: ...


class LazyKernel:
    """A kernel that is opened on first use, and what its cells can use.

    Args:
        interpreter: opens it.
        tools: host tools that its cells can call.
        files: contents by name, put into its working directory.

    Raises:
        ConfigError: a tool is invalid, or the interpreter does not support tools or files.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        tools: Sequence[Tool] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        supported = inspect.signature(interpreter.open).parameters
        for name, wanted in (("tools", tools), ("files", files)):
            if wanted and name not in supported:
                raise ConfigError(f"{interpreter!r} does not support {name}: open() lacks `{name}`")
        self._turn = asyncio.Lock()
        self._holder: Holder | None = None
        self._waiting = 0
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._interpreter = interpreter
        self._toolbox = Toolbox(tools)
        self._options: dict[str, Any] = {"tools": self._toolbox} if tools else {}
        if files:
            self._options["files"] = files
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None
        self._lost = False

    async def take_turn(self, holder: Holder) -> None:
        """Waits until no other run uses the kernel, which may serve several, one after another.

        Raises:
            ConfigError: the kernel belongs to another event loop, or the caller waits for itself.
        """
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise ConfigError("a session with keep_state belongs to its first run's event loop")
        self._loop = loop
        if self._holder and self._holder.abandoned:
            await self._holder.aclose()
        if self._holder and self._holder.reader == who_reads():
            raise ConfigError(
                "with keep_state, one run follows another: this caller is still reading a run that "
                "holds the kernel; finish or close it first"
            )
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        self._holder = holder
        self._toolbox.renew()

    def end_turn(self, holder: Holder) -> None:
        """Lets the next run use the kernel."""
        if self._holder is holder:
            self._holder = None
            self._turn.release()

    def let_go(self, holder: Holder) -> None:
        """A run lost its last iterator: it is closed if another run waits for the kernel."""

        async def close() -> None:
            if holder.abandoned:
                await holder.aclose()

        if self._waiting and self._holder is holder and self._loop:
            self._closing = self._loop.create_task(close())

    async def run(self, code: str, seconds: float | None = None) -> CallRecord:
        """Runs a cell; `seconds` is the time left for the run, the start of the kernel included.
        The kernel's limit also applies.

        Raises:
            InterpreterError: the kernel is lost. The next call opens another one.
        """
        try:
            result = await self._run(code, seconds)
            return CallRecord(
                code=code,
                output=result.text,
                status=result.status,
                seconds=round(result.seconds, 4),
                state_kept=result.state_kept,
                cut=result.cut,
                pictures=result.pictures,
                latex=result.latex,
                tool_calls=self._toolbox.take_calls(),
            )
        except Exception as error:
            self._lost |= self._kernel is not None
            with contextlib.suppress(Exception):  # it failed already
                await self._end()
            if isinstance(error, StartError):
                raise
            what = str(error).partition("\n")[0] or "no reason given"
            raise InterpreterError(f"the kernel failed: {type(error).__name__}: {what}") from error

    async def _run(self, code: str, seconds: float | None) -> CellResult:
        if self._closed:
            raise InterpreterError("the session is closed")
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if self._kernel is None:
                    opened = self._interpreter.open(**self._options)
                    self._kernel = await self._stack.enter_async_context(opened)
                result = await self._kernel.run(code)
        except TimeoutError:
            if not limit.expired():
                raise
            result = CellResult("timeout", OVER, max(seconds or 0.0, 0.0))
        if self._lost:
            self._lost = False
            text = f"{LOST}\n{result.text}".rstrip("\n")
            result = replace(result, text=text, state_kept=False)
        return result

    async def replay(self, segments: Sequence[Segment]) -> list[Segment]:
        """Rebuilds a kernel's state by running a trace's cells again; records which ones differ.

        Host tools are not called again, since they may have side effects. Calls are answered from
        the record; a call that is not in it fails in the cell, which is then marked as different.
        Cells before the last loss of state are skipped, since nothing of them remained.
        """
        begin = 0
        for i, segment in enumerate(segments):
            if segment.call and not segment.call.state_kept:
                # Unless this cell itself lost the state, it ran in the fresh kernel: replay it.
                begin = i + (segment.call.status in ("killed", "oom", "died"))
        replayed = list(segments)
        for i, segment in enumerate(segments):
            if segment.call is None or i < begin:
                continue
            old = segment.call
            self._toolbox.begin_replay(old.tool_calls)
            new = await self.run(old.code)
            compared = ("status", "output", "pictures", "latex")
            same = self._toolbox.end_replay() and all(
                getattr(old, name) == getattr(new, name) for name in compared
            )
            call = old.model_copy(update={"replay": "same" if same else "differs"})
            replayed[i] = segment.model_copy(update={"call": call})
        return replayed

    async def aclose(self) -> None:
        """Closes the kernel for good."""
        self._closed = True
        await self._end()

    async def _end(self) -> None:
        self._kernel = None
        await self._stack.aclose()
