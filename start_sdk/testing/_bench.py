"""A backend under test, and short ways to generate with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from start_sdk.formats import detect
from start_sdk.generation import Chunk, Sampling
from start_sdk.protocols import Backend
from start_sdk.testing._watch import StopsAt

GREEDY = Sampling(temperature=0)
TOKENS = 24
"""Tokens sampled by most checks."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The result of one generation."""

    token_ids: list[int]
    text: str
    last: Chunk
    logprobs: list[float] | None


class Bench:
    """A backend under test, with a prefix that ends inside a thought."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.capabilities = backend.capabilities
        self.prefix = self.prompt("What is 2 + 2?")

    def prompt(self, question: str) -> list[int]:
        """Ids of a prompt with an open thought, opened here unless the template opens it, or the
        backend cannot continue what was begun."""
        tokenizer = self.backend.tokenizer
        ids = tokenizer.render([{"role": "user", "content": question}])
        if not self.capabilities.can_continue:
            return ids
        think = detect(tokenizer).think
        if think and not tokenizer.decode(ids).rstrip().endswith(think[0]):
            ids = ids + tokenizer.encode(f"{think[0]}\n", control=True)
        return ids

    async def generate(
        self,
        prefix: Sequence[int] | None = None,
        stop: str = "",
        n: int = TOKENS,
        sampling: Sampling = GREEDY,
        key: str | None = None,
    ) -> Generated:
        ids: list[int] = []
        logprobs: list[float] = []
        text, last = "", Chunk()
        prefix = self.prefix if prefix is None else prefix
        watch = StopsAt(stop) if stop else None
        stream = self.backend.generate(prefix, sampling, watch=watch, max_tokens=n, key=key)
        async with aclosing(stream):
            async for last in stream:
                ids += last.token_ids
                text += last.text
                logprobs += last.logprobs or ()
        has_logprobs = last.logprobs is not None
        return Generated(ids, text, last, logprobs if has_logprobs else None)

    def comparable(self, token_ids: Sequence[int]) -> list[int] | str:
        """What the checks compare: ids, or their text if the backend only receives text."""
        ids = list(token_ids)
        return ids if self.capabilities.exact else self.backend.tokenizer.decode(ids)
