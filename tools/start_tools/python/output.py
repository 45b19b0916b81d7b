"""Turns the output of a cell into what a model reads: plain text of bounded length."""

from __future__ import annotations

import re

# Terminal control: CSI (colours, cursor), OSC (titles, links), and two-character sequences.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MOST_LEFT_OUT = 1 << 40
"""Characters. A kernel that reports more is lying, and the number could be too long to print."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def shown(line: str) -> str:
    """Applies carriage returns to a line; trailing ones stay until text overwrites the line."""
    body = line.rstrip("\r")
    return body.rpartition("\r")[2] + line[len(body) :]


def clean(text: str) -> str:
    """Removes terminal control; lone surrogates, which no encoding can hold, become U+FFFD."""
    if "\r" in text:
        text = "\n".join(map(shown, text.split("\n")))
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", _ANSI.sub("", text)))


class Output:
    """Keeps the first and the last characters of the output and counts those in between.

    Its memory is bounded by `max_chars`, however much arrives. A piece is a string, or what the
    kernel's side (sandbox/streams.py) makes of a very long string: a list of its first part, the
    number of characters left out, and its last part.

    Args:
        max_chars: characters to keep, half of them from the start.
    """

    def __init__(self, max_chars: int) -> None:
        self.seen = 0
        """Characters of output so far, including those that the kernel's side left out."""
        self.cut = 0
        """Characters in neither head nor tail."""
        self._half = max_chars // 2
        self._room = self._half
        self._head = self._tail = self._line = ""

    def add(self, piece: object) -> None:
        """Adds text that continues where the previous text ended."""
        match piece:
            case str():
                self._add(piece)
            case [str(head), int(left_out), str(tail)] if 0 <= left_out < MOST_LEFT_OUT:
                self._add(head)
                self._commit()
                # What follows is not adjacent to the head, even if there is room left.
                self._room = 0
                self.cut += left_out
                self.seen += left_out
                self._add(tail)

    def add_block(self, piece: object) -> None:
        """Adds text on its own lines."""
        if self._line or not (self._tail or self._head or "\n").endswith("\n"):
            self._add("\n")
        self.add(piece)
        self._add("\n")

    def text(self) -> str:
        """The whole text, without trailing line breaks."""
        self._commit()
        if not self.cut:
            return (self._head + self._tail).rstrip("\n")
        gap = f"[... {self.cut:,} characters left out ...]"
        return "\n".join([self._head.rstrip("\n"), gap, self._tail.strip("\n")])

    def _add(self, text: str) -> None:
        self.seen += len(text)
        # The last line is held back: a carriage return or the rest of a control sequence may
        # follow. It is overwritten in place, so that a progress bar takes no room.
        lines, newline, self._line = (self._line + text).rpartition("\n")
        self._line = shown(self._line)
        if lines or newline:
            self._store(clean(lines + newline))
        if len(self._line) > self._half:
            self._commit()

    def _commit(self) -> None:
        line, self._line = self._line, ""
        self._store(clean(line))

    def _store(self, text: str) -> None:
        self._head += text[: self._room]
        rest = text[self._room :]
        self._room -= len(text) - len(rest)
        self._tail += rest
        over = len(self._tail) - self._half
        if over > 0:
            self.cut += over
            self._tail = self._tail[over:]
