"""Sessions on a public chat model that nobody here trained: `make test-real`."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from generating import Forgetful
from start_tools.python import PythonTool

from start_sdk import (
    AfterConnective,
    BeforeEnd,
    Hint,
    HintPolicy,
    Limits,
    ReasoningSession,
    Sampling,
    Trace,
    find_insertion_points,
    tool,
    verify_trace,
)

FOLDER = Path(os.environ.get("START_SMOLLM2", "runs/smollm2"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no model in {FOLDER}: see `make test-real`"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

GREEDY = Sampling(temperature=0)
SHORT = Limits(max_tokens=90, max_calls=2, max_repeats=4, answer_reserve=32)
LONG = Limits(max_tokens=300, max_calls=2, max_repeats=4, answer_reserve=64)
QUESTIONS = [f"What is {a} {sign} {b}?" for a in (17, 46, 123) for sign in "+*-" for b in (8, 29)]


@pytest.fixture(scope="module")
def fast() -> Iterator[Any]:
    """Many rows at once, in the number format that this kind of processor is fastest with."""
    from start_sdk.backends.transformers import TransformersBackend

    backend = TransformersBackend(str(FOLDER), dtype="bfloat16", max_batch=32)
    yield backend
    asyncio.run(backend.aclose())


def session(backend: Any, hints: HintPolicy | None, limits: Limits = SHORT, **options: Any) -> Any:
    return ReasoningSession(
        backend, interpreter=PythonTool(), hints=hints, limits=limits, sampling=GREEDY, **options
    )


async def test_traces_with_hints_calls_and_resumes_verify(fast: Any) -> None:
    general = Hint(id="own", text="let me use Python.\n```python", category="", domain="math")
    policies = (None, BeforeEnd(), AfterConnective(words=("is", "the"), hints=(general,)))
    runs = [session(fast, hints).run(q) for hints in policies for q in QUESTIONS]
    traces: list[Trace] = await asyncio.gather(*runs)
    for trace in traces:
        verify_trace(trace, fast.tokenizer, mask=trace.loss_mask())
    assert len(traces) == 54 and not any(trace.calls for trace in traces[:18])
    # How many differs between machines: in bfloat16, which rows share a batch decides near-ties.
    assert sum(bool(trace.calls) for trace in traces[18:]) >= 5
    assert sum(bool(trace.hints) for trace in traces[36:]) >= 5

    plain = session(fast, None)
    started = len(traces[0].segments[0].token_ids)
    forks = [plain.resume(trace, started + 5, seed=1) for trace in traces[:4]]
    staged = [
        plain.resume_hinted(trace, points[-1], general)
        for trace in traces[:8]
        if (points := find_insertion_points(trace, fast.tokenizer))
    ]
    for trace in await asyncio.gather(*forks, *staged):
        verify_trace(trace, fast.tokenizer)
        assert trace.parent is not None
    assert len(staged) >= 4


async def test_the_answer_is_what_the_cell_printed(fast: Any) -> None:
    hinted = session(fast, BeforeEnd(), LONG)
    product, capital = await asyncio.gather(
        hinted.run("What is 12*13?"), hinted.run("What is the capital of France?")
    )
    assert [call.status for call in product.calls][:1] == ["ok"] and product.answer == "156"
    assert "boxed" not in capital.text


ASKED = (
    "12*13", "46*7", "318+497", "29*34", "905-268", "64*25", "17*83", "732+689", "51*49", "1404-777",
    "8*127", "96*41", "2310+1975", "73*28", "5000-1234", "19*52", "402*6", "888+777", "37*37",
    "14*216", "650-391", "61*77", "1001-48", "33*18",
)  # fmt: skip
"""A fixed list, made before any of it was asked with a hint."""


async def test_a_right_result_of_a_cell_becomes_the_answer(fast: Any) -> None:
    hinted = session(fast, BeforeEnd(), LONG)
    traces = await asyncio.gather(*(hinted.run(f"What is {text}?") for text in ASKED))
    outcomes = [
        trace.answer == gold
        for text, trace in zip(ASKED, traces, strict=True)
        for gold in [str(eval(text))]
        if any(re.search(rf"(?<![\d.]){gold}(?!\d)", call.output) for call in trace.calls)
    ]
    assert len(outcomes) >= 8 and sum(outcomes) >= 0.8 * len(outcomes)


async def test_a_tool_of_the_host_is_called_inside_a_thought(fast: Any) -> None:
    called: list[tuple[int, int]] = []

    @tool
    def product(a: int, b: int) -> int:
        """The product of two numbers."""
        called.append((a, b))
        return a * b

    text = "let me call the function product(a, b).\n```python\nprint(product(12, 13"
    hint = Hint(id="call", text=text, category="", domain="math", opening="Wait, ")
    calling = session(fast, BeforeEnd(hints=(hint,)), LONG, tools=[product])
    trace = await calling.run("What is 12*13?")
    verify_trace(trace, fast.tokenizer)
    assert called[:1] == [(12, 13)] and "156" in trace.calls[0].output
    assert trace.calls[0].tool_calls[0].result == 156


async def test_greedy_ids_equal_those_of_a_run_that_reads_everything_again() -> None:
    from start_sdk.backends.transformers import TransformersBackend

    limits = Limits(max_tokens=120, max_calls=1, answer_reserve=24)
    async with TransformersBackend(str(FOLDER), dtype="float32") as backend:
        kept: list[Trace] = []
        again: list[Trace] = []
        for question in ("What is 12*13?", "What is 23*19?"):
            kept.append(await session(backend, BeforeEnd(), limits).run(question))
            again.append(await session(Forgetful(backend), BeforeEnd(), limits).run(question))
    assert any(trace.calls for trace in kept)
    assert [t.token_ids for t in kept] == [t.token_ids for t in again]
    for trace in kept:
        verify_trace(trace, backend.tokenizer)
