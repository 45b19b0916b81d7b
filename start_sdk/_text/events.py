"""What a reader needs to know, and what it finds. Used by whoever reads text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

EventKind = Literal["block", "end", "trigger", "answer", "pause"]


class Notation(Protocol):
    """What a reader knows about a model family (`ReasoningFormat` has it).

    Attributes:
        end_tag: the text that ends a thought; "" for families without one.
        tag_is_token: whether it counts only as the one added token that it is.
        answer_markers: without an end tag, the texts that open the answer.
        languages: languages of the blocks that are run, in lower case.
    """

    @property
    def end_tag(self) -> str: ...

    @property
    def tag_is_token(self) -> bool: ...

    @property
    def answer_markers(self) -> Sequence[str]: ...

    @property
    def languages(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a text says.

    Attributes:
        kind: "block" (closed), "end" (of thinking), "trigger", "answer" (a marker); a watch may add
            a "pause" of its own.
        at: the offset at which something would be inserted because of it.
        end: the offset after what made it.
        text: the trigger, tag or marker; for a block its language, in lower case.
        code: of a block: what is between its fences.
        hinted: of a block: whether a hint opened it.
        in_block: of the end of thinking: whether it came inside an open block.
    """

    kind: EventKind
    at: int
    end: int
    text: str
    code: str = ""
    hinted: bool = False
    in_block: bool = False


class Step(NamedTuple):
    """What a reader makes of a piece of text.

    Attributes:
        events: in order.
        safe: no later event has its `at` before this offset: what precedes it may be shown.
    """

    events: tuple[Event, ...] = ()
    safe: int = 0


class Written(Protocol):
    """A segment of a trace, as far as reading it goes."""

    @property
    def source(self) -> str: ...

    @property
    def phase(self) -> str: ...

    @property
    def text(self) -> str: ...
