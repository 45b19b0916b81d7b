"""500 sessions that end in every way, at random moments, over one pool and one kept kernel."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from start_tools.python import PythonTool

from start_sdk import Chunk, Limits, ReasoningSession, Run, Trace, verify_trace
from start_sdk.testing import CharTokenizer, ScriptedBackend

CELLS = {
    "end": "x = 1\nprint(x)",
    "kill": "import os\nos.kill(os.getpid(), 9)",
    "time": "import time\nwhile True: time.sleep(0.01)",
    "error": "1 / 0",
}
WAYS = [*CELLS, "cancel", "task", "break", "close"]
SESSIONS = 500


class Yielding(ScriptedBackend):
    """Lets others run between two tokens, as an engine does."""

    async def generate(self, *args: Any, **options: Any) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(*args, **options)) as chunks:
            async for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk


def script(prompt: str) -> list[str]:
    way = next(way for way in WAYS if f"[{way}]" in prompt)
    cell = f"```python\n{CELLS.get(way, CELLS['time'])}\n```\n"
    return [f"I run it.\n{cell}", f"Again.\n{cell}", "So it is.</think>1"]


async def end(run: Run, way: str, rng: random.Random) -> None:
    """Reads a run, and stops it in its way after a random time or number of events."""
    loop, stop = asyncio.get_running_loop(), rng.uniform(0, 0.3)

    async def read(events: int = 10**9) -> None:
        async for _ in run:
            events -= 1
            if events < 0:
                return

    reading = asyncio.ensure_future(read(rng.randrange(60) if way == "break" else 10**9))
    stops: dict[str, Callable[[], object]] = {
        "cancel": run.cancel,
        "task": reading.cancel,
        "close": lambda: asyncio.ensure_future(run.aclose()),
    }
    if way in stops:
        loop.call_later(stop, stops[way])
    await asyncio.wait([reading])
    if not reading.cancelled():
        reading.result()


@pytest.mark.slow
async def test_nothing_leaks_nothing_hangs_and_no_trace_is_lost() -> None:
    rng = random.Random(7)
    pool = PythonTool(max_kernels=12, warm=2, timeout=5)
    limits = Limits(max_seconds=0.5)
    several = ReasoningSession(Yielding(script), interpreter=pool, limits=limits)
    kept = ReasoningSession(Yielding(script), interpreter=pool, limits=limits, keep_state=True)
    await ReasoningSession(Yielding(script), interpreter=pool).run("[end]")  # imports everything
    before = len(os.listdir("/proc/self/fd"))
    traces: list[Trace] = []
    free = asyncio.Semaphore(16)

    async def one(i: int) -> None:
        way = rng.choice(WAYS)
        session = kept if i % 4 == 0 else several
        async with free:
            run = session.stream(f"Session {i} [{way}]")
            await end(run, way, rng)
            traces.append(run.trace)
            if way == "break" and session is several:
                await run.aclose()

    async with asyncio.timeout(400):
        await asyncio.gather(*(one(i) for i in range(SESSIONS)))
        assert (await kept.run("[end]")).answer == (await several.run("[end]")).answer == "1"
    await kept.aclose()
    assert len(traces) == SESSIONS
    finishes = {trace.finish for trace in traces}
    assert {"eos", "cancelled"} <= finishes <= {"eos", "cancelled", "time"}
    for trace in traces:
        verify_trace(trace, CharTokenizer())
        whole = "[end]" in trace.prompt[0]["content"] and not trace.truncated
        assert not whole or [call.output[-1:] for call in trace.calls] == ["1", "1"]
    gc.collect()
    async with asyncio.timeout(20):
        # The pool ends its kernels in a thread.
        while len(os.listdir("/proc/self/fd")) > before + 4:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others
