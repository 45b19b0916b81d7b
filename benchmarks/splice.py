"""The cost of six splices: `python -m benchmarks.splice [--repeats 7]`.

Compares one thought with six splices of 12 tokens to one uninterrupted generation of the same
number of sampled tokens, each in a whole `ReasoningSession`, including the prompt; no tool runs, so
no tool time is counted. A third variant recomputes the prefix after each splice, as most other
projects do. All variants take turns within one run, and ratios are computed per turn, since
machines are noisy.

Limit: a ratio of 1.10 at 512, 2,048 and 8,192 tokens of context. The 512 tokens use the embedded
model, the longer contexts a model with random weights and about the same size.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from start_sdk import (
    BeforeEnd,
    Chunk,
    Hint,
    HintLibrary,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    Sampling,
    Trace,
    models,
)
from start_sdk.backends.transformers import TransformersBackend
from start_sdk.generation import Stop, Watch

LIMIT = 1.10
SPLICES = 6
SPLICE_TOKENS = 12
PIECE = 36
"""Tokens sampled between two splices."""
SAMPLED = PIECE * (SPLICES + 1)
CONTEXTS = (512, 2048, 8192)


ENDLESS = ReasoningFormat(name="plain", think=None, answer_markers=("<never written>",))
"""A thought that the model cannot end: every variant samples the same number of tokens."""
RESULT = Path(__file__).parent / "results" / "splice.json"


@dataclass
class Paused:
    """A backend that tries to end every `PIECE` tokens, so that a policy can insert a hint."""

    inner: TransformersBackend
    forget: bool
    """Recompute the whole prefix after each pause."""

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
        if self.forget:
            await self.inner.reset_cache()
        piece = min(PIECE, max_tokens)
        async for chunk in self.inner.generate(
            prefix_ids, sampling, watch=watch, max_tokens=piece, key=key
        ):
            if chunk.reason and piece < max_tokens:
                chunk = replace(chunk, reason="eos", stops=(Stop(None),))
            yield chunk


async def timed(backend: Any, prompt: str, hints: BeforeEnd | None) -> tuple[float, Trace]:
    limits = Limits(max_tokens=SAMPLED, answer_reserve=1)
    greedy = Sampling(temperature=0)
    session = ReasoningSession(
        backend, hints=hints, limits=limits, sampling=greedy, format=ENDLESS, conclude="never"
    )
    began = time.perf_counter()
    trace = await session.run(prompt)
    seconds = time.perf_counter() - began
    assert trace.usage.model == SAMPLED, f"sampled {trace.usage.model} tokens, not {SAMPLED}"
    return seconds, trace


def sized(backend: TransformersBackend, tokens: int, make: Any) -> str:
    """The shortest repetition of a word for which `make` returns at least `tokens` tokens."""
    count = 1
    while len(make("so " * count)) < tokens:
        count += max(1, (tokens - len(make("so " * count))) // 2)
    while count > 1 and len(make("so " * (count - 1))) >= tokens:
        count -= 1
    return "so " * count


async def measure(backend: TransformersBackend, context: int, repeats: int) -> dict[str, Any]:
    tokenizer = backend.tokenizer
    tokenizer._eos_ids = frozenset()
    text = sized(backend, SPLICE_TOKENS - 1, tokenizer.encode)
    library = HintLibrary(hints=(Hint(id="x", text=text, category="", domain=""),), connectives={})
    often = BeforeEnd(rounds=SPLICES, hints=("x",), library=library)
    wanted = context - SAMPLED - SPLICES * SPLICE_TOKENS
    prompt = sized(backend, wanted, lambda t: tokenizer.render([{"role": "user", "content": t}]))
    variants: dict[str, tuple[Any, BeforeEnd | None]] = {
        "unbroken": (backend, None),
        "spliced": (Paused(backend, forget=False), often),
        "read again": (Paused(backend, forget=True), often),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):  # the first turn warms up
        for name, (variant, hints) in variants.items():
            elapsed, trace = await timed(variant, prompt, hints)
            assert len(trace.hints) == (SPLICES if hints else 0)
            if turn:
                seconds[name].append(elapsed)
    ratios = {
        name: statistics.median(a / b for a, b in zip(times, seconds["unbroken"], strict=True))
        for name, times in seconds.items()
    }
    return {
        "context": context,
        "model": Path(backend.capabilities.model).name,
        "seconds": {name: round(statistics.median(times), 4) for name, times in seconds.items()},
        "ratio": {name: round(ratio, 3) for name, ratio in ratios.items()},
    }


def random_model(folder: Path) -> str:
    """A model with random weights, a long context and the embedded model's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = str(models.folder(models.BASE))
    config = AutoConfig.from_pretrained(source, max_position_embeddings=16_384)
    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM
    auto.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


async def main(model: str | None, contexts: Sequence[int], repeats: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        random = random_model(Path(folder) / "random-weights")
        for context in contexts:
            name = model or (models.BASE if context <= 1024 else random)
            async with TransformersBackend(name) as backend:
                rows.append(await measure(backend, context, repeats))
    table = Table(title=f"{SPLICES} splices in {SAMPLED} sampled tokens, compared with none")
    for column in ("context", "model", "unbroken s", "spliced s", "ratio", "recomputed s", "ratio"):
        table.add_column(column, justify="right")
    for row in rows:
        s, r = row["seconds"], row["ratio"]
        cells = (row["context"], row["model"], s["unbroken"], s["spliced"], r["spliced"])
        table.add_row(*map(str, (*cells, s["read again"], r["read again"])))
    console = Console()
    console.print(table)
    worst = max(row["ratio"]["spliced"] for row in rows)
    console.print(f"worst ratio {worst} (limit {LIMIT}): {'kept' if worst <= LIMIT else 'MISSED'}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"limit": LIMIT, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="a folder, for all contexts")
    parser.add_argument("--contexts", type=int, nargs="+", default=CONTEXTS, help="in tokens")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.model, arguments.contexts, arguments.repeats))
