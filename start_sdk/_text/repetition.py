"""Whether a text repeats itself: what small and long-thinking models fall into."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MAX_PERIOD = 512
"""Tokens of the longest pattern that is looked for."""


class Repetition:
    """Counts, token by token, how often the last tokens repeat a pattern.

    START drops responses with repeated patterns and does not say how it finds them (its section 3).
    Here a pattern has at most `MAX_PERIOD` tokens, repeated token for token. Short patterns have to
    be there more often: 4 copies mean at least 64 tokens, 8 copies 256. A number may well be a row
    of zeros, and a grid of them is no thought that goes round in circles.

    Args:
        copies: how often the pattern has to be there, one right after the other; 2 or more.

    Attributes:
        count: tokens read so far.
    """

    def __init__(self, copies: int) -> None:
        self.count = 0
        self._copies = copies
        self._seen: dict[int, deque[int]] = {}
        self._runs: dict[int, int] = {}  # by period: how many of the last tokens repeat with it

    def add(self, token_id: int) -> bool:
        """Reads a token; returns whether the tokens up to it repeat a pattern often enough."""
        now, self.count = self.count, self.count + 1
        seen = self._seen.setdefault(token_id, deque())
        while seen and now - seen[0] > MAX_PERIOD:
            seen.popleft()
        before = self._runs
        self._runs = {now - at: before.get(now - at, 0) + 1 for at in seen}
        seen.append(now)
        return any(run >= self._needed(period) for period, run in self._runs.items())

    def _needed(self, period: int) -> int:
        least = 4 * self._copies**2
        return period * (max(self._copies, -(-least // period)) - 1)


def repeats(token_ids: Iterable[int], copies: int) -> bool:
    """Whether a pattern is repeated so often anywhere in these tokens (see `Repetition`)."""
    counter = Repetition(copies)
    return any(map(counter.add, token_ids))
