"""Cache memory: caches of paused sessions, copies between sessions, and the memory limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from start_sdk.backends.transformers._cache import (
    KVCache,
    LibraryCache,
    OneRow,
    batchable_layers,
    roomy,
)

WORTH_COPYING = 32
"""Shared tokens from which another session's cache is copied. Shorter overlaps are recomputed:
every prompt shares the first words of the chat template."""

MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Idle:
    """The cache of a paused session, and the ids in it."""

    ids: list[int]
    cache: OneRow
    nbytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence whose cache can be copied; the cache holds its first `read` ids."""

    ids: Sequence[int]
    read: int
    copied: Callable[[int], OneRow]
    """Copies the cache, cut to the given number of tokens."""


class CacheMemory:
    """Creates caches, keeps those of paused sessions, and enforces the memory limit.

    Args:
        config: the model's.
        limit: in bytes.
        deterministic: each session fills its own cache, which is never evicted: keys and values
            computed in one pass and in several differ in their last bits.
    """

    def __init__(self, config: Any, *, limit: int, deterministic: bool) -> None:
        self._config, self._limit, self._deterministic = config, limit, deterministic
        self._layers = batchable_layers(config)
        self.together = self._layers is not None and not deterministic
        """Whether rows can run in one batch."""
        self._idle: OrderedDict[str, _Idle] = OrderedDict()
        self._token_bytes = 0

    def open(self, key: str | None, ids: list[int], others: Iterable[Source]) -> tuple[OneRow, int]:
        """The cache that holds most of a prefix, and how many ids it holds: the session's own, a
        copy of another's, or an empty one. At least one id is left to read, for its logits."""
        limit = len(ids) - 1
        own = self._idle.pop(key, None) if key else None
        length = shared(own.ids, ids, limit) if own else 0
        try:
            longest, source = self._most_shared(ids, limit, others)
            if source and longest >= max(length + 1, WORTH_COPYING):
                return source.copied(longest), longest
            if own and length:
                if length < len(own.ids):
                    own.cache.crop(length - len(own.ids))
                return own.cache, length
        except (RuntimeError, NotImplementedError, AttributeError):
            pass  # state-space layers cannot always be cropped
        if self._layers is None:
            return LibraryCache(config=self._config), 0
        return KVCache(self._layers), 0

    def keep(self, key: str, ids: list[int], cache: OneRow) -> None:
        """Keeps the cache of a paused session; it holds `ids`."""
        self._idle.pop(key, None)
        self._idle[key] = _Idle(ids, cache, cache.nbytes)

    def forget(self, key: str) -> None:
        self._idle.pop(key, None)

    def clear(self) -> None:
        self._idle.clear()

    def learn(self, cache: OneRow) -> None:
        """Records the bytes per token, from a cache that has been written."""
        if isinstance(cache, KVCache):
            self._token_bytes = cache.nbytes // cache.columns

    def fits(self, lengths: Sequence[int]) -> bool:
        """Whether rows of these lengths fit into memory together.

        Raises:
            MemoryError: a single row does not fit, or (deterministic) nothing may be evicted.
        """
        columns = len(lengths) * max(lengths) if self.together else sum(lengths)
        need = self._token_bytes * roomy(columns)
        if self._deterministic:
            need += self._idle_bytes()
        if need > self._limit and (len(lengths) == 1 or self._deterministic):
            raise MemoryError(
                f"{columns} tokens need {need // MIB + 1} MiB of cache, but memory_mib is "
                f"{self._limit // MIB}: raise it, or run shorter or fewer sessions"
            )
        return need <= self._limit

    def trim(self, running: Iterable[OneRow]) -> None:
        """Evicts caches of paused sessions, least recently used first, until the rest fits."""
        if self._deterministic:
            return
        left = self._limit - sum(cache.nbytes for cache in running)
        while self._idle and self._idle_bytes() > left:
            self._idle.popitem(last=False)

    def _idle_bytes(self) -> int:
        return sum(row.nbytes for row in self._idle.values())

    def _most_shared(
        self, ids: list[int], limit: int, others: Iterable[Source]
    ) -> tuple[int, Source | None]:
        if self._deterministic:
            return 0, None
        idle = [Source(r.ids, len(r.ids), r.cache.copied) for r in self._idle.values()]
        lengths = [(shared(s.ids, ids, min(limit, s.read)), s) for s in (*idle, *others)]
        return max(lengths, key=lambda found: found[0], default=(0, None))


def shared(a: Sequence[int], b: Sequence[int], limit: int) -> int:
    """Length of the common prefix of two lists of ids, at most `limit`.

    A binary search over slice comparisons, which is fast in Python.
    """
    same, end = 0, min(len(a), len(b), limit)
    while same < end:
        middle = (same + end + 1) // 2
        if a[same:middle] == b[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same
