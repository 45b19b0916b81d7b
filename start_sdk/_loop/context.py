"""The growing context of one run: keeps segments, ids, phase and budget consistent."""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk._loop.budget import Budget
from start_sdk.errors import ConfigError
from start_sdk.formats import Join, ReasoningFormat
from start_sdk.protocols import Chunk, Tokenizer
from start_sdk.trace import CallRecord, HintRecord, Limit, Phase, Segment, Trace


class Context:
    """What is in the model's context so far, and who put it there.

    Attributes:
        segments: the finished segments, oldest first; what the model is writing is the draft.
        token_ids: all ids, including the draft's.
        phase: the phase of the next token.
        thought: what model and hints wrote since the last output; calls are searched for here.
    """

    def __init__(self, tokenizer: Tokenizer, format: ReasoningFormat, budget: Budget) -> None:
        self.segments: list[Segment] = []
        self.token_ids: list[int] = []
        self.phase: Phase = "prompt"
        self.thought = ""
        self.budget = budget
        self._tokenizer = tokenizer
        self._format = format
        self._draft: list[Chunk] = []
        self._spliced = 0

    @property
    def opened(self) -> bool:
        """Whether the thought has begun, so that something may be inserted into it."""
        more = len(self.segments) > 1
        return more or self._format.opened(self.segments[0].text, self.thought)

    def load(self, segments: Sequence[Segment]) -> None:
        """Loads the segments of a trace: a prompt, or the start of an earlier run."""
        prompt = segments[0]
        self.phase = "thinking" if self._format.thinks_after(prompt.text) else "answer"
        for segment in segments:
            self._add(segment)

    def sample(self, chunk: Chunk) -> None:
        """Appends tokens that the model sampled."""
        if not chunk.token_ids:
            return
        self._draft.append(chunk)
        self.token_ids += chunk.token_ids
        self.budget.spend("model", len(chunk.token_ids))
        if self.phase == "thinking":
            self.thought += chunk.text

    def accept(self, last: Chunk) -> None:
        """Appends the withheld match of a generation; the model continues after it."""
        self.sample(_matched(last))

    def drop(self, last: Chunk) -> None:
        """Drops the withheld match of a generation; a hint takes its place."""
        self.budget.dropped += len(last.matched_ids)

    def end_thinking(self, last: Chunk) -> None:
        """Ends the thought with the withheld tag or, without tags, where a marker begins."""
        self.flush()
        if self._format.think:
            self._close(last)
        self.phase = "answer"

    def end(self, last: Chunk) -> None:
        """Appends the end-of-sequence token, which ends the run."""
        self.flush()
        self._close(last)

    def flush(self) -> None:
        """Turns the draft into a segment."""
        if self._draft:
            segment, self._draft = self._drafted(self._draft, self.phase), []
            self.segments.append(segment)

    def snapshot(self) -> tuple[Segment, ...]:
        """All segments, including one for the draft."""
        draft = [self._drafted(self._draft, self.phase)] if self._draft else []
        return (*self.segments, *draft)

    def splice_hint(self, text: str, join: Join, record: HintRecord) -> bool:
        """Inserts a hint after the draft; returns False and changes nothing if it does not fit."""
        text = self._format.joiner(self.thought, join) + text
        ids = self._tokenizer.encode(text)
        if len(ids) > self.budget.splice_room("hint"):
            return False
        self._splice(
            Segment(source="hint", text=text, token_ids=tuple(ids), phase="thinking", hint=record)
        )
        return True

    def splice_output(self, call: CallRecord) -> None:
        """Inserts a cell's output after the draft, cut in the middle if it does not fit."""
        joiner = self._format.joiner(self.thought, "line")
        room = self.budget.splice_room("tool")
        shown, cut, keep = call.output, 0, len(call.output)
        while True:
            spliced = joiner + self._format.show_output(shown)
            ids = self._tokenizer.encode(spliced)
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
        kind: Limit,
        *,
        join: Join = "line",
        ends_thinking: bool = False,
    ) -> None:
        """Inserts a notice after the draft; one that ends thinking may hold control tokens."""
        text = self._format.joiner(self.thought, join) + text
        ids = tuple(self._tokenizer.encode(text, control=ends_thinking))
        phase: Phase = "close" if ends_thinking else "thinking"
        self._splice(Segment(source="notice", text=text, token_ids=ids, phase=phase, notice=kind))

    def take_spliced(self) -> int:
        """Returns the number of tokens spliced in since the last call."""
        spliced, self._spliced = self._spliced, 0
        return spliced

    def _splice(self, segment: Segment) -> None:
        self.flush()
        self._spliced += len(segment.token_ids)
        self._add(segment)

    def _add(self, segment: Segment) -> None:
        self.segments.append(segment)
        self.token_ids += segment.token_ids
        self.budget.add([segment])
        if segment.source == "tool" or segment.notice == "calls":
            self.thought = ""
        elif segment.source != "prompt":
            self.thought += segment.text
        if segment.phase in ("close", "answer"):
            self.phase = "answer"

    def _close(self, last: Chunk) -> None:
        self._add(self._drafted([_matched(last)], "close"))

    @staticmethod
    def _drafted(chunks: Sequence[Chunk], phase: Phase) -> Segment:
        return Segment(
            source="model",
            phase=phase,
            text="".join(c.text for c in chunks),
            token_ids=tuple(i for c in chunks for i in c.token_ids),
            logprobs=tuple(p for c in chunks for p in c.logprobs or ()) or None,
        )


def _matched(last: Chunk) -> Chunk:
    return Chunk(token_ids=last.matched_ids, text=last.matched_text, logprobs=last.matched_logprobs)


def shorten(text: str, keep: int) -> tuple[str, int]:
    """Returns a text's head and tail, `keep` characters in all, and how many were omitted."""
    cut = len(text) - keep
    if cut <= 0:
        return text, 0
    head = (keep + 1) // 2
    return (
        f"{text[:head]}\n[... {cut} characters left out ...]\n{text[len(text) - keep // 2 :]}",
        cut,
    )


def cut_segments(trace: Trace, at: int, tokenizer: Tokenizer) -> list[Segment]:
    """Returns the first `at` tokens of a trace as segments; only model segments can be split.

    Raises:
        ConfigError: `at` is outside the trace, inside a spliced segment, or after EOS.
    """
    kept: list[Segment] = []
    position = 0
    for segment in trace.segments:
        start, position = position, position + len(segment.token_ids)
        if position <= at:
            kept.append(segment)
        elif start < at:
            if segment.source != "model":
                raise ConfigError(
                    f"at={at} is inside a {segment.source} segment: cut at {start} or {position}"
                )
            ids = trace.token_ids
            text = tokenizer.decode(ids[:at])[len(tokenizer.decode(ids[:start])) :]
            logprobs = segment.logprobs and segment.logprobs[: at - start]
            update = {
                "text": text,
                "token_ids": segment.token_ids[: at - start],
                "logprobs": logprobs,
            }
            kept.append(segment.model_copy(update=update))
    if not kept or at > position:
        first = len(trace.segments[0].token_ids) if trace.segments else 0
        raise ConfigError(
            f"at={at} is outside the trace: its prompt ends at {first}, its text at {position}"
        )
    if kept[-1].token_ids[-1:] and kept[-1].token_ids[-1] in tokenizer.eos_ids and len(kept) > 1:
        raise ConfigError(f"at={at} is after the end-of-sequence token: cut before it, at {at - 1}")
    return kept
