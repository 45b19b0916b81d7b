"""Several backends of one model as one: each session stays with the one that has its cache."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from start_sdk.backends._address import check_limits
from start_sdk.errors import BackendError, ConfigError, Interrupted
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.protocols import Backend, Message, Tokenizer

_SAMPLE = "Wait, 12 * 7 = 84.\n```python\nprint('é')\n```\n"
"""Text that two tokenizers hardly ever encode alike."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds for which a backend that failed is left alone. The pause doubles until it works again."""


class Replicas:
    """Spreads sessions over backends that run the same model, such as servers on several machines.

    A session goes to the backend with the fewest sessions, and stays there until it is released:
    its cache is there. What one backend cannot do, all together cannot.

    A backend that fails, with an error that is `transient`, gets no new session for a while, and
    each of its sessions continues on another one when its own generation fails. So the backends
    should not retry for long by themselves. If all fail, they are tried again.

    Args:
        backends: at least one. They are closed with this one.
        retry_seconds: how long a generation keeps trying while all backends fail.
        clock: returns seconds; it measures pauses.

    Raises:
        ConfigError: there is none, one is an address, they do not run the same model, or
            `retry_seconds` is below 0.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        *,
        retry_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not backends:
            raise ConfigError("replicas: at least one backend is needed")
        if isinstance(backends, str) or any(isinstance(one, str) for one in backends):
            raise ConfigError(
                "replicas are open backends, not addresses: open_backend(model, servers=[...]) "
                "opens one for each address"
            )
        check_limits(retry_seconds=retry_seconds)
        self._backends = tuple(backends)
        self._health = _Health(len(backends), retry_seconds, clock)
        self._homes: dict[str, int] = {}
        """The backend of each session, by key."""
        self._busy = Counter[int]()
        """Generations of each backend that have no key."""
        self._check()
        self._tokenizer = _SharedTokenizer([one.tokenizer for one in backends], self._health)

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
        return self._tokenizer

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
        """See `Backend.generate`.

        Raises:
            Interrupted: the backend failed in the middle of the text; generate again, with what it
                delivered as the prefix, and another one continues.
            BackendError: all backends failed, or one in a way that another try does not mend.
        """
        offset, deadline = watch.offset if watch else 0, self._health.deadline()
        while True:  # terminates: a backend works, or all of them fail up to the deadline
            home, delivered = self._home(key), False
            self._busy[home] += key is None
            self._health.begins(home)
            stream = self._backends[home].generate(
                prefix_ids, sampling, watch=watch, max_tokens=max_tokens, key=key
            )
            try:
                async with aclosing(stream):
                    async for chunk in stream:
                        if not delivered:
                            self._health.works(home)
                        delivered = True
                        yield chunk
                return
            except BackendError as error:
                pause = self._health.failed(home, error, deadline)
                if key is not None:
                    await self.release(key)
                if delivered or (watch and watch.offset > offset):  # it has read what is lost
                    raise Interrupted(str(error)) from error
            finally:
                self._busy[home] -= key is None
            await asyncio.sleep(pause)

    def _home(self, key: str | None) -> int:
        """The backend of a session: where it was before, else the one with the fewest."""
        if key in self._homes:
            return self._homes[key]
        load = self._busy + Counter(self._homes.values())
        home = self._health.choice([load[number] for number in range(len(self._backends))])
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


class _Health:
    """Which backends work, as far as is known. Threads may share it."""

    def __init__(self, count: int, retry_seconds: float, clock: Callable[[], float]) -> None:
        self._retry_seconds, self._clock = retry_seconds, clock
        self.pauses = [0.0] * count
        """Seconds for which each backend was left alone; 0 while it works."""
        self._due = [-math.inf] * count
        """When each backend may be tried again: in the future while it is left alone."""

    def deadline(self) -> float:
        """Until when something that begins now is tried, if all fail."""
        return self._clock() + self._retry_seconds

    def choice(self, load: Sequence[float]) -> int:
        """The backend with the least load, of those that are not left alone; if all are, the one
        that may be tried first."""
        now = self._clock()
        ranks = [(max(now, due), load[number]) for number, due in enumerate(self._due)]
        return ranks.index(min(ranks))

    def begins(self, number: int) -> None:
        """A generation begins: after a pause a single one tries whether the backend works."""
        if self.pauses[number] and self._due[number] <= self._clock():
            self._leave_alone(number)

    def works(self, number: int) -> None:
        """A backend has answered."""
        self.pauses[number], self._due[number] = 0.0, -math.inf

    def failed(self, number: int, error: BackendError, deadline: float) -> float:
        """A backend has failed: returns the seconds until another one, or it again, may be tried.

        Raises:
            BackendError: the error itself: no other try helps, or the deadline is over by then.
        """
        if not error.transient:
            raise error
        now = self._clock()
        if self._due[number] <= now:  # else another caller noticed before
            self._leave_alone(number)
        self._due[number] = max(self._due[number], now + (error.retry_after or 0.0))
        pause = max(0.0, min(self._due) - now)
        if pause and now + pause > deadline:
            raise error
        return pause

    def _leave_alone(self, number: int) -> None:
        pause = min(2 * self.pauses[number], LONGEST_PAUSE) or FIRST_PAUSE
        self.pauses[number], self._due[number] = pause, self._clock() + pause


class _SharedTokenizer:
    """The tokenizers of several backends as one: that of a server has to ask it."""

    def __init__(self, each: Sequence[Tokenizer], health: _Health) -> None:
        self._each, self._health = each, health

    @property
    def eos_ids(self) -> Collection[int]:
        return self._each[0].eos_ids

    @property
    def control_ids(self) -> Collection[int]:
        return self._each[0].control_ids

    @property
    def chat_template(self) -> str | None:
        return self._each[0].chat_template

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        return self._asked(lambda one: one.encode(text, control=control))

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._each[0].decode(token_ids)

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        return self._each[0].stream(prefix_ids)

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        return self._asked(lambda one: one.render(messages, template))

    def _asked(self, question: Callable[[Tokenizer], list[int]]) -> list[int]:
        deadline = self._health.deadline()
        while True:  # terminates: as `Replicas.generate`
            number = self._health.choice(self._health.pauses)  # none that may hang
            try:
                return question(self._each[number])
            except BackendError as error:
                time.sleep(self._health.failed(number, error, deadline))
