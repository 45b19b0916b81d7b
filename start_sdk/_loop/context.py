"""The growing context of one run: keeps segments, ids, phase and budget consistent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from start_sdk._loop.budget import Budget
from start_sdk._loop.cutting import shorten
from start_sdk._text.inert import inert
from start_sdk._text.reader import Reader
from start_sdk._text.repetition import MAX_PERIOD, Repetition
from start_sdk.formats import Join, ReasoningFormat
from start_sdk.generation import Chunk, Stop
from start_sdk.protocols import Tokenizer
from start_sdk.trace import CallRecord, HintRecord, Notice, Phase, Segment

TAIL = 80
"""Characters before a splice that decide how it is joined."""


class Context:
    """What is in the model's context so far, and who put it there.

    Attributes:
        segments: the finished segments, oldest first; what the model is writing is the draft.
        token_ids: all ids, including the draft's.
        phase: the phase of the next token.
        pending_code: of a block that the loaded segments end with: it was closed, and not run.
    """

    def __init__(
        self, tokenizer: Tokenizer, format: ReasoningFormat, budget: Budget, *, exact: bool = True
    ) -> None:
        self.segments: list[Segment] = []
        self.token_ids: list[int] = []
        self.phase: Phase = "prompt"
        self.budget = budget
        self.pending_code: str | None = None
        self._tokenizer = tokenizer
        self._exact = exact
        self._format = format
        self._draft: list[Chunk | Stop] = []
        self._spliced = 0
        self._length = 0
        self._stale = False  # the reader has read what is not in the context
        self._repetition: Repetition | None = None
        self._counted_from = 0
        self._tail = ""  # the end of what model and hints wrote since the last output
        self._triggers: Sequence[str] = ()
        self._thinking = True

    @property
    def begins(self) -> int:
        """The offset from which something may be inserted: after the tag that opens the thought and
        a character more, if the model writes that tag."""
        prompt = self.segments[0].text
        tag = self._format.think[0] if self._format.think else ""
        return 0 if self._format.opened(prompt, "") else len(prompt) + len(tag) + 1

    @property
    def opened(self) -> bool:
        """Whether the thought has begun, so that something may be inserted into it."""
        return len(self.segments) > 1 or self._length >= self.begins

    def load(self, segments: Sequence[Segment], triggers: Sequence[str]) -> None:
        """Loads the segments of a trace: a prompt, or the start of an earlier run."""
        self._triggers = triggers
        self._thinking = self._format.thinks_after(segments[0].text)
        self.phase = "thinking" if self._thinking else "answer"
        for segment in segments:
            self._add(segment)
        last = segments[-1]
        self._reader = Reader.of(self._format, segments[:-1], triggers, thinking=self._thinking)
        events = self._reader.feed(last.text, source=last.source).events
        self._stale = True
        closed = events[-1] if events and events[-1].at == self._reader.offset else None
        if closed and last.phase == "thinking" and self._format.runs(closed):
            self.pending_code = closed.code

    @property
    def reader(self) -> Reader:
        """A reader of the text so far: a new one after anything was dropped."""
        if self._stale or self._reader.offset != self._length:
            self._reader = Reader.of(
                self._format, self.snapshot(), self._triggers, thinking=self._thinking
            )
            self._stale = False
        return self._reader

    def repetition(self, copies: int | None) -> Repetition | None:
        """A counter that has read the ids so far; None without a limit."""
        if copies is None:
            return None
        counter = self._repetition
        if (
            counter is None
            or self._stale
            or self._counted_from + counter.count > len(self.token_ids)
        ):
            first = max(len(self.segments[0].token_ids), len(self.token_ids) - MAX_PERIOD * copies)
            counter, self._counted_from = Repetition(copies), first
        for token_id in self.token_ids[self._counted_from + counter.count :]:
            counter.add(token_id)
        self._repetition = counter
        return counter

    def abandon(self) -> None:
        """A generation was given up: its watch may have read more than was delivered."""
        self._stale = True

    def sample(self, chunk: Chunk | Stop) -> None:
        """Appends tokens that the model sampled."""
        if not chunk.token_ids:
            return
        self._draft.append(chunk)
        self.token_ids += chunk.token_ids
        self.budget.spend("model", len(chunk.token_ids))
        self._length += len(chunk.text)
        if self.phase == "thinking":
            self._tail = (self._tail + chunk.text)[-TAIL:]

    def drop(self, stops: Sequence[Stop]) -> None:
        """Drops what a generation withheld; something else takes its place."""
        dropped = sum(len(stop.token_ids) for stop in stops)
        self.budget.dropped += dropped
        self._stale |= dropped > 0

    def close(self, stop: Stop) -> None:
        """Appends the end-of-thinking tag, or the end-of-sequence token, which ends the run."""
        self.flush()
        self._add(self._drafted([stop], "close"))

    def open_answer(self) -> None:
        """The answer begins here, without a tag."""
        self.flush()
        self.phase = "answer"

    def flush(self) -> None:
        """Turns the draft into a segment."""
        if self._draft:
            segment, self._draft = self._drafted(self._draft, self.phase), []
            self.segments.append(segment)

    def snapshot(self) -> tuple[Segment, ...]:
        """All segments, including one for the draft."""
        draft = [self._drafted(self._draft, self.phase)] if self._draft else []
        return (*self.segments, *draft)

    async def splice_hint(self, text: str, join: Join, record: HintRecord) -> bool:
        """Inserts a hint after the draft; returns False and changes nothing if it does not fit."""
        text = self._format.joiner(self._tail, join) + self._inert(text)
        ids = await self._encoded(text)
        if len(ids) > self.budget.splice_room("hint"):
            return False
        self._splice(
            Segment(source="hint", text=text, token_ids=tuple(ids), phase="thinking", hint=record)
        )
        return True

    async def splice_output(self, call: CallRecord) -> None:
        """Inserts a cell's output after the draft, cut in the middle if it does not fit."""
        joiner = self._format.joiner(self._tail, "line")
        room = self.budget.splice_room("tool")
        shown, cut, keep = call.output, 0, len(call.output)
        while True:
            spliced = joiner + self._format.show_output(self._inert(shown))
            ids = await self._encoded(spliced)
            surplus = len(ids) - room
            if surplus <= 0 or keep == 0:
                break
            keep = max(0, keep - surplus * len(spliced) // len(ids) - 1)
            shown, cut = shorten(call.output, keep)
        call = call.model_copy(update={"cut": call.cut + cut})
        self._splice(
            Segment(source="tool", text=spliced, token_ids=tuple(ids), phase="thinking", call=call)
        )

    def splice_notice(
        self,
        text: str,
        kind: Notice,
        *,
        join: Join = "line",
        phase: Phase = "thinking",
    ) -> None:
        """Inserts a notice after the draft; one with phase "close" may hold control tokens."""
        text = self._format.joiner(self._tail, join) + text
        ids = tuple(self._tokenizer.encode(text, control=phase == "close"))
        self._splice(Segment(source="notice", text=text, token_ids=ids, phase=phase, notice=kind))

    def encode(self, text: str) -> list[int]:
        """The ids that a text would be spliced in as."""
        return self._tokenizer.encode(text)

    async def _encoded(self, text: str) -> list[int]:
        """The ids of a text, on a thread: the tokenizer may have to ask a server."""
        return await asyncio.to_thread(self._tokenizer.encode, text)

    def _inert(self, text: str) -> str:
        return text if self._exact else inert(text)

    def take_spliced(self) -> int:
        """Returns the number of tokens spliced in since the last call."""
        spliced, self._spliced = self._spliced, 0
        return spliced

    def _splice(self, segment: Segment) -> None:
        self.flush()
        self._spliced += len(segment.token_ids)
        if not self._stale and self._reader.offset == self._length:
            control = segment.phase == "close"
            self._reader.feed(segment.text, control=control, source=segment.source)
            self._reader.thinking = segment.phase == "thinking"
        else:
            self._stale = True
        self._add(segment)

    def _add(self, segment: Segment) -> None:
        self.segments.append(segment)
        self.token_ids += segment.token_ids
        self.budget.add([segment])
        self._length += len(segment.text)
        if segment.source == "tool" or segment.notice == "calls":
            self._tail = ""
        elif segment.source != "prompt":
            self._tail = (self._tail + segment.text)[-TAIL:]
        if segment.phase in ("close", "answer"):
            self.phase = "answer"

    @staticmethod
    def _drafted(chunks: Sequence[Chunk | Stop], phase: Phase) -> Segment:
        return Segment(
            source="model",
            phase=phase,
            text="".join(c.text for c in chunks),
            token_ids=tuple(i for c in chunks for i in c.token_ids),
            logprobs=tuple(p for c in chunks for p in c.logprobs or ()) or None,
        )
