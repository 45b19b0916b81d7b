"""Texts inserted from outside into running thoughts, and thoughts that repeat themselves."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from start_sdk import (
    BeforeEnd,
    ConfigError,
    Delta,
    Limits,
    ReasoningSession,
    Segment,
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


async def steered(text: str, hint: str, after: str, **options: Any) -> Trace:
    """Runs `text` and steers with `hint` once the model has written `after`."""
    session = ReasoningSession(ScriptedBackend([text, "So 4.</think>4"]), **options)
    said = ""
    async with aclosing(session.stream("What is 2 + 2?")) as run:
        async for event in run:
            said += event.text if isinstance(event, Delta) else ""
            if hint and isinstance(event, Delta) and said.endswith(after):
                session.steer(hint)
                hint = ""
    verify_trace(run.trace, TOKENIZER)
    return run.trace


async def test_a_running_thought_is_steered() -> None:
    trace = await steered("It is five, I think.", "Count on your fingers.", "It is")
    assert trace.thinking == "It is\n\nCount on your fingers.So 4."
    assert [(h.id, h.position) for h in trace.hints] == [("steer", "steer")]


async def test_steering_waits_for_the_end_of_a_block() -> None:
    code = "```python\n1\n```\n"
    trace = await steered(code, "Go on.", "```python\n", interpreter=FakeInterpreter({"1": "1"}))
    assert [s.source for s in trace.segments][1:4] == ["model", "tool", "hint"]


async def test_a_thought_that_would_end_first_continues_with_the_steering_text() -> None:
    trace = await steered("So $x</think>5", "Count again.", "So $x", hints=None)
    assert "So $x\n\nCount again." in trace.thinking and trace.answer == "4"
    trace = await steered("$x$</think>5", "Count again.", "$x")
    assert "Count again." in trace.thinking and trace.answer == "4"


async def test_text_queued_after_one_that_opens_a_block_waits_for_its_end() -> None:
    script = ["\n1\n```\n", "So 4.</think>4"]
    run = ReasoningSession(ScriptedBackend(script), interpreter=FakeInterpreter({"1": "1"})).stream(
        "?"
    )
    run.steer("Compute it.\n```python")
    run.steer("Good.")
    async with aclosing(run):
        async for _ in run:
            pass
    verify_trace(run.trace, TOKENIZER)
    sources = [s.source for s in run.trace.segments[1:]]
    assert sources == ["hint", "model", "tool", "hint", "model", "model", "model", "model"]


async def test_steering_waits_for_the_tag_with_which_a_model_opens_its_thought() -> None:
    tokenizer = CharTokenizer(opens_thought=False)
    backend = ScriptedBackend(["<think>\nIt is 5.</think>5", "4</think>4"], tokenizer=tokenizer)
    run = ReasoningSession(backend).stream("?")
    run.steer("Count.")
    async with aclosing(run):
        async for _ in run:
            pass
    verify_trace(run.trace, tokenizer)
    assert run.trace.segments[1].text == "<think>\n" and run.trace.thinking == "\n\nCount.4"


async def test_no_hint_comes_before_that_tag_either() -> None:
    tokenizer = CharTokenizer(opens_thought=False)
    backend = ScriptedBackend([""], tokenizer=tokenizer)
    trace = await ReasoningSession(backend, interpreter=FakeInterpreter(), hints=BeforeEnd()).run(
        "?"
    )
    assert trace.hints == [] and trace.finish == "eos"


async def test_only_a_running_thought_can_be_steered() -> None:
    session = ReasoningSession(ScriptedBackend(["5.</think>5"]))
    with pytest.raises(ConfigError, match="0 runs"):
        session.steer("Hm.")
    run = session.stream("?")
    with pytest.raises(ConfigError, match="text to steer with is empty"):
        run.steer(" ")
    other = session.stream("?")
    with pytest.raises(ConfigError, match="2 runs"):
        session.steer("Hm.")
    for one in (run, other):
        async with aclosing(one):
            async for _ in one:
                pass
    with pytest.raises(ConfigError, match="over"):
        run.steer("Hm.")
    with pytest.raises(ConfigError, match="0 runs"):
        session.steer("Hm.")


async def test_a_thought_that_repeats_itself_is_ended() -> None:
    repeated = "Is it 5? Yes it is. No. " * 50
    limits = Limits(max_repeats=4)
    trace = await thought(repeated, "5", limits=limits)
    assert [s.notice for s in trace.segments if s.notice] == ["repeats", "repeats"]
    assert trace.answer == "5" and 96 <= trace.usage.model <= 150
    endless = await thought(repeated, "5", limits=Limits(max_repeats=None))
    assert len(endless.thinking) == len(repeated)
    assert (await thought(repeated, "5")).limit == "repeats"  # the default


async def test_a_round_that_repeats_itself_ends_with_an_answer() -> None:
    script = ["5.</think>5", " Hm, " + "so it is 5, " * 60, "5"]
    session = ReasoningSession(
        ScriptedBackend(script),
        interpreter=FakeInterpreter(),
        hints=BeforeEnd(),
        limits=Limits(max_repeats=4),
    )
    trace = await session.run("What is 2 + 2?")
    assert trace.answer == "5" and trace.usage.model < 160


async def test_steering_takes_effect_at_the_next_token() -> None:
    session = ReasoningSession(ScriptedBackend(["Hm. " * 10_000, "So 4.</think>4"]))
    run = session.stream("?")
    async with aclosing(run):
        async for event in run:
            if isinstance(event, Delta) and run.trace.usage.model == 40:
                run.steer("Enough of that.")
            if isinstance(event, Segment) and event.hint:
                assert run.trace.usage.model <= 42
    assert run.trace.answer == "4"
