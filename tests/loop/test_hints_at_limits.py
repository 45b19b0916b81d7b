"""Hints where the budget or the context ends."""

from __future__ import annotations

from typing import Any

import pytest

from start_sdk import (
    BeforeEnd,
    HintPolicy,
    Limits,
    ReasoningSession,
    Trace,
    verify_trace,
)
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

TOKENIZER = CharTokenizer()


async def thought(*script: str, cells: dict[str, str] | None = None, **options: Any) -> Trace:
    interpreter = None if cells is None else FakeInterpreter(dict(cells))
    session = ReasoningSession(ScriptedBackend(script), interpreter=interpreter, **options)
    trace = await session.run("What is 2 + 2?")
    verify_trace(trace, TOKENIZER)
    return trace


async def test_a_hint_that_does_not_fit_is_omitted() -> None:
    trace = await thought(
        "5.</think>5", cells={}, hints=BeforeEnd(), limits=Limits(max_hint_tokens=9)
    )
    assert trace.hints == [] and trace.finish == "eos" and trace.answer == "5"


async def at_the_edge(budget: int, hints: HintPolicy | None = None) -> Trace:
    """A thought of 40 tokens including its end, in a budget with a reserve of 20 for the answer."""
    script = ["It is 5.\n".rjust(39, "5") + "</think>5", "4"]
    limits = Limits(max_tokens=budget + 20, answer_reserve=20)
    trace = await thought(*script, cells={}, hints=hints, limits=limits)
    assert trace.finish == "eos" and trace.usage.model + trace.usage.dropped <= budget + 20
    assert TOKENIZER.decode(trace.token_ids).count("</think>") == 1
    return trace


async def test_at_the_edge_of_the_budget_the_models_own_end_of_thinking_counts() -> None:
    trace = await at_the_edge(40)
    assert [s.source for s in trace.segments if s.phase == "close"] == ["model", "model"]
    assert trace.usage.notice == 0 and trace.answer == "5"
    cut = await at_the_edge(39)
    assert [s.source for s in cut.segments if s.phase == "close"] == ["notice", "model"]
    assert "It is 5.\n\n(I have no tokens left" in cut.thinking


@pytest.mark.parametrize(("budget", "hints"), [(39, 0), (40, 0), (41, 1)])
async def test_no_hint_if_no_token_is_left_to_answer_it(budget: int, hints: int) -> None:
    trace = await at_the_edge(budget, BeforeEnd())
    assert len(trace.hints) == hints
    if budget == 40:  # withheld, then accepted after all
        assert trace.answer == "5" and trace.usage.dropped == trace.usage.notice == 0


@pytest.mark.parametrize(("spare", "hints"), [(-1, 0), (0, 0), (1, 1), (400, 1)])
async def test_a_hint_at_the_end_of_the_context_fits_entirely_or_is_omitted(
    spare: int, hints: int
) -> None:
    said = "It is 5.\n".rjust(300, "5")
    hint = "\nWait, maybe using python here is a good idea.\n```python"
    question, reserve = "?" * 999, 200
    prompt = len(TOKENIZER.render([{"role": "user", "content": question}]))
    room = prompt + len(said) + len(hint) + reserve + spare
    backend = ScriptedBackend([f"{said}</think>5", "\n1\n```\n", "</think>4"], max_context=room)
    session = ReasoningSession(
        backend,
        interpreter=FakeInterpreter({"1": "1"}),
        hints=BeforeEnd(),
        limits=Limits(answer_reserve=reserve, max_repeats=None),
    )
    trace = await session.run(question)
    verify_trace(trace, TOKENIZER)
    assert len(trace.hints) == hints and len(trace.token_ids) <= room
    assert trace.finish == "eos" and trace.answer == ("4" if hints else "5")
