"""How answers are written, recognised independently of the grader's code; rules of patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction

Rule = Callable[[str, str], Iterable[str]]
"""From an answer and its problem, the variants that it gives; none where it does not apply."""
Template = str | Callable[[re.Match[str]], str]
Items = tuple[str, list[str], str]
"""Opening bracket, items, closing bracket."""

INT, PLAIN = r"-?\d+", r"-?\d+|-?\d*\.\d+"
THOUSANDS = r"(?:\\\$)?\d{1,3}(?:,(?:\\!)?\d{3})+"
NUMBER = r"-?(?:(?:\d{1,3}(?:,(?:\\!)?\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
UNIT = r"\\(?:text|mbox)(\{[^{}]*\}(?:\^\d)?)"
# A number with what stands around it: \$, a unit, degrees, percent.
DRESSED = rf"(\\\$)?({NUMBER})(\^\\circ|\\%|\s*{UNIT})?"
FRACTION = r"(-?)\\[dt]?frac ?\{?(\d+)\}? ?\{?(\d+)\}?"
TEXT = r"\\(?:text|mbox)\{(.*)\}"
BASE = r"(\d+)_(\d+)"
LETTER = r"(?:\\(?:text|mbox)\{)?\(?([A-E])\)?\}?"
"""Of an option, perhaps in parentheses or as text."""
BRACKETS = (("(", ")"), ("(", "]"), ("[", ")"), ("[", "]"), (r"\{", r"\}"), ("", ""))


def matching(*cases: tuple[str, *tuple[Template, ...]]) -> Rule:
    """A rule of patterns, each with what is written for an answer that matches as a whole.

    As in `re.sub`, that is a template or a function of the match. In a template, <0> is the answer
    and <1> the first group.
    """

    def rule(gold: str, problem: str) -> Iterator[str]:
        for pattern, *templates in cases:
            if m := re.fullmatch(pattern, gold):
                groups = (m[0], *m.groups(""))
                yield from (fill(t, *groups) if isinstance(t, str) else t(m) for t in templates)

    return rule


def around(*templates: Template) -> Rule:
    """A rule for every answer, which is <0> in the templates."""
    return matching((".*", *templates))


def named(*rules: Rule) -> dict[str, Rule]:
    """Rules that are called like their functions."""
    return {getattr(rule, "__name__", "").replace("_", " "): rule for rule in rules}


def fill(template: str, *values: str) -> str:
    """The template with the values in place of <0>, <1> and so on."""
    return re.sub(r"<(\d)>", lambda m: values[int(m[1])], template)


def decimal_of(value: Fraction) -> str | None:
    """The whole decimal expansion; None if it does not end."""
    places = next((n for n in range(99) if (value * 10**n).denominator == 1), None)
    return None if places is None else f"{Decimal(value.numerator) / value.denominator:.{places}f}"


def fraction_of(gold: str) -> tuple[str, int, int] | None:
    """Sign, numerator and denominator of a fraction of integers."""
    m = re.fullmatch(FRACTION, gold)
    return (m[1], int(m[2]), int(m[3])) if m else None


def parts_of(text: str, separators: str) -> list[str]:
    """Splits where a separator stands in no bracket; a part keeps the sign that it began with.

    All is one part if a bracket is closed that was not opened.
    """
    parts, level = [""], 0
    for c in text:
        level += (c in "([{") - (c in ")]}")
        if level < 0:
            return [text]
        if level == 0 and c in separators:
            parts.append(c if c in "+-" else "")
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


def items_of(gold: str) -> Items | None:
    """Brackets and items of a tuple, an interval, a set or a bare list of two or more."""
    plain = re.sub(r"\\left|\\right|^[a-z] \\in ", "", gold).strip()
    for opening, closing in BRACKETS:
        items = parts_of(plain[len(opening) : len(plain) - len(closing)], ",")
        whole = plain.startswith(opening) and plain.endswith(closing) and len(items) > 1
        if whole and r"\!" not in gold and not re.fullmatch(THOUSANDS, gold):
            return opening, items, closing
    return None


def list_of(gold: str) -> list[str]:
    """The items of a list without brackets; none of anything else."""
    found = items_of(gold)
    return found[1] if found and not found[0] else []


def interval_of(gold: str) -> Items | None:
    """Brackets and both ends of an interval, which is no point."""
    found = items_of(gold)
    if not found or len(found[1]) != 2:
        return None
    return found if found[0] + found[2] in ("(]", "[)", "[]") or r"\infty" in gold else None


def inequality(interval: Items, x: str = "x", signs: tuple[str, str] = ("<", r"\le")) -> str:
    """An interval as an inequality, with the signs of an open and a closed end; "" without ends."""
    opening, (low, high), closing = interval
    left = "" if "infty" in low else f"{low} {signs[opening == '[']} "
    right = "" if "infty" in high else f" {signs[closing == ']']} {high}"
    return f"{left}{x}{right}" if left or right else ""


def is_value(gold: str) -> bool:
    """Whether it is one number or formula: not a list, an equation, words, digits in a base."""
    other = r"\\text|\\mbox|\\cup|\\in\b|\\pm|\\begin|\\circ|\\%|\\\$|=|_"
    return not (items_of(gold) or re.fullmatch(THOUSANDS, gold) or re.search(other, gold))
