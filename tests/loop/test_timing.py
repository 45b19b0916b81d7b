"""The cost line of a trace: what was read again, when the engine stood still, who took how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from generating import Forgetful
from start_tools.python import PythonTool

from start_sdk import BeforeEnd, CellResult, Chunk, ReasoningSession, Sampling, Trace, models
from start_sdk.backends.transformers import TransformersBackend
from start_sdk.testing import FakeInterpreter, ScriptedBackend

COINS = "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made?"
BLOCK = "```python\n1\n```\n"


async def test_a_pause_costs_what_was_spliced_in_and_no_more() -> None:
    async with TransformersBackend(models.BASE) as backend:
        kept, forgotten = [await hinted(b) for b in (backend, Forgetful(backend))]
    assert kept.calls and kept.hints and kept.token_ids == forgotten.token_ids
    pauses = len(kept.recomputed or ())
    assert pauses > 1 and kept.recomputed == (0,) * pauses
    assert kept.timing.endswith("tokens read again: 0")
    # Where a splice begins, all before it but the token that was sampled last had been computed.
    spliced = [s.source in ("hint", "tool") for s in forgotten.segments]
    starts = [at for at, new in zip(forgotten.starts, spliced, strict=True) if new]
    assert forgotten.recomputed and set(forgotten.recomputed) >= {starts[0], starts[1] - 1}


async def hinted(backend: Any) -> Trace:
    session = ReasoningSession(
        backend, interpreter=PythonTool(), hints=BeforeEnd(), sampling=Sampling(temperature=0)
    )
    return await session.run(COINS)


async def test_a_backend_may_not_tell_what_it_reused() -> None:
    session = ReasoningSession(
        ScriptedBackend([BLOCK, "ok</think>4"]), interpreter=FakeInterpreter({"1": "1"})
    )
    trace = await session.run("?")
    assert trace.recomputed is None and trace.timing.endswith("read again: unknown")


@pytest.mark.parametrize("tokens", [3, 20])
async def test_what_the_backend_says_it_reused_is_what_is_counted(tokens: int) -> None:
    class Partly(ScriptedBackend):
        async def generate(
            self, prefix_ids: Sequence[int], *args: Any, **kw: Any
        ) -> AsyncGenerator[Chunk, None]:
            async for chunk in super().generate(prefix_ids, *args, **kw):
                yield replace(chunk, cached=len(prefix_ids) - tokens) if chunk.reason else chunk

    out = "```output\n1\n```\n"  # with the token before it, this is what has to be read
    session = ReasoningSession(
        Partly([BLOCK, "ok</think>4"]), interpreter=FakeInterpreter({"1": "1"})
    )
    trace = await session.run("?")
    # Behind the output; behind the tag that ends the thought.
    assert trace.recomputed == (max(0, tokens - len(out) - 1), tokens - 1)


async def test_the_engine_is_idle_while_tools_run_unless_another_run_has_work_for_it() -> None:
    class Together(ScriptedBackend):
        """One run generates from before the other's cell begins until after it ended."""

        def __init__(self) -> None:
            super().__init__(lambda prompt: ["4"] if "long" in prompt else [BLOCK, "4"])
            self.began, self.over = asyncio.Event(), asyncio.Event()

        async def generate(
            self, prefix_ids: Sequence[int], *args: Any, **kw: Any
        ) -> AsyncGenerator[Chunk, None]:
            if "long" in self.tokenizer.decode(list(prefix_ids)):
                self.began.set()
                await self.over.wait()
            async for chunk in super().generate(prefix_ids, *args, **kw):
                yield chunk

    class Working(FakeInterpreter):
        async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
            for _ in range(1000):
                await asyncio.sleep(0)
            return CellResult("ok", "1", 0.0)

    backend = Together()
    session = ReasoningSession(backend, interpreter=Working())
    alone = await session.run("short")
    assert alone.seconds["tool"] > 0 and alone.idle == pytest.approx(
        alone.seconds["tool"], rel=0.2, abs=1e-3
    )
    beside = asyncio.create_task(session.run("long"))
    await backend.began.wait()
    busy = await session.run("short")
    backend.over.set()
    await beside
    assert busy.seconds["tool"] > 0 and busy.idle == 0
