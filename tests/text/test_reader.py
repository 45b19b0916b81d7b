"""The reader against a slow reference, for any text and any cutting. Its rules: `test_rules.py`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text.reference import Piece, Reference

from start_sdk._text.events import Event
from start_sdk._text.reader import Reader
from start_sdk.formats import PLAIN, THINK, ReasoningFormat
from start_sdk.trace import Phase

NOTATIONS = {
    "the tag is a token": THINK,
    "the tag is text": ReasoningFormat(tag_is_token=False),
    "no tag": PLAIN,
}
TRIGGERS = ("Wait", "Alternatively", "wait", "等等", "=", "think", "Final")
# fmt: off
FENCES = ["```", "```\n", "\n```\n", "````", "~~~", "~~~\n", "``", "`", "   ```\n", "    ```\n"]
OPENINGS = [
    "```python\n", "\n```python\n", "``` python\n", "```Python3\n", "```{python}\n", "~~~py\n",
    "```python title=a\n", "```{.python .x}\n", "````python\n", "````markdown\n", "```output\n",
    "this.```python\n", "```python", "```python \r\n", "```c\n",
]
CLOSINGS = ["```  \n", "```\t\n", "```\r\n", "\n```\r\n", "```</think>", "~~~~\n", "1\n" * 61]
CODE = ["print(1)\n", "s = '''\n", '"""\n', "'''", '"""', "'", "''", "# it's\n", "\\\n", "a b c d e"]
LATEX = [
    "\\[", "\\]", "\\(", "\\)", "$", "$$", "$x", "$5", "$5 ", "$1,250.50", "\\$", "\\\\", "\\\\[6pt]",
    "\\begin{align}", "\\begin{", "\\end{align}", "\\end{", "{", "}", "\\beginx{", "re.split(r'\\[')",
]
ENDS = ["</think>", "</thi", "nk>", "<", "\\boxed", "\\box", "ed{4}", "**Final Answer**", "**Final", "**",
    "$n = \\boxed{4}", "$\\boxed{4}$"]
WORDS = ["Wait", "Waiting", "Wai", "t", "await", "Wait,", "Alternatively", "wait", "等等", "等", "=", "no"]
MARKS = ['"', "“", "”", "> ", " ", "  ", ".", "5", "元", "\n", "\n\n", "\r", "\r\n", " \n", "\t", "é"]
CONTROL = ["</think>", "</think>", "<tool>", "\n\n", "```", "  "]
HINTS = ["\n\nWait, so.\n```python", " hm\n```python\n", "```output\n", "x.```python", " $", "\n"]
OUTPUTS = ["```output\n4\n```\n", "> 4", 'so "', "\n", "a\n$x"]
# fmt: on
ATOMS = [*FENCES, *OPENINGS, *CLOSINGS, *CODE, *LATEX, *ENDS, *WORDS, *MARKS]
PIECES = [
    *[Piece(text) for text in ATOMS] * 2,
    *[Piece(text, control=True) for text in CONTROL],
    *[Piece(text, "hint") for text in HINTS],
    *[Piece(text, "tool") for text in OUTPUTS],
]

texts = st.lists(st.sampled_from(PIECES), max_size=24)
notations = st.sampled_from(sorted(NOTATIONS))
seeds = st.integers(0, 999)
examples = given(notations, texts, seeds, st.booleans())


