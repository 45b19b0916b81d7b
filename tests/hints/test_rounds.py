"""Rounds of a thought: each is a finished trace that continues the previous one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from start_sdk import ConfigError, Limits, ReasoningSession, Trace, verify_trace
from start_sdk.hints import round_hints, sampled, spent, stable, think_in_rounds
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend


def session(*answers: str, **options: object) -> ReasoningSession:
    """Returns a session that gives one answer per round, the later ones after a cell."""

    def script(prefix: str) -> list[str]:
        done = prefix.count("```output")
        rest = [f"It is {a}.\n</think>\n\n\\boxed{{{a}}}" for a in answers[done:]]
        return rest[:1] if not done and "python" not in prefix else ["\n1\n```\n", *rest[1:2]]

    return ReasoningSession(
        ScriptedBackend(script), interpreter=FakeInterpreter({"1": "1"}), **options  # type: ignore[arg-type]
    )  # fmt: skip


async def rounds(*answers: str, n: int = 3, **options: object) -> list[Trace]:
    thinking = think_in_rounds(session(*answers), "?", round_hints(n), **options)  # type: ignore[arg-type]
    return [trace async for trace in thinking]


async def test_each_round_has_an_answer_and_continues_the_previous_one() -> None:
    traces = await rounds("5", "4", "4", "6")
    assert [t.answer for t in traces] == ["5", "4", "4", "6"]
    for before, trace in pairwise(traces):
        verify_trace(trace, CharTokenizer())
        assert trace.parent is not None and trace.parent.trace_id == before.id
        assert trace.token_ids[: trace.parent.at] == before.token_ids[: trace.parent.at]
    assert [h.id for h in traces[-1].hints] == ["round-1", "round-2", "round-3"]


async def test_rounds_continue_a_finished_trace() -> None:
    whole = await rounds("5", "4", "3", n=2)
    thinking = think_in_rounds(session("5", "4", "3"), whole[0], round_hints(2), seed=7)
    again = [trace async for trace in thinking]
    assert again[0] is whole[0]
    assert [t.token_ids for t in again] == [t.token_ids for t in whole]
    assert [t.seed for t in again] == [0, 7, 7]


async def test_tokens_of_earlier_rounds_are_counted_once() -> None:
    first, second, *_ = await rounds("5", "4", "4", "6")
    assert sampled(first) == first.usage.model
    ended = len("It is 5.\n")
    assert sampled(second) == second.usage.model - ended


async def test_rounds_stop_when_answers_agree_or_tokens_are_spent() -> None:
    assert len(await rounds("5", "4", "4", "6", stop_when=stable(2))) == 3
    assert len(await rounds("5", "4", "3", "6", stop_when=stable(2))) == 4
    cost = sampled((await rounds("5", "4", "4", "6"))[0])
    assert len(await rounds("5", "4", "4", "6", stop_when=spent(cost))) == 1
    assert len(await rounds("5", "4", "4", "6", stop_when=spent(cost + 1))) == 2


async def test_no_round_follows_a_thought_that_a_limit_ended() -> None:
    limited = ReasoningSession(
        ScriptedBackend(["Hm. " * 100, "5"]), limits=Limits(max_tokens=60, answer_reserve=20)
    )
    traces = [trace async for trace in think_in_rounds(limited, "?", round_hints(2))]
    assert len(traces) == 1


def test_the_papers_texts_come_first_and_the_last_is_repeated() -> None:
    assert [h.id for h in round_hints(8)][:3] == ["round-1", "round-2", "round-3"]
    assert [h.origin for h in round_hints(6)] == ["paper"] * 3 + ["ours"] * 3
    assert round_hints(8)[-1] == round_hints(7)[-1] == round_hints(6)[-1]
    with pytest.raises(ConfigError, match="rounds=0"):
        round_hints(0)
