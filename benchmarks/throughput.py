"""What tools cost 64 sessions on vLLM: `python -m benchmarks.throughput [--repeats 3]`.

Each session samples 4 pieces of 128 tokens; between two of them it closes a block of Python, waits
for a tool, and reads its output. Five ways take turns inside one run, on one engine:

- raw: the same tokens as 64 unbroken generations of `AsyncLLM`, no session and no tool: the peer;
- sessions: 64 `ReasoningSession`s over `VLLMBackend`, with a tool that sleeps;
- lock-step: the way of batch scripts; all wait for the slowest tool, then send text again;
- the same two with the Python tool's real kernels, started and closed inside the time.

The sleeping tool takes lognormal times, median 0.2 s, sigma 0.5, seeded. Rates count sampled tokens
over the time in which at least one session can decode. Limit: sessions reach 0.85 of raw.

Run it in the environment of `make test-vllm`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from start_tools.python import PythonTool

from start_sdk import (
    CellResult,
    Chunk,
    Interpreter,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    Sampling,
    models,
)
from start_sdk.backends.vllm import VLLMBackend
from start_sdk.formats import FENCE_END
from start_sdk.protocols import ToolHost

LIMIT = 0.85
AT_ONCE = 64
PIECES, PIECE = 4, 128
SAMPLED = PIECES * PIECE
MEDIAN, SIGMA = 0.2, 0.5
BLOCK = "\n```python\nprint(42)\n"
OUTPUT = "42"
ENDLESS = ReasoningFormat(name="endless", think=None, answer_markers=("<never written>",))
"""A thought that the model cannot end: every way samples the same number of tokens."""
SAMPLING = Sampling(temperature=1.0, top_p=1.0)
RESULT = Path(__file__).parent / "results" / "throughput.json"


@dataclass
class Calling:
    """A backend whose model closes a block of Python behind each piece."""

    inner: VLLMBackend

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        stop: Sequence[str] = (),
        *,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        # Without stops: what a piece holds is left to chance, and its length is not.
        chunks = self.inner.generate(prefix_ids, sampling, max_tokens=PIECE, key=key)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield Chunk(chunk.token_ids, chunk.text)
        encode = self.inner.tokenizer.encode
        yield Chunk(tuple(encode(BLOCK)), BLOCK)
        fence = tuple(encode(FENCE_END))
        yield Chunk(reason="stop", stop=FENCE_END, matched_ids=fence, matched_text=FENCE_END)


@dataclass
class Clock:
    """Counts the time in which every session that is left waits for its tool."""

    left: int = AT_ONCE
    waiting: int = 0
    stalled: float = 0.0
    _since: float | None = field(default=None)

    def change(self, *, left: int = 0, waiting: int = 0) -> None:
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
    async def open(self, *, tools: ToolHost | None = None) -> AsyncIterator[Any]:
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
    """A tool that takes a seeded time, lognormal as calls of real tools are."""

    def __init__(self) -> None:
        self._random = random.Random(0)

    @asynccontextmanager
    async def open(self, *, tools: ToolHost | None = None) -> AsyncIterator[Sleeping]:
        yield self

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        seconds = MEDIAN * self._random.lognormvariate(0, SIGMA)
        await asyncio.sleep(seconds)
        return CellResult("ok", OUTPUT, seconds)


def prompts() -> list[str]:
    return [f"What is {i + 12} times 34?" for i in range(AT_ONCE)]


async def raw(backend: VLLMBackend, _: Interpreter | None) -> tuple[float, float]:
    """Seconds of 64 unbroken generations, and how long all of them waited for tools: never."""
    from vllm import SamplingParams
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind

    async def one(question: str, seed: int) -> None:
        ids = backend.tokenizer.render([{"role": "user", "content": question}])
        params = SamplingParams(
            temperature=1.0,
            seed=seed,
            max_tokens=SAMPLED,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        count = 0
        async for out in backend._open.generate(tokens_input(ids), params, f"{time.time_ns()}"):
            count += len(out.outputs[0].token_ids)
        assert count == SAMPLED

    began = time.perf_counter()
    await asyncio.gather(*(one(p, i) for i, p in enumerate(prompts())))
    return time.perf_counter() - began, 0.0


async def sessions(backend: VLLMBackend, tool: Interpreter | None) -> tuple[float, float]:
    """Seconds of 64 sessions, and those in which all of them waited for tools."""
    assert tool is not None
    clock = Clock()
    limits = Limits(max_calls=PIECES, max_tokens=10_000, answer_reserve=1)
    calling: Any = Calling(backend)
    session = ReasoningSession(
        calling,
        interpreter=Timed(tool, clock),
        format=ENDLESS,
        limits=limits,
        sampling=SAMPLING,
    )

    async def one(question: str, seed: int) -> None:
        run, calls = session.stream(question, seed=seed), 0
        async with aclosing(run):
            async for event in run:
                calls += getattr(event, "source", "") == "tool"
                if calls == PIECES - 1:
                    break
            count = 0
            async for event in run:  # the last piece, behind the last call
                count += len(getattr(event, "token_ids", ()))
                if count >= PIECE:
                    break
        clock.change(left=-1)

    began = time.perf_counter()
    await asyncio.gather(*(one(p, i) for i, p in enumerate(prompts())))
    return time.perf_counter() - began, clock.stalled


async def lock_step(backend: VLLMBackend, tool: Interpreter | None) -> tuple[float, float]:
    """The same work in rounds: all sample, all call, all start again from text."""
    assert tool is not None
    tokenizer, clock = backend.tokenizer, Clock()
    texts = [
        tokenizer.decode(tokenizer.render([{"role": "user", "content": p}])) for p in prompts()
    ]

    async def piece(i: int) -> None:
        ids = tokenizer.encode(texts[i], control=True)
        chunks = backend.generate(ids, SAMPLING.model_copy(update={"seed": i}), max_tokens=PIECE)
        async for chunk in chunks:
            texts[i] += chunk.text

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        kernels: list[Any] = [None] * AT_ONCE
        ready = [asyncio.Event() for _ in range(AT_ONCE)]

        async def hold(i: int) -> None:
            async with Timed(tool, clock).open() as kernel:
                kernels[i] = kernel
                ready[i].set()
                await done.wait()

        for i in range(AT_ONCE):
            group.create_task(hold(i))
        await asyncio.gather(*(r.wait() for r in ready))
        for turn in range(PIECES):
            await asyncio.gather(*(piece(i) for i in range(AT_ONCE)))
            if turn < PIECES - 1:
                results = await asyncio.gather(*(k.run("print(42)") for k in kernels))
                for i, result in enumerate(results):
                    texts[i] += f"{BLOCK}```\n```output\n{result.text}\n```\n"
        done.set()
    # Here nobody can decode while one tool is waited for: all of the time counts.
    return time.perf_counter() - began, 0.0


def kernels() -> PythonTool:
    return PythonTool(isolation="plain")  # what runs is this file's own


Way = Callable[[VLLMBackend, Interpreter | None], Awaitable[tuple[float, float]]]


async def main(repeats: int) -> None:
    ways: dict[str, tuple[Way, Callable[[], Interpreter | None]]] = {
        "raw": (raw, lambda: None),
        "sessions": (sessions, Sleeping),
        "lock-step": (lock_step, Sleeping),
        "sessions, kernels": (sessions, kernels),
        "lock-step, kernels": (lock_step, kernels),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    walls: dict[str, list[float]] = {name: [] for name in ways}
    # Blocks of 32 tokens: the last one of a prefix is read again at each splice.
    options = {"dtype": "float32", "enforce_eager": True, "block_size": 32}
    backend = VLLMBackend(models.BASE, **options)
    async with backend:
        backend.tokenizer._eos_ids = frozenset()
        await raw(backend, None)  # warms up
        for _ in range(repeats):
            for name, (way, tool) in ways.items():
                await backend.reset_cache()
                seconds, stalled = await way(backend, tool())
                walls[name].append(seconds)
                rates[name].append(AT_ONCE * SAMPLED / (seconds - stalled))
    rows = [
        {
            "way": name,
            "seconds": round(statistics.median(walls[name]), 2),
            "tokens_per_second": round(statistics.median(rates[name])),
            "ratio": round(
                statistics.median(a / b for a, b in zip(rates[name], rates["raw"], strict=True)), 3
            ),
        }
        for name in ways
    ]
    report(rows, repeats)


def report(rows: list[dict[str, Any]], repeats: int) -> None:
    table = Table(
        title=f"{AT_ONCE} at once, {SAMPLED} sampled tokens each, {PIECES - 1} calls each"
    )
    for column in ("way", "seconds", "tokens/s", "of raw"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console = Console()
    console.print(table)
    ratio = rows[1]["ratio"]
    console.print(
        f"sessions reach {ratio} of raw (limit {LIMIT}): {'kept' if ratio >= LIMIT else 'MISSED'}"
    )
    result = {"limit": LIMIT, "repeats": repeats, "rows": rows}
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=3)
    asyncio.run(main(parser.parse_args().repeats))
