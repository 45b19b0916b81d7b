"""Agreement of the engines: `python -m benchmarks.engines --url http://127.0.0.1:8000/v1`.

Greedy traces of 50 problems of the miniature, with a hint, a call and its output, on
transformers, on vLLM in-process and on the vLLM server at the address. Limit: all ids are equal,
or at the first difference the engines were nearly undecided: the log probabilities that they give
to their own tokens differ by less than 1e-3.

Run it in the environment of `make test-vllm`, with a server of the same model running there:
`python -m vllm.entrypoints.openai.api_server --model FOLDER --dtype float32 --enforce-eager`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import aclosing
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recipes.tiny.families import MATH
from recipes.tiny.world import problems
from start_sdk import (
    Backend,
    BeforeEnd,
    Limits,
    ReasoningSession,
    Sampling,
    Trace,
    models,
    open_backend,
    verify_trace,
)
from start_sdk.testing import FakeInterpreter

COUNT = 50
CONCURRENCY = 8
LIMIT = 1e-3
REFERENCE = "transformers"
RESULT = Path(__file__).parent / "results" / "engines.json"


def questions() -> list[str]:
    rows = zip(*(problems(family, "test", 0, COUNT) for family in MATH), strict=True)
    return [p.question for p in islice((p for row in rows for p in row), COUNT)]


async def traces(backend: Backend) -> list[Trace]:
    session = ReasoningSession(
        backend,
        interpreter=FakeInterpreter(lambda code: "42"),
        hints=BeforeEnd(),
        limits=Limits(max_tokens=400),
        sampling=Sampling(temperature=0, logprobs=True),
    )
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(question: str) -> Trace:
        async with limit:
            trace = await session.run(question)
        verify_trace(trace, backend.tokenizer)
        return trace

    return list(await asyncio.gather(*map(one, questions())))


def logprob(trace: Trace, at: int) -> float | None:
    """The log probability of the token at a position; None if the model did not sample it."""
    known = [p for s in trace.segments for p in s.logprobs or [None] * len(s.token_ids)]
    return known[at] if at < len(known) else None


def first_difference(one: Trace, other: Trace) -> dict[str, Any] | None:
    """The first position where two traces differ, and the difference of log probabilities there."""
    for at, (a, b) in enumerate(zip_longest(one.token_ids, other.token_ids)):
        if a != b:
            p, q = logprob(one, at), logprob(other, at)
            gap = abs(p - q) if p is not None and q is not None else None
            return {"position": at, "logprob_difference": gap}
    return None


def row(name: str, found: list[Trace], reference: list[Trace]) -> dict[str, Any]:
    pairs = zip(reference, found, strict=True)
    parted = [difference for a, b in pairs if (difference := first_difference(a, b))]
    largest = max(
        (
            abs(p - q)
            for a, b in zip(reference, found, strict=True)
            for s, t in zip(a.segments, b.segments, strict=False)
            if s.token_ids == t.token_ids
            for p, q in zip(s.logprobs or (), t.logprobs or (), strict=False)
        ),
        default=0.0,
    )
    return {
        "engine": name,
        "traces": len(found),
        "tokens": sum(len(t.token_ids) for t in found),
        "equal": len(found) - len(parted),
        "parted": parted,
        "largest_logprob_difference_while_equal": largest,
    }


async def main(url: str | None) -> None:
    engines: dict[str, tuple[str, str, dict[str, Any]]] = {
        REFERENCE: (models.BASE, "transformers", {"device": "cpu"}),
        "vllm": (models.BASE, "vllm", {"dtype": "float32", "enforce_eager": True}),
    }
    if url:
        engines["vllm over http"] = (url, "openai", {})
    found: dict[str, list[Trace]] = {}
    for name, (model, backend, options) in engines.items():
        async with aclosing(open_backend(model, backend, **options)) as opened:
            found[name] = await traces(opened)
    rows = [row(name, found[name], found[REFERENCE]) for name in found]
    columns = ("engine", "traces", "tokens", "equal", "largest difference of log probabilities")
    table = Table(title=f"greedy traces against {REFERENCE}")
    for column in columns:
        table.add_column(column, justify="right")
    for r in rows:
        largest = f"{r['largest_logprob_difference_while_equal']:.1e}"
        table.add_row(r["engine"], str(r["traces"]), str(r["tokens"]), str(r["equal"]), largest)
    console = Console()
    console.print(table)
    gaps = [p["logprob_difference"] for r in rows for p in r["parted"]]
    kept = all(gap is not None and gap < LIMIT for gap in gaps)
    verdict = "kept" if kept else "MISSED"
    console.print(f"differences at diverging tokens: {gaps or 'none'} (limit {LIMIT}): {verdict}")
    RESULT.write_text(json.dumps({"limit": LIMIT, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", help="address of a server of the same model, to compare it too")
    asyncio.run(main(parser.parse_args().url))
