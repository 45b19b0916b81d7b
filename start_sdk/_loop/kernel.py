"""The kernel of a run: opens on first use, runs cells, and replays the cells of a trace."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from start_sdk.errors import ConfigError, InterpreterError
from start_sdk.protocols import CellResult, Interpreter, Kernel, Tool
from start_sdk.tools import Toolbox
from start_sdk.trace import CallRecord, Segment

LOST = "The kernel was lost; variables of earlier cells are gone."
OVER = "TimeoutError: the time of this whole run is over; the cell was interrupted."


class Holder(Protocol):
    """A run that holds a kept kernel."""

    @property
    def abandoned(self) -> bool:
        """Whether it is suspended and nobody iterates over it any more."""
        ...

    @property
    def reader(self) -> asyncio.Task[Any] | None:
        """The task that last took an event of it."""
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
        self._interpreter = interpreter
        self._toolbox = Toolbox(tools)
        self._options: dict[str, Any] = {"tools": self._toolbox} if tools else {}
        if files:
            self._options["files"] = files
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None
        self._lost = False

    @asynccontextmanager
    async def turn(self, holder: Holder) -> AsyncIterator[None]:
        """Held by the run that uses the kernel, which may serve several runs, one after another."""
        if self._holder and self._holder.abandoned:
            await self._holder.aclose()
        if self._holder and self._holder.reader is asyncio.current_task():
            raise ConfigError(
                "with keep_state, one run follows another: this task is still reading a run that "
                "holds the kernel; finish or close it first"
            )
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        self._holder = holder
        try:
            self._toolbox.renew()
            yield
        finally:
            self._holder = None
            self._turn.release()

    def let_go(self, holder: Holder) -> None:
        """A run lost its last iterator: it is closed if another run waits for the kernel."""

        async def close() -> None:
            if holder.abandoned:
                await holder.aclose()

        if self._waiting and self._holder is holder:
            self._closing = asyncio.get_running_loop().create_task(close())

    async def run(self, code: str, seconds: float | None = None) -> CallRecord:
        """Runs a cell; `seconds` is the time left for the run, the start of the kernel included.
        The kernel's limit also applies.

        Raises:
            InterpreterError: the kernel is lost. The next call opens another one.
        """
        try:
            result = await self._run(code, seconds)
        except InterpreterError:
            self._lost |= self._kernel is not None
            with contextlib.suppress(Exception):  # it failed already
                await self.aclose()
            raise
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

    async def _run(self, code: str, seconds: float | None) -> CellResult:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if self._kernel is None:
                    opened = self._interpreter.open(**self._options)
                    self._kernel = await self._stack.enter_async_context(opened)
                result = await self._kernel.run(code)
        except TimeoutError as error:
            if not limit.expired():
                raise InterpreterError(f"the kernel failed: {error or 'TimeoutError'}") from error
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
        """Closes the kernel; a later cell would open another one."""
        self._kernel = None
        await self._stack.aclose()
