r"""Finds the answer in a model's text: a box, "the answer is ...", a letter, a number, code.

The text is untrusted: every function runs in time linear in its length. No pattern here has two
unbounded parts that can match the same characters.
"""

from __future__ import annotations

import re

from start_sdk._text.answers import last_boxed

_STATED = re.compile(
    r"\banswers?\b[*_]{0,2} {0,4}(?:\([^()\n]{0,30}\) {0,4}|(?:to|for) [^.:\n]{1,60}? )?"
    r"(?:(?:is|are|equals)\b:?|[:=])[ *_]{0,8}\s{0,8}",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![\\A-Za-z])(?:[A-Za-z]{3,}|is\b)")
_NUMBER = re.compile(r"(?<![\w.])[-−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")
_TEXT_GROUP = re.compile(r"\\(?:text\w{0,6}|mbox|mathrm|operatorname|begin|end)\s?\{[^{}]*\}")
_SENTENCE_WORDS = {"answer", "the", "are", "is", "get", "got", "have", "has"}
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "log", "exp", "infinity"}
_FORMULA = re.compile(r"(?:\\[(\[]|\$\$?)((?:[^$\\\n]|\\[^)\]\n]|\n(?!\n))+)(?:\\[)\]]|\$)")
_AND = re.compile(r"\s{0,4}(?:,?\s{0,4}(?:and|or)\b|,)\s{0,4}")
_SENTENCE_END = re.compile(r"\.(?=\s|$)")
_FENCE = re.compile(r"^ {0,3}```([^`\n]{0,99})$", re.MULTILINE)
_LETTER_FIRST = re.compile(r"[\s*_$({\[]*([A-Za-z])(?:[\s*_$)}\].:]*$|[*_$]{0,4}[).:\]}](?!\w))")
_LETTER_NAMED = re.compile(
    r"\b(?i:answer|option|choice)\b[*_]{0,2} {0,4}(?:(?:is|:|=) {0,4}:?)?[\s*_${]{0,8}"
    r"(?:([A-Z])(?![A-Za-z'])|[(\[]([A-Za-z])[)\]])"
)
_LETTER_APART = re.compile(r"\(([A-Za-z])\)")


def final_answer(text: str) -> str | None:
    r"""The answer in a response, as written there; None if there is none.

    Tried in this order: the last complete `\boxed{...}`; the last "the answer is ..."; a text or
    last line that is only an answer; the last formula, else the last number, of the last line.
    """
    text = text.strip()
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed or None
    ends = [stated.end() for stated in _STATED.finditer(text)]
    if ends and (found := _from_sentence(text[ends[-1] : ends[-1] + 2_000])):
        return found
    if len(text) <= 2_000 and _is_bare(text):
        return text or None
    last_line = text.rpartition("\n")[2].strip()
    if len(last_line) <= 2_000 and _is_bare(last_line):
        return last_line
    return _last_formula(last_line) or last_number(last_line)


def _from_sentence(rest: str) -> str | None:
    """The answer at the beginning of the text after "the answer is"."""
    formulas, at = [], 0
    while delimited := _FORMULA.match(rest, at):  # "$2$, $3$ and $5$" are one answer
        formulas.append(delimited[1].strip(" $"))
        joint = _AND.match(rest, delimited.end())
        at = joint.end() if joint else len(rest)
    if formulas:
        return ", ".join(formulas) or None
    line = _SENTENCE_END.split(rest.lstrip().partition("\n")[0], maxsplit=1)[0]
    line = line.lstrip(" *_").rstrip(" *_.")
    if _is_bare(line) or not re.search(r"\d", line):
        return line or None
    if formula := _last_formula(line):
        return formula
    number = _NUMBER.search(line)
    return number[0] if number else line


def _is_bare(text: str) -> bool:
    """Whether a text is only an answer, perhaps with a unit, without a sentence around it."""
    text = _TEXT_GROUP.sub("", text)
    words = {w.lower() for w in _WORD.findall(text)} - _FUNCTIONS
    if len(words) > 2 or words & _SENTENCE_WORDS:
        return False
    before, digit, _ = re.split(r"(\d|$)", text, maxsplit=1)
    return not digit or not {w.lower() for w in _WORD.findall(before)} - _FUNCTIONS


def _last_formula(line: str) -> str | None:
    r"""The content of the last `$...$` or `\(...\)` of a line."""
    formulas = re.findall(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$", line)
    end = line.rfind(r"\)")
    start = line.rfind(r"\(", 0, max(end, 0))
    if 0 <= start < end:
        formulas.append(line[start + 2 : end])
    return formulas[-1].strip() or None if formulas else None


def last_number(text: str) -> str | None:
    """The last number of a text as written, including thousands commas; None if there is none."""
    numbers = [match[0] for match in _NUMBER.finditer(text)]
    return numbers[-1] if numbers else None


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
