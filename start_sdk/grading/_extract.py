"""Finds a letter or a program in a model's text.

The text is untrusted: every function runs in time linear in its length. No pattern here has two
unbounded parts that can match the same characters.
"""

from __future__ import annotations

import re

from start_sdk._text.boxes import boxed_answer
from start_sdk._text.code import code_blocks, is_python

_STATEMENT = re.compile(
    r"^[ \t]*(?:def|class|import|from|for|while|if|with|try)\b|\w(?:\(|[ \t]?=(?!=))", re.MULTILINE
)
_LETTER_FIRST = re.compile(r"[\s*_$({\[]*([A-Za-z])(?:[\s*_$)}\].:]*$|[*_$]{0,4}[).:\]}](?!\w))")
_LETTER_NAMED = re.compile(
    r"\b(?i:answer|option|choice|antwort|respuesta|réponse)\b[*_]{0,2} {0,4}"
    r"(?:(?:is|ist|lautet|es|est|:|=) {0,4}:?)?[\s*_${]{0,8}"
    r"(?:([A-Z])(?![A-Za-z'])|[(\[]([A-Za-z])[)\]])"
    r"|(?<![A-Za-z])\(?([A-Z])\)?[*_]{0,2} is (?:the )?(?:correct|right|best)\b"
    r"|\b(?i:choose|chose|pick|select|go with)[*_ ]{1,4}\(?([A-Z])(?![A-Za-z'])"
)
_LETTER_CHINESE = re.compile(
    r"(?:答案|选项?|选择)[是为选应该：:\s*_]{0,8}[(\[{$]{0,3}([A-Z])(?![A-Za-z])"
)
_LETTER_APART = re.compile(r"(?<![A-Za-z_^}])\(([A-Za-z])\)")
_WIDE = str.maketrans("（）：【】", "():[]")


def choice_letter(text: str, letters: str = "ABCD") -> str | None:
    """The option chosen in a response, as one of `letters`; None if it names none.

    Tried in this order: the last box, if it holds a letter; a response that begins with a letter
    ("B", "(B)", "B) because"); the last "answer: B" or "option B"; the last letter in parentheses.
    """
    text = text.strip().translate(_WIDE)
    boxed = boxed_answer(text)
    if boxed is not None and (letter := _letter(_plain(boxed), letters, begins=True)):
        return letter
    return _letter(_plain(text), letters, begins=boxed is None)


def _letter(text: str, letters: str, *, begins: bool) -> str | None:
    def known(letter: str) -> str | None:
        return letter.upper() if letter.upper() in letters else None

    if begins and (first := _LETTER_FIRST.match(text)) and known(first[1]):
        return known(first[1])
    for pattern in (_LETTER_NAMED, _LETTER_CHINESE, _LETTER_APART):
        found = [known(m[m.lastindex or 0]) for m in pattern.finditer(text)]
        found = [letter for letter in found if letter]
        if found:
            return found[-1]
    return None


def _plain(text: str) -> str:
    r"""A text without the commands of `\text{(B)}`, `\textbf{B}`, `\mathrm{B}`."""
    return re.sub(r"\\(?:text\w{0,6}|mathrm|mathbf|mbox)\s?\{", "{", text).replace("{(", "(")


def last_code_block(text: str) -> str | None:
    """The program in a response: its last block of Python; None if there is no block of code.

    A block without a language counts only where no block names Python, and then one that looks like
    a program goes before one that may be sample output. Blocks in other languages (`text`, `json`,
    `output`) never count. A block that the text ends in need not be closed.
    """
    blocks = [(language, code) for language, code in code_blocks(text) if code.strip()]
    plain = [code for language, code in blocks if not language]
    found = (
        [code for language, code in blocks if is_python(language)]
        or [code for code in plain if _STATEMENT.search(code)]
        or plain
    )
    return found[-1] if found else None
