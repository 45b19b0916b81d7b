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
        self._config, self._limit, self._given = config, limit, limit
        self.deterministic = deterministic
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

    def clear(self) -> bool:
        """Drops the caches of all paused sessions; returns whether there were any."""
        some = bool(self._idle)
        self._idle.clear()
        return some

    @property
    def known(self) -> bool:
        """Whether the size of a token is known."""
        return bool(self._token_bytes)

    def learn(self, cache: OneRow) -> None:
        """Records the bytes per token, from a cache that has been written."""
        if isinstance(cache, KVCache):
            self._token_bytes = cache.nbytes // cache.columns

    def columns(self, nbytes: int) -> int:
        """How many columns of one row have so many bytes; 0 while that is not known."""
        return nbytes // self._token_bytes if self.known else 0

    def fits(self, columns: int, lengths: Sequence[int], *, copied: bool, key: str | None) -> bool:
        """Whether rows can run together, if need be without caches of paused sessions.

        Args:
            columns: how many they need, each in one row.
            lengths: of the rows, in tokens.
            copied: whether some of the columns are copied.
            key: of the row that is to run; its own cache is not evicted.

        Raises:
            MemoryError: a single row does not fit, or (deterministic) nothing may be evicted.
        """
        limit = self._given if len(lengths) == 1 else self._limit
        need = self._token_bytes * columns
        if copied and self._layers:
            need += need // self._layers  # a layer is held twice while it is copied
        if need <= limit and self._make_room(need, limit, key):
            return True
        if len(lengths) > 1 and not self.deterministic:
            return False
        need += self._idle_bytes() if self.deterministic else 0
        raise MemoryError(
            f"{sum(lengths)} tokens need {need // MIB + 1} MiB of cache, but memory_mib is "
            f"{limit // MIB}: raise it, or run shorter or fewer sessions"
        )

    def fits_copy(self, running: Iterable[OneRow], tokens: int, *, moved: bool) -> bool:
        """Whether a row can be copied.

        Args:
            running: all caches but those of paused sessions.
            tokens: the length of the row.
            moved: only a layer at a time, and freed after that.
        """
        copy = self._token_bytes * roomy(tokens)
        if moved and self._layers:
            copy //= self._layers
        need = _nbytes(running) + copy
        return need <= self._limit and self._make_room(need, self._limit)

    def lower(self, running: Iterable[OneRow]) -> None:
        """Notes that the machine gives no more memory than these caches hold.

        A single row may still try to get all of the limit.
        """
        self._limit = min(self._limit, _nbytes(running))

    def restore(self) -> None:
        """Forgets what `lower` noted: others may have had the memory."""
        self._limit = self._given

    def trim(self, running: Iterable[OneRow]) -> None:
        """Evicts caches of paused sessions, least recently used first, until the rest fits."""
        self._make_room(_nbytes(running), self._limit)

    def _make_room(self, need: int, limit: int, own: str | None = None) -> bool:
        """Evicts until `need` bytes fit beside caches of paused sessions, but for that of `own`."""
        others = [key for key in self._idle if key != own]
        left = limit - need - sum(self._idle[key].nbytes for key in others)
        while left < 0 and others and not self.deterministic:
            left += self._idle.pop(others.pop(0)).nbytes
        return left >= 0

    def _idle_bytes(self) -> int:
        return sum(row.nbytes for row in self._idle.values())

    def _most_shared(
        self, ids: list[int], limit: int, others: Iterable[Source]
    ) -> tuple[int, Source | None]:
        if self.deterministic:
            return 0, None
        idle = [Source(r.ids, len(r.ids), r.cache.copied) for r in self._idle.values()]
        lengths = [(shared(s.ids, ids, min(limit, s.read)), s) for s in (*idle, *others)]
        return max(lengths, key=lambda found: found[0], default=(0, None))


def out_of_memory(error: Exception) -> bool:
    """Whether this is a failed allocation; torch has no common class for those of all devices."""
    text = str(error).lower()
    said = any(t in text for t in ("out of memory", "not enough memory", "allocate memory"))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and said)


def _nbytes(caches: Iterable[OneRow]) -> int:
    return sum(cache.nbytes for cache in caches)


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
