"""Finds a letter or a program in a model's text.

The text is untrusted: every function runs in time linear in its length. No pattern here has two
unbounded parts that can match the same characters.
"""

from __future__ import annotations

import re

from start_sdk._text.answers import last_boxed

_FENCE = re.compile(r"^ {0,3}```([^`\n]{0,99})$", re.MULTILINE)
_LETTER_FIRST = re.compile(r"[\s*_$({\[]*([A-Za-z])(?:[\s*_$)}\].:]*$|[*_$]{0,4}[).:\]}](?!\w))")
_LETTER_NAMED = re.compile(
    r"\b(?i:answer|option|choice)\b[*_]{0,2} {0,4}(?:(?:is|:|=) {0,4}:?)?[\s*_${]{0,8}"
    r"(?:([A-Z])(?![A-Za-z'])|[(\[]([A-Za-z])[)\]])"
)
_LETTER_APART = re.compile(r"\(([A-Za-z])\)")


def choice_letter(text: str, letters: str = "ABCD") -> str | None:
    """The option chosen in a response, as one of `letters`; None if it names none.

    Tried in this order: the last box; a response that begins with a letter ("B", "(B)",
    "B) because"); the last "answer: B" or "option B"; the last letter in parentheses.
    """

    def known(letter: str) -> str | None:
        return letter.upper() if letter.upper() in letters else None

    boxed = last_boxed(text)
    plain = _plain(boxed if boxed is not None else text.strip())
    if (first := _LETTER_FIRST.match(plain)) and known(first[1]):
        return known(first[1])
    for pattern in (_LETTER_NAMED, _LETTER_APART):
        found = [known(m[m.lastindex or 0]) for m in pattern.finditer(plain)]
        found = [letter for letter in found if letter]
        if found:
            return found[-1]
    return None


def _plain(text: str) -> str:
    r"""A text without the commands of `\text{(B)}`, `\textbf{B}`, `\mathrm{B}`."""
    return re.sub(r"\\(?:text\w{0,6}|mathrm|mathbf|mbox)\s?\{", "{", text).replace("{(", "(")


def last_code_block(text: str, language: str = "python") -> str | None:
    """The code of the last closed fenced block in `language` or without a language, or None."""
    found, opened, named = None, -1, ""
    for fence in _FENCE.finditer(text):
        info = fence[1].strip().lower()
        if opened < 0:
            opened, named = fence.end() + 1, info.partition(" ")[0]
        elif not info:
            found = text[opened : fence.start()] if named in ("", language) else found
            opened = -1
    return found
