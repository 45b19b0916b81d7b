"""Whether Python code is inside a triple-quoted string, character by character."""

from __future__ import annotations


class Strings:
    """The string or comment that code ends in.

    Attributes:
        inside: the quotes of the open string, "#" in a comment, "" elsewhere.
    """

    __slots__ = ("_count", "_escape", "_run", "inside")

    def __init__(self) -> None:
        self.inside, self._run, self._escape, self._count = "", 0, False, 0

    @property
    def triple(self) -> int:
        """Which triple-quoted string is open, counted from 1; 0 if none is."""
        return self._count if len(self.inside) == 3 else 0

    @property
    def busy(self) -> bool:
        """Whether the next character matters whatever it is."""
        return self._escape or self._run > 0

    def read(self, c: str) -> None:
        if self._escape:
            self._escape = False
        elif not self.inside:
            self._outside(c)
        elif self.inside == "#":
            self.inside = "" if c == "\n" else "#"
        elif self.triple:
            self._run = self._run + 1 if c == self.inside[0] else 0
            self._escape = c == "\\"
            if self._run == 3:
                self.inside, self._run = "", 0
        else:
            self._short(c)

    def _outside(self, c: str) -> None:
        if c in "'\"":
            self.inside, self._run = c, 1
        elif c == "#":
            self.inside = c

    def _short(self, c: str) -> None:
        """In a string of single quotes; its first characters may turn out to be three quotes."""
        run, self._run = self._run, 0
        if run and c == self.inside:
            self.inside, self._run = (c, 2) if run == 1 else (c * 3, 0)
            self._count += run == 2
        elif run == 2:  # it was empty
            self.inside = ""
            self._outside(c)
        elif c in (self.inside, "\n"):
            self.inside = ""
        else:
            self._escape = c == "\\"