def cut(pieces: Sequence[Piece], seed: int) -> list[Piece]:
    """The same text cut anywhere; what is control stays whole."""
    rng = random.Random(seed)
    joined: list[Piece] = []
    for piece in pieces:
        before = joined[-1] if joined else None
        if before and not (piece.control or before.control) and before.source == piece.source:
            joined[-1] = Piece(before.text + piece.text, piece.source)
        else:
            joined.append(piece)
    result = []
    for piece in joined:
        size, width = len(piece.text), rng.randint(1, 12)
        places = [] if piece.control else rng.sample(range(size), size // width)
        for a, b in pairwise(sorted({0, size, *places})):
            result.append(Piece(piece.text[a:b], piece.source, piece.control))
    return result


def read(reader: Reader, pieces: Sequence[Piece]) -> list[Event]:
    """The events of a text; what a reader promises about `safe` is checked on the way."""
    longest = max(map(len, (*PLAIN.answer_markers, THINK.end_tag)))
    events: list[Event] = []
    safe = 0
    for piece in pieces:
        step = reader.feed(piece.text, control=piece.control, source=piece.source)
        assert all(event.at >= safe for event in step.events)
        assert safe <= step.safe <= reader.offset < step.safe + longest
        safe = step.safe
        events += step.events
    last = reader.finish().events
    assert all(event.at >= safe for event in last)
    return [*events, *last]


def check(name: str, pieces: Sequence[Piece], seed: int, thinking: bool) -> None:
    notation = NOTATIONS[name]
    expected = Reference(notation, TRIGGERS, pieces, thinking=thinking).read()
    found = read(Reader(notation, TRIGGERS, thinking=thinking), cut(pieces, seed))
    assert found == expected == sorted(expected, key=lambda event: event.at)


@examples
@settings(max_examples=300, deadline=None)
def test_events_are_those_of_the_whole_text_however_it_is_cut(
    name: str, pieces: list[Piece], seed: int, thinking: bool
) -> None:
    check(name, pieces, seed, thinking)


@pytest.mark.slow
@examples
@settings(max_examples=10_000, deadline=None)
def test_events_are_those_of_the_whole_text_in_many_more_examples(
    name: str, pieces: list[Piece], seed: int, thinking: bool
) -> None:
    check(name, pieces, seed, thinking)


@given(notations, st.sampled_from(["Wait", "Alternatively", "wait"]), st.sampled_from(MARKS))
def test_a_trigger_fires_with_the_first_character_after_it(name: str, word: str, c: str) -> None:
    reader = Reader(NOTATIONS[name], TRIGGERS)
    assert reader.feed(f"So {word}").events == ()
    at = len(f"So {word}")
    fires = not (c[0].isalnum() and c != "元")
    assert reader.feed(c[0]).events == ((Event("trigger", at, at, word),) if fires else ())


class Segment(NamedTuple):
    source: str
    phase: Phase
    text: str


class Session:
    """Keeps segments as a session does while its reader reads on."""

    def __init__(self, notation: ReasoningFormat) -> None:
        self.reader = Reader(notation, TRIGGERS)
        self.segments = [Segment("prompt", "prompt", "Is it 4?\n<think>\n")]
        self.phase: Phase = "thinking"
        self._notation = notation
        self._draft: list[Piece] = []
        self.reader.feed(self.segments[0].text, source="prompt")

    def write(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.source == "model":
                self._sample(piece)
            elif self.phase == "thinking":
                self._flush()
                self.segments.append(Segment(piece.source, "thinking", piece.text))
                self.reader.feed(piece.text, source=piece.source)
        self._flush()

    def close(self) -> None:
        """A limit ends the thought."""
        text = self._notation.closing()
        self.segments.append(Segment("notice", "close", text))
        self.reader.feed(text, control=True, source="notice")
        self.reader.thinking, self.phase = False, "answer"

    def _sample(self, piece: Piece) -> None:
        step = self.reader.feed(piece.text, control=piece.control)
        self._draft.append(piece)
        for event in step.events:
            if event.kind == "end" or (event.kind == "answer" and self.phase == "thinking"):
                start, before = self.reader.offset, self._draft
                after: list[Piece] = []
                while start > event.at and before:  # it may begin in a piece that is kept already
                    after.insert(0, before.pop())
                    start -= len(after[0].text)
                self._flush()
                self.phase = "answer"
                if event.kind == "answer":
                    self._draft = after
                else:
                    self.segments.append(Segment("model", "close", "".join(p.text for p in after)))

    def _flush(self) -> None:
        if self._draft:
            text = "".join(piece.text for piece in self._draft)
            self.segments.append(Segment("model", self.phase, text))
        self._draft = []


@given(notations, texts, texts, st.booleans(), seeds)
@settings(max_examples=200, deadline=None)
def test_a_reader_of_segments_continues_as_the_reader_that_read_them_did(
    name: str, first: list[Piece], second: list[Piece], closed: bool, seed: int
) -> None:
    session = Session(NOTATIONS[name])
    session.write(cut(first, seed))
    if closed and session.phase == "thinking":
        session.close()
    built = Reader.of(NOTATIONS[name], session.segments, TRIGGERS)
    assert built.offset == session.reader.offset
    assert built.thinking == session.reader.thinking
    assert (built.block is None) == (session.reader.block is None)
    assert built.in_formula == session.reader.in_formula
    assert read_on(built, second) == read_on(session.reader, second)


def read_on(reader: Reader, pieces: Sequence[Piece]) -> list[Event]:
    steps = [reader.feed(p.text, control=p.control, source=p.source) for p in pieces]
    return [event for step in (*steps, reader.finish()) for event in step.events]
