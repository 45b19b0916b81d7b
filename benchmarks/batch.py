"""The cost of many concurrent sessions: `python -m benchmarks.batch [--repeats 5] [--kernels]`.

Compares 32 sessions on the embedded model with the library's own `generate` on a batch of 32 that
is padded once and never changes: the same prompts and the same number of sampled tokens, greedy and
sampled. Then the same sessions with two calls each, at different positions: they leave the batch
and rejoin it. Their cells take 20 ms and no CPU, so that only the engine is measured; with
`--kernels`, real kernels also run them, and their CPU time is shown separately. The library's
continuous batching, on its own thread, is measured for comparison. All variants compute on one
thread, the best choice for a model of this size. They take turns within one run, and ratios are
computed per turn, of wall time and, because the machine may be shared, also of CPU time.

Limits: sessions without calls reach 0.7 of `generate`'s tokens per second, with calls 0.85 of that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from start_tools.python import PythonTool
from transformers import ContinuousBatchingConfig, GenerationConfig

from benchmarks.splice import ENDLESS
from start_sdk import CellResult, Chunk, Interpreter, Limits, ReasoningSession, Sampling, models
from start_sdk.backends.transformers import TransformersBackend
from start_sdk.backends.transformers._attention import NAME
from start_sdk.generation import Event, Stop, Watch
from start_sdk.protocols import ToolHost

SESSIONS = 32
SAMPLED = 384
"""Tokens sampled in each session."""
CALL = "\n```python\nprint(2**10)\n```\n"
FORMAT = ENDLESS.model_copy(update={"languages": ("none",)})
"""Of the blocks that the model writes by itself none is run: every session has the same calls."""
LIMITS = {"sessions / generate": 0.7, "with calls / sessions": 0.85}
RESULT = Path(__file__).parent / "results" / "batch.json"
PROMPTS = [f"Find the product of {34 + i} and {5 + 7 * i}." for i in range(SESSIONS)]


class Idle:
    """An interpreter whose cells take time but no CPU."""

    @asynccontextmanager
    async def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[Idle]:
        yield self

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        await asyncio.sleep(0.02)
        return CellResult("ok", "1024\n", 0.02)


@dataclass
class Calling:
    """A backend whose model writes a call after `pieces[0]` tokens, then after `pieces[1]` more."""

    inner: TransformersBackend
    pieces: list[int]
    known: int = 0
    """Tokens of the session that should be in its cache."""
    again: int = 0
    """Tokens that were recomputed nevertheless."""

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
        calls = bool(self.pieces)
        piece = self.pieces.pop(0) if calls else max_tokens
        ids = tuple(self.inner.tokenizer.encode(CALL))
        sampled, prefix = 0, len(prefix_ids)
        async for chunk in self.inner.generate(
            prefix_ids, sampling, watch=watch, max_tokens=piece, key=key
        ):
            sampled += len(chunk.token_ids)
            if not chunk.reason:
                yield chunk
                continue
            self.again += self.known - (chunk.cached or 0)
            # The model has not read the last sampled token: it comes with the next prefix.
            self.known = prefix + sampled - 1
            if calls and watch:
                yield replace(chunk, reason=None)
                watch.feed(CALL, ids, control=False)
                call = Event("block", watch.offset, watch.offset, "python", "1\n")
                chunk = Chunk(ids, CALL, reason="stop", stops=(Stop(call),))
            yield chunk


async def sessions(
    backend: TransformersBackend, sampling: Sampling, interpreter: Interpreter | None
) -> int:
    """Runs all sessions concurrently; returns how many prefix tokens were recomputed at splices."""
    call = len(backend.tokenizer.encode(CALL)) if interpreter else 0
    limits = Limits(max_tokens=SAMPLED + 2 * call, answer_reserve=1)

    async def one(i: int) -> int:
        first = SAMPLED // 3 + i - SESSIONS // 2
        calling: Any = Calling(backend, [first, first] if interpreter else [])
        session = ReasoningSession(
            calling,
            interpreter=interpreter,
            limits=limits,
            sampling=sampling,
            format=FORMAT,
            conclude="never",
        )
        trace = await session.run(PROMPTS[i], seed=i)
        assert trace.usage.model == limits.max_tokens, trace.usage
        assert len(trace.calls) == (2 if interpreter else 0), trace.text
        return int(calling.again)

    return sum(await asyncio.gather(*(one(i) for i in range(SESSIONS))))


@contextmanager
def library_attention(model: Any) -> Iterator[None]:
    """The library's own attention: it is what sessions are compared with."""
    ours = model.config._attn_implementation
    if ours == NAME:
        model.set_attn_implementation("sdpa")
    yield
    model.set_attn_implementation(ours)


