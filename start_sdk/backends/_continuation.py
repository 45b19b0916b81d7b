"""What all backends share: sampled ids go in, in order; chunks come out as `generate` yields them.

A continuation alone decodes, asks the watch, and withholds. An engine's own stops are never used:
servers cut text but not ids, do not say what matched, or ignore stops inside thinking.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from start_sdk._text.events import Event
from start_sdk.errors import BackendError
from start_sdk.generation import Chunk, Sampling, Stop, Watch
from start_sdk.protocols import Backend


def request_seed(seed: int, position: int) -> int:
    """The seed of a request that continues a prefix of `position` tokens, below 2**31.

    An engine's own generator starts anew with each request: with the session's seed alone, every
    piece of a thought would be drawn with the same noise.
    """
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, slots=True)
class _Unit:
    """The tokens that complete a piece of text: one, or those of a character split over several."""

    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...]
    end: int
    """Characters sampled up to here, this unit included."""

    @property
    def start(self) -> int:
        return self.end - len(self.text)


class Continuation:
    """The state of one generation.

    Args:
        backend: whose generation it is; its tokenizer and its limits hold.
        prefix_ids: what is continued.
        sampling: whether log probabilities are wanted.
        watch: reads the text as it is sampled, and says where to stop; None never stops.
        max_tokens: tokens that may be sampled.

    Attributes:
        token_ids: the prefix and all that was sampled so far: a lost stream resumes from here.
        left: tokens that may still be sampled.

    Raises:
        BackendError: prefix and `max_tokens` do not fit the backend's context.
    """

    def __init__(
        self,
        backend: Backend,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        watch: Watch | None,
        max_tokens: int,
    ) -> None:
        name, room = backend.capabilities.model, backend.max_context
        if not prefix_ids or max_tokens < 1:
            raise BackendError(
                f"{name}: a prefix of {len(prefix_ids)} tokens and max_tokens={max_tokens}: "
                "both must be at least 1"
            )
        if len(prefix_ids) + max_tokens > room:
            raise BackendError(
                f"{name}: {len(prefix_ids)} + {max_tokens} tokens do not fit a context of {room}"
            )
        self.token_ids = list(prefix_ids)
        self.left = max_tokens
        self._tokenizer = tokenizer = backend.tokenizer
        self._eos_ids, self._control_ids = tokenizer.eos_ids, tokenizer.control_ids
        self._decode = tokenizer.stream(self.token_ids)
        self._logprobs = sampling.logprobs and backend.capabilities.logprobs
        self._watch = watch
        self._base = watch.offset if watch else 0
        self._end = 0
        self._open: list[tuple[int, float]] = []
        self._held: list[_Unit] = []

    def push(self, token_id: int, logprob: float = 0.0) -> Chunk:
        """What a sampled token releases; with a reason if the generation ends with it."""
        self.left -= 1
        if token_id in self._eos_ids:
            return self.eos(token_id, logprob)
        self.token_ids.append(token_id)
        text = self._decode(token_id)
        chunk = Chunk(logprobs=() if self._logprobs else None)
        control = token_id in self._control_ids
        if control and self._open:  # a character that is never finished
            tag = self._tokenizer.decode([token_id])
            chunk, text = self._complete(text.removesuffix(tag), control=False), tag
        self._open.append((token_id, logprob))
        if text and not chunk.reason:
            chunk = joined(chunk, self._complete(text, control=control))
        if not chunk.reason and self.left <= 0:
            return joined(chunk, self.length())
        return chunk

    def take(self, token_ids: Sequence[int], logprobs: Sequence[float] | None = None) -> Chunk:
        """What several tokens release; those after the end of the generation are discarded."""
        released = Chunk(logprobs=() if self._logprobs else None)
        for i, token_id in enumerate(token_ids):
            released = joined(released, self.push(token_id, logprobs[i] if logprobs else 0.0))
            if released.reason:
                break
        return released

    def eos(self, token_id: int, logprob: float = 0.0) -> Chunk:
        """The last chunk, of a generation that ended by itself."""
        chunk = self._flush()
        if chunk.reason:
            return chunk
        events = self._watch.finish().events if self._watch else ()
        text = self._tokenizer.decode([token_id])
        last = self._stop(None, [_Unit((token_id,), text, (logprob,), self._end)])
        return replace(chunk, reason="eos", stops=(*map(Stop, events), last))

    def length(self) -> Chunk:
        """The last chunk, of a generation that ran out of tokens."""
        chunk = self._flush()
        return chunk if chunk.reason else replace(chunk, reason="length")

    def _complete(self, text: str, *, control: bool) -> Chunk:
        """A piece of text is complete: asks the watch about it."""
        opened, self._open = self._open, []
        self._end += len(text)
        ids, logprobs = zip(*opened, strict=True)
        unit = _Unit(ids, text, logprobs, self._end)
        if self._watch is None:
            return self._chunk([unit])
        step = self._watch.feed(text, ids, control=control)
        if not step.events and not self._held and step.safe - self._base >= self._end:
            return self._chunk([unit])  # nearly always
        self._held.append(unit)
        events = [e for e in step.events if self._counts(e)]
        if events:
            held, self._held = self._held, []
            first = self._cut(events[0], held)
            return replace(
                self._chunk(held[:first]),
                reason="stop",
                stops=tuple(self._stops(events, held[first:])),
            )
        return self._release(step.safe - self._base)

    def _counts(self, event: Event) -> bool:
        """A trigger that ends inside a token is passed over: nothing can be inserted after it."""
        at = event.at - self._base
        borders = {unit.end for unit in self._held} | {self._held[0].start}
        return event.kind != "trigger" or at in borders

    def _cut(self, event: Event, units: Sequence[_Unit]) -> int:
        """How many units stay before an event: a block ends with the token that reaches past it,
        whatever else begins inside a token is withheld with that token."""
        at = event.at - self._base
        if event.kind == "block":
            return sum(unit.start < at for unit in units)
        return sum(unit.end <= at for unit in units)

    def _stops(self, events: Sequence[Event], units: Sequence[_Unit]) -> list[Stop]:
        """Each event with the tokens from where it is to where the next one is."""
        cuts = [*accumulate((self._cut(event, units) for event in events), max)]
        ends = [*cuts[1:], len(units)]
        return [
            self._stop(event, units[first:last])
            for event, first, last in zip(events, cuts, ends, strict=True)
        ]

    def _stop(self, event: Event | None, units: Sequence[_Unit]) -> Stop:
        chunk = self._chunk(units)
        return Stop(event, chunk.token_ids, chunk.text, chunk.logprobs)

    def _release(self, safe: int) -> Chunk:
        count = sum(unit.end <= safe for unit in self._held)
        released, self._held = self._held[:count], self._held[count:]
        return self._chunk(released)

    def _flush(self) -> Chunk:
        """All that is held back, when no more tokens come."""
        chunk = Chunk(logprobs=() if self._logprobs else None)
        if self._open:
            text = self._tokenizer.decode([token_id for token_id, _ in self._open])
            chunk = self._complete(text, control=False)
        return chunk if chunk.reason else joined(chunk, self._release(self._end))

    def _chunk(self, units: Sequence[_Unit]) -> Chunk:
        return Chunk(
            token_ids=tuple(i for unit in units for i in unit.token_ids),
            text="".join(unit.text for unit in units),
            logprobs=tuple(p for u in units for p in u.logprobs) if self._logprobs else None,
        )


def finite(logprob: float) -> float:
    """A log probability as a server sent it. Raises ValueError if it is none."""
    if not math.isfinite(found := float(logprob)):
        raise ValueError(f"a log probability is {logprob}")
    return found


def joined(first: Chunk, second: Chunk) -> Chunk:
    """One chunk of two consecutive ones; the second may be the last one."""
    return replace(
        second,
        token_ids=first.token_ids + second.token_ids,
        text=first.text + second.text,
        logprobs=None if first.logprobs is None else first.logprobs + (second.logprobs or ()),
    )
