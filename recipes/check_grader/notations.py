"""Notations: what a programming language, another country or another chapter writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from recipes.check_grader.writing import (
    DECIMAL,
    DRESSED,
    INT,
    LETTER,
    Rule,
    fraction_of,
    is_interval,
    is_value,
    items_of,
)


def scientific(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(f"{INT}|{DECIMAL}", gold) and Fraction(gold):
        sign, digits = gold[: gold.startswith("-")], gold.lstrip("-")
        significant = re.sub(r"^[0.]+", "", digits).replace(".", "").rstrip("0") or "0"
        exponent, value = 0, Fraction(digits)
        while value >= 10:
            value, exponent = value / 10, exponent + 1
        while value < 1:
            value, exponent = value * 10, exponent - 1
        mantissa = sign + significant[0] + ("." + significant[1:] if significant[1:] else "")
        yield from (f"{mantissa}e{exponent}", f"{mantissa}E{exponent:+03d}")
        yield rf"{mantissa} \times 10^{{{exponent}}}"
        yield rf"\boxed{{{mantissa}\cdot 10^{{{exponent}}}}}"


def python_number(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(INT, gold):
        yield from (f"{int(gold)}.0", f"Fraction({int(gold)}, 1)", f"({int(gold)}+0j)")
    elif re.fullmatch(DECIMAL, gold):
        yield str(float(gold))
        yield f"Decimal('{gold}')"
    elif found := fraction_of(gold):
        sign, a, b = found
        yield f"Fraction({sign}{a}, {b})"
        yield f"Rational({sign}{a}, {b})"
        if Fraction(a, b).denominator not in (1, 2, 4, 5, 8):
            yield sign + repr(a / b) if abs(a / b) > 1e-4 else f"{sign}{a}/{b}"
    elif m := re.fullmatch(r"(-?\d+)\s*([+-])\s*(\d*)i", gold):
        yield from (f"({m[1]}{m[2]}{m[3] or 1}j)", f"{m[1]} {m[2]} {m[3] or 1}*I")


def python_formula(gold: str, problem: str) -> Iterator[str]:
    """Formulas as sympy prints them."""
    if re.fullmatch(r"[-+\d\sa-zA-Z^\\{}]*", gold) and not re.search(r"\\(?!sqrt|pi)|\d_", gold):
        text = re.sub(r"(\d|\})\s*(?=\\)", r"\1*", gold)
        text = re.sub(r"\\sqrt\{(\w+)\}", r"sqrt(\1)", text).replace(r"\pi", "pi")
        text = re.sub(r"(?<=\d)(?=[a-zA-Z](?![a-z]))", "*", text).replace("^", "**")
        if text != gold and not re.search(r"[{}\\]|\d+i\b|\*i\b", text):
            yield text


def python_container(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and not re.search(r"[a-zA-Z\\]", "".join(found[1])):
        items = ", ".join(found[1])
        if found[0] == "":
            yield from (f"[{items}]", f"{{{items}}}", f"[{', '.join(reversed(found[1]))}]")
        elif found[0] + found[2] == "()":
            yield f"({items})"
            yield f"**({items})**"
    elif "{pmatrix}" in gold and "&" not in gold:
        cells = re.sub(r"\\(?:begin|end)\{pmatrix\}", "", gold).split(r"\\")
        yield "Matrix([" + ", ".join(f"[{cell.strip()}]" for cell in cells) + "])"


def set_builder(gold: str, problem: str) -> Iterator[str]:
    if is_interval(gold) and (found := items_of(gold)):
        (opening, (low, high), closing) = found
        at_least, at_most = ("<" if b in "()" else r"\le" for b in (opening, closing))
        left = "" if "infty" in low else f"{low} {at_least} "
        right = "" if "infty" in high else rf" {at_most} {high}"
        if not left and not right:
            return
        yield rf"\{{x \mid {left}x{right}\}}"
        yield rf"\left\{{ x \in \mathbb{{R}} : {left}x{right} \right\}}"
        yield rf"\{{t\in\mathbb R | {left}t{right}\}}"


def union_as_inequalities(gold: str, problem: str) -> Iterator[str]:
    parts = [part.strip() for part in gold.split(r"\cup")]
    if len(parts) > 1 and all(is_interval(part) or items_of(part) for part in parts):
        sides = []
        for part in parts:
            found = items_of(part)
            assert found
            opening, (low, high), closing = found
            at_least, at_most = ("<" if b in "()" else r"\le" for b in (opening, closing))
            left = "" if "infty" in low else f"{low} {at_least} "
            right = "" if "infty" in high else rf" {at_most} {high}"
            sides.append(f"{left}x{right}")
        yield r" \text{ or } ".join(sides)
        yield " or ".join(sides)
        yield r"\{x \mid " + r" \text{ or } ".join(sides) + r"\}"


def set_difference(gold: str, problem: str) -> Iterator[str]:
    whole = re.sub(r"\s", "", gold)
    if m := re.fullmatch(r"\((-\\infty|-?\d+),(-?\d+)\)\\cup\((-?\d+),(\\infty|-?\d+)\)", whole):
        if m[2] != m[3]:
            return
        yield rf"({m[1]}, {m[4]}) \setminus \{{{m[2]}\}}"
        yield rf"({m[1]}, {m[4]}) - \{{{m[2]}\}}"
        if "infty" in m[1] and "infty" in m[4]:
            yield from (rf"\mathbb{{R}} \setminus \{{{m[2]}\}}", rf"x \neq {m[2]}")
    elif whole == r"(-\infty,\infty)":
        yield from (r"\mathbb{R}", r"\mathbb R", r"x \in \mathbb{R}", r"\text{all real numbers}")


def letters_as_text(gold: str, problem: str) -> Iterator[str]:
    letters = [part.strip() for part in gold.split(",")]
    if len(letters) > 1 and all(LETTER.fullmatch(letter) for letter in letters):
        yield from (rf"\text{{{', '.join(letters)}}}", rf"\boxed{{\text{{{','.join(letters)}}}}}")
        yield r",\ ".join(rf"\text{{{letter}}}" for letter in reversed(letters))


def spaced_thousands(gold: str, problem: str) -> Iterator[str]:
    plain = re.sub(r",(\\!)?", "", gold) if re.fullmatch(r"[\d,\\!]+", gold) else ""
    if re.fullmatch(r"[1-9]\d{3,17}", plain) and re.fullmatch(r"\d+|\d{1,3}(,(\\!)?\d{3})+", gold):
        groups = f"{int(plain):,}"
        yield from (groups.replace(",", r"\ "), groups.replace(",", r"\,"))
        yield rf"\boxed{{{groups.replace(',', ' ')}}}"


def decimal_comma(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"-?\d+\.(\d{1,2}|\d{4,})", gold):
        yield gold.replace(".", "{,}")
        yield f"Die Antwort ist {gold.replace('.', ',')}."


def unicode_signs(gold: str, problem: str) -> Iterator[str]:
    text = re.sub(r"\\sqrt\{(\d+)\}", r"√\1", gold).replace(r"\pi", "π").replace(r"\infty", "∞")
    text = text.replace("-", "−").replace("^2", "²").replace("^3", "³").replace(r"\cup", "∪")
    text = text.replace(r"\frac{1}{2}", "½").replace(r"\frac{1}{4}", "¼").replace("^\\circ", "°")
    if text != gold and "begin" not in gold:
        yield text


def currency(gold: str, problem: str) -> Iterator[str]:
    m = DRESSED.fullmatch(gold)
    if m and m[1]:
        yield from (f"{m[2]} USD", f"US\\${m[2]}", f"\\boxed{{\\text{{\\${m[2]}}}}}")
    elif m and not m[3] and is_value(gold):
        yield from (f"€{m[2]}", f"{m[2]} €", rf"{m[2]} \text{{ euros}}", f"£{m[2]}", f"{m[2]}元")


def durations(gold: str, problem: str) -> Iterator[str]:
    m = re.fullmatch(r"(\d+)(?:\s|\\ )*\\text\{\s*minutes\s*\}", gold)
    if m and int(m[1]) > 60 and int(m[1]) % 60:
        h, rest = divmod(int(m[1]), 60)
        yield rf"{h}\text{{ hours }}{rest}\text{{ minutes}}"
        yield from (f"{h} hours and {rest} minutes", f"{h} h {rest} min")
    elif m := re.fullmatch(r"(\d+)\\text\{ hours \}(\d+)\\text\{ minutes\}", gold):
        yield from (f"{m[1]} hours {m[2]} minutes", f"{m[1]} hours and {m[2]} minutes")
        yield f"{int(m[1]) * 60 + int(m[2])} minutes"


def articles(gold: str, problem: str) -> Iterator[str]:
    if (m := re.fullmatch(r"\\text\{([a-z]{4,})\}", gold)) and m[1] not in ("even", "east"):
        yield from (
            f"an {m[1]}",
            f"The answer is the {m[1]}.",
            rf"\boxed{{\text{{{m[1].title()}.}}}}",
        )


NOTATIONS: dict[str, Rule] = {
    "scientific": scientific,
    "Python number": python_number,
    "Python formula": python_formula,
    "Python container": python_container,
    "set builder": set_builder,
    "union as inequalities": union_as_inequalities,
    "set difference, R": set_difference,
    "letters as text": letters_as_text,
    "spaced thousands": spaced_thousands,
    "decimal comma": decimal_comma,
    "Unicode signs": unicode_signs,
    "currency": currency,
    "durations": durations,
    "articles": articles,
}
