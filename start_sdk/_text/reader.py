"""The one reader: everything that is decided by text is decided here.

An automaton over characters finds the events of a text: a block of code was closed, thinking ended,
a word that a hint policy waits for, the marker of an answer. Events and their offsets depend on the
characters and on which of them came as control tokens, never on how the text was cut into tokens
or deliveries. The same class finds insertion points in finished traces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from start_sdk._text.blocks import Block, opening
from start_sdk._text.events import Event, EventKind, Notation, Step, Written
from start_sdk._text.formula import Formula
from start_sdk._text.words import begun, ending, in_word, quoted


class Reader:
    """Reads a text piece by piece.

    Args:
        notation: how the model writes.
        triggers: texts that are events inside a thought: in prose, as whole words.
        thinking: whether the text begins inside a thought.

    Attributes:
        offset: characters read so far.
        thinking: whether the text ends inside a thought.
    """

    def __init__(
        self, notation: Notation, triggers: Sequence[str] = (), *, thinking: bool = True
    ) -> None:
        self._notation, self._languages = notation, notation.languages
        self._triggers = sorted(filter(None, set(triggers)), key=len, reverse=True)
        tag = notation.end_tag
        self._tags = [tag] if tag and not notation.tag_is_token else []
        self._markers = [] if tag else list(notation.answer_markers)
        self._withheld = [*self._tags, *self._markers]
        literals = [*self._triggers, *self._withheld]
        self._keep = max(map(len, literals), default=0) + 1
        self._literals = re.compile("|".join(map(re.escape, literals)) or "(?!)").search
        self._lasts = frozenset(literal[-1] for literal in literals)
        firsts = "".join(re.escape(literal[0]) for literal in self._withheld)
        self._in_prose = re.compile(rf"[\n\\${firsts}]").search
        self._in_code = re.compile(rf"[\n\\'\"#{firsts}]").search
        self._firsts = frozenset(literal[0] for literal in self._withheld)
        self._prose_marks = frozenset("\n\\$") | self._firsts | self._lasts
        self._code_marks = frozenset("\n\\'\"#") | self._firsts
        self.offset = 0
        self.thinking = thinking
        self._source = "model"
        self._began = 0  # offset at which the text of this source began
        self._recent = ""
        self._waiting = ""  # a trigger, unless a letter follows
        self._marker = ""  # a marker inside the open formula
        self._formula = Formula()
        self._held = 0  # last characters that may become a tag or a marker
        self._line: list[str] = []
        self._hinted = False  # a hint wrote the opening fence in the unfinished line
        self._block: Block | None = None

    @staticmethod
    def of(
        notation: Notation,
        segments: Iterable[Written],
        triggers: Sequence[str] = (),
        *,
        thinking: bool = True,
    ) -> Reader:
        """A reader that has read the segments of a trace.

        Args:
            notation: as for `Reader`.
            segments: from the prompt on; their phases say where the thought ended.
            triggers: as for `Reader`.
            thinking: whether the prompt ends inside a thought.
        """
        reader = Reader(notation, triggers)
        for s in segments:
            reader.feed(s.text, control=s.phase == "close", source=s.source)
            if s.phase == "prompt":
                reader.thinking = thinking
            elif s.phase != "thinking" or s.source != "model":  # a formula's marker may end it
                reader.thinking = s.phase == "thinking"
        return reader

    @property
    def block(self) -> Block | None:
        """The block that is open at the end of the text, also if its first line is unfinished."""
        return self._block or opening(self._unfinished())

    @property
    def in_formula(self) -> bool:
        """Whether the text ends inside LaTeX."""
        return bool(self._formula.kind)

    def feed(self, text: str, *, control: bool = False, source: str = "model") -> Step:
        """Reads a piece of text.

        Args:
            text: follows what was read before.
            control: it is the text of one added token. Only an end tag is read differently then.
            source: as of a segment. A hint may open a block, and is never an event. What a tool or
                the session wrote is passed over and leaves the reader in prose.
        """
        if source == self._source == "model" and not control and not self._waits():
            marks = self._code_marks if self._block else self._prose_marks
            if marks.isdisjoint(text):  # most tokens take this path
                self._advance(text)
                return Step((), self.offset)
        events: list[Event] = []
        if source != self._source:
            self._change(source, events)
        if source not in ("model", "hint"):
            self.offset += len(text)
            self._line = [(self._unfinished() + text).rpartition("\n")[2]]
        elif control and text == self._notation.end_tag and source == "model":
            self._end_word(events)
            self._advance(text)
            self._end_thought(text, events)
        else:
            self._read(text, events)
        return Step(tuple(events), self.offset - self._held)

    def finish(self) -> Step:
        """The events of the text's end."""
        events: list[Event] = []
        self._end_word(events)
        self._end_formula(events)
        self._end_block(self.offset, events)
        return Step(tuple(events), self.offset)

    def _change(self, source: str, events: list[Event]) -> None:
        self._end_word(events)
        if self._source == "hint":  # it may have opened a block, though its line is unfinished
            line, block = self._unfinished(), self._block
            opened = block.reopened(line, self._languages, glued=True) if block else opening(line)
            self._hinted = opened is not None
        self._source, self._began, self._held = source, self.offset, 0
        if source != "model":
            self.thinking, self._marker = True, ""  # here the thought continues
        if source not in ("model", "hint"):
            self._recent = ""
            self._leave_prose()

    def _read(self, text: str, events: list[Event]) -> None:
        """Reads what cannot matter at once, and the rest character by character."""
        at = 0
        while at < len(text):
            end = self._plain(text, at)
            if at < end:
                self._advance(text[at:end])
            if end < len(text):
                (self._read_code if self._block else self._read_prose)(text[end], events)
            at = end + 1

    def _plain(self, text: str, at: int) -> int:
        """Up to where nothing in a text, from `at`, can matter."""
        if self._waits():
            return at
        most = min(len(text), at + 256)  # little, since it is looked at again after a trigger
        special = (self._in_code if self._block else self._in_prose)(text, at, most)
        end = special.start() if special else most
        literal = None if self._block else self._literals(self._recent + text[at:end])
        return max(at, at + literal.start() - len(self._recent)) if literal else end

    def _waits(self) -> bool:
        """Whether the next character matters whatever it is."""
        if block := self._block:
            return self._held > 0 or block.strings.busy
        return bool(self._held or self._waiting or self._formula.pending)

    def _read_prose(self, c: str, events: list[Event]) -> None:
        if self._waiting and not in_word(c):
            self._end_word(events)
        self._waiting = ""
        closed = self._formula.read(c)
        self._advance(c)
        if closed:
            self._end_formula(events)
        if c == "\n":
            self._end_line(events)
        if self._source == "model":
            self._hold(c)
            if c in self._lasts:
                self._find_literals(events)

    def _end_line(self, events: list[Event]) -> None:
        line, self._line = self._unfinished()[:-1], []
        opened, hinted = opening(line), self._hinted
        if opened or not line.strip():  # no formula goes beyond a paragraph
            self._end_formula(events)
            self._formula.reset()
        if opened:
            self._open_block(opened, hinted=hinted)
        self._hinted = False

    def _read_code(self, c: str, events: list[Event]) -> None:
        block = self._block
        assert block
        block.strings.read(c)
        self._advance(c)
        if c == "\n":
            hinted, self._hinted = self._hinted, False
            result = block.end_line(self._languages, glued=hinted or self._source == "hint")
            if result is True:
                self._close_block(self.offset, "".join(block.code), events)
            elif result:
                self._open_block(result, hinted=hinted)
        if self._source == "model":
            self._hold(c)
            if self._tags and c in self._lasts:
                self._find_literals(events)

    def _open_block(self, block: Block, *, hinted: bool) -> None:
        block.hinted = hinted or self._source == "hint"
        self._block, self._line = block, block.line

    def _close_block(self, at: int, code: str, events: list[Event]) -> None:
        block = self._block
        if block and self._source == "model":
            events.append(Event("block", at, at, block.language, code, block.hinted))
        self._leave_prose()

    def _end_block(self, at: int, events: list[Event]) -> None:
        """The text or the thought ends at `at`, which may close a block."""
        line = self._unfinished()[: at - self.offset or None]
        code = self._block.end(line) if self._block else None
        if code is not None:
            self._close_block(at, code, events)

    def _leave_prose(self) -> None:
        """Forgets the block, the formula and the line that are open."""
        self._block, self._line, self._marker, self._hinted = None, [], "", False
        self._formula.reset()

    def _find_literals(self, events: list[Event]) -> None:
        """What ends with the character that was just read."""
        room = self.offset - self._began
        found = [t for t in self._withheld if self._recent.endswith(t) and len(t) <= room]
        if found and found[0] in self._tags:
            self._end_thought(found[0], events)
        elif found and self.thinking and self._block is None and not self._formula.kind:
            self._leave_thought("answer", self.offset - len(found[0]), found[0], events)
        elif found and self.thinking and self._block is None:
            self._marker = found[0]
        elif self.thinking and self._block is None and not self._formula.kind:
            self._find_trigger(room, events)

    def _find_trigger(self, room: int, events: list[Event]) -> None:
        if self._held:  # it may become a tag or a marker
            return
        found = ending([t for t in self._triggers if len(t) <= room], self._recent)
        line = self._unfinished() if found else ""
        if not found or quoted(line) or opening(line):
            return
        if in_word(found[-1]):
            self._waiting = found
        else:
            events.append(Event("trigger", self.offset, self.offset, found))

    def _end_word(self, events: list[Event]) -> None:
        if self._waiting:
            events.append(Event("trigger", self.offset, self.offset, self._waiting))
        self._waiting = ""

    def _end_formula(self, events: list[Event]) -> None:
        if self._marker:
            self._leave_thought("answer", self.offset, self._marker, events)

    def _end_thought(self, tag: str, events: list[Event]) -> None:
        at = self.offset - len(tag)
        self._end_block(at, events)
        self._leave_thought("end", at, tag, events)

    def _leave_thought(self, kind: EventKind, at: int, text: str, events: list[Event]) -> None:
        line = self._unfinished()[: at - self.offset or None]
        inside = self._block is not None or opening(line) is not None
        events.append(Event(kind, at, self.offset, text, in_block=inside))
        self.thinking, self._held = False, 0
        self._leave_prose()

    def _unfinished(self) -> str:
        """The last line so far, in one piece from now on."""
        self._line[:] = ["".join(self._line)]
        return self._line[0]

    def _advance(self, text: str) -> None:
        self.offset += len(text)
        self._recent = (self._recent + text)[-self._keep :]
        self._line.append(text)

    def _hold(self, c: str) -> None:
        if self._held or c in self._firsts:
            withheld = self._withheld if self._tags or self.thinking else ()
            self._held = begun(withheld, self._recent[self._began - self.offset :])
