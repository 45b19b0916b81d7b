"""Several backends of one model as one: each session stays with the one that has its cache."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from start_sdk.errors import ConfigError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.protocols import Backend, Tokenizer

_SAMPLE = "Wait, 12 * 7 = 84.\n```python\nprint('é')\n```\n"
"""Text that two tokenizers hardly ever encode alike."""


class Replicas:
    """Spreads sessions over backends that run the same model, such as servers on several machines.

    A session goes to the backend with the fewest sessions, and stays there until it is released:
    its cache is there. What one backend cannot do, all together cannot.

    Args:
        backends: at least one. They are closed with this one.

    Raises:
        ConfigError: there is none, one is an address, or they do not run the same model.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        if not backends:
            raise ConfigError("replicas: at least one backend is needed")
        if isinstance(backends, str) or any(isinstance(one, str) for one in backends):
            raise ConfigError(
                "replicas are open backends, not addresses: open_backend(model, servers=[...]) "
                "opens one for each address"
            )
        self._backends = tuple(backends)
        self._homes: dict[str, int] = {}
        """The backend of each session, by key."""
        self._busy = Counter[int]()
        """Generations of each backend that have no key."""
        self._check()

    def _check(self) -> None:
        first, *others = self._backends
        for other in others:
            one, two = first.capabilities, other.capabilities
            if one.model != two.model or one.exact != two.exact:
                raise ConfigError(
                    f"replicas run one model in one way: {one.model!r} ({one.note}) and "
                    f"{two.model!r} ({two.note}) differ"
                )
            if first.tokenizer.encode(_SAMPLE) != other.tokenizer.encode(_SAMPLE):
                raise ConfigError(f"replicas of {one.model!r} have different tokenizers")

    @property
    def tokenizer(self) -> Tokenizer:
        return self._backends[0].tokenizer

    @property
    def max_context(self) -> int:
        return min(backend.max_context for backend in self._backends)

    @property
    def capabilities(self) -> Capabilities:
        each = [backend.capabilities for backend in self._backends]
        return replace(
            each[0],
            logprobs=all(one.logprobs for one in each),
            seeded=all(one.seeded for one in each),
            can_continue=all(one.can_continue for one in each),
            lacks=frozenset().union(*(one.lacks for one in each)),
            note=f"{len(each)} replicas: {each[0].note}",
        )

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`."""
        home = self._home(key)
        self._busy[home] += key is None
        stream = self._backends[home].generate(
            prefix_ids, sampling, watch=watch, max_tokens=max_tokens, key=key
        )
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    yield chunk
        finally:
            self._busy[home] -= key is None

    def _home(self, key: str | None) -> int:
        """The backend of a session: where it was before, else the one with the fewest."""
        if key in self._homes:
            return self._homes[key]
        load = self._busy + Counter(self._homes.values())
        home = min(range(len(self._backends)), key=lambda number: load[number])
        if key is not None:
            self._homes[key] = home
        return home

    async def release(self, key: str) -> None:
        """Releases a session where it is."""
        if (home := self._homes.pop(key, None)) is not None:
            await self._backends[home].release(key)

    async def reset_cache(self) -> None:
        """Drops the caches of all."""
        await asyncio.gather(*(backend.reset_cache() for backend in self._backends))

    async def aclose(self) -> None:
        """Closes all backends. Idempotent."""
        await asyncio.gather(*(backend.aclose() for backend in self._backends))
