"""Runs that would end without an answer are asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from start_sdk import BeforeEnd, Limits, ReasoningSession, Trace, verify_trace
from start_sdk.formats import PLAIN
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

CELL = "\nprint(156)\n```\n"
PHRASE = "So the final answer is **"


async def think(script: list[str], *, plain: bool = True, **options: Any) -> Trace:
    backend = ScriptedBackend(script, tokenizer=CharTokenizer(opens_thought=not plain))
    session = ReasoningSession(
        backend,
        interpreter=FakeInterpreter({"print(156)": "156"}),
        format=PLAIN if plain else None,
        **options,
    )
    trace = await session.run("What is 12*13?")
    verify_trace(trace, backend.tokenizer)
    return trace


def notices(trace: Trace) -> list[str]:
    return [s.text for s in trace.segments if s.notice == "conclusion"]


async def test_after_a_cell_without_an_answer_the_model_is_asked() -> None:
    script = ["It is 198.", CELL, "That is a function.", "156**. It was easy."]
    trace = await think(script, hints=BeforeEnd())
    assert notices(trace) == [f"\n\n{PHRASE}"]
    assert (trace.answer, trace.finish, trace.truncated) == ("156", "concluded", False)
    assert trace.response == f"{PHRASE}156**"
    masked = trace.loss_mask()
    start = trace.starts[[s.notice for s in trace.segments].index("conclusion")]
    assert not any(masked[start : start + len(notices(trace)[0])]) and masked[-1]


async def test_an_answer_that_follows_is_taken_as_it_is() -> None:
    trace = await think(["It is 198.", CELL, "So the answer is 156."], hints=BeforeEnd())
    assert (trace.answer, trace.finish, notices(trace)) == ("156", "eos", [])


async def test_an_answer_before_the_hint_does_not_count() -> None:
    script = ["The answer is 198.", CELL, "A function.", "156**"]
    trace = await think(script, hints=BeforeEnd())
    assert (trace.answer, trace.finish) == ("156", "concluded")


async def test_a_plain_question_is_left_alone() -> None:
    trace = await think(["Paris is the capital of France."])
    assert (trace.answer, notices(trace)) == (None, [])


async def test_always_asks_whatever_came_before() -> None:
    trace = await think(["Paris is the capital.", "Paris**"], conclude="always")
    assert (trace.answer, notices(trace)) == ("Paris", [f"\n\n{PHRASE}"])


async def test_never_does_not_ask() -> None:
    trace = await think(["It is 198.", CELL, "A function."], hints=BeforeEnd(), conclude="never")
    assert (trace.answer, trace.finish, notices(trace)) == (None, "eos", [])


async def test_a_box_ends_where_its_brace_closes() -> None:
    script = ["Hm.", "\\frac{1}{2}} and more"]
    trace = await think(script, conclude="\\boxed{")
    assert (trace.answer, trace.finish) == ("\\frac{1}{2}", "concluded")
    assert trace.response == "\\boxed{\\frac{1}{2}}"


async def test_a_program_ends_where_its_block_closes_and_is_not_run() -> None:
    script = ["Hm.", "print(5)\n```\nmore"]
    trace = await think(script, conclude="```python\n")
    assert (trace.finish, trace.calls) == ("concluded", [])
    assert trace.response == "```python\nprint(5)\n```"


async def test_a_colon_and_a_line_break_are_no_answer_yet() -> None:
    script = ["It is 198.", CELL, "A function.", ":\n\n156\nmore"]
    trace = await think(script, hints=BeforeEnd())
    assert (trace.answer, trace.finish) == ("156", "concluded")


async def test_a_program_in_the_answers_place_is_no_answer() -> None:
    script = ["It is 198.", CELL, "A function.", ":\n```python\nprint(1)\n```\n"]
    trace = await think(script, hints=BeforeEnd())
    assert trace.answer is None or "print" not in trace.answer


async def test_at_a_limit_a_model_without_tags_is_asked() -> None:
    limits = Limits(max_tokens=160, answer_reserve=80, max_repeats=None)
    trace = await think(["Hm. " * 40, "156**"], limits=limits)
    assert (trace.answer, trace.truncated) == ("156", True)
    assert any("no tokens left" in s.text for s in trace.segments if s.source == "notice")


async def test_with_tags_a_response_is_an_answer() -> None:
    script = ["It is 198.</think>", CELL, "Fine.</think>It is 156."]
    trace = await think(script, plain=False, hints=BeforeEnd())
    assert (trace.answer, notices(trace)) == ("It is 156.", [])


async def test_with_tags_a_thought_that_never_ends_is_closed_first() -> None:
    script = ["It is 198.</think>", CELL, "Fine.", "156**"]
    trace = await think(script, plain=False, hints=BeforeEnd())
    assert notices(trace) == ["\n</think>\n\n", PHRASE]
    assert trace.answer == "156"


@pytest.mark.parametrize("room", range(40, 90))
async def test_it_is_given_only_where_it_fits(room: int) -> None:
    limits = Limits(max_tokens=room, answer_reserve=1024)
    trace = await think(["Hm. " * 40, "156**"], limits=limits)
    assert trace.usage.model <= room
    if notices(trace):
        assert trace.answer is not None
