"""The cells of a run: the kernel that runs them, and running them again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from start_sdk.protocols import CellResult, Interpreter, Kernel
from start_sdk.trace import CallRecord, Segment


class KernelSlot:
    """A kernel that is opened when it is first needed.

    Attributes:
        turn: for a kernel that serves several runs: held by the run that uses it.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self.turn = asyncio.Lock()
        self._interpreter = interpreter
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None

    async def run(self, code: str, seconds: float | None = None) -> CallRecord:
        """Runs a cell; `seconds` are what is left of the run, the kernel's own limit holds too."""
        if self._kernel is None:
            self._kernel = await self._stack.enter_async_context(self._interpreter.open())
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
        )

    async def replay(self, segments: Sequence[Segment]) -> list[Segment]:
        """Rebuilds a kernel's state: runs the cells of a trace again, and notes what differs.

        Cells before the last loss of state left nothing behind, so they are passed over.
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
            old, new = segment.call, await self.run(segment.call.code)
            said = ("status", "output", "pictures", "latex")
            same = all(getattr(old, name) == getattr(new, name) for name in said)
            call = old.model_copy(update={"replay": "same" if same else "differs"})
            replayed[i] = segment.model_copy(update={"call": call})
        return replayed

    async def aclose(self) -> None:
        self._kernel = None
        await self._stack.aclose()
