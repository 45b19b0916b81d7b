"""What a run looks for while its model generates. Belongs to the thread of the generation."""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk._text.events import Event, Notation, Step
from start_sdk._text.reader import Reader
from start_sdk._text.repetition import Repetition


class LoopWatch:
    """Reads what is sampled, and stops where the run has something to decide.

    Args:
        reader: has read the text so far.
        languages: of the blocks that are run; none without an interpreter.
        final_program: whether a block that the model opened itself, and that ends the text, is its
            answer rather than a call (families without an end tag).
        repetition: counts how often the thought repeats itself; None does not look.
        begins: the offset from which a text may be inserted into the thought.

    Attributes:
        steered: set from outside when a text waits to be inserted; the generation then stops as
            soon as the text is neither in a block nor in a formula.
    """

    def __init__(
        self,
        reader: Reader,
        languages: Sequence[str],
        *,
        final_program: bool,
        repetition: Repetition | None,
        begins: int = 0,
    ) -> None:
        self.steered = False
        self._reader = reader
        self._languages = languages
        self._final_program = final_program
        self._repetition = repetition
        self._begins = begins
        self._thinking = reader.thinking

    @property
    def offset(self) -> int:
        return self._reader.offset

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        """See `Watch.feed`."""
        if self.steered and self._thinking and self._free():
            return Step((self._pause("steer"),), self.offset)  # before this token
        step = self._reader.feed(text, control=control)
        repeats = self._repetition is not None and any(map(self._repetition.add, token_ids))
        if not (step.events or repeats):
            return step
        events = [event for event in step.events if self._stops(event)]
        if repeats and self._thinking:
            events.append(self._pause("repeats"))
        return Step(tuple(events), step.safe)

    def finish(self) -> Step:
        """See `Watch.finish`."""
        events = []
        for event in self._reader.finish().events:
            own_program = event.kind == "block" and self._final_program and not event.hinted
            if not own_program and self._stops(event):
                events.append(event)
        return Step(tuple(events), self.offset)

    def _stops(self, event: Event) -> bool:
        thinking = self._thinking
        if event.kind in ("end", "answer"):
            self._thinking = False
            return True
        if event.kind == "block":
            return thinking and event.text in self._languages and bool(event.code.strip())
        return thinking

    def _free(self) -> bool:
        begun = self.offset >= self._begins
        return begun and not self._reader.in_formula and self._reader.block is None

    def _pause(self, why: str) -> Event:
        return Event("pause", self.offset, self.offset, why)


class ConclusionWatch:
    """Stops where the answer after a concluding text is complete: at the end of its line, where
    the brace or the bold type closes that the text opened, or where its block of code closes.

    Args:
        notation: how the model writes.
        text: the concluding text.
    """

    def __init__(self, notation: Notation, text: str) -> None:
        self._reader = Reader(notation)
        self._reader.feed(text, source="hint")
        self._reader.thinking = False
        self._program = self._reader.block is not None
        self._depth = max(0, text.count("{") - text.count("}"))
        self._boxed = self._depth > 0
        self._bold = text.endswith("**")
        self._last = ""
        self._written = False

    @property
    def offset(self) -> int:
        return self._reader.offset

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        """See `Watch.feed`."""
        start = self._reader.offset
        step = self._reader.feed(text, control=control)
        ends = [e for e in step.events if e.kind == ("block" if self._program else "end")]
        if not ends and not self._program:
            at = self._complete(text)
            ends = [] if at is None else [Event("pause", start + at, start + at, "answered")]
        return Step(tuple(ends[:1]), self._reader.offset)

    def finish(self) -> Step:
        """See `Watch.finish`."""
        return Step((), self.offset)

    def _complete(self, text: str) -> int | None:
        """After how many characters the answer is complete."""
        for i, c in enumerate(text):
            if self._boxed:
                self._depth += (c == "{") - (c == "}")
                if self._depth == 0:
                    return i + 1
            elif self._bold and self._written and self._last + c == "**":
                return i + 1
            elif c == "\n" and self._written:
                return i
            self._last = c
            self._written |= c.isalnum()
        return None
