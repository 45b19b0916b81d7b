"""End to end: the embedded model thinks, and a real kernel runs the code it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")

from generating import Forgetful
from start_tools.python import PythonTool

from recipes.tiny.freeze import hashes
from start_sdk import (
    AfterConnective,
    BeforeEnd,
    FirstOf,
    NoHints,
    ReasoningSession,
    Sampling,
    Trace,
    models,
    verify_trace,
)
from start_sdk.backends.transformers import TransformersBackend

COINS = (
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits."
)
GREEDY = Sampling(temperature=0)
PYTHON = PythonTool()


@pytest.fixture(scope="module")
def backend() -> Iterator[TransformersBackend]:
    opened = TransformersBackend(models.BASE)
    yield opened
    asyncio.run(opened.aclose())


async def hinted(backend: Any) -> Trace:
    session = ReasoningSession(backend, interpreter=PYTHON, hints=BeforeEnd(), sampling=GREEDY)
    return await session.run(COINS)


async def test_the_coins_problem_is_solved_with_a_hint(backend: TransformersBackend) -> None:
    trace = await hinted(backend)
    verify_trace(trace, backend.tokenizer)
    assert {"prompt", "model", "hint", "tool"} <= {s.source for s in trace.segments}
    assert all(s.token_ids for s in trace.segments)
    assert trace.answer == "11" and trace.calls[0].status == "ok"


async def test_greedy_ids_equal_those_of_a_run_without_a_cache(
    backend: TransformersBackend,
) -> None:
    assert (await hinted(backend)).token_ids == (await hinted(Forgetful(backend))).token_ids


@pytest.mark.slow
async def test_sampled_traces_with_hints_and_calls_verify(backend: TransformersBackend) -> None:
    hints = FirstOf((AfterConnective(probability=0.5), BeforeEnd()))
    session = ReasoningSession(backend, interpreter=PYTHON, hints=hints)
    questions = [
        "Find the product of 34 and 56.",
        COINS,
        "How many positive divisors does 60 have?",
    ]
    traces = [await session.run(q, seed=seed) for q in questions for seed in range(2)]
    for trace in traces:
        verify_trace(trace, backend.tokenizer)
    assert any(t.calls for t in traces) and any(t.hints for t in traces)


async def test_the_base_model_does_not_call_by_itself(backend: TransformersBackend) -> None:
    session = ReasoningSession(backend, interpreter=PYTHON, hints=NoHints(), sampling=GREEDY)
    assert (await session.run(COINS)).calls == []


def test_a_question_outside_its_domain_is_recognised() -> None:
    assert models.outside(models.BASE, COINS) is None
    why = models.outside(models.BASE, "Who wrote Faust?")
    assert why is not None and "'wrote'" in why
    assert models.outside("some/other-model", "Who wrote Faust?") is None


async def test_start_calls_by_itself_and_is_correct() -> None:
    async with TransformersBackend(models.DEFAULT) as start:
        session = ReasoningSession(start, interpreter=PYTHON, sampling=GREEDY)
        trace = await session.run(COINS)
        verify_trace(trace, start.tokenizer)
    assert trace.answer == "11" and not trace.hints
    assert [call.status for call in trace.calls] == ["ok"]


@pytest.mark.parametrize("name", [models.BASE, models.DEFAULT])
def test_weights_tokenizer_and_scope_match_the_card(name: str) -> None:
    # Every figure measured on the miniature depends on these. A change is a new version: measure
    # everything again and say so in the card.
    folder = models.folder(name)
    assert folder is not None
    card = (folder / "README.md").read_text(encoding="utf-8")
    for file, digest in hashes(folder).items():
        assert f"| {file} | `{digest}` |" in card, f"{file} differs from the card"
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000
