"""Caches of sessions that pause, and how much of a prefix two sequences share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from start_sdk.backends.transformers.cache import OneRow, nbytes


@dataclass(frozen=True, slots=True)
class IdleRow:
    """The cache of a session that pauses, and the ids that it holds."""

    ids: list[int]
    cache: OneRow
    nbytes: int


class IdleRows(OrderedDict[str, IdleRow]):
    """By session key, least recently used first."""

    @property
    def nbytes(self) -> int:
        return sum(row.nbytes for row in self.values())

    def keep(self, key: str, ids: list[int], cache: OneRow) -> None:
        self.pop(key, None)
        self[key] = IdleRow(ids, cache, nbytes(cache))


def shared(a: Sequence[int], b: Sequence[int], limit: int) -> int:
    """How many of their first `limit` ids two lists have in common, from the beginning on.

    Compares whole slices and halves them, which is fast in Python.
    """
    same, end = 0, min(len(a), len(b), limit)
    while same < end:
        middle = (same + end + 1) // 2
        if a[same:middle] == b[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same
