"""The running batch: rows that decode together, one token per row and forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from start_sdk.backends.transformers._cache import KVCache, roomy
from start_sdk.backends.transformers._generation import Generation


class Batch:
    """Rows that share one cache and fill its first slots without gaps.

    A row that joins moves its keys and values into the cache; when a row leaves, the last row moves
    into its slot. Forward passes can therefore always read and write in place.
    """

    def __init__(self) -> None:
        self.rows: list[Generation] = []
        self.cache: KVCache | None = None
        self._begins: list[int] = []
        self._starts = torch.tensor([])

    def join(self, row: Generation, rows: int) -> None:
        """Adds a row. If the cache must grow, then to hold `rows` rows.

        Raises:
            RuntimeError: out of memory; the cache of the row is lost, the batch is as before.
        """
        own = row.cache
        assert isinstance(own, KVCache)
        row.cache = None
        begin, end, slot = own.start, own.end, len(self.rows)
        if self.cache is None:
            self.cache = own
        else:
            self.cache.take(own, slot, rows)
        self.rows.append(row)
        self._begins.append(self.cache.end - (end - begin))
        self._changed(self.cache)

    def leave(self, row: Generation, *, keep: bool) -> None:
        """Removes a row; with `keep` it gets its part of the cache.

        Raises:
            RuntimeError: there is no memory for the copy; nothing has changed.
        """
        assert self.cache
        slot, last, end = self.rows.index(row), len(self.rows) - 1, self.cache.end
        if keep and not last:
            self.cache.shrink()
            row.cache = self.cache
        elif keep:
            row.cache = self.copied(row, end - self._begins[slot])
        if slot < last:
            self.cache.put(slot, self.cache, last, self._begins[last], end - self._begins[last])
            self.rows[slot], self._begins[slot] = self.rows[last], self._begins[last]
        self.rows.pop()
        self._begins.pop()
        if self.rows:
            self._changed(self.cache)
        else:
            self.cache = None

    def wipe(self, row: Generation) -> None:
        """Removes a row's keys and values, which may be NaN, before another row gets its slot."""
        if self.cache and row in self.rows:
            self.cache.wipe(self.rows.index(row))

    def copied(self, row: Generation, length: int) -> KVCache:
        """A separate cache with the first `length` tokens of a row."""
        assert self.cache
        slot = self.rows.index(row)
        return self.cache.row(slot, self._begins[slot], length)

    def inputs(self) -> dict[str, Any]:
        """Inputs of a forward pass of one token per row: ids, positions, mask; shape (rows, 1)."""
        assert self.cache
        self.cache.make_room(len(self.rows))
        starts, end = self._starts, self.cache.end
        ids = torch.tensor([[row.ids[-1]] for row in self.rows], device=starts.device)
        inputs: dict[str, Any] = {"input_ids": ids, "position_ids": end - starts}
        if len(set(self._begins)) > 1:
            columns = torch.arange(self.cache.start, end + 1, device=starts.device)
            inputs["attention_mask"] = columns >= starts
        return inputs

    def peak(self, rows: Sequence[Generation], together: Sequence[Generation]) -> tuple[int, bool]:
        """What these rows need at most at once, from the reading of their prefixes to a next token.

        Args:
            rows: all that would be running.
            together: those of them that would be in the batch.

        Returns:
            Columns of single rows, in the batch and in caches of their own; whether any are copied.
        """
        joined = set(self.rows)
        own = {row: max(_columns(row), _wanted(row)) for row in rows if row not in joined}
        held = (self.cache.slots * self.cache.columns if self.cache else 0) + sum(own.values())
        longest, grown = max((len(row.ids) for row in together), default=0), 0
        has_room = self.cache is not None and self.cache.has_room(len(together), longest)
        if together and not has_room:
            # It grows for the longest that joins, whose own cache goes, and the others still wait.
            first = max((own[row] for row in together if row in own), default=0)
            grown = len(together) * roomy(longest) + sum(own.values()) - first
        return max(held, grown), bool(grown) or any(_columns(row) < _wanted(row) for row in own)

    def _changed(self, cache: KVCache) -> None:
        """Updates what is derived from the rows."""
        cache.start = min(self._begins)
        self._starts = torch.tensor(self._begins, device=cache.device).unsqueeze(1)


def _columns(row: Generation) -> int:
    """Columns of a row's own cache."""
    return row.cache.columns if isinstance(row.cache, KVCache) else 0


def _wanted(row: Generation) -> int:
    """Columns that it needs to have."""
    return roomy(len(row.ids)) if _columns(row) < len(row.ids) else 0
