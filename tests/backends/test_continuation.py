"""Continuations: whatever is sampled and watched, no token is lost, doubled or shown too early."""

from __future__ import annotations

from typing import Any

import pytest
from continuing import (
    CONTROL,
    EOS,
    Reads,
    Script,
    Tokens,
    backend,
    event,
    ids_of,
    pushed,
    released,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from start_sdk import BackendError, Sampling
from start_sdk._text.events import Event
from start_sdk.backends import Continuation
from start_sdk.backends._continuation import request_seed
from start_sdk.formats import PLAIN, THINK, ReasoningFormat
from start_sdk.generation import Watch


@st.composite
def scripts(draw: st.DrawFn) -> list[Event]:
    kinds: Any = st.sampled_from(["block", "end", "trigger", "answer", "pause"])
    some = st.builds(event, kinds, st.integers(0, 12), st.integers(0, 3))
    drawn = draw(st.lists(some, max_size=5))
    events: list[Event] = []
    for one in sorted(drawn, key=lambda e: (e.at, e.end)):
        if not events or one.end >= events[-1].end:  # in order by both
            events.append(one)
    return events


tokens = st.lists(st.integers(0, EOS - 1), min_size=1, max_size=16)
watches = st.one_of(
    scripts().map(Script),
    st.sampled_from([THINK, PLAIN, ReasoningFormat(tag_is_token=False)]).map(Reads),
    st.none(),
)


@given(tokens, watches, st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_tokens_come_out_once_in_order_with_their_text_and_logprobs(
    ids: list[int], watch: Watch | None, room: int
) -> None:
    chunks, count = pushed(ids, watch, room)
    last = chunks[-1]
    assert all(chunk.reason is None and not chunk.stops for chunk in chunks[:-1])
    out = [i for chunk in chunks for i in chunk.token_ids]
    withheld = list(last.withheld_ids)
    # A character that the last token leaves unfinished is discarded with that token.
    assert out + withheld == [*ids, EOS][: len(out + withheld)]
    assert len(out + withheld) in ({count, count - 1} if last.reason == "stop" else {count})
    assert count <= room
    texts = [*(chunk.text for chunk in chunks), *(stop.text for stop in last.stops)]
    assert "".join(texts) == Tokens().decode(out + withheld)
    logprobs = [p for chunk in chunks for p in chunk.logprobs or ()]
    logprobs += [p for stop in last.stops for p in stop.logprobs or ()]
    assert logprobs == [-float(i) for i in range(len(out + withheld))]
    if last.reason == "eos":
        assert last.stops[-1].event is None and last.stops[-1].token_ids == (EOS,)
        assert all(not stop.token_ids for stop in last.stops[:-1])
    elif last.reason == "length":
        assert count == room and not last.stops
    else:
        assert last.reason == "stop" and all(stop.event for stop in last.stops)


@given(tokens, scripts())
@settings(max_examples=300, deadline=None)
def test_a_generation_ends_at_its_first_event_and_withholds_what_follows_it(
    ids: list[int], events: list[Event]
) -> None:
    watch = Script(list(events))
    chunks, _ = pushed(ids, watch)
    out = sum(len(chunk.token_ids) for chunk in chunks)
    starts: list[int] = []
    ends: list[int] = []
    unit_of: list[int] = []  # of the units: tokens that complete a text together
    for text, unit, _ in watch.read:
        starts.append(ends[-1] if ends else 7)
        ends.append(starts[-1] + len(text))
        unit_of += [len(ends) - 1] * len(unit)
    borders = {7, *ends}
    counted = [e for e in events if e.kind != "trigger" or e.at in borders]
    read = [e for e in counted if e.end <= watch.offset]
    last = chunks[-1]
    if last.reason != "stop":
        assert last.reason == "eos" and read == []
        return
    assert [stop.event for stop in last.stops] == read
    first, released, after = read[0], unit_of[:out], unit_of[out:]
    assert not set(released) & set(after)
    if first.kind == "block":  # it ends with the token that reaches past it
        assert all(starts[unit] < first.at for unit in released)
        assert all(starts[unit] >= first.at for unit in after)
    else:
        assert all(ends[unit] <= first.at for unit in released)
        assert all(ends[unit] > first.at or starts[unit] == ends[unit] for unit in after)


@given(tokens, scripts())
@settings(max_examples=200, deadline=None)
def test_nothing_is_released_that_may_still_be_withheld(
    ids: list[int], events: list[Event]
) -> None:
    watch = Script(list(events))
    work = Continuation(backend(), [0], Sampling(), watch, 100)
    shown = 7
    for token_id in ids:
        chunk = work.push(token_id)
        shown += len(chunk.text)
        if chunk.reason:
            return
        assert shown <= min([watch.offset, *(event.at for event in watch.events)])


def test_several_events_in_one_token_share_it_once() -> None:
    watch = Script([event("end", 1, 0), event("block", 2, 0), event("end", 3, 0)])
    chunks, _ = pushed(ids_of("Wait, no"), watch)
    assert [stop.token_ids for stop in chunks[-1].stops] == [tuple(ids_of("Wait, no")), (), ()]


def test_text_that_may_become_a_tag_is_held_back_until_it_cannot() -> None:
    watch = Reads(ReasoningFormat(tag_is_token=False))
    assert released("a", "</", "think", "x\n", watch=watch)[:4] == ["a", "", "", "</thinkx\n"]


def test_a_tag_split_over_tokens_is_withheld() -> None:
    watch = Reads(ReasoningFormat(tag_is_token=False))
    assert released("a", "</", "think", ">", "a", watch=watch) == ["a", "", "", "", "</think>"]


def test_a_tag_that_is_a_token_is_withheld_and_its_text_is_not() -> None:
    tag = min(CONTROL)
    chunks, _ = pushed([*ids_of("</", "think", ">"), tag], Reads(THINK))
    assert [chunk.text for chunk in chunks] == ["</", "think", ">", ""]
    assert [stop.text for stop in chunks[-1].stops] == ["</think>"]


def test_a_trigger_is_withheld_with_what_follows_it_if_a_token_ends_with_it() -> None:
    assert released(" Wait", "\n", watch=Reads(THINK)) == [" Wait", "", "\n"]
    assert released("Wa", "it", "x\n", watch=Reads(THINK))[:3] == ["Wa", "it", "x\n"]


def test_a_trigger_that_ends_inside_a_token_is_passed_over() -> None:
    assert released("Wait, no", "x\n", watch=Reads(THINK))[:2] == ["Wait, no", "x\n"]


def test_a_block_ends_with_the_token_that_reaches_past_it() -> None:
    watch = Reads(THINK)
    assert released("```python\n", "x\n", "```\nWait", "\n", watch=watch) == [
        "```python\n", "x\n", "```\nWait", "",
    ]  # fmt: skip


def test_the_end_of_a_text_may_close_a_block() -> None:
    chunks, _ = pushed(ids_of("```python\n", "x\n", "```"), Reads(THINK))
    stops = chunks[-1].stops
    assert [stop.event and stop.event.kind for stop in stops] == ["block", None]
    assert [stop.token_ids for stop in stops] == [(), (EOS,)]


def test_a_character_split_over_tokens_is_released_whole() -> None:
    assert released("a", b"\xe7", b"\xad\x89", "\n")[:4] == ["a", "", "等", "\n"]


def test_a_trigger_may_end_with_a_split_character() -> None:
    assert released(b"\xe7", b"\xad\x89", "a", watch=Reads(THINK)) == ["", "等", ""]


def test_bytes_that_are_no_utf_8_are_replaced_and_kept() -> None:
    assert released(b"\xff", b"\xe7") == ["\ufffd", "", "\ufffd", "<eos>"]


def test_a_control_token_ends_an_unfinished_character() -> None:
    assert released(b"\xe7", "<tool>")[:3] == ["", "\ufffd<tool>", ""]


def test_at_the_last_token_all_that_is_held_back_is_released() -> None:
    watch = Reads(ReasoningFormat(tag_is_token=False))
    chunks, count = pushed(ids_of("a", "</", b"\xe7", "a"), watch, room=3)
    assert count == 3 and [chunk.text for chunk in chunks] == ["a", "", "</\ufffd"]
    assert chunks[-1].reason == "length" and chunks[-1].stops == ()


@pytest.mark.parametrize(("reason", "ids"), [("stop", [0, 1, 10, 0, 0]), ("eos", [0, EOS, 0, 0])])
def test_what_an_engine_sampled_beyond_the_end_is_discarded(reason: str, ids: list[int]) -> None:
    watch = Reads(THINK)
    work = Continuation(backend(), [0], Sampling(), watch, 100)
    chunk = work.take(ids)
    count = len(chunk.token_ids) + len(chunk.withheld_ids)
    assert chunk.reason == reason and ids[count:] == [0, 0] and chunk.logprobs is None
    assert watch.offset == 3 + len(Tokens().decode([i for i in ids[:count] if i != EOS]))
    assert work.left == 100 - count


def test_tokens_taken_together_come_out_like_single_ones() -> None:
    ids = ids_of("a", "</", "think", "x\n", b"\xe7", b"\xad\x89", "a")
    works = [Continuation(backend(), [5], Sampling(logprobs=True), None, 100) for _ in range(2)]
    chunk = works[0].take(ids, [-0.5] * len(ids))
    singles = [works[1].push(i, -0.5) for i in ids]
    assert chunk.text == "".join(single.text for single in singles)
    assert chunk.logprobs == (-0.5,) * len(ids) and works[0].token_ids == [5, *ids]


@pytest.mark.parametrize(
    ("prefix", "room", "message"),
    [
        ([], 1, "a prefix of 0 tokens and max_tokens=1: both must be at least 1"),
        ([0], 0, "a prefix of 1 tokens and max_tokens=0: both must be at least 1"),
        ([0] * 8, 3, "8 \\+ 3 tokens do not fit a context of 10"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    prefix: list[int], room: int, message: str
) -> None:
    with pytest.raises(BackendError, match=f"^fake: {message}$"):
        Continuation(backend(10), prefix, Sampling(), None, room)


def test_log_probabilities_are_none_where_they_were_not_asked_for_or_are_not_known() -> None:
    without = backend(logprobs=False)
    for one, sampling in ((backend(), Sampling()), (without, Sampling(logprobs=True))):
        assert Continuation(one, [0], sampling, None, 9).push(0, -1.0).logprobs is None


def test_a_request_s_seed_depends_on_seed_and_position_and_fits_31_bits() -> None:
    seeds = [request_seed(seed, position) for seed in range(20) for position in range(20)]
    assert len(set(seeds)) == 400 and all(0 <= seed < 2**31 for seed in seeds)
    assert seeds[0] == request_seed(0, 0)
