"""What backends share: finding stops in sampled tokens, and the state of one generation.

Servers stop on text and cut it, but not its ids, and some are about to ignore stops inside
thinking; so matching is done here, where ids are at hand. Nothing is released that could still be
the beginning of a stop text, and a match is withheld: whoever asked decides about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

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


@dataclass(frozen=True, slots=True)
class _Unit:
    """The tokens that complete a piece of text: one, or those of a character split over several."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[float, ...] = ()

    def plus(self, token_id: int, text: str, logprob: float) -> _Unit:
        return _Unit((*self.token_ids, token_id), self.text + text, (*self.logprobs, logprob))


class StopMatcher:
    """Takes sampled tokens one by one and gives back chunks that are safe to show.

    Args:
        stream: text that each token completes (see `Tokenizer.stream`).
        decode: text of ids, for a character that is cut off at the end.
        stops: the stop texts; the one that ends first wins, of those the longest.
        logprobs: whether chunks carry the log probabilities they were pushed with.
    """

    def __init__(
        self,
        stream: Callable[[int], str],
        decode: Callable[[Sequence[int]], str],
        stops: Sequence[str],
        *,
        logprobs: bool = False,
    ) -> None:
        self._stream = stream
        self._decode = decode
        self._stops = sorted(filter(None, stops), key=len, reverse=True)
        self._beginnings = frozenset(stop[0] for stop in self._stops)
        self._logprobs = logprobs
        self._held: list[_Unit] = []
        self._open = _Unit()

    def push(self, token_id: int, logprob: float = 0.0) -> Chunk:
        """The chunk that a token sets free; its reason is "stop" if a stop text is complete."""
        unit = self._open.plus(token_id, self._stream(token_id), logprob)
        if not unit.text:
            self._open = unit
            return Chunk()
        self._open = _Unit()
        if not self._held and self._beginnings.isdisjoint(unit.text):  # nearly always
            logprobs = unit.logprobs if self._logprobs else None
            return Chunk(token_ids=unit.token_ids, text=unit.text, logprobs=logprobs)
        self._held.append(unit)
        return self._matched() or self._release(self._safe())

    def flush(self) -> Chunk:
        """All that is held back, when no more tokens come."""
        if self._open.token_ids:
            self._held.append(replace(self._open, text=self._decode(self._open.token_ids)))
            self._open = _Unit()
        return self._release(len(self._held))

    def _matched(self) -> Chunk | None:
        text = "".join(u.text for u in self._held)
        fresh = len(text) - len(self._held[-1].text)
        found: tuple[int, str, int] | None = None
        for stop in self._stops:
            at = text.find(stop, max(0, fresh - len(stop) + 1))
            if at >= 0 and (found is None or at + len(stop) < found[0]):
                found = (at + len(stop), stop, at)
        if found is None:
            return None
        _, stop, at = found
        before = self._release(self._units_before(at))
        matched = self._release(len(self._held))
        return replace(
            before,
            reason="stop",
            stop=stop,
            matched_ids=matched.token_ids,
            matched_text=matched.text,
            matched_logprobs=matched.logprobs,
        )

    def _safe(self) -> int:
        """How many of the held units end before anything that may become a stop text."""
        text = "".join(u.text for u in self._held)
        longest = len(self._stops[0]) if self._stops else 0
        for at in range(max(0, len(text) - longest + 1), len(text)):
            if any(stop.startswith(text[at:]) for stop in self._stops):
                return self._units_before(at)
        return len(self._held)

    def _units_before(self, at: int) -> int:
        """How many of the held units end at or before character `at`."""
        end = count = 0
        for unit in self._held:
            end += len(unit.text)
            if end > at:
                break
            count += 1
        return count

    def _release(self, count: int) -> Chunk:
        units, self._held = self._held[:count], self._held[count:]
        return Chunk(
            token_ids=tuple(i for u in units for i in u.token_ids),
            text="".join(u.text for u in units),
            logprobs=tuple(p for u in units for p in u.logprobs) if self._logprobs else None,
        )
