"""Words and markers: where they end, and whether they are quoted. Used by the reader alone."""

from __future__ import annotations

from collections.abc import Iterable


def in_word(c: str) -> bool:
    """Whether a character is a letter or digit of a script that separates words."""
    return c.isalnum() and c < "\u2e80"


def ending(words: Iterable[str], text: str) -> str | None:
    """The first of `words` that a text ends with, unless the word before it runs into it."""
    for word in words:
        if text.endswith(word):
            before = text[-len(word) - 1 : -len(word)]
            if not (before and in_word(before) and in_word(word[0])):
                return word
    return None


def begun(literals: Iterable[str], text: str) -> int:
    """How many of a text's last characters may become one of `literals`."""
    starts = (literal[:n] for literal in literals for n in range(1, len(literal)))
    return max((len(start) for start in starts if text.endswith(start)), default=0)


def quoted(line: str) -> bool:
    """Whether a line ends inside quotation marks, or is quoted as in mail."""
    opened = line.count('"') % 2 == 1 or line.count("“") > line.count("”")
    return opened or line.lstrip().startswith(">")
