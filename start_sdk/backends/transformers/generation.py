"""One call of `generate` on its way through the engine, and how its chunks get back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby

from start_sdk.backends.matcher import StopMatcher
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers.cache import OneRow
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
    cancelled: bool = False

    def take(self, token: int, logprob: float, tokenizer: HFTokenizer) -> list[Chunk]:
        """The chunks that a sampled token sets free; the last one has a reason if it was the end."""
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


Delivery = tuple[Generation, Chunk | Exception]


def deliver(items: Iterable[Delivery]) -> None:
    """Hands chunks and errors over to the event loops that wait for them, each woken once."""
    by_loop = sorted(items, key=lambda item: id(item[0].loop))
    for _, group in groupby(by_loop, key=lambda item: id(item[0].loop)):
        batch = list(group)
        try:
            batch[0][0].loop.call_soon_threadsafe(_put, batch)
        except RuntimeError:  # the loop was closed with its generations still open
            for generation, _ in batch:
                generation.cancelled = True


def _put(items: list[Delivery]) -> None:
    for generation, item in items:
        generation.chunks.put_nowait(item)
