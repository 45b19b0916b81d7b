"""The cells of a run: the kernel that runs them, and running them again."""

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
    """A kernel that is opened when it is first needed, and the tools that its cells can call.

    Raises:
        ConfigError: a tool that cannot be one, or an interpreter that knows no tools.
    """

    def __init__(self, interpreter: Interpreter, tools: Sequence[Tool] = ()) -> None:
        if tools and "tools" not in inspect.signature(interpreter.open).parameters:
            raise ConfigError(f"{interpreter!r} cannot call tools: its open() takes no `tools`")
        self._lock = asyncio.Lock()
        self._interpreter = interpreter
        self._toolbox = Toolbox(tools)
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held by the run that uses it: a kernel may serve several, one after another."""
        async with self._lock:
            self._toolbox.renew()
            yield

    async def run(self, code: str, seconds: float | None = None) -> CallRecord:
        """Runs a cell; `seconds` are what is left of the run, the kernel's own limit holds too."""
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
        """Rebuilds a kernel's state: runs the cells of a trace again, and notes what differs.

        The host's tools are not called again: they may have effects. Calls are answered from the
        record; one that is not in it fails in the cell, and the cell is noted. Cells before the
        last loss of state left nothing behind, so they are passed over.
        """
        begin = 0
        for i, segment in enumerate(segments):
            if segment.call and not segment.call.state_kept:
                # A cell whose own end is told found a fresh kernel: what it did is still there.
                begin = i + (segment.call.status in ("killed", "oom", "died"))
        replayed = list(segments)
        for i, segment in enumerate(segments):
            if segment.call is None or i < begin:
                continue
            old = segment.call
            self._toolbox.begin_replay(old.tool_calls)
            new = await self.run(old.code)
            said = ("status", "output", "pictures", "latex")
            same = self._toolbox.end_replay() and all(
                getattr(old, name) == getattr(new, name) for name in said
            )
            call = old.model_copy(update={"replay": "same" if same else "differs"})
            replayed[i] = segment.model_copy(update={"call": call})
        return replayed

    async def aclose(self) -> None:
        self._kernel = None
        await self._stack.aclose()
