"""Wrong neighbours: answers that look similar to the correct one, but are not equal to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from benchmarks.grader.writing import (
    BASE,
    DRESSED,
    decimal_of,
    fill,
    fraction_of,
    inequality,
    interval_of,
    is_value,
    items_of,
    list_of,
    named,
)


def plus_and_minus_one(gold: str, problem: str) -> Iterator[str]:
    yield from (moved for step in (1, -1) if (moved := _moved(gold, step)))


def _moved(gold: str, step: int) -> str | None:
    """The answer one up or down, or its first item or cell; None for words."""
    if m := re.fullmatch(DRESSED, gold):
        return f"{m[1] or ''}{_shifted(m[2], step)}{m[3] or ''}"
    if fraction := fraction_of(gold):
        sign, a, b = fraction
        return rf"\frac{{{(-a if sign else a) + step * b}}}{{{b}}}"
    if m := re.fullmatch(BASE, gold):
        digit = int(m[1][-1]) + step
        return f"{m[1][:-1]}{digit}_{m[2]}" if 0 <= digit < int(m[2]) else None
    if r"\begin" in gold:
        return re.sub(r"-?\d+", lambda cell: str(int(cell[0]) + step), gold, count=1)
    if found := items_of(gold):
        opening, (first, *rest), closing = found
        value = _shifted(first, step)
        return opening + ", ".join([value, *rest]) + closing if value else None
    if is_formula(gold) or re.search(r"=|\\pm", gold):
        return f"{gold} {'+' if step > 0 else '-'} 1"
    return None


def _shifted(number: str, step: int) -> str | None:
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
    if m := re.fullmatch(DRESSED, gold):
        if re.search("[1-9]", m[2]):  # zero has no sign
            yield f"{m[1] or ''}{_flipped(m[2])}{m[3] or ''}"
    elif is_formula(gold):
        yield _flipped(gold) if fraction_of(gold) else f"-({gold})"
    elif found := items_of(gold):
        opening, (first, *rest), closing = found
        # -a, a in another order is the same set, and (-oo, oo) has no other sign.
        if re.search("[1-9a-z]", first) and _flipped(first) not in rest and r"\infty" not in first:
            yield opening + ", ".join([_flipped(first), *rest]) + closing


def _flipped(number: str) -> str:
    if re.search(r"(?<=.)[+-]", number):  # a sum
        return f"-({number})"
    return number[1:] if number.startswith("-") else "-" + number


def fraction_upside_down(gold: str, problem: str) -> Iterator[str]:
    if found := fraction_of(gold):
        sign, a, b = found
        if a not in (0, b):
            yield rf"{sign}\frac{{{b}}}{{{a}}}"
    elif m := re.fullmatch(r"(-?)\\frac\{([^{}]+|\\sqrt\{\d+\})\}\{(?!\2\})([^{}]+)\}", gold):
        yield rf"{m[1]}\frac{{{m[3]}}}{{{m[2]}}}"


def one_element_missing(gold: str, problem: str) -> Iterator[str]:
    if found := items_of(gold):
        opening, items, closing = found
        if opening in ("", r"\{") or len(items) > 2:  # a pair less one is no pair
            yield opening + ", ".join(items[:-1]) + closing
            yield opening + ", ".join(items[1:]) + closing
    elif r"\cup" in gold:
        yield from (part.strip() for part in gold.split(r"\cup"))
    elif r"\pm" in gold:
        yield from (gold.replace(r"\pm", "+"), gold.replace(r"\pm", "-"))


def endpoints_swapped(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and len(found[1]) == 2 and found[0] in ("(", "[") and found[1][0] != found[1][1]:
        opening, (low, high), closing = found
        yield f"{opening}{high}, {low}{closing}"
        if opening + closing in ("(]", "[)"):
            yield f"{'[' if opening == '(' else '('}{low}, {high}{']' if closing == ')' else ')'}"


def last_digit(gold: str, problem: str) -> Iterator[str]:
    """Another last digit of a number, an answer in a base, a factor or an exponent."""
    m = re.search(r"(\d)(?=[^\d]*$)", gold)
    if m and not re.search(r"_\d|\\text|\\mbox|begin", gold):
        for step in (1, 3):
            digit = (int(m[1]) + step) % 10
            # 05 and 5 are one number, and a unit's power is no digit of the answer.
            if digit or len(gold) == 1:
                yield gold[: m.start()] + str(digit) + gold[m.end() :]


def another_factor(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"[1-9]\d*", gold) and (n := int(gold)) > 1:
        yield from (rf"2 \cdot {n}", rf"{n}^2", rf"{n} \cdot 10")
        yield rf"\boxed{{{n - 1} \cdot {n}}}" if n > 2 else rf"{n}^3"


def another_case(gold: str, problem: str) -> Iterator[str]:
    """A variable in the other case: N is not n."""
    if (is_formula(gold) or "=" in gold) and not re.search(r"\\text|\\mbox", gold):
        names = re.findall(r"(?<![A-Za-z\\])[A-DF-HJ-Za-df-hj-z](?![A-Za-z])", gold)  # not e, i
        for name in dict.fromkeys(names):
            yield re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", name.swapcase(), gold)


def wrong_in_a_wrapping(gold: str, problem: str) -> Iterator[str]:
    for wrong in plus_and_minus_one(gold, problem):
        yield f"### Answer\n\n$$\n{wrong}\n$$"
        yield rf"I get \boxed{{{gold}}}, but that is wrong. It is \boxed{{{wrong}}}."
        yield f"The answer is not ${gold}$. The answer is ${wrong}$."
        yield rf"\boxed{{\ {wrong}\ }}"
        yield from (f"综上，最终答案为：${wrong}$。", f"Die Antwort ist ${wrong}$.")


def one_box_more(gold: str, problem: str) -> Iterator[str]:
    if is_formula(gold):
        yield rf"The roots are \boxed{{{gold}}}, \boxed{{{gold} + 1}}."
        yield rf"\boxed{{{gold} - 1}} and \boxed{{{gold}}}"


def one_box_less(gold: str, problem: str) -> Iterator[str]:
    if boxes := [rf"\boxed{{{item}}}" for item in list_of(gold)]:
        yield f"The values are {', '.join(boxes[:-1])}."
        yield f"{boxes[0]}, no, rather {boxes[-1]}"


def another_bracket(gold: str, problem: str) -> Iterator[str]:
    """The inequality or the set difference of another interval."""
    whole = re.sub(r"\s|\\left|\\right", "", gold)
    if found := interval_of(gold):
        if side := inequality(found, signs=(r"\le", "<")):
            yield from (side, fill(r"\{x \mid <0>\}", side))
    elif m := re.fullmatch(r"\((.*?),(-?\d+)\)\\cup\((-?\d+),(.*)\)", whole):
        yield from (rf"({m[1]}, {m[4]})", rf"x < {m[2]}")
        yield rf"({m[1]}, {m[4]}) \setminus \{{{int(m[2]) + 1}\}}"
        yield rf"\mathbb{{R}} \setminus \{{{int(m[2]) - 1}\}}"


def another_argument(gold: str, problem: str) -> Iterator[str]:
    """Another argument of a floor or a ceiling."""
    if re.search(r"\\l(?:floor|ceil)", gold):
        yield re.sub(r"(\\r(?:floor|ceil))", r" + 1 \1", gold)
        yield gold.replace("floor", "ceil") if "floor" in gold else gold.replace("ceil", "floor")
        yield re.sub(r"(\d)(?=[^\d]*\\r(?:floor|ceil))", lambda m: str(int(m[1]) + 1), gold)


def coarse_decimal(gold: str, problem: str) -> Iterator[str]:
    """A decimal of too few digits for a fraction, or with a wrong last one."""
    if (found := fraction_of(gold)) and not decimal_of(Fraction(found[1], found[2])):
        sign, a, b = found
        yield f"{sign}{a / b:.3f}"
        yield f"{sign}{(a * 10**8 // b + 3) / 10**8:.8f}"


NEIGHBOURS = named(
    *(plus_and_minus_one, sign_flipped, fraction_upside_down, one_element_missing, last_digit),
    *(endpoints_swapped, another_factor, another_case, another_bracket, another_argument),
    *(wrong_in_a_wrapping, one_box_more, one_box_less, coarse_decimal),
)
