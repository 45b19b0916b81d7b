"""Detects text that repeats itself, a common failure of small and long-thinking models."""

from __future__ import annotations

from collections.abc import Sequence

MIN_TOKENS = 64
"""Fewer tokens do not count as repetition: a number may contain a long run of zeros."""
MAX_PERIOD = 512


def repetition(token_ids: Sequence[int], copies: int) -> int:
    """Returns the length of a pattern that ends the tokens at least `copies` times; 0 if none.

    START drops responses with repeated patterns and does not say how it finds them (section 3).
    Here a pattern has at most 512 tokens, repeats exactly, and covers 64 tokens or more in all.

    Args:
        token_ids: tokens of a thought; only the end is examined.
        copies: number of consecutive copies of the pattern, 2 or more.
    """
    last = list(token_ids[-MAX_PERIOD * copies :])
    for period in range(1, min(MAX_PERIOD, len(last) // copies) + 1):
        length = period * max(copies, -(-MIN_TOKENS // period))
        # The last token alone rules out most periods.
        if last[-1] == last[-1 - period] and len(last) >= length:
            end = last[-length:]
            if end[period:] == end[:-period]:
                return period
    return 0
