"""Hints inserted into finished thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from start_sdk import (
    AfterConnective,
    BeforeEnd,
    ConfigError,
    HintLibrary,
    HintRefused,
    InsertionPoint,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    Trace,
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
    verify_trace,
)
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

GENERAL = HintLibrary.load().get("general")
TOKENIZER = CharTokenizer()


async def thought(*script: str, cells: dict[str, str] | None = None, **options: Any) -> Trace:
    interpreter = None if cells is None else FakeInterpreter(dict(cells))
    session = ReasoningSession(ScriptedBackend(script), interpreter=interpreter, **options)
    trace = await session.run("What is 2 + 2?")
    verify_trace(trace, TOKENIZER)
    return trace


def before(trace: Trace, point: InsertionPoint) -> str:
    return TOKENIZER.decode(trace.token_ids[: point.at])


async def test_points_are_after_connectives_and_at_the_end() -> None:
    trace = await thought("5. Wait, no. Alternatively 4.\n</think>\n\nWait, 4")
    points = find_insertion_points(trace, TOKENIZER)
    assert [(p.position, p.trigger) for p in points] == [
        ("connective", "Wait"),
        ("connective", "Alternatively"),
        ("end", "</think>"),
    ]
    assert before(trace, points[0]).endswith("5. Wait")
    assert before(trace, points[2]).endswith("Alternatively 4.\n")


class Pairs(CharTokenizer):
    """Two characters per token, except for control tokens and a last odd character."""

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        ids: list[int] = []
        for char in super().encode(text, control=control):
            plain = ids and max(ids[-1], char) < 0x110000
            ids = [*ids[:-1], (ids[-1] << 21 | char) + (1 << 42)] if plain else [*ids, char]
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        halves = ((i >> 21 & 0x1FFFFF, i & 0x1FFFFF) if i >> 42 else (i,) for i in token_ids)
        return super().decode([i for pair in halves for i in pair])


@pytest.mark.parametrize(("text", "hints"), [("5. Wait!", 0), ("5.  Wait", 1), ("5, Wait. No", 0)])
async def test_a_word_split_over_two_tokens_is_found_if_the_second_ends_with_it(
    text: str, hints: int
) -> None:
    tokenizer, policy = Pairs(), AfterConnective(hints=("general",))
    backend = ScriptedBackend([f"{text} so.</think>5", "4</think>4"], tokenizer=tokenizer)
    session = ReasoningSession(backend, interpreter=FakeInterpreter(), hints=policy)
    streamed = await session.run("?")
    verify_trace(streamed, tokenizer)
    assert len(streamed.hints) == hints
    plain = await ReasoningSession(
        ScriptedBackend([f"{text} so.</think>5"], tokenizer=tokenizer)
    ).run("?")
    points = find_insertion_points(plain, tokenizer)
    assert [p.position for p in points] == ["connective"] * hints + ["end"]
    if hints:
        assert tokenizer.decode(plain.token_ids[: points[0].at]).endswith(f"\n{text}")


async def test_a_thought_closed_by_eos_ends_before_it() -> None:
    trace = await thought("It is 5.")
    end = InsertionPoint(at=len(trace.token_ids) - 1, position="end", trigger="")
    assert find_insertion_points(trace, TOKENIZER) == [end]


async def test_a_thought_without_tags_ends_where_the_answer_opens() -> None:
    plain = ReasoningFormat(name="plain", think=None, answer_markers=("**Final Answer**",))
    trace = await thought("Wait, 5.\n**Final Answer** 5", format=plain)
    points = find_insertion_points(trace, TOKENIZER, plain)
    assert [(p.position, p.trigger) for p in points] == [
        ("connective", "Wait"),
        ("end", "**Final Answer**"),
    ]
    assert before(trace, points[1]).endswith("Wait, 5.\n")


@pytest.mark.parametrize("text", ["Waiting", "Iwait no: AWait", "so $x = Wait", "Await"])
async def test_no_point_inside_words_or_formulas(text: str) -> None:
    trace = await thought(f"{text} </think>4")
    assert [s.position for s in find_insertion_points(trace, TOKENIZER)] == ["end"]


async def test_no_point_inside_a_block_nor_at_an_end_inside_one() -> None:
    trace = await thought("```python\n# Wait </think>4")
    assert find_insertion_points(trace, TOKENIZER) == []


@pytest.mark.parametrize(
    "quote", ['It says "Wait', "It says “Wait", "> Wait", "as asked:\n > 2 + 2? Wait"]
)
async def test_a_quoted_connective_is_ignored(quote: str) -> None:
    text = f'{quote} for 5 minutes". ”\nWait, 4.</think>4'
    plain = await thought(text)
    points = find_insertion_points(plain, TOKENIZER)
    assert [p.position for p in points] == ["connective", "end"]
    assert before(plain, points[0]).endswith("\nWait")
    policy = AfterConnective(hints=("general",), max_hints=9)
    hinted = await thought(text, "\n1\n```\n", "</think>4", cells={"1": "1"}, hints=policy)
    assert "\nWait, maybe using python" in hinted.thinking and len(hinted.hints) == 1


async def test_a_connective_after_a_quotation_counts() -> None:
    trace = await thought('It says "5" and “6”. Wait, a 3" pipe.\n\nWait, 4.</think>4')
    assert [s.trigger for s in find_insertion_points(trace, TOKENIZER)] == [
        "Wait",
        "Wait",
        "</think>",
    ]


async def test_the_prompt_has_no_points_but_the_thought_has() -> None:
    session = ReasoningSession(ScriptedBackend(["Wait, 4.</think>4"]))
    trace = await session.run("Wait, what is 2 + 2? Wait.")
    assert len(find_insertion_points(trace, TOKENIZER)) == 2


async def test_a_thought_cut_by_a_limit_has_no_end() -> None:
    trace = await thought("Hm. Wait. " * 30, limits=Limits(max_tokens=100, answer_reserve=20))
    assert {s.position for s in find_insertion_points(trace, TOKENIZER)} == {"connective"}


async def test_the_caller_chooses_the_words_and_the_last_is_found() -> None:
    trace = await thought("Wait, so wait, 5. Hmm.</think>5")
    points = find_insertion_points(trace, TOKENIZER, words=("Wait", "wait"))
    last = last_insertion_point(points)
    assert last is not None and before(trace, last).endswith("so wait")
    assert last_insertion_point(find_insertion_points(trace, TOKENIZER, words=("Hmm",))) is None


async def test_a_point_is_drawn_by_seed_and_trace() -> None:
    trace = await thought("Wait. Wait. Wait. Wait.</think>5")
    points = find_insertion_points(trace, TOKENIZER)
    drawn = [draw_insertion_point(points, seed=s, trace_id="a") for s in range(40)]
    assert drawn == [draw_insertion_point(points, seed=s, trace_id="a") for s in range(40)]
    assert set(drawn) == set(points)
    assert drawn != [draw_insertion_point(points, seed=s, trace_id="b") for s in range(40)]
    with pytest.raises(ConfigError, match="no points"):
        draw_insertion_point([], seed=0)


@pytest.mark.parametrize("which", [0, -1])
async def test_a_hint_in_a_finished_thought_gives_the_same_trace_as_in_a_running_one(
    which: int,
) -> None:
    first, rest = "5. Wait, no.\n</think>\n\n5", ["\n1\n```\n", " 4</think>\\boxed{4}"]
    plain = await thought(first)
    point = find_insertion_points(plain, TOKENIZER)[which]
    session = ReasoningSession(ScriptedBackend(rest), interpreter=FakeInterpreter({"1": "1"}))
    staged = await session.resume_hinted(plain, point, GENERAL)
    verify_trace(staged, TOKENIZER)
    policy = BeforeEnd() if which else AfterConnective(hints=("general",))
    streamed = await thought(first, *rest, cells={"1": "1"}, hints=policy)
    assert staged.token_ids == streamed.token_ids
    assert staged.hints == streamed.hints and staged.answer == "4"
    assert staged.parent is not None and staged.parent.at == point.at


async def test_each_round_is_a_separate_trace() -> None:
    trace = await thought("5.\n</think>\n\n5")
    for number in (1, 2):
        point = find_insertion_points(trace, TOKENIZER)[-1]
        session = ReasoningSession(
            ScriptedBackend([f"\n{number}\n```\n", f"So {number}.</think>{number}"]),
            interpreter=FakeInterpreter(lambda code: code),
        )
        parent, trace = trace, await session.resume_hinted(trace, point, GENERAL)
        verify_trace(trace, TOKENIZER)
        assert trace.answer == str(number) and len(trace.calls) == number
        assert [h.round for h in trace.hints] == [*range(1, number + 1)]
        assert trace.parent is not None and trace.parent.trace_id == parent.id


async def test_a_hint_with_unfilled_fields_is_refused() -> None:
    trace = await thought("5.</think>5")
    with pytest.raises(ConfigError, match="fields"):
        await ReasoningSession(ScriptedBackend([])).resume_hinted(
            trace, find_insertion_points(trace, TOKENIZER)[-1], HintLibrary.load().get("debug")
        )


async def test_a_model_that_ends_right_after_a_hint_ends_the_run() -> None:
    trace = await thought("5.</think>5", "</think>5", cells={}, hints=BeforeEnd())
    assert trace.finish == "eos" and trace.calls == [] and len(trace.hints) == 1


CALL = "```python\n1\n```\n"


@pytest.mark.parametrize(
    ("script", "cut", "limits", "reason"),
    [
        (["5. $x Wait = 5$</think>5"], "5. $x Wait", {}, "open formula"),
        (["```python\n# Wait\n```\n"], "# Wait", {}, "open block"),
        (["5. ```python"], "```python", {}, "open block"),
        ([CALL, "Wait, no.</think>5"], "Wait", {"max_calls": 1}, "no calls left"),
        (["Wait.</think>5"], "Wait", {"max_hint_tokens": 9}, "no tokens left"),
        (["Wait.</think>5"], "Wait", {"max_tokens": 8, "answer_reserve": 4}, "no tokens left"),
        (["Hm.</think>Wait, 5"], "</think>Wait", {}, "no thought"),
    ],
)
async def test_a_hint_that_cannot_be_inserted_into_a_finished_thought_is_refused(
    script: list[str], cut: str, limits: dict[str, int], reason: str
) -> None:
    trace = await thought(*script, cells={"1": "1"}, conclude="never")
    at = next(
        n
        for n, _ in enumerate(trace.token_ids)
        if TOKENIZER.decode(trace.token_ids[:n]).endswith(cut)
    )
    session = ReasoningSession(
        ScriptedBackend([]), interpreter=FakeInterpreter({"1": "1"}), limits=Limits(**limits)
    )
    point = InsertionPoint(at=at, position="connective", trigger="Wait")
    with pytest.raises(HintRefused, match=f"'general' cannot be inserted there: {reason}") as error:
        await session.resume_hinted(trace, point, GENERAL)
    assert error.value.reason == reason


async def test_a_hint_that_opens_no_block_is_inserted_when_no_calls_are_left() -> None:
    trace = await thought(CALL, "Wait, no.</think>5", cells={"1": "1"})
    session = ReasoningSession(
        ScriptedBackend([" 4</think>4"]),
        interpreter=FakeInterpreter({}),
        limits=Limits(max_calls=1),
    )
    point = find_insertion_points(trace, TOKENIZER)[0]
    hint = GENERAL.model_copy(update={"text": "let me count again."})
    hinted = await session.resume_hinted(trace, point, hint)
    assert [h.position for h in hinted.hints] == ["connective"] and hinted.answer == "4"


async def test_a_formula_left_open_where_the_thought_ends_refuses_no_hint() -> None:
    trace = await thought("So $x = 5</think>5")
    point = find_insertion_points(trace, TOKENIZER)[-1]
    backend = ScriptedBackend(["\n1\n```\n", "</think>4"])
    session = ReasoningSession(backend, interpreter=FakeInterpreter({"1": "1"}))
    hinted = await session.resume_hinted(trace, point, GENERAL)
    assert [h.position for h in hinted.hints] == ["end"] and len(hinted.calls) == 1
