"""Thoughts that repeat themselves are found on their ids, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from start_sdk._text.repetition import MAX_PERIOD, Repetition, repeats


@pytest.mark.parametrize(
    ("text", "copies", "after"),
    [
        ("abcdefgh" * 9, 4, 64),
        ("abcdefgh" * 7, 4, None),  # 56 characters
        ("0" * 70, 4, 64),
        ("0" * 63, 4, None),
        ("0" * 40 + "1" + "0" * 40, 4, None),
        (
            "some more text. " + "Wait, is that 17? Let me see once again. " * 4,
            4,
            178,
        ),  # ". " is before it, too
        ("Wait, is that 17? Let me see once again. " * 3, 4, None),
        ("Wait, is that 17? Let me see once again. " * 4 + "No", 4, 164),
        ("", 2, None),
    ],
)
def test_repetition_is_an_exact_pattern(text: str, copies: int, after: int | None) -> None:
    counter = Repetition(copies)
    found = [i for i, c in enumerate(text, 1) if counter.add(ord(c))]
    assert (found[0] if found else None) == after and counter.count == len(text)
    assert repeats([ord(c) for c in text], copies) is (after is not None)


def repeated(ids: list[int], copies: int) -> bool:
    """Whether ids end with a pattern that they repeat, by trying all patterns."""
    for period in range(1, min(MAX_PERIOD, len(ids)) + 1):
        times = max(copies, -(-4 * copies**2 // period))
        if period * times <= len(ids) and ids[-period * times :] == ids[-period:] * times:
            return True
    return False


@given(
    st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=4),
    st.lists(st.integers(0, 20), max_size=4),
    st.integers(2, 5),
)
@settings(max_examples=50, deadline=None)
def test_each_token_is_counted_as_in_the_whole_text(
    patterns: list[list[int]], times: list[int], copies: int
) -> None:
    ids = [i for pattern, n in zip(patterns, times, strict=False) for i in pattern * n]
    counter = Repetition(copies)
    for end, token_id in enumerate(ids, 1):
        assert counter.add(token_id) is repeated(ids[:end], copies)
