"""Wrong neighbours: answers that look similar to the correct one, but are not equal to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recipes.check_grader.writing import (
    BASE,
    DRESSED,
    Rule,
    fraction_of,
    is_interval,
    is_value,
    items_of,
)


def plus_minus_one(gold: str, problem: str) -> Iterator[str]:
    yield from (moved for step in (1, -1) if (moved := _moved(gold, step)))


def _moved(gold: str, step: int) -> str | None:
    """The answer one up or down, or its first item or cell; None for words."""
    if m := DRESSED.fullmatch(gold):
        return f"{m[1] or ''}{shifted(m[2], step)}{m[3] or ''}"
    if fraction := fraction_of(gold):
        sign, a, b = fraction
        return rf"\frac{{{(-a if sign else a) + step * b}}}{{{b}}}"
    if m := BASE.fullmatch(gold):
        digit = int(m[1][-1]) + step
        return f"{m[1][:-1]}{digit}_{m[2]}" if 0 <= digit < int(m[2]) else None
    if r"\begin" in gold:
        return re.sub(r"-?\d+", lambda cell: str(int(cell[0]) + step), gold, count=1)
    if items := items_of(gold):
        value = shifted(items[1][0], step)
        return items[0] + ", ".join([value, *items[1][1:]]) + items[2] if value else None
    if is_formula(gold) or re.search(r"=|\\pm", gold):
        return f"{gold} {'+' if step > 0 else '-'} 1"
    return None


def shifted(number: str, step: int) -> str | None:
    """The number one up or down, with its decimals; None if it is none."""
    plain = re.sub(r",(?:\\!)?", "", number)
    if not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", plain):
        return None
    return f"{float(plain) + step:.{len(plain.partition('.')[2])}f}"


def is_formula(gold: str) -> bool:
    """Whether one can add to it and negate it: no words, no letter of an option, no infinity."""
    words = re.fullmatch(r"[A-Za-z]{3,}|[A-E]", gold)
    return is_value(gold) and not words and r"\infty" not in gold


def sign_flipped(gold: str, problem: str) -> Iterator[str]:
    if m := DRESSED.fullmatch(gold):
        if re.search("[1-9]", m[2]):  # zero has no sign
            yield f"{m[1] or ''}{flipped(m[2])}{m[3] or ''}"
    elif is_formula(gold):
        yield flipped(gold) if fraction_of(gold) else f"-({gold})"
    elif (found := items_of(gold)) and re.search("[1-9a-z]", found[1][0]):
        opening, items, closing = found
        # -a, a in another order is the same set, and (-oo, oo) has no other sign.
        if flipped(items[0]) not in items[1:] and r"\infty" not in items[0]:
            yield opening + ", ".join([flipped(items[0]), *items[1:]]) + closing


def flipped(number: str) -> str:
    if re.search(r"(?<=.)[+-]", number):  # a sum
        return f"-({number})"
    return number[1:] if number.startswith("-") else "-" + number


def fraction_upside_down(gold: str, problem: str) -> Iterator[str]:
    if found := fraction_of(gold):
        sign, a, b = found
        if a not in (0, b):
            yield rf"{sign}\frac{{{b}}}{{{a}}}"
    elif (m := re.fullmatch(r"(-?)\\frac\{([^{}]+|\\sqrt\{\d+\})\}\{([^{}]+)\}", gold)) and m[
        2
    ] != m[3]:
        yield rf"{m[1]}\frac{{{m[3]}}}{{{m[2]}}}"


def one_missing(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and (found[0] in ("", r"\{") or len(found[1]) > 2):  # a pair less one is no pair
        yield found[0] + ", ".join(found[1][:-1]) + found[2]
        yield found[0] + ", ".join(found[1][1:]) + found[2]
    elif r"\cup" in gold:
        yield from (part.strip() for part in gold.split(r"\cup"))
    elif r"\pm" in gold and not found:
        yield from (gold.replace(r"\pm", "+"), gold.replace(r"\pm", "-"))


def endpoints_swapped(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and len(found[1]) == 2 and found[0] in ("(", "[") and found[1][0] != found[1][1]:
        opening, (low, high), closing = found
        yield f"{opening}{high}, {low}{closing}"
        if is_interval(gold) and opening + closing in ("(]", "[)"):
            yield f"{'[' if opening == '(' else '('}{low}, {high}{']' if closing == ')' else ')'}"


NEIGHBOURS: dict[str, Rule] = {
    "plus and minus one": plus_minus_one,
    "sign flipped": sign_flipped,
    "fraction upside down": fraction_upside_down,
    "one element missing": one_missing,
    "endpoints swapped": endpoints_swapped,
}
