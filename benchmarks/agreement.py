"""Agreement of the engines: `python -m benchmarks.agreement --vllm --url http://127.0.0.1:8000/v1`.

Greedy traces of 50 questions, with a hint, a call and its output, on transformers in float32, and
on every other engine that is named: vLLM in this program, and servers at addresses (vLLM's, or
llama.cpp's on a file of float32 weights). Limit: all ids are equal, or at the first difference the
two likeliest tokens were nearly equal: less than 0.05 nats apart, as transformers sees it.

Without `--model` it takes the miniature and its own problems, with the folder of a real model small
calculations. Run it in the environment of `make test-vllm`, with a server of the same model there:
`python -m vllm.entrypoints.openai.api_server --model FOLDER --dtype float32 --enforce-eager`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
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
NEAR_TIE = 0.05
"""Nats between the two likeliest tokens."""
REFERENCE = "transformers"
CALCULATIONS = [f"What is {a} {sign} {a % 37 + 13}?" for a in range(41, 66) for sign in ("*", "+")]
RESULT = Path(__file__).parent / "results" / "agreement.json"


def questions(model: str) -> list[str]:
    """Problems of the miniature's own kinds, or small calculations."""
    if model != models.BASE:
        return CALCULATIONS
    rows = zip(*(problems(family, "test", 0, COUNT) for family in MATH), strict=True)
    return [p.question for p in islice((p for row in rows for p in row), COUNT)]


async def traces(backend: Backend, asked: Sequence[str]) -> list[Trace]:
    """A verified trace of each question."""
    session = ReasoningSession(
        backend,
        interpreter=FakeInterpreter(lambda code: "42"),
        hints=BeforeEnd(),
        limits=Limits(max_tokens=200, max_repeats=4, answer_reserve=32),
        sampling=Sampling(temperature=0),
    )
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(question: str) -> Trace:
        async with limit:
            trace = await session.run(question)
        verify_trace(trace, backend.tokenizer)
        return trace

    return list(await asyncio.gather(*map(one, asked)))


def first_difference(one: Trace, other: Trace) -> int | None:
    """The first position where the ids of two traces differ."""
    pairs = zip_longest(one.token_ids, other.token_ids)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), None)


def gaps(model: str, found: Sequence[Trace], reference: Sequence[Trace]) -> list[float]:
    """For each trace that differs, how far apart the two likeliest tokens were there, in nats, as
    transformers sees them in float32 on a processor."""
    import torch
    from transformers import AutoModelForCausalLM

    pairs = [(b, first_difference(a, b)) for a, b in zip(found, reference, strict=True)]
    if not any(at is not None for _, at in pairs):
        return []
    source = str(models.folder(model) or model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    apart = []
    for trace, at in pairs:
        if at is not None:
            with torch.inference_mode():
                logits = loaded(torch.tensor([trace.token_ids[:at]])).logits[0, -1]
            first, second = logits.topk(2).values.tolist()
            apart.append(round(first - second, 4))
    return apart


async def main(model: str, vllm: bool, urls: Sequence[str]) -> None:
    float32: dict[str, Any] = {"dtype": "float32"}
    engines: list[tuple[str, str | None, dict[str, Any]]] = [
        (model, REFERENCE, {"device": "cpu", **float32})
    ]
    if vllm:
        options: dict[str, Any] = {**float32, "enforce_eager": True, "max_model_len": 2048}
        engines.append((model, "vllm", options))
    engines += [(url, None, {}) for url in urls]
    rows: list[dict[str, Any]] = []
    reference: list[Trace] = []
    for name, backend, options in engines:
        async with aclosing(open_backend(name, backend, **options)) as opened:
            found = await traces(opened, questions(model))
            note = opened.capabilities.note
        reference = reference or found
        apart = gaps(model, found, reference)
        rows.append(
            {
                "engine": note.split(";")[0] if backend is None else backend,
                "traces": len(found),
                "tokens": sum(len(t.token_ids) for t in found),
                "calls": sum(len(t.calls) for t in found),
                "equal": len(found) - len(apart),
                "gaps_at_differences": apart,
            }
        )
    show(Path(model).name, rows)


def show(model: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table, and writes it beside those of other models and engines."""
    table = Table(title=f"{model}: greedy traces against {REFERENCE}")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console = Console()
    console.print(table)
    kept = all(gap < NEAR_TIE for row in rows for gap in row["gaps_at_differences"])
    console.print(f"equal, or nearly equal tokens (limit {NEAR_TIE} nats): {kept}")
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    before = {row["engine"]: row for row in found.get(model, {"rows": []})["rows"]}
    now = before | {row["engine"]: row for row in rows}
    found[model] = {"limit": NEAR_TIE, "rows": list(now.values())}
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default=models.BASE, help="the folder of a real model")
    parser.add_argument("--vllm", action="store_true", help="compare vLLM in this program, too")
    parser.add_argument("--url", nargs="*", default=[], help="servers of the same model")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.model, arguments.vllm, arguments.url))
