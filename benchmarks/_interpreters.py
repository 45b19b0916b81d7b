"""Interpreters for benchmarks: one that sleeps, and one that measures stalled time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from start_sdk import CellResult, Interpreter
from start_sdk.protocols import ToolHost

MEDIAN, SIGMA = 0.2, 0.5
OUTPUT = "42"


@dataclass
class Clock:
    """Measures the time in which every remaining session waits for its interpreter."""

    left: int
    """Sessions that have not ended."""
    waiting: int = 0
    stalled: float = 0.0
    """Seconds in which all of them waited."""
    _since: float | None = field(default=None)

    def change(self, *, left: int = 0, waiting: int = 0) -> None:
        """Adds to the counts of remaining and of waiting sessions."""
        now = time.perf_counter()
        if self._since is not None:
            self.stalled += now - self._since
        self.left += left
        self.waiting += waiting
        self._since = now if self.left and self.left == self.waiting else None


@dataclass
class Timed:
    """An interpreter that tells the clock when a session waits for it."""

    inner: Interpreter
    clock: Clock

    @asynccontextmanager
    async def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[Any]:
        clock = self.clock
        clock.change(waiting=1)
        async with self.inner.open(tools=tools) as kernel:
            clock.change(waiting=-1)

            class Watched:
                async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
                    clock.change(waiting=1)
                    try:
                        return await kernel.run(code, timeout=timeout)
                    finally:
                        clock.change(waiting=-1)

            yield Watched()


class Sleeping:
    """An interpreter whose cells sleep for a seeded lognormal time, like real tool calls."""

    def __init__(self) -> None:
        self._random = random.Random(0)

    @asynccontextmanager
    async def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[Sleeping]:
        yield self

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        seconds = MEDIAN * self._random.lognormvariate(0, SIGMA)
        await asyncio.sleep(seconds)
        return CellResult("ok", OUTPUT, seconds)
