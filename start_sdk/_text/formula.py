"""Whether a text is inside LaTeX, character by character. Used by the reader alone."""

from __future__ import annotations

import string

_TIGHT = frozenset("*+-/=^<>\\_([{|!&×·" + string.ascii_letters)
_SPACED = frozenset("*+-/=^<>\\_|&×·")
_CLOSES = {"]": "[", ")": "("}


class Formula:
    r"""LaTeX in `$...$`, `$$...$$`, `\(...\)`, `\[...\]` and `\begin{...}...\end{...}`.

    A price is not a formula: "$5" counts as one only if an operator or a letter follows the number.

    Attributes:
        kind: what opened the formula, "" outside of one.
        pending: the start of something that the next character decides, "" if nothing is.
    """

    __slots__ = ("_depth", "kind", "pending")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Leaves a formula that never closed."""
        self.kind, self.pending, self._depth = "", "", 0

    def read(self, c: str) -> bool:
        """Reads a character; returns whether it closed a formula."""
        pending, self.pending = self.pending, ""
        if pending == "\\":
            return self._escaped(c)
        if pending == "end":  # inside the braces of the last \end{...}
            if c != "}":
                self.pending = pending
                return False
            self.reset()
            return True
        if pending[:1] == "\\" and self._command(pending, c):
            return False
        if pending in ("$", "0", "0 ") and self._dollar(pending, c):
            return False
        if c == "\\":
            self.pending = "\\"
        elif c == "$":
            return self._closes(pending)
        return False

    def _escaped(self, c: str) -> bool:
        r"""After a backslash: `\[` and its like, the name of a command, or an escaped character."""
        if c.isascii() and c.isalpha():
            self.pending = f"\\{c}"
        elif c in "[(" and not self.kind:
            self.kind = c
        elif c in _CLOSES and self.kind == _CLOSES[c]:
            self.reset()
            return True
        return False

    def _command(self, name: str, c: str) -> bool:
        r"""In the name of a command; True if the character belongs to it, or opens its braces."""
        if c.isascii() and c.isalpha():
            self.pending = name + c if len(name) < len("\\begin") else "\\......"
            return True
        if c != "{" or self.kind not in ("", "\\begin"):
            return False
        if name == "\\begin":
            self.kind = name
            self._depth += 1
        elif name == "\\end" and self.kind:
            self._depth -= 1
            if not self._depth:
                self.pending = "end"
        return True

    def _dollar(self, pending: str, c: str) -> bool:
        """After a dollar sign outside formulas; True if the character has been dealt with."""
        if pending == "$":
            if c == "$":
                self.kind = "$$"
                return True
            if c.isdigit():
                self.pending = "0"
                return True
            self.kind = "$"
        elif pending == "0" and (c.isdigit() or c in ".,"):
            self.pending = "0"
            return True
        elif c == " ":
            self.pending = "0 "
            return True
        elif c == "$" and pending == "0":
            self.kind = "$"  # "$5$": closed right away
        elif c in (_TIGHT if pending == "0" else _SPACED):
            self.kind = "$"
        return False

    def _closes(self, pending: str) -> bool:
        if not self.kind:
            self.pending = "$"
        elif self.kind == "$" or (self.kind == "$$" and pending == "$$"):
            self.reset()
            return True
        elif self.kind == "$$":
            self.pending = "$$"
        return False
