"""For tests of continuations: a tokenizer of given pieces, and watches that follow a script."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from start_sdk import Chunk, Sampling
from start_sdk._text.events import Event, EventKind, Step
from start_sdk._text.reader import Reader
from start_sdk.backends import Continuation
from start_sdk.formats import ReasoningFormat
from start_sdk.generation import Capabilities, Watch
from start_sdk.testing import ScriptedBackend

# fmt: off
PIECES: list[str | bytes] = [
    "a", " Wait", "Wa", "it", "Wait, no", "```", "```python\n", "x\n", "\n```\n", "```\nWait", "\n",
    "</", "think", ">", "</think>\n\n", "$", "\\box", "\\boxed{4}", "x\n```\nWait </think>", "等", "",
    b"\xe7", b"\xad\x89", b"\x89\xe7", b"\xff", b"a\xf0\x9f", b"\x98", "</think>", "<tool>", "<eos>",
]
# fmt: on
EOS = len(PIECES) - 1
CONTROL = frozenset(range(EOS - 2, EOS + 1))


def spelled(token_id: int) -> bytes:
    piece: str | bytes = PIECES[token_id]
    return piece.encode() if isinstance(piece, str) else piece


class Tokens:
    """A tokenizer whose tokens are these pieces, also of characters."""

    eos_ids = frozenset({EOS})
    control_ids = CONTROL
    chat_template = None

    def decode(self, token_ids: Sequence[int]) -> str:
        step = self.stream([])
        decoded = "".join(map(step, token_ids))
        missing = b"".join(map(spelled, token_ids)).decode(errors="replace")
        return decoded + missing[len(decoded) :]

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = ""

        def step(token_id: int) -> str:
            nonlocal text
            text += decoder.decode(b"", final=True) if token_id in CONTROL else ""
            text += decoder.decode(spelled(token_id))
            if decoder.getstate()[0]:
                return ""
            whole, text = text, ""
            return whole

        return step


def backend(max_context: int = 1000, *, logprobs: bool = True) -> ScriptedBackend:
    """A backend of which a continuation takes the tokenizer and the limits."""
    tokenizer: Any = Tokens()  # it never encodes
    made = ScriptedBackend([], tokenizer=tokenizer, max_context=max_context)
    made.capabilities = Capabilities(model="fake", logprobs=logprobs)
    return made


@dataclass
class Script:
    """A watch with events at given characters, that it reports once it has read their ends."""

    events: list[Event]
    offset: int = 7
    read: list[tuple[str, tuple[int, ...], bool]] = field(default_factory=list)

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        self.read.append((text, tuple(token_ids), control))
        self.offset += len(text)
        found = [event for event in self.events if event.end <= self.offset]
        self.events = self.events[len(found) :]
        return Step(tuple(found), min([self.offset, *(event.at for event in self.events)]))

    def finish(self) -> Step:
        return Step(tuple(event for event in self.events if event.at <= self.offset), self.offset)


class Reads:
    """The watch of a reader, which stops at all that it finds."""

    def __init__(self, notation: ReasoningFormat) -> None:
        self._reader = Reader(notation, ("Wait", "等"))
        self._reader.feed("So ")
        self.finish = self._reader.finish

    @property
    def offset(self) -> int:
        return self._reader.offset

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        return self._reader.feed(text, control=control)


def event(kind: EventKind, at: int, length: int) -> Event:
    """An event 7 + `at` characters from the start: what the prefix has comes first."""
    return Event(kind, 7 + at, 7 + at + (0 if kind == "block" else length), kind)


def pushed(
    ids: Sequence[int], watch: Watch | None, room: int = 100, *, end: bool = True
) -> tuple[list[Chunk], int]:
    """What each token releases, up to the last chunk, and how many tokens that took."""
    work = Continuation(backend(), [0], Sampling(logprobs=True), watch, room)
    chunks: list[Chunk] = []
    for i, token_id in enumerate([*ids, EOS] if end else ids):
        chunks.append(work.push(token_id, -float(i)))
        if chunks[-1].reason:
            break
    return chunks, len(chunks)


def ids_of(*pieces: str | bytes) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


def released(*pieces: str | bytes, watch: Watch | None = None) -> list[str]:
    """The text that each token releases, up to the last chunk; at last what is withheld."""
    chunks, _ = pushed(ids_of(*pieces), watch)
    return [chunk.text for chunk in chunks] + [stop.text for stop in chunks[-1].stops]
