"""The cost of tool calls for 64 sessions on vLLM: `python -m benchmarks.throughput [--repeats 3]`.

Each session samples 4 pieces of 128 tokens; between two pieces it closes a Python block, waits for
an interpreter and reads its output. Five variants take turns within one run, on one engine:

- raw: the same tokens as 64 uninterrupted `AsyncLLM` generations, without sessions or calls: the
  reference;
- sessions: 64 `ReasoningSession`s over `VLLMBackend`, with an interpreter that sleeps;
- lock-step: as in batch scripts, all wait for the slowest call, then send the text again;
- the last two with the Python tool's real kernels, whose start and end are included in the time.

The sleeping interpreter takes lognormal times, median 0.2 s, sigma 0.5, seeded. Rates are sampled
tokens per second in which at least one session can decode. Limit: sessions reach 0.85 of raw.

Run it in the environment of `make test-vllm`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from start_tools.python import PythonTool

from benchmarks._interpreters import OUTPUT, Clock, Sleeping, Timed
from start_sdk import (
    Chunk,
    Interpreter,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    Sampling,
    models,
)
from start_sdk.backends.vllm import VLLMBackend
from start_sdk.generation import Event, Stop, Watch

LIMIT = 0.85
CONCURRENCY = 64
PIECES, PIECE = 4, 128
SAMPLED = PIECES * PIECE
CODE = f"print({OUTPUT})\n"
BLOCK = f"\n```python\n{CODE}```\n"
ENDLESS = ReasoningFormat(name="plain", think=None, answer_markers=("<never written>",))
"""A thought that the model cannot end: every variant samples the same number of tokens."""
SAMPLING = Sampling(temperature=1.0, top_p=1.0)
RESULT = Path(__file__).parent / "results" / "throughput.json"


@dataclass
class Calling:
    """A backend whose model closes a Python block after each piece."""

    inner: VLLMBackend

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        # The watch reads along and stops nothing, so that pieces have a fixed length.
        chunks = self.inner.generate(prefix_ids, sampling, max_tokens=PIECE, key=key)
        assert watch
        async with aclosing(chunks):
            async for chunk in chunks:
                watch.feed(chunk.text, chunk.token_ids, control=False)
                yield Chunk(chunk.token_ids, chunk.text)
        ids = tuple(self.inner.tokenizer.encode(BLOCK))
        watch.feed(BLOCK, ids, control=False)
        call = Event("block", watch.offset, watch.offset, "python", CODE)
        yield Chunk(ids, BLOCK, reason="stop", stops=(Stop(call),))


def prompts() -> list[str]:
    return [f"What is {i + 12} times 34?" for i in range(CONCURRENCY)]


async def raw(backend: VLLMBackend, _: Interpreter | None) -> tuple[float, float]:
    """Seconds for 64 uninterrupted generations, and the stalled time: always 0."""
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


async def sessions(backend: VLLMBackend, interpreter: Interpreter | None) -> tuple[float, float]:
    """Seconds for 64 sessions, and the stalled time, in which all of them waited for calls."""
    assert interpreter is not None
    clock = Clock(CONCURRENCY)
    limits = Limits(max_calls=PIECES, max_tokens=10_000, answer_reserve=1)
    calling: Any = Calling(backend)
    session = ReasoningSession(
        calling,
        interpreter=Timed(interpreter, clock),
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
            async for event in run:  # the last piece, after the last call
                count += len(getattr(event, "token_ids", ()))
                if count >= PIECE:
                    break
        clock.change(left=-1)

    began = time.perf_counter()
    await asyncio.gather(*(one(p, i) for i, p in enumerate(prompts())))
    return time.perf_counter() - began, clock.stalled


async def lock_step(backend: VLLMBackend, interpreter: Interpreter | None) -> tuple[float, float]:
    """The same work in rounds: all sample, all call, all continue from text."""
    assert interpreter is not None
    tokenizer, clock = backend.tokenizer, Clock(CONCURRENCY)
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
        kernels: list[Any] = [None] * CONCURRENCY
        ready = [asyncio.Event() for _ in range(CONCURRENCY)]

        async def hold(i: int) -> None:
            async with Timed(interpreter, clock).open() as kernel:
                kernels[i] = kernel
                ready[i].set()
                await done.wait()

        for i in range(CONCURRENCY):
            group.create_task(hold(i))
        await asyncio.gather(*(r.wait() for r in ready))
        for turn in range(PIECES):
            await asyncio.gather(*(piece(i) for i in range(CONCURRENCY)))
            if turn < PIECES - 1:
                results = await asyncio.gather(*(k.run(f"print({OUTPUT})") for k in kernels))
                for i, result in enumerate(results):
                    texts[i] += f"{BLOCK}```\n```output\n{result.text}\n```\n"
        done.set()
    # In lock-step nothing decodes during a call, so the whole time counts.
    return time.perf_counter() - began, 0.0


def kernels() -> PythonTool:
    return PythonTool(isolation="plain")  # the cells are our own


Variant = Callable[[VLLMBackend, Interpreter | None], Awaitable[tuple[float, float]]]


async def main(repeats: int) -> None:
    variants: dict[str, tuple[Variant, Callable[[], Interpreter | None]]] = {
        "raw": (raw, lambda: None),
        "sessions": (sessions, Sleeping),
        "lock-step": (lock_step, Sleeping),
        "sessions, kernels": (sessions, kernels),
        "lock-step, kernels": (lock_step, kernels),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    walls: dict[str, list[float]] = {name: [] for name in variants}
    # Blocks of 32 tokens: the last, partial block of a prefix is recomputed at each splice.
    options = {"dtype": "float32", "enforce_eager": True, "block_size": 32}
    backend = VLLMBackend(models.BASE, **options)
    async with backend:
        backend.tokenizer._eos_ids = frozenset()
        await raw(backend, None)  # warms up
        for _ in range(repeats):
            for name, (variant, interpreter) in variants.items():
                await backend.reset_cache()
                seconds, stalled = await variant(backend, interpreter())
                walls[name].append(seconds)
                rates[name].append(CONCURRENCY * SAMPLED / (seconds - stalled))
    rows = [
        {
            "way": name,
            "seconds": round(statistics.median(walls[name]), 2),
            "tokens_per_second": round(statistics.median(rates[name])),
            "ratio": round(
                statistics.median(a / b for a, b in zip(rates[name], rates["raw"], strict=True)), 3
            ),
        }
        for name in variants
    ]
    report(rows, repeats)


def report(rows: list[dict[str, Any]], repeats: int) -> None:
    table = Table(
        title=f"{CONCURRENCY} sessions, {SAMPLED} sampled tokens and {PIECES - 1} calls each"
    )
    for column in ("variant", "seconds", "tokens/s", "of raw"):
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
