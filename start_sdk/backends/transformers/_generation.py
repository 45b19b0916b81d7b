"""One call of `generate` inside the engine, and the delivery of its chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from start_sdk.backends._continuation import Continuation
from start_sdk.backends.transformers._cache import OneRow
from start_sdk.backends.transformers._memory import CacheMemory, Source
from start_sdk.generation import Chunk, Sampling


@dataclass(eq=False, slots=True)
class Generation:
    """The engine's state of a generation. The event loop only touches `cancelled`."""

    work: Continuation
    """Decodes, asks the watch and withholds; its `token_ids` are the prefix and the sampled ids, of
    which the model has not read the last one yet."""
    sampling: Sampling
    key: str | None
    loop: asyncio.AbstractEventLoop
    chunks: asyncio.Queue[Chunk | Exception] = field(default_factory=asyncio.Queue)
    cache: OneRow | None = None
    """Its own cache; None until it has one, and while it is in the batch."""
    read: int = 0
    """How many of `ids` are in the cache."""
    cached: int | None = None
    """How many of them were in a cache when the generation began."""
    pending: list[Chunk] = field(default_factory=list)
    """Not delivered yet."""
    cancelled: bool = False

    def begin(self, memory: CacheMemory, others: Iterable[Source]) -> None:
        """Gets a cache that already holds as much of the prefix as possible."""
        self.cache, self.read = memory.open(self.key, self.ids, others)
        if self.cached is None:
            self.cached = self.read

    @property
    def ids(self) -> list[int]:
        return self.work.token_ids

    def take(self, token: int, logprob: float) -> None:
        """Takes a sampled token: what it releases is pending; the last chunk has a reason."""
        chunk = self.work.push(token, logprob)
        if chunk.reason:
            self.pending.append(replace(chunk, cached=self.cached or 0))
        elif chunk.token_ids:
            self.pending.append(chunk)

    def collect(self) -> Chunk:
        """The pending chunks as one."""
        chunks, self.pending = self.pending, []
        logprobs = [p for chunk in chunks for p in chunk.logprobs or ()]
        return replace(
            chunks[-1],
            token_ids=tuple(i for chunk in chunks for i in chunk.token_ids),
            text="".join(chunk.text for chunk in chunks),
            logprobs=tuple(logprobs) if self.sampling.logprobs else None,
        )


Delivery = tuple[Generation, Chunk | Exception]


def deliver(items: Sequence[Delivery]) -> None:
    """Delivers chunks and errors to the event loops that await them, waking each loop once."""
    for loop in {generation.loop for generation, _ in items}:
        theirs = [item for item in items if item[0].loop is loop]
        try:
            loop.call_soon_threadsafe(_put, theirs)
        except RuntimeError:  # the loop was closed while its generations were still open
            for generation, _ in theirs:
                generation.cancelled = True


def _put(items: Sequence[Delivery]) -> None:
    for generation, item in items:
        generation.chunks.put_nowait(item)
