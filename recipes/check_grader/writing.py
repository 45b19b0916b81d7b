"""Classifies gold answers by how they are written, independently of the grader's code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

Rule = Callable[[str, str], Iterator[str]]
"""From an answer and its problem, the variants that it gives; none where it does not apply."""

INT, DECIMAL = r"-?\d+", r"-?\d*\.\d+"
_FRACTION = re.compile(r"(-?)\\[dt]?frac ?(?:\{(\d+)\}|(\d)) ?(?:\{(\d+)\}|(\d))")
MIXED = re.compile(r"(-?)(\d+) ?\\frac\{(\d+)\}\{(\d+)\}")
TEXT = re.compile(r"\\(?:text|mbox)\{(.*)\}")
DRESSED = re.compile(  # a number with what stands around it: \$, a unit, degrees, percent
    r"(\\\$)?(-?(?:(?:\d{1,3}(?:,(?:\\!)?\d{3})+|\d+)(?:\.\d+)?|\.\d+))(\^\\circ|\\%|\s*\\(?:text|mbox)\{[^{}]*\}(?:\^\d)?)?"
)
BASE = re.compile(r"(\d+)_(\d+)")
LETTER = re.compile(r"\(?([A-E])\)?")
NAMES = {"2": "two", "3": "three", "5": "five", "6": "six", "8": "eight", "9": "nine"}


def decimal_of(value: Fraction) -> str | None:
    """The whole decimal expansion; None if it does not end."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest > 1:
        return None
    places = next(n for n in range(99) if (value * 10**n).denominator == 1)
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (digits if not places else f"{digits[:-places]}.{digits[-places:]}")


def fraction_of(gold: str) -> tuple[str, int, int] | None:
    """Sign, numerator and denominator of a fraction of integers."""
    m = _FRACTION.fullmatch(gold)
    return (m[1], int(m[2] or m[3]), int(m[4] or m[5])) if m else None


def parts_of(text: str, separators: str) -> list[str]:
    """Splits where a separator stands in no bracket; a part keeps the sign that it began with."""
    parts, level = [""], 0
    for c in text:
        if level == 0 and c in separators:
            parts.append(c if c in "+-" else "")
            continue
        level += (c in "([{") - (c in ")]}")
        parts[-1] += c
    return [p.strip() for p in parts]


def items_of(gold: str) -> tuple[str, list[str], str] | None:
    """Brackets and items of a tuple, an interval, a set or a bare list of two or more."""
    plain = gold.replace(r"\left", "").replace(r"\right", "").strip()
    before = re.match(r"[a-z] \\in |", plain)
    plain = plain[before.end() if before else 0 :]
    for opening, closing in (
        ("(", ")"),
        ("(", "]"),
        ("[", ")"),
        ("[", "]"),
        (r"\{", r"\}"),
        ("", ""),
    ):
        inside = plain[len(opening) : len(plain) - len(closing)]
        items = parts_of(inside, ",")
        level, lowest = 0, 0
        for c in inside:
            level += (c in "([{") - (c in ")]}")
            lowest = min(level, lowest)
        whole = plain.startswith(opening) and plain.endswith(closing) and lowest == 0
        if whole and len(items) > 1 and r"\!" not in gold and not has_thousands(gold):
            return opening, items, closing
    return None


def is_letter(gold: str) -> bool:
    """Whether it is the letter of an option, perhaps in parentheses or as text."""
    inside = TEXT.fullmatch(gold)
    return LETTER.fullmatch(inside[1] if inside else gold) is not None


def has_thousands(gold: str) -> bool:
    return re.fullmatch(r"(\\\$)?\d{1,3}(,(\\!)?\d{3})+", gold) is not None


def is_value(gold: str) -> bool:
    """Whether it is one number or formula: not a list, an equation, words, digits in a base."""
    other = r"\\text|\\mbox|\\cup|\\in\b|\\pm|\\begin|\\circ|\\%|\\\$|=|_"
    return not (items_of(gold) or has_thousands(gold) or re.search(other, gold))


def is_interval(gold: str) -> bool:
    """Whether two items in brackets are an interval, and no point."""
    found = items_of(gold)
    if not found or len(found[1]) != 2:
        return False
    return found[0] + found[2] in ("(]", "[)", "[]") or r"\infty" in gold
