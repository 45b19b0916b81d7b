"""What engines that sample elsewhere share: the state of one generation as its tokens come in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

from start_sdk.backends.matcher import StopMatcher
from start_sdk.errors import BackendError
from start_sdk.protocols import Backend, Chunk, Sampling


def request_seed(seed: int, position: int) -> int:
    """The seed of a request that continues a prefix of `position` tokens, below 2**31.

    An engine's own generator starts anew with each request: with the session's seed alone, every
    piece of a thought would be drawn with the same noise.
    """
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


class Continuation:
    """Tokens go in as an engine sends them; chunks come out as `Backend.generate` yields them.

    Attributes:
        token_ids: the prefix and all that was taken so far: a lost generation goes on from here.
        left: tokens that may still be sampled.

    Raises:
        BackendError: prefix and `max_tokens` do not fit the backend's context.
    """

    def __init__(
        self,
        backend: Backend,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        stop: Sequence[str],
        max_tokens: int,
    ) -> None:
        tokenizer = backend.tokenizer
        if len(prefix_ids) + max_tokens > backend.max_context:
            raise BackendError(
                f"{backend.capabilities.model}: {len(prefix_ids)} + {max_tokens} tokens do not fit "
                f"a context of {backend.max_context}"
            )
        self.token_ids = list(prefix_ids)
        self.left = max_tokens
        self._tokenizer = tokenizer
        self._logprobs = sampling.logprobs and backend.capabilities.logprobs
        self._matcher = StopMatcher(
            tokenizer.stream(self.token_ids), tokenizer.decode, stop, logprobs=self._logprobs
        )

    def take(self, token_ids: Sequence[int], logprobs: Sequence[float] | None = None) -> Chunk:
        """What these tokens set free; if its chunk has a reason, those behind the end are left."""
        free = Chunk(logprobs=() if self._logprobs else None)
        for token_id, logprob in zip(token_ids, logprobs or repeat(0.0), strict=False):
            free = joined(free, self._push(token_id, logprob))
            if free.reason:
                break
        return free

    def eos(self, token_id: int, logprob: float = 0.0) -> Chunk:
        """The last chunk, of a generation that ended by itself."""
        return replace(
            self._matcher.flush(),
            reason="eos",
            matched_ids=(token_id,),
            matched_text=self._tokenizer.decode([token_id]),
            matched_logprobs=(logprob,) if self._logprobs else None,
        )

    def length(self) -> Chunk:
        """The last chunk, of a generation that ran out of tokens."""
        return replace(self._matcher.flush(), reason="length")

    def _push(self, token_id: int, logprob: float) -> Chunk:
        self.left -= 1
        if token_id in self._tokenizer.eos_ids:
            return self.eos(token_id, logprob)
        self.token_ids.append(token_id)
        chunk = self._matcher.push(token_id, logprob)
        return chunk if chunk.reason or self.left > 0 else joined(chunk, self.length())


def joined(first: Chunk, second: Chunk) -> Chunk:
    """One chunk of two that follow each other; the second may be the last one."""
    return replace(
        second,
        token_ids=first.token_ids + second.token_ids,
        text=first.text + second.text,
        logprobs=None if first.logprobs is None else first.logprobs + (second.logprobs or ()),
    )
