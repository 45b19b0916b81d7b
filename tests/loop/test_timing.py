"""The timing of a trace: recomputed tokens, engine idle time, seconds in model and tool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from generating import Forgetful
from start_tools.python import PythonTool

from start_sdk import BeforeEnd, CellResult, Chunk, ReasoningSession, Sampling, Trace, models
from start_sdk.testing import FakeInterpreter, ScriptedBackend

COINS = "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made?"
BLOCK = "```python\n1\n```\n"


@pytest.mark.torch
async def test_a_pause_recomputes_nothing_but_the_splice() -> None:
    from start_sdk.backends.transformers import TransformersBackend

    async with TransformersBackend(models.BASE) as backend:
        kept, forgotten = [await run_hinted(b) for b in (backend, Forgetful(backend))]
    assert kept.calls and kept.hints and kept.token_ids == forgotten.token_ids
    pauses = len(kept.recomputed or ())
    assert pauses > 1 and kept.recomputed == (0,) * pauses
    # At the start of a splice, everything before it was computed except the last sampled token.
    spliced = [s.source in ("hint", "tool") for s in forgotten.segments]
    starts = [at for at, new in zip(forgotten.starts, spliced, strict=True) if new]
    assert forgotten.recomputed and set(forgotten.recomputed) >= {starts[0], starts[1] - 1}


async def run_hinted(backend: Any) -> Trace:
    session = ReasoningSession(
        backend, interpreter=PythonTool(), hints=BeforeEnd(), sampling=Sampling(temperature=0)
    )
    return await session.run(COINS)


async def test_a_backend_need_not_report_reuse() -> None:
    session = ReasoningSession(
        ScriptedBackend([BLOCK, "ok</think>4"]), interpreter=FakeInterpreter({"1": "1"})
    )
    trace = await session.run("?")
    assert trace.recomputed is None


@pytest.mark.parametrize("tokens", [3, 20])
async def test_recomputed_tokens_follow_the_reported_reuse(tokens: int) -> None:
    class Partly(ScriptedBackend):
        async def generate(
            self, prefix_ids: Sequence[int], *args: Any, **kw: Any
        ) -> AsyncGenerator[Chunk, None]:
            async for chunk in super().generate(prefix_ids, *args, **kw):
                yield replace(chunk, cached=len(prefix_ids) - tokens) if chunk.reason else chunk

    out = "```output\n1\n```\n"  # this and the token before it must be computed
    session = ReasoningSession(
        Partly([BLOCK, "ok</think>4"]), interpreter=FakeInterpreter({"1": "1"})
    )
    trace = await session.run("?")
    # After the output; after the tag that ends the thought.
    assert trace.recomputed == (max(0, tokens - len(out) - 1), tokens - 1)


async def test_the_engine_is_idle_while_tools_run_unless_another_run_generates() -> None:
    class Together(ScriptedBackend):
        """One run generates from before the other's cell starts until after it ends."""

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
            await asyncio.sleep(0.2)
            return CellResult("ok", "1", 0.0)

    backend = Together()
    session = ReasoningSession(backend, interpreter=Working())
    alone = await session.run("short")
    assert alone.seconds["tool"] > 0
    assert alone.idle == pytest.approx(alone.seconds["tool"], abs=0.1)
    beside = asyncio.create_task(session.run("long"))
    await backend.began.wait()
    busy = await session.run("short")
    backend.over.set()
    await beside
    assert busy.seconds["tool"] > 0 and busy.idle == 0
