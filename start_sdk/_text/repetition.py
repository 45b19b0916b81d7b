"""Whether a text goes round in circles: what small and long-thinking models fall into."""

from __future__ import annotations

from collections.abc import Sequence

MIN_TOKENS = 64
"""Fewer tokens than this are no repetition: a number may well be a row of zeros."""
MAX_PERIOD = 512


def repetition(token_ids: Sequence[int], copies: int) -> int:
    """The length of the pattern that the last tokens repeat at least `copies` times; 0 if none.

    START drops responses with repeated patterns and does not say how it finds them (its section 3);
    here it is a pattern of at most 512 tokens, word for word, 64 tokens or more in all.

    Args:
        token_ids: of a thought; only its end is looked at.
        copies: how often the pattern stands there, one right behind the other; 2 or more.
    """
    last = list(token_ids[-MAX_PERIOD * copies :])
    for period in range(1, min(MAX_PERIOD, len(last) // copies) + 1):
        length = period * max(copies, -(-MIN_TOKENS // period))
        # The last token alone tells most periods apart.
        if last[-1] == last[-1 - period] and len(last) >= length:
            end = last[-length:]
            if end[period:] == end[:-period]:
                return period
    return 0
