r"""A slow reading of a whole text, which the reader has to agree with.

It is written from the rules, not from the reader: it has the whole text at once, goes from border to
border, paragraph to paragraph and line to line, and decides each line from the beginning of its block
or paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from text.grammar import STRING_LINES, closes, formulas, opens, quoted, separates, unfinished_string

from start_sdk._text.events import Event, Notation


@dataclass(frozen=True)
class Piece:
    text: str
    source: str = "model"
    control: bool = False


class Reference:
    def __init__(
        self,
        notation: Notation,
        triggers: Sequence[str],
        pieces: Sequence[Piece],
        *,
        thinking: bool = True,
    ) -> None:
        self.notation, self.triggers = notation, [t for t in triggers if t]
        self.markers = () if notation.end_tag else tuple(notation.answer_markers)
        self.text = "".join(piece.text for piece in pieces)
        self.stretches: list[tuple[int, int, str]] = []
        self.control_tags: list[tuple[int, int]] = []
        self.left: int | None = None if thinking else 0
        self.events: list[Event] = []
        end = 0
        for piece in pieces:
            start, end = end, end + len(piece.text)
            if self.stretches and self.stretches[-1][2] == piece.source:
                start, _, _ = self.stretches.pop()
            self.stretches.append((start, end, piece.source))
            if piece.control and piece.source == "model" and piece.text == notation.end_tag:
                self.control_tags.append((end - len(piece.text), end))

    def read(self) -> list[Event]:
        prefix, run = "", 0
        for start, end, source in self.stretches:
            if source not in ("model", "hint"):
                self._read_run(run, start, prefix)
                prefix, run, self.left = self.text[start:end].rpartition("\n")[2], end, None
        self._read_run(run, len(self.text), prefix)
        return self.events

    # What is known about places in the text

    def _stretch(self, at: int) -> tuple[int, int, str]:
        """The stretch of one source that the character before a place is in."""
        return next(s for s in self.stretches if s[0] < at <= s[1])

    def _thinks(self, at: int) -> bool:
        hints = [start for start, _, source in self.stretches if source == "hint"]
        return self.left is None or any(self.left <= start < at for start in hints)

    def _tags(self, start: int, end: int) -> list[tuple[int, int]]:
        tag = self.notation.end_tag
        if not tag:
            return []
        found = list(self.control_tags)
        if not self.notation.tag_is_token:
            for a, b, source in self.stretches:
                matches = re.compile(re.escape(tag)).finditer(self.text, a, b)
                found += [match.span() for match in matches if source == "model"]
        return sorted({(a, b) for a, b in found if start <= a and b <= end})

    def _hinted(self, line_start: int, line_end: int, within: tuple[str, str] | None) -> bool:
        """Whether a hint opened the block that a line opens: it ended the line, or its text ends in
        the line and had opened the block by then."""
        if self._stretch(line_end)[2] == "hint":
            return True
        ends = [b for _, b, s in self.stretches if s == "hint" and line_start < b < line_end]
        if not ends:
            return False
        written = opens(self._prefixed(line_start, ends[-1]))
        same = written and (within is None or (written[1] and written[0].startswith(within[0])))
        return bool(same)

    def _prefixed(self, line_start: int, end: int) -> str:
        return (self.prefix if line_start == self.section else "") + self.text[line_start:end]

    # Readings

    def _read_run(self, start: int, end: int, prefix: str) -> None:
        """What model and hints wrote between two outputs."""
        self.run, self.run_end = start, end
        while start < end:
            tag = next(iter(self._tags(start, end)), None)
            limit = tag[0] if tag else end
            self.section, self.prefix = start, prefix
            left = self._read_section(start, limit, tag)
            start, prefix = (tag[1] if tag else end) if left is None else left, ""

    def _read_section(self, start: int, limit: int, tag: tuple[int, int] | None) -> int | None:
        """From one border to the next; returns where an answer marker ended it, if one did."""
        at, block, closed = start, None, False
        while at < limit:
            closed = block is not None
            if block is None:
                at, block, left = self._read_paragraph(at, limit)
                if left is not None:
                    self.left = left
                    if left < at:
                        return left
            else:
                at, block = self._read_block(at, limit, block, tag)
        if tag:
            closed &= block is None  # by the fence that the tag follows
            in_block = not closed and bool(block or opens(self._unfinished_line(start, limit)))
            text = self.notation.end_tag
            self.events.append(Event("end", tag[0], tag[1], text, in_block=in_block))
            self.left = tag[1]
        return None

    def _unfinished_line(self, start: int, limit: int) -> str:
        return self._prefixed(max(start, self.text.rfind("\n", 0, limit) + 1), limit)

    def _lines(self, start: int, limit: int) -> Iterator[tuple[int, int]]:
        while start < limit:
            end = self.text.find("\n", start, limit) + 1 or limit
            yield start, end
            start = end

    def _read_paragraph(
        self, start: int, limit: int
    ) -> tuple[int, tuple[str, str, bool] | None, int | None]:
        """Returns where the paragraph ends, the block that its last line opens, and where an
        answer marker in it ended the thought."""
        lines, block, ended = [], None, False
        for line_start, line_end in self._lines(start, limit):
            lines.append((line_start, line_end))
            line = self._prefixed(line_start, line_end)
            if line[-1:] == "\n":
                opened = opens(line[:-1])
                if opened:
                    block = (*opened, self._hinted(line_start, line_end, None))
                ended = bool(opened) or not line.strip()
            if ended:
                break
        end = lines[-1][1]
        spans = [(a + start, b + start) for a, b in formulas(self.text[start:end])]
        leave = self._leave(start, end, spans, closed=ended)
        prose = [(a, min(b, end) if ended else b) for a, b in spans]
        last = end - bool(block) if leave is None else leave.end - 1
        for line_start, line_end in lines:
            for at in range(line_start + 1, min(line_end, last) + 1):
                self._read_trigger(at, line_start, prose)
        if leave is None:
            return end, block, None
        in_block = bool(opens(self._unfinished_line(self.section, leave.at)))
        self.events.append(replace(leave, in_block=in_block))
        # After the last line of a paragraph there is nothing left to read of it.
        return (end, block, leave.end) if leave.end == end else (end + 1, None, leave.end)

    def _leave(
        self, start: int, end: int, spans: list[tuple[int, float]], *, closed: bool
    ) -> Event | None:
        """The answer that opens in a paragraph."""
        waiting: dict[float, Event] = {}
        for at in range(start + 1, end + 1):
            a, _, source = self._stretch(at)
            if at in waiting and self._same_source(waiting[at].end, at):
                return Event("answer", at, at, waiting[at].text)
            if source != "model" or not self._thinks(at):
                continue
            for marker in self.markers:
                if self.text[max(a, start) : at].endswith(marker):
                    inside = [s for s in spans if s[0] <= at < s[1]]
                    if not inside:
                        return Event("answer", at - len(marker), at, marker)
                    waiting[inside[0][1]] = Event("answer", at, at, marker)
        never = waiting.get(float("inf"))
        # A formula ends with its paragraph, or with the text.
        if never and (closed or end == len(self.text)) and self._same_source(never.end, end):
            return Event("answer", end, end, never.text)
        return None

    def _same_source(self, first: int, last: int) -> bool:
        return self._stretch(first) == self._stretch(last)

    def _read_trigger(self, at: int, line_start: int, spans: list[tuple[int, float]]) -> None:
        a, b, source = self._stretch(at)
        if source != "model" or not self._thinks(at) or any(s[0] <= at < s[1] for s in spans):
            return
        last = self.text[at - 1]
        line = "" if last == "\n" else self._prefixed(line_start, at)
        if quoted(line) or opens(line):
            return
        withheld = self.markers or ((self.notation.end_tag,) if self._tag_is_text else ())
        if any(self.text[a:at].endswith(w[:n]) for w in withheld for n in range(1, len(w))):
            return
        found = [t for t in self.triggers if self.text[a:at].endswith(t) and self._begins(t, at)]
        more = at < b and (at, at + len(self.notation.end_tag)) not in self.control_tags
        if found and (separates(last) or not more or separates(self.text[at])):
            self.events.append(Event("trigger", at, at, max(found, key=len)))

    @property
    def _tag_is_text(self) -> bool:
        return bool(self.notation.end_tag) and not self.notation.tag_is_token

    def _begins(self, trigger: str, at: int) -> bool:
        """Whether a trigger that ends at a place begins a word."""
        start = at - len(trigger)
        before = self.text[max(self.run, start - 1) : start]
        return not before or separates(before) or separates(trigger[0])

    def _read_block(
        self, start: int, limit: int, block: tuple[str, str, bool], tag: tuple[int, int] | None
    ) -> tuple[int, tuple[str, str, bool] | None]:
        """Returns where its reading ends, and what block is open there."""
        fence, info, hinted = block
        ends: list[int] = []
        for line_start, line_end in self._lines(start, limit):
            line = self.text[line_start:line_end]
            if not line.endswith("\n"):
                break
            string = unfinished_string(self.text[start:line_end])
            if closes(line, fence):
                age = 0 if string is None else self.text.count("\n", start + string, line_start)
                if string is None or age > STRING_LINES:
                    code = self.text[start:line_start]
                    if self._stretch(line_end)[2] == "model":
                        self.events.append(Event("block", line_end, line_end, info, code, hinted))
                    return line_end, None
            elif string is None and info in (*self.notation.languages, "output"):
                by_hint = self._hinted(line_start, line_end, (fence, info))
                again = opens(line[:-1], glued=by_hint)
                if again and again[1] and again[0].startswith(fence):
                    return line_end, (*again, by_hint)
            ends.append(line_end)
        return limit, self._ended_block(start, limit, ends, block, tag)

    def _ended_block(
        self,
        start: int,
        limit: int,
        ends: list[int],
        block: tuple[str, str, bool],
        tag: tuple[int, int] | None,
    ) -> tuple[str, str, bool] | None:
        """A block at the end of its section, where its last fence closes it, whatever string."""
        finished = limit == len(self.text) and self._stretch(limit)[2] == "model"
        if not (tag or finished):
            return block
        fence, info, hinted = block
        starts = [start, *ends]
        string = unfinished_string(self.text[start:limit])
        protected = [
            a
            for a, b in zip(starts, ends, strict=False)
            if string is not None and a > start + string and closes(self.text[a:b], fence)
        ]
        if protected or closes(self.text[starts[-1] : limit], fence):
            code = self.text[start : protected[0] if protected else starts[-1]]
            self.events.append(Event("block", limit, limit, info, code, hinted))
            return None
        return block
