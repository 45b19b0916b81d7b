"""Wrong neighbours: answers that look similar to the correct one, but are not equal to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from recipes.check_grader.writing import (
    BASE,
    DRESSED,
    Rule,
    decimal_of,
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
    if re.fullmatch(r"[1-9]\d*", gold) and int(gold) > 1:
        n = int(gold)
        yield from (rf"2 \cdot {n}", rf"{n}^2", rf"{n} \cdot 10")
        yield rf"\boxed{{{n - 1} \cdot {n}}}" if n > 2 else rf"{n}^3"


def another_case(gold: str, problem: str) -> Iterator[str]:
    """A variable in the other case: N is not n."""
    if (not is_formula(gold) and "=" not in gold) or re.search(r"\\text|\\mbox", gold):
        return
    names = re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", re.sub(r"\\[A-Za-z]+", " ", gold))
    for name in dict.fromkeys(n for n in names if n not in "ieEI"):
        yield re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", name.swapcase(), gold)


def wrong_in_a_wrapping(gold: str, problem: str) -> Iterator[str]:
    for wrong in (moved for step in (1, -1) if (moved := _moved(gold, step))):
        yield f"### Answer\n\n$$\n{wrong}\n$$"
        yield rf"I get \boxed{{{gold}}}, but that is wrong. It is \boxed{{{wrong}}}."
        yield f"The answer is not ${gold}$. The answer is ${wrong}$."
        yield rf"\boxed{{\ {wrong}\ }}"
        yield f"综上，最终答案为：${wrong}$。"
        yield f"Die Antwort ist ${wrong}$."


def one_box_more(gold: str, problem: str) -> Iterator[str]:
    if is_formula(gold):
        yield rf"The roots are \boxed{{{gold}}}, \boxed{{{gold} + 1}}."
        yield rf"\boxed{{{gold} - 1}} and \boxed{{{gold}}}"


def one_box_less(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and found[0] == "":
        boxes = [rf"\boxed{{{item}}}" for item in found[1][:-1]]
        yield "The values are " + ", ".join(boxes) + "."
        yield rf"\boxed{{{found[1][0]}}}, no, rather \boxed{{{found[1][-1]}}}"


def another_bracket(gold: str, problem: str) -> Iterator[str]:
    """The inequality or the set difference of another interval."""
    whole = re.sub(r"\s", "", gold.replace(r"\left", "").replace(r"\right", ""))
    if is_interval(gold) and (found := items_of(gold)):
        (opening, (low, high), closing) = found
        at_least, at_most = (r"\le" if b in "()" else "<" for b in (opening, closing))
        left = "" if "infty" in low else f"{low} {at_least} "
        right = "" if "infty" in high else rf" {at_most} {high}"
        yield from (f"{left}x{right}", rf"\{{x \mid {left}x{right}\}}") if left or right else ()
    elif m := re.fullmatch(r"\((.*?),(-?\d+)\)\\cup\((-?\d+),(.*)\)", whole):
        yield rf"({m[1]}, {m[4]})"
        yield rf"({m[1]}, {m[4]}) \setminus \{{{int(m[2]) + 1}\}}"
        yield rf"\mathbb{{R}} \setminus \{{{int(m[2]) - 1}\}}"
        yield rf"x < {m[2]}"


def another_argument(gold: str, problem: str) -> Iterator[str]:
    """Another argument of a floor or a ceiling."""
    if re.search(r"\\l(?:floor|ceil)", gold):
        yield re.sub(r"(\\r(?:floor|ceil))", r" + 1 \1", gold)
        yield gold.replace("floor", "ceil") if "floor" in gold else gold.replace("ceil", "floor")
        yield re.sub(r"(\d)(?=[^\d]*\\r(?:floor|ceil))", lambda m: str(int(m[1]) + 1), gold)


def coarse_decimal(gold: str, problem: str) -> Iterator[str]:
    """A decimal of too few digits for a fraction, or with a wrong last one."""
    if found := fraction_of(gold):
        sign, a, b = found
        if not decimal_of(Fraction(a, b)):
            places = 8
            digits = a * 10**places // b
            yield f"{sign}{a / b:.3f}"
            yield sign + f"{(digits + 3) / 10**places:.{places}f}"


NEIGHBOURS: dict[str, Rule] = {
    "plus and minus one": plus_minus_one,
    "sign flipped": sign_flipped,
    "fraction upside down": fraction_upside_down,
    "one element missing": one_missing,
    "endpoints swapped": endpoints_swapped,
    "last digit": last_digit,
    "another factor": another_factor,
    "another case": another_case,
    "wrong in a wrapping": wrong_in_a_wrapping,
    "one box more": one_box_more,
    "one box less": one_box_less,
    "another bracket": another_bracket,
    "another argument": another_argument,
    "coarse decimal": coarse_decimal,
}
