"""Hints inserted into finished thoughts, steering, and thoughts that repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from start_sdk import (
    AfterConnective,
    BeforeEnd,
    ConfigError,
    Delta,
    HintLibrary,
    HintPolicy,
    InsertionPoint,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    Segment,
    Trace,
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
    verify_trace,
)
from start_sdk._text.repetition import repetition
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
    streamed = await ReasoningSession(backend, hints=policy).run("?")
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


@pytest.mark.parametrize(
    "text", ["```python\n# Wait", "Waiting", "Iwait no: AWait", "so $x = Wait", "Await"]
)
async def test_no_point_inside_code_words_or_formulas(text: str) -> None:
    trace = await thought(f"{text} </think>4")
    assert [s.position for s in find_insertion_points(trace, TOKENIZER)] == ["end"]


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
        limits=Limits(answer_reserve=reserve),
    )
    trace = await session.run(question)
    verify_trace(trace, TOKENIZER)
    assert len(trace.hints) == hints and len(trace.token_ids) <= room
    assert trace.finish == "eos" and (trace.answer == "4") == (spare == 400)


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
    assert trace.answer == "5" and trace.hints == []  # a formula was left open
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
    trace = await ReasoningSession(backend, hints=BeforeEnd()).run("?")
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


@pytest.mark.parametrize(
    ("text", "copies", "period"),
    [
        ("abcdefgh" * 8, 4, 8),
        ("abcdefgh" * 7, 4, 0),  # 56 characters
        ("0" * 64, 4, 1),
        ("0" * 63, 4, 0),
        ("some more text. " + "Wait, is that 17? Let me see once again. " * 4, 4, 41),
        ("Wait, is that 17? Let me see once again. " * 3, 4, 0),
        ("Wait, is that 17? Let me see once again. " * 4 + "No", 4, 0),
        ("", 2, 0),
    ],
)
def test_repetition_is_an_exact_pattern(text: str, copies: int, period: int) -> None:
    assert repetition([ord(c) for c in text], copies) == period


async def test_a_thought_that_repeats_itself_is_ended() -> None:
    repeated = "Is it 5? Yes it is. No. " * 50
    limits = Limits(max_repeats=4)
    trace = await thought(repeated, "5", limits=limits)
    assert [s.notice for s in trace.segments if s.notice] == ["repeats", "repeats"]
    assert trace.answer == "5" and 96 <= trace.usage.model <= 150
    assert len((await thought(repeated, "5")).thinking) == len(repeated)


async def test_a_round_that_repeats_itself_ends_with_an_answer() -> None:
    script = ["5.</think>5", " Hm, " + "so it is 5, " * 60, "5"]
    trace = await thought(*script, hints=BeforeEnd(), limits=Limits(max_repeats=4))
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