@torch.inference_mode()
def plain(backend: TransformersBackend, sampling: Sampling) -> None:
    """The library's `generate` on one left-padded batch, from beginning to end."""
    rows = [backend.tokenizer.render([{"role": "user", "content": p}]) for p in PROMPTS]
    longest = max(map(len, rows))
    model = backend._engine._model
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows]).to(model.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    config = generation_config(sampling)
    with library_attention(model):
        out = model.generate(ids, attention_mask=mask.to(model.device), generation_config=config)
    assert out.shape == (SESSIONS, longest + SAMPLED)


def continuous(backend: TransformersBackend, sampling: Sampling) -> None:
    """The library's continuous batching."""
    rows = [backend.tokenizer.render([{"role": "user", "content": p}]) for p in PROMPTS]
    blocks = ContinuousBatchingConfig(page_size=32, num_blocks=1024, max_batch_tokens=1024)
    model: Any = backend._engine._model
    config = generation_config(sampling)
    with library_attention(model):
        out = model.generate_batch(
            rows, generation_config=config, continuous_batching_config=blocks
        )
    assert [len(o.generated_tokens) for o in out.values()] == [SAMPLED] * SESSIONS


def generation_config(sampling: Sampling) -> Any:
    warm = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    make: Any = GenerationConfig
    config = make(
        max_new_tokens=SAMPLED,
        do_sample=sampling.temperature > 0,
        pad_token_id=0,
        **(warm if sampling.temperature else {}),
    )
    config.eos_token_id = 1 << 30  # no token: None would be filled in from the model
    return config


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def measure(
    backend: TransformersBackend, sampling: Sampling, repeats: int, kernels: bool, peer: bool
) -> dict[str, Any]:
    again: list[int] = []

    async def with_calls(interpreter: Interpreter) -> None:
        again.append(await sessions(backend, sampling, interpreter))

    variants: dict[str, Callable[[], Any]] = {
        "generate": lambda: asyncio.to_thread(plain, backend, sampling),
        "sessions": lambda: sessions(backend, sampling, None),
        "with calls": lambda: with_calls(Idle()),
        "continuous batching": lambda: asyncio.to_thread(continuous, backend, sampling),
    }
    if sampling.temperature or not peer:  # one measurement of it is enough for a comparison
        del variants["continuous batching"]
    if kernels:
        variants["with kernels"] = lambda: with_calls(PythonTool(isolation="plain", preload=()))
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    tools: list[float] = []
    for turn in range(repeats + 1):  # the first turn warms up
        for name, variant in variants.items():
            began, used, children = time.perf_counter(), time.process_time(), children_cpu()
            await variant()
            if turn:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - used)
                tools.append(children_cpu() - children)

    def ratio(seconds: dict[str, list[float]], name: str, peer: str) -> float:
        pairs = zip(seconds[peer], seconds[name], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)

    def ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
        pairs = [("sessions", "generate"), ("with calls", "sessions")]
        pairs += [("continuous batching", "generate")] * ("continuous batching" in variants)
        return {f"{name} / {peer}": ratio(seconds, name, peer) for name, peer in pairs}

    return {
        "sampling": "sampled" if sampling.temperature else "greedy",
        "tokens_per_second": per_second(wall),
        "tokens_per_cpu_second": per_second(cpu),
        "ratio": ratios(wall),
        "cpu_ratio": ratios(cpu),
        "tokens_read_again": max(again),
        "tool_cpu_seconds": round(max(tools), 1),
    }


def per_second(seconds: dict[str, list[float]]) -> dict[str, int]:
    tokens = SESSIONS * SAMPLED
    return {name: round(tokens / statistics.median(times)) for name, times in seconds.items()}


async def main(model: str, repeats: int, kernels: bool, peer: bool) -> None:
    rows = []
    torch.set_num_threads(1)
    async with TransformersBackend(model) as backend:
        backend.tokenizer._eos_ids = frozenset()
        for sampling in (Sampling(temperature=0), Sampling()):
            rows.append(await measure(backend, sampling, repeats, kernels, peer))
        engine = f"{Path(model).name} on {backend.capabilities.note}"
    console = Console()
    title = f"{engine}: {SESSIONS} sessions, {SAMPLED} tokens each: tokens per second (of CPU)"
    table = Table(title=title)
    names = list(rows[0]["tokens_per_second"])
    for column in ("", *names, "tool CPU s"):
        table.add_column(column, justify="right")
    for row in rows:
        speeds = [row["tokens_per_second"], row["tokens_per_cpu_second"]]
        cells = [f"{speeds[0].get(n, '-')} ({speeds[1].get(n, '-')})" for n in names]
        table.add_row(row["sampling"], *cells, str(row["tool_cpu_seconds"]))
    console.print(table)
    for name, limit in LIMITS.items():
        worst, by_cpu = (min(row[kind][name] for row in rows) for kind in ("ratio", "cpu_ratio"))
        verdict = "kept" if worst >= limit else "MISSED"
        console.print(f"{name}: worst ratio {worst} (limit {limit}): {verdict}; by CPU {by_cpu}")
    console.print(f"tokens recomputed at {2 * SESSIONS} splices: {rows[0]['tokens_read_again']}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(
        json.dumps({"engine": engine, "limits": LIMITS, "rows": rows}, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default=models.BASE, help="an embedded model, or a folder")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kernels", action="store_true", help="also run the cells in real kernels")
    parser.add_argument(
        "--peer",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also measure the library's continuous batching",
    )
    arguments = parser.parse_args()
    asyncio.run(main(arguments.model, arguments.repeats, arguments.kernels, arguments.peer))
