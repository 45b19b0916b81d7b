"""The running batch: rows that decode together, one token per row and forward pass."""

from __future__ import annotations

from typing import Any

import torch

from start_sdk.backends.transformers._cache import KVCache, roomy
from start_sdk.backends.transformers._generation import Generation


class Batch:
    """Rows that share one cache and fill its first slots without gaps.

    A row that joins copies its keys and values into the cache; when a row leaves, the last row
    moves into its slot. Forward passes can therefore always read and write in place.
    """

    def __init__(self) -> None:
        self.rows: list[Generation] = []
        self.cache: KVCache | None = None
        self._begins: list[int] = []
        self._starts = torch.tensor([])

    def join(self, row: Generation) -> None:
        """Adds a row; its cache is copied into the batch."""
        own = row.cache
        assert isinstance(own, KVCache)
        length, slot = own.end, len(self.rows)
        if self.cache is None:
            self.cache = KVCache(len(own.layers), slots=4, columns=roomy(length), end=length)
        self._make_room(self.cache, slot + 1, length)
        self.cache.put(slot, own, 0, 0, length)
        self.rows.append(row)
        self._begins.append(self.cache.end - length)
        self._changed(self.cache)
        row.cache = None

    def leave(self, row: Generation, *, keep: bool) -> None:
        """Removes a row; with `keep` it gets a copy of its part of the cache."""
        assert self.cache
        slot, last, end = self.rows.index(row), len(self.rows) - 1, self.cache.end
        if keep:
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

    def copied(self, row: Generation, length: int) -> KVCache:
        """A separate cache with the first `length` tokens of a row."""
        assert self.cache
        slot = self.rows.index(row)
        return self.cache.row(slot, self._begins[slot], length)

    def inputs(self) -> dict[str, Any]:
        """Inputs of a forward pass of one token per row: ids, positions, mask; shape (rows, 1)."""
        assert self.cache
        self._make_room(self.cache, len(self.rows), 0)
        starts, end = self._starts, self.cache.end
        ids = torch.tensor([[row.ids[-1]] for row in self.rows], device=starts.device)
        inputs: dict[str, Any] = {"input_ids": ids, "position_ids": end - starts}
        if len(set(self._begins)) > 1:
            columns = torch.arange(self.cache.start, end + 1, device=starts.device)
            inputs["attention_mask"] = columns >= starts
        return inputs

    def _make_room(self, cache: KVCache, rows: int, length: int) -> None:
        """Reallocates the cache unless it has room for `rows` rows, one of them `length` tokens
        long, plus one more token for each."""
        if rows <= cache.slots and length <= cache.end < cache.columns:
            return
        before, longest = cache.end, max(length, cache.end - cache.start)
        slots = cache.slots if rows <= cache.slots else 2 * cache.slots
        cache.resize(slots, roomy(longest), longest)
        self._begins = [begin + longest - before for begin in self._begins]
        if self.rows:
            self._changed(cache)

    def _changed(self, cache: KVCache) -> None:
        """Updates what is derived from the rows."""
        cache.start = min(self._begins)
        self._starts = torch.tensor(self._begins, device=cache.device).unsqueeze(1)
