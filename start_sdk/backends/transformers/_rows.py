"""The generations that wait and those that run, and what memory their caches get."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

from start_sdk.backends.transformers._batch import Batch
from start_sdk.backends.transformers._cache import LibraryCache, OneRow
from start_sdk.backends.transformers._generation import Generation, deliver
from start_sdk.backends.transformers._memory import CacheMemory, Source, out_of_memory

SHORT_PASS = 8192
"""Columns that are read in the time that the shortest forward pass takes."""


class Rows:
    """Moves generations between the queue, caches of their own, the batch, and their end.

    Args:
        memory: keeps the caches of paused sessions, and knows what fits beside them.
        weights: bytes of the model's weights.
    """

    def __init__(self, memory: CacheMemory, weights: int) -> None:
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []
        """From the oldest to the youngest."""
        self.batch = Batch()
        self.memory = memory
        self._weights = weights

    def all(self) -> list[Generation]:
        return [*self.waiting, *self.running]

    def fits(self, generation: Generation) -> bool:
        """Whether it can run beside the others.

        Raises:
            MemoryError: it never can.
        """
        return self._fit([*self.running, generation])

    def sources(self) -> Iterator[Source]:
        """Running sequences whose caches can be copied."""
        for row in self.running:
            copied = row.cache.copied if row.cache is not None else partial(self.batch.copied, row)
            yield Source(row.ids, row.read, copied)

    def start(self, generation: Generation) -> None:
        """Notes that its prefix has been read."""
        self.waiting.remove(generation)
        self.running.append(generation)

    def groups(self) -> list[list[Generation]]:
        """Which rows share a forward pass. A single row stays in its own cache, without a copy."""
        together = self._together(self.running)
        for row in [r for r in self.batch.rows if r not in together and self._fits_copy(r)]:
            self._leave(row, keep=True)
            if row.cache is None:
                self._requeue(row)
        joining = [row for row in together if row.cache is not None]
        for row in sorted(joining, key=lambda row: -row.read):  # so that the batch grows once
            try:
                self.batch.join(row, len(together))
            except Exception as error:  # crosses threads: re-raised in the caller's task
                self._requeue(row)
                if not self.freed_memory(error, row):
                    self.fail([row], error)
        alone = [[row] for row in self.running if row.cache is not None]
        return [*([list(self.batch.rows)] if self.batch.rows else []), *alone]

    def _together(self, rows: Sequence[Generation]) -> list[Generation]:
        """Which rows share a forward pass: all of them, but for long ones that are cheaper alone.

        A batch reads as many columns of each row as its longest row has; a forward pass alone
        reads the weights once more, which is counted in columns, too.
        """
        if not self.memory.together or len(rows) < 2:
            return []
        ordered = sorted(rows, key=lambda row: -len(row.ids))
        alone = max(SHORT_PASS, self.memory.columns(self._weights))
        costs = [n * alone + (len(rows) - n) * len(row.ids) for n, row in enumerate(ordered)]
        together = ordered[costs.index(min(costs)) :]
        return together if len(together) > 1 else []

    def park(self, row: Generation) -> None:
        """Removes a row; its session's cache is kept for when the session resumes."""
        if row in self.running:
            self.running.remove(row)
            if row.cache is None:
                self._leave(row, keep=row.key is not None and self._fits_copy(row))
        elif row in self.waiting:
            self.waiting.remove(row)
        if row.key is not None and row.cache is not None and row.read:
            self.memory.keep(row.key, row.ids[: row.read], row.cache)
            self.trim()
        row.cache = None

    def fail(self, rows: Sequence[Generation], error: Exception) -> None:
        """Ends rows with an error. Their caches may be half written, so they are dropped."""
        traceback.clear_frames(error.__traceback__)  # or whoever keeps it keeps the tensors too
        for row in rows:
            row.key = None
            self.batch.wipe(row)
            self.park(row)
        deliver([(row, error) for row in rows])

    def fail_all(self, error: Exception) -> None:
        """Ends all rows with an error, and drops all caches."""
        rows = self.all()
        for row in rows:
            row.key = row.cache = None
        self.waiting.clear()
        self.running.clear()
        self.batch = Batch()
        self.memory.clear()
        deliver([(row, error) for row in rows])

    def preempt(self) -> None:
        """Requeues the youngest rows until the others fit; they are read again later."""
        while rows := [*self.running, *(row for row in self.waiting if row.cache is not None)]:
            try:
                if self._fit(rows):
                    return
            except MemoryError as error:
                self.fail(rows[-1:], error)
                continue
            self._requeue(rows[-1])

    def freed_memory(self, error: Exception, row: Generation) -> bool:
        """Frees memory after an allocation failed, so that the next turn can try again.

        The caches of paused sessions go first. Without any, `row` waits for the others to end.
        """
        if not out_of_memory(error) or self.memory.deterministic:
            return False
        if isinstance(row.cache, LibraryCache):  # some layers may have the tokens, others not
            self._requeue(row)
        if self.memory.clear():
            return True
        if not any(other is not row for other in self.running):
            return False
        self._requeue(row)
        self.memory.lower(self._caches())
        return True

    def trim(self) -> None:
        """Evicts caches of paused sessions until the rest fits."""
        self.memory.trim(self._caches())

    def _requeue(self, row: Generation) -> None:
        """Drops a row's cache; it waits for its turn to be read again."""
        if row in self.running:
            self.running.remove(row)
            for later in self.waiting:  # of the waiting, only the first may hold memory
                later.cache, later.read = None, 0
            self.waiting.appendleft(row)
        if row in self.batch.rows:
            self.batch.leave(row, keep=False)
        row.cache, row.read = None, 0

    def _fit(self, rows: Sequence[Generation]) -> bool:
        columns, copied = self.batch.peak(rows, self._together(rows))
        lengths = [len(row.ids) for row in rows]
        return self.memory.fits(columns, lengths, copied=copied, key=rows[-1].key)

    def _fits_copy(self, row: Generation) -> bool:
        moved = len(self.batch.rows) == 1
        return self.memory.fits_copy(self._caches(), row.read, moved=moved)

    def _leave(self, row: Generation, *, keep: bool) -> None:
        """Takes a row out of the batch, with its cache if that is wanted and possible."""
        try:
            self.batch.leave(row, keep=keep)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self.batch.leave(row, keep=False)

    def _caches(self) -> list[OneRow]:
        caches = [self.batch.cache, *(row.cache for row in self.all())]
        return [cache for cache in caches if cache is not None]
