"""Whether a text repeats itself: what small and long-thinking models fall into."""

from __future__ import annotations

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
        self._ids: list[int] = []
        self._runs: dict[int, int] = {}  # by period: how many of the last tokens repeat with it
        # A repetition is longer than this, so it is enough to look for new ones so often.
        self._interval = min(64, 4 * copies * (copies - 1))

    def add(self, token_id: int) -> bool:
        """Reads a token; returns whether the tokens up to it repeat a pattern often enough."""
        now, ids = self.count, self._ids
        self.count += 1
        ids.append(token_id)
        if self._runs:
            self._runs = {p: n + 1 for p, n in self._runs.items() if ids[now - p] == token_id}
        if now % self._interval == 0:
            self._find(now)
        return any(run >= self._needed(period) for period, run in self._runs.items())

    def _find(self, now: int) -> None:
        """Starts to count for each period with which the token at `now` repeats."""
        ids = self._ids
        for period in range(1, min(MAX_PERIOD, now) + 1):
            if ids[now - period] == ids[now] and period not in self._runs:
                at = now
                while at >= period and ids[at] == ids[at - period]:
                    at -= 1
                self._runs[period] = now - at

    def _needed(self, period: int) -> int:
        least = 4 * self._copies**2
        return period * (max(self._copies, -(-least // period)) - 1)


def repeats(token_ids: Iterable[int], copies: int) -> bool:
    """Whether a pattern is repeated so often anywhere in these tokens (see `Repetition`)."""
    counter = Repetition(copies)
    return any(map(counter.add, token_ids))
