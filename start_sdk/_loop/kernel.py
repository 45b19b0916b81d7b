"""The kernel of a run: opens on first use, runs cells, and replays the cells of a trace."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from start_sdk.errors import ConfigError
from start_sdk.protocols import CellResult, Interpreter, Kernel, Tool
from start_sdk.tools import Toolbox
from start_sdk.trace import CallRecord, Segment


class LazyKernel:
    """A kernel that is opened on first use, and the tools that its cells can call.

    Raises:
        ConfigError: a tool is invalid, or the interpreter does not support tools.
    """

    def __init__(self, interpreter: Interpreter, tools: Sequence[Tool] = ()) -> None:
        if tools and "tools" not in inspect.signature(interpreter.open).parameters:
            raise ConfigError(f"{interpreter!r} does not support tools: open() lacks `tools`")
        self._lock = asyncio.Lock()
        self._interpreter = interpreter
        self._toolbox = Toolbox(tools)
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held by the run that uses the kernel, which may serve several runs, one after another."""
        async with self._lock:
            self._toolbox.renew()
            yield

    async def run(self, code: str, seconds: float | None = None) -> CallRecord:
        """Runs a cell; `seconds` is the time left for the run. The kernel's limit also applies."""
        if self._kernel is None:
            box = self._toolbox
            opened = self._interpreter.open(tools=box) if box.tools else self._interpreter.open()
            self._kernel = await self._stack.enter_async_context(opened)
        try:
            result = await asyncio.wait_for(self._kernel.run(code), seconds)
        except TimeoutError:
            text = "TimeoutError: the time of this whole run is over; the cell was interrupted."
            result = CellResult("timeout", text, max(seconds or 0.0, 0.0))
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
        self._kernel = None
        await self._stack.aclose()
