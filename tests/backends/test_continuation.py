"""The stop matcher: for any tokens, no part of a stop is released and nothing is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from start_sdk.backends import StopMatcher
from start_sdk.protocols import Chunk

STOPS = ["</think>", "```\n", "Wait", "Alternatively", "\\boxed"]
words = st.sampled_from([*STOPS, "Wai", "</thin", "``", "`", "\n", " a", "W", "ends. ", "é", "<"])


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    marks = sorted({c % (len(text) + 1) for c in cuts} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(marks)]


def feed(pieces: list[str], stops: list[str]) -> list[Chunk]:
    matcher = StopMatcher(lambda i: pieces[i], lambda ids: "".join(pieces[i] for i in ids), stops)
    chunks: list[Chunk] = []
    for i in range(len(pieces)):
        chunks.append(matcher.push(i, -float(i)))
        if chunks[-1].reason:
            return chunks
    return [*chunks, matcher.flush()]


@given(st.lists(words, min_size=1, max_size=8), st.lists(st.integers(0, 200), max_size=30))
def test_a_stop_split_across_tokens_is_found_and_withheld(
    parts: list[str], cuts: list[int]
) -> None:
    text = "".join(parts)
    pieces = pieces_of(text, cuts)
    chunks = feed(pieces, STOPS)
    last = chunks[-1]
    released = "".join(c.text for c in chunks)
    ids = [i for c in chunks for i in c.token_ids] + list(last.matched_ids)
    assert ids == list(range(len(ids)))  # every token once, in order
    assert "".join(pieces[i] for i in ids) == released + last.matched_text
    ends = [text.find(s) + len(s) for s in STOPS if s in text]
    if not ends:
        assert last.reason is None and released == text
        return
    assert last.reason == "stop"
    assert not any(s in released for s in STOPS)
    # The match that ends first wins, in the token in which it ends.
    assert len(released + last.matched_text) >= min(ends)
    assert len(released + last.matched_text) - len(pieces[ids[-1]]) < min(ends)
    assert last.stop in last.matched_text


def test_text_that_may_become_a_stop_is_held_back_until_it_cannot() -> None:
    chunks = feed(["x", "Wa", "i", "st"], ["Wait"])
    assert [c.text for c in chunks] == ["x", "", "", "Waist", ""]


def test_of_two_stops_that_end_together_the_longer_one_is_reported() -> None:
    assert feed(["a``", "`\n"], ["`\n", "```\n"])[-1].stop == "```\n"


def test_a_character_split_across_tokens_is_released_whole() -> None:
    pieces = ["a", "", "é", "b"]  # the second token completes nothing by itself
    chunks = feed(pieces, ["zz"])
    assert [(c.token_ids, c.text) for c in chunks] == [
        ((0,), "a"),
        ((), ""),
        ((1, 2), "é"),
        ((3,), "b"),
        ((), ""),
    ]


def test_an_unfinished_character_is_flushed_at_the_end() -> None:
    matcher = StopMatcher(lambda i: "", lambda ids: "\ufffd" * len(ids), [])
    matcher.push(5)
    assert matcher.flush() == Chunk(token_ids=(5,), text="\ufffd")


def test_log_probabilities_stay_with_their_tokens() -> None:
    pieces = ["a", "Wa", "it"]
    matcher = StopMatcher(lambda i: pieces[i], lambda ids: "", ["Wait"], logprobs=True)
    assert matcher.push(0, -0.5).logprobs == (-0.5,)
    matcher.push(1, -1.0)
    assert matcher.push(2, -2.0).matched_logprobs == (-1.0, -2.0)
