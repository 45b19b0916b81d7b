"""One call of `generate` on its way through the engine, and how its chunks get back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from start_sdk.backends._continuation import StopMatcher
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._cache import OneRow
from start_sdk.backends.transformers._memory import CacheMemory, Source
from start_sdk.protocols import Chunk, Sampling


@dataclass(eq=False, slots=True)
class Generation:
    """What the engine knows of a generation. The event loop touches `cancelled` only."""

    ids: list[int]
    """The prefix, then what was sampled. The last one was never read by the model."""
    sampling: Sampling
    matcher: StopMatcher
    left: int
    """Tokens that may still be sampled."""
    key: str | None
    loop: asyncio.AbstractEventLoop
    chunks: asyncio.Queue[Chunk | Exception] = field(default_factory=asyncio.Queue)
    cache: OneRow | None = None
    """A cache of its own; None before it has one, and while it is in the batch."""
    read: int = 0
    """How many of `ids` are in the cache."""
    cached: int | None = None
    """How many of them were there when it began."""
    pending: list[Chunk] = field(default_factory=list)
    """Not delivered yet."""
    cancelled: bool = False

    def begin(self, memory: CacheMemory, others: Iterable[Source]) -> None:
        """Gets a cache, with as much of the prefix in it as can be had."""
        self.cache, self.read = memory.open(self.key, self.ids, others)
        if self.cached is None:
            self.cached = self.read

    def take(self, token: int, logprob: float, tokenizer: HFTokenizer) -> list[Chunk]:
        """The chunks that a sampled token sets free; the last one has a reason at the end."""
        cached = self.cached or 0
        if token in tokenizer.eos_ids:
            end = replace(
                self.matcher.flush(),
                reason="eos",
                matched_ids=(token,),
                matched_text=tokenizer.decode([token]),
                matched_logprobs=(logprob,) if self.sampling.logprobs else None,
                cached=cached,
            )
            return [end]
        self.ids.append(token)
        self.left -= 1
        chunk = self.matcher.push(token, logprob)
        if chunk.reason:
            return [replace(chunk, cached=cached)]
        chunks = [chunk] if chunk.token_ids else []
        if self.left <= 0:
            chunks.append(replace(self.matcher.flush(), reason="length", cached=cached))
        return chunks

    def collect(self) -> Chunk:
        """What is pending, as one chunk."""
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
    """Hands chunks and errors over to the event loops that wait for them, each woken once."""
    for loop in {generation.loop for generation, _ in items}:
        theirs = [item for item in items if item[0].loop is loop]
        try:
            loop.call_soon_threadsafe(_put, theirs)
        except RuntimeError:  # the loop was closed with its generations still open
            for generation, _ in theirs:
                generation.cancelled = True


def _put(items: Sequence[Delivery]) -> None:
    for generation, item in items:
        generation.chunks.put_nowait(item)
