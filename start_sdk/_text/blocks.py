"""Fenced blocks: how they open, what is in them, where they close. Used by `_text` alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from start_sdk._text.strings import Strings

STRING_LINES = 60
"""Lines of an unfinished triple-quoted string in which a closing fence does not close."""

_OPENING = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_GLUED = re.compile(r"(?<!`)(`{3,})(\{?\.?[A-Za-z][^\s`]*)[ \t]*\r?$")
_LANGUAGE = re.compile(r"[ \t]*\{?[ \t]*\.?([^\s{},]*)")


class Block:
    """A fenced block that is open.

    Fences are CommonMark's, with three more rules. A fence may open at the end of a line of prose
    if it names a language (START's hints do that: "...for this problem.```python"). A closing fence
    inside an unfinished triple-quoted string does not close, for at most `STRING_LINES` lines. A
    fence with a language inside a block of code or output opens a new block: models forget to
    close, and START's debug hint does so on purpose.

    Attributes:
        fence: the opening fence; a closing one is at least as long.
        language: first word of the info string, in lower case.
        hinted: whether a hint opened it.
        code: what is in it so far, whole lines.
        line: its unfinished last line, which the reader appends to.
        strings: whether the code ends in a string; the reader feeds it.
    """

    def __init__(self, fence: str, language: str) -> None:
        self.fence, self.language, self.hinted = fence, language, False
        self.code: list[str] = []
        self.line: list[str] = []
        self.strings = Strings()
        self._string = 0  # the triple-quoted string that the last whole line ended in
        self._string_lines = 0
        self._candidate: int | None = None  # lines of code before a fence that this string protects

    def end_line(self, languages: Sequence[str], *, glued: bool) -> Block | bool:
        """What the line that just ended does: True if it closes the block, or a block it opens.

        Args:
            languages: of the blocks that are run.
            glued: whether a fence after other text opens a block: a hint wrote it.
        """
        line = "".join(self.line)
        self.line.clear()
        if self.strings.triple != self._string:
            self._string, self._string_lines, self._candidate = self.strings.triple, 0, None
        if self._closes(line[:-1]):
            if not self._string or self._string_lines > STRING_LINES:
                return True
            self._candidate = len(self.code) if self._candidate is None else self._candidate
        elif not self.strings.triple and (
            opened := self.reopened(line[:-1], languages, glued=glued)
        ):
            return opened
        self.code.append(line)
        self._string_lines += 1
        return False

    def end(self, unfinished: str) -> str | None:
        """The code if the block is closed where the text ends: a closing fence needs no line break
        there, and an unfinished string protects none."""
        if self._candidate is not None and self.strings.triple == self._string:
            return "".join(self.code[: self._candidate])
        return "".join(self.code) if self._closes(unfinished) else None

    def _closes(self, line: str) -> bool:
        bare = line.removesuffix("\r").rstrip(" \t")
        marks = bare.lstrip(" ")
        long_enough = len(marks) >= len(self.fence) and not marks.strip(self.fence[0])
        return long_enough and len(bare) - len(marks) <= 3

    def reopened(self, line: str, languages: Sequence[str], *, glued: bool) -> Block | None:
        """The block that a line inside this one opens unless a string goes on; as `end_line`."""
        if self.language not in (*languages, "output"):
            return None
        opened = opening(line, glued=glued)
        same = opened and opened.language and opened.fence.startswith(self.fence)
        return opened if same else None


def opening(line: str, *, glued: bool = True) -> Block | None:
    """The block that a line opens, if any.

    Args:
        line: without its line break.
        glued: whether the fence may come after other text.
    """
    if "```" not in line and "~~~" not in line:
        return None
    match = _OPENING.fullmatch(line)
    if match and not (match[1][0] == "`" and "`" in match[2]):
        return Block(match[1], _language(match[2]))
    match = _GLUED.search(line) if glued else None
    return Block(match[1], _language(match[2])) if match else None


def _language(info: str) -> str:
    found = _LANGUAGE.match(info)
    return found[1].lower() if found else ""
