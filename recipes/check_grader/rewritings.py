"""Rewritings: other ways to write the same answer.

A rule depends only on the answer, and where noted on the problem; it knows nothing of the grader.
Where it could not produce an equal answer (a decimal for 1/3), its own condition excludes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from recipes.check_grader.writing import (
    BASE,
    DECIMAL,
    DRESSED,
    INT,
    LETTER,
    MIXED,
    NAMES,
    TEXT,
    Rule,
    decimal_of,
    fraction_of,
    has_thousands,
    is_interval,
    is_value,
    items_of,
    parts_of,
)


def integer_as_decimal(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(INT, gold):
        yield from (gold + ".0", gold + ".00")
    elif re.fullmatch(r"-?\d+\.0+", gold):
        yield from (gold.partition(".")[0], gold + "0")


def fraction_forms(gold: str, problem: str) -> Iterator[str]:
    if found := fraction_of(gold):
        sign, a, b = found
        for command in ("frac", "dfrac", "tfrac"):
            yield rf"{sign}\{command}{{{a}}}{{{b}}}"
        yield f"{sign}{a}/{b}"
        if decimal := decimal_of(Fraction(a, b)):
            yield sign + decimal
    elif r"\frac" in gold:
        yield gold.replace(r"\frac", r"\dfrac")
        yield gold.replace(r"\frac", r"\tfrac")
    elif re.fullmatch(DECIMAL, gold) and Fraction(gold).denominator > 1:
        yield rf"\frac{{{Fraction(gold).numerator}}}{{{Fraction(gold).denominator}}}"


def added_spaces(gold: str, problem: str) -> Iterator[str]:
    # In text, in a matrix and in digits, a space can mean something.
    if not re.search(r"\\text|\\mbox|\\begin|\\!|_|\d,\d", gold):
        tokens = re.findall(r"\\[A-Za-z]+|\\.|\d*\.?\d+|\S", gold)
        if len(tokens) > 1:
            yield " ".join(tokens)
    yield f" {gold} "


def left_right(gold: str, problem: str) -> Iterator[str]:
    if r"\left" in gold:
        yield gold.replace(r"\left", "").replace(r"\right", "")
    elif re.search(r"[(\[]|\\\{", gold) and r"\text" not in gold:
        yield re.sub(r"(\(|\[|\\\{)", r"\\left\1", re.sub(r"(\)|\]|\\\})", r"\\right\1", gold))


def thin_spaces(gold: str, problem: str) -> Iterator[str]:
    if not re.search(r"\\text|\\mbox|\\!|\d,\d|\\begin", gold):
        spaced = re.sub(r"(?<=\w|\)|\})\s*([+=,])\s*", r"\\,\1\\,", gold)
        spaced = re.sub(r"(?<=\d)\s*(?=\\sqrt|\\pi|\\infty)", r"\\,", spaced)
        if spaced != gold:
            yield spaced


def dollar_signs(gold: str, problem: str) -> Iterator[str]:
    yield from (f"${gold}$", rf"\({gold}\)", rf"\[{gold}\]")


def units(gold: str, problem: str) -> Iterator[str]:
    m = DRESSED.fullmatch(gold)
    if m and m[1]:
        yield from (m[2], m[2] + " dollars", m[2] + r"\text{ dollars}")
    elif m and m[3] and re.search("text|mbox", m[3]):
        unit = m[3].strip().replace("mbox", "text")
        yield from (m[2], f"{m[2]} {unit}", f"{m[2]}{unit}")
    elif (m and not m[3]) or fraction_of(gold):
        yield from (gold + r"\text{ cm}", gold + " cm", gold + r" \text{ units}", gold + " dollars")
        yield from (gold + r"\mbox{ inches}^2", gold + " miles", r"\$" + gold)


def percent_sign(gold: str, problem: str) -> Iterator[str]:
    if gold.endswith("%"):
        yield gold.rstrip("\\%")
    # A bare number gets the sign where the question, the last sentence, asks for percents.
    elif re.fullmatch(f"{INT}|{DECIMAL}", gold) and "percent" in _question(problem):
        yield from (gold + r"\%", gold + "%", gold + " percent")


def thousands_comma(gold: str, problem: str) -> Iterator[str]:
    if has_thousands(gold):
        bare = re.sub(r",(\\!)?", "", gold)
        yield from (bare, re.sub(r",(\\!)?", ",", gold), re.sub(r",(\\!)?", "{,}", gold))
    elif re.fullmatch(r"-?\d{4,}", gold) and not gold.lstrip("-").startswith("0"):
        yield from (f"{int(gold):,}", f"{int(gold):,}".replace(",", ",\\!"))


def text_around(gold: str, problem: str) -> Iterator[str]:
    if m := TEXT.fullmatch(gold):
        yield from (m[1], rf"\textbf{{{m[1]}}}", rf"\mathrm{{{m[1]}}}", rf"\text{{ {m[1]} }}")
    elif re.fullmatch(f"{INT}|{DECIMAL}", gold):
        yield rf"\text{{{gold}}}"


def item_spacing(gold: str, problem: str) -> Iterator[str]:
    if (found := items_of(gold)) and r"\in" not in gold.replace(r"\infty", ""):
        opening, items, closing = found
        # Without brackets and spaces 1,234 would be one number.
        joints = (",", ", ", " , ") if opening or not re.search(r"\d,\s?\d{3}", gold) else (", ",)
        yield from (opening + joint.join(items) + closing for joint in joints)


def interval_forms(gold: str, problem: str) -> Iterator[str]:
    if is_interval(gold) and (found := items_of(gold)):
        (opening, (low, high), closing) = found
        yield rf"x \in {opening}{low}, {high}{closing}"
        at_least, at_most = ("<" if b in "()" else r"\le" for b in (opening, closing))
        left = "" if "infty" in low else f"{low} {at_least} "
        right = "" if "infty" in high else f" {at_most} {high}"
        if left or right:
            yield f"{left}x{right}"
    elif r"\cup" in gold:
        yield r" \cup ".join(reversed([p.strip() for p in gold.split(r"\cup")]))


def matrix_forms(gold: str, problem: str) -> Iterator[str]:
    if "{pmatrix}" in gold:
        yield gold.replace("pmatrix", "bmatrix")
        yield re.sub(r"\s+", "", gold)
        yield re.sub(r"\s*\\\\\s*", r" \\\\[4pt] ", gold)


def roots_and_pi(gold: str, problem: str) -> Iterator[str]:
    if m := re.fullmatch(r"(\d*) ?\\sqrt\{(\d+)\}", gold):
        yield f"{m[1]}sqrt({m[2]})"
        if m[1]:
            yield rf"\sqrt{{{int(m[1]) ** 2 * int(m[2])}}}"
            yield from (rf"\sqrt{{{m[2]}}} \cdot {m[1]}", rf"{m[1]} \cdot \sqrt{{{m[2]}}}")
        if len(m[2]) == 1:
            yield rf"{m[1]}\sqrt{m[2]}"
    elif m := re.fullmatch(r"(\d+) ?\\pi", gold):
        yield from (rf"\pi \cdot {m[1]}", rf"{m[1]} \cdot \pi", f"{m[1]}π", f"{m[1]}*pi")
    elif m := re.fullmatch(r"(-?)\\frac\{(\\pi|\\sqrt\{\d+\})\}\{(\d+)\}", gold):
        yield from (rf"{m[1]}{m[2]}/{m[3]}", rf"{m[1]}\frac{{1}}{{{m[3]}}}{m[2]}")


def other_order(gold: str, problem: str) -> Iterator[str]:
    sides = [s.strip() for s in gold.split("=")]
    longest = max(sides, key=len)
    if any(not is_value(s) or "|" in s for s in sides):
        return
    terms = [t for t in parts_of(longest, "+-") if t]
    if len(terms) > 1:
        signed = [t if t[0] in "+-" else "+" + t for t in reversed(terms)]
        turned = " ".join(signed).removeprefix("+")
        yield " = ".join(turned if s == longest else s for s in sides)
    if len(sides) == 2:
        yield f"{sides[1]} = {sides[0]}"
    elif m := re.fullmatch(r"(\([^()]+\))(\([^()]+\))", gold):
        yield m[2] + m[1]
    elif m := re.fullmatch(r"(\d+)([a-zA-Z](?:\^\d)?)", gold):
        yield rf"{m[2]} \cdot {m[1]}"


def sentence_around(gold: str, problem: str) -> Iterator[str]:
    yield f"The answer is ${gold}$."
    yield f"Adding the three cases, we find 17 + 4 = 21.\n\nTherefore, the final answer is {gold}."
    yield f"We tried 3 ways.\n\n**Final Answer:** ${gold}$"
    yield rf"Thus the value is \boxed{{{gold}}}, as was to be shown in 2 steps."
    yield f"After step 2 only one value is left, which is ${gold}$."


def degree_sign(gold: str, problem: str) -> Iterator[str]:
    if gold.endswith(r"^\circ"):
        bare = gold.removesuffix(r"^\circ")
        yield from (bare, bare + "°", bare + r"^{\circ}", bare + " degrees")
        yield bare + r"\text{ degrees}"
    # A bare number gets the sign where the question, the last sentence, asks for degrees.
    elif re.fullmatch(f"{INT}|{DECIMAL}", gold) and "degree" in _question(problem):
        yield from (gold + r"^\circ", gold + "°")


def _question(problem: str) -> str:
    return problem.rstrip(".?$ \n").rpartition(". ")[2]


def mixed_number(gold: str, problem: str) -> Iterator[str]:
    if m := MIXED.fullmatch(gold):
        value = int(m[2]) + Fraction(int(m[3]), int(m[4]))
        yield rf"{m[1]}\frac{{{value.numerator}}}{{{value.denominator}}}"
        yield f"{m[1]}{m[2]} {m[3]}/{m[4]}"
        if decimal := decimal_of(value):
            yield m[1] + decimal
    elif (found := fraction_of(gold)) and found[1] > found[2] > 1 and found[1] % found[2]:
        sign, a, b = found
        yield from (rf"{sign}{a // b}\frac{{{a % b}}}{{{b}}}", f"{sign}{a // b} {a % b}/{b}")


def base_subscript(gold: str, problem: str) -> Iterator[str]:
    if m := BASE.fullmatch(gold):
        yield from (f"{m[1]}_{{{m[2]}}}", f"({m[1]})_{m[2]}", m[1], rf"{m[1]}_{{\text{{{m[2]}}}}}")
        if m[2] in NAMES:
            yield rf"{m[1]}_{{\text{{{NAMES[m[2]]}}}}}"


def letter_forms(gold: str, problem: str) -> Iterator[str]:
    inside = TEXT.fullmatch(gold)
    if m := LETTER.fullmatch(inside[1] if inside else gold):
        yield from (m[1], f"({m[1]})", rf"\text{{{m[1]}}}", rf"\textbf{{({m[1]})}}", f"{m[1]}.")
        yield from (f"Answer: {m[1]}", f"The answer is ({m[1]}).", f"{m[1]}) what the option says")


REWRITINGS: dict[str, Rule] = {
    "integer as decimal": integer_as_decimal,
    "fraction": fraction_forms,
    "spaces": added_spaces,
    r"\left \right": left_right,
    r"\,": thin_spaces,
    "$": dollar_signs,
    "unit, dollars": units,
    "percent sign": percent_sign,
    "thousands comma": thousands_comma,
    r"\text{}": text_around,
    "set and tuple spacing": item_spacing,
    "interval": interval_forms,
    "pmatrix, bmatrix": matrix_forms,
    "roots and pi": roots_and_pi,
    "order of terms, factors": other_order,
    "a sentence around": sentence_around,
    "degree sign": degree_sign,
    "mixed number": mixed_number,
    "base subscript": base_subscript,
    "letter, parentheses": letter_forms,
}
