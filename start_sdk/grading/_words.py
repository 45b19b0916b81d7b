"""Words that are answers: spelt numbers, "no solution", "a circle"."""

from __future__ import annotations

import re

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBERS = {name: value for value, name in enumerate(_UNITS)}
NUMBERS |= {ten: 20 + 10 * i for i, ten in enumerate(_TENS)}
NUMBERS |= {f"{t} {_UNITS[n]}": NUMBERS[t] + n for t in _TENS for n in range(1, 10)}
NUMBERS |= {"hundred": 100, "one hundred": 100, "one thousand": 1_000, "one million": 10**6}
_REALS, _NONE = r"(-\infty,\infty)", r"\emptyset"
_FORMULAS = {
    "all real numbers": _REALS, "all reals": _REALS, "all real values": _REALS,
    "empty set": _NONE, "no solution": _NONE, "no solutions": _NONE, "no real solutions": _NONE,
    "no solution exists": _NONE, "no solutions exist": _NONE,
    "keine lösung": _NONE, "无解": _NONE, "infinite": r"\infty", "dne": "does not exist",
}  # fmt: skip
_OPENING = re.compile(r"(?:there (?:is|are) |it(?:'s| is) )?(?:(?:the|an?) (?=\w))?", re.IGNORECASE)
_WORDS = re.compile(r"(?:[Aa] (?=[A-Za-z]{3}))?[A-Za-z]{2,}(?:[ '-][A-Za-z]+)*\.?")


def is_phrase(text: str) -> bool:
    """Whether a text is a word or some, and no formula such as `xy`."""
    if text.lower() in _FORMULAS:
        return True
    short = text.lower() in ("yes", "no", *NUMBERS)
    long = " " in text or re.match("[A-Za-z]{4}", text) is not None
    return (short or long) and _WORDS.fullmatch(text) is not None


def bare(text: str) -> str:
    """A phrase without what it may begin with: "circle" of "It is a circle."."""
    text = " ".join(text.split()).rstrip(".")
    opening = _OPENING.match(text)
    return text[opening.end() :] if opening else text


def meaning(words: str) -> str | None:
    """What a bare phrase says as a formula, `13` for "thirteen"; None for other phrases."""
    words = words.lower()
    value = NUMBERS.get(words.replace("-", " "))
    return _FORMULAS.get(words) if value is None else str(value)
