"""Notations: other ways to write the same answer, in LaTeX, in a programming language, elsewhere.

A rule depends only on the answer, and where noted on the problem; it knows nothing of the grader.
Where it could not produce an equal answer (a decimal for 1/3), its own condition excludes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from benchmarks.grader.writing import (
    BASE,
    FRACTION,
    INT,
    LETTER,
    NUMBER,
    PLAIN,
    TEXT,
    THOUSANDS,
    UNIT,
    Rule,
    around,
    decimal_of,
    fill,
    fraction_of,
    inequality,
    interval_of,
    is_value,
    items_of,
    list_of,
    matching,
    named,
    parts_of,
)

BASES = {"2": "two", "3": "three", "5": "five", "6": "six", "8": "eight", "9": "nine"}


def fraction(gold: str, problem: str) -> Iterator[str]:
    if found := fraction_of(gold):
        sign, a, b = found
        for command in ("frac", "dfrac", "tfrac"):
            yield rf"{sign}\{command}{{{a}}}{{{b}}}"
        yield f"{sign}{a}/{b}"
        if decimal := decimal_of(Fraction(a, b)):
            yield sign + decimal
    elif r"\frac" in gold:
        yield from (gold.replace(r"\frac", rf"\{command}") for command in ("dfrac", "tfrac"))
    elif re.fullmatch(PLAIN, gold) and Fraction(gold).denominator > 1:
        yield rf"\frac{{{Fraction(gold).numerator}}}{{{Fraction(gold).denominator}}}"


def spaces(gold: str, problem: str) -> Iterator[str]:
    # In text, in a matrix and in digits, a space can mean something.
    if not re.search(r"\\text|\\mbox|\\begin|\\!|_|\d,\d", gold):
        yield " ".join(re.findall(r"\\[A-Za-z]+|\\.|\d*\.?\d+|\S", gold))
    yield f" {gold} "


def left_right(gold: str, problem: str) -> Iterator[str]:
    if r"\left" in gold:
        yield re.sub(r"\\left|\\right", "", gold)
    elif r"\text" not in gold:
        yield re.sub(r"(\(|\[|\\\{)", r"\\left\1", re.sub(r"(\)|\]|\\\})", r"\\right\1", gold))


def thin_spaces(gold: str, problem: str) -> Iterator[str]:
    if not re.search(r"\\text|\\mbox|\\!|\d,\d|\\begin", gold):
        spaced = re.sub(r"(?<=\w|\)|\})\s*([+=,])\s*", r"\\,\1\\,", gold)
        yield re.sub(r"(?<=\d)\s*(?=\\sqrt|\\pi|\\infty)", r"\\,", spaced)


def asks_for(unit: str, gold: str, problem: str) -> bool:
    """Whether the answer is a bare number and the question, the last sentence, asks for a unit."""
    question = problem.rstrip(".?$ \n").rpartition(". ")[2]
    return unit in question and re.fullmatch(PLAIN, gold) is not None


def percent_sign(gold: str, problem: str) -> Iterator[str]:
    if gold.endswith("%"):
        yield gold.rstrip("\\%")
    elif asks_for("percent", gold, problem):
        yield from (gold + r"\%", gold + "%", gold + " percent")


def degree_sign(gold: str, problem: str) -> Iterator[str]:
    if gold.endswith(r"^\circ"):
        bare = gold.removesuffix(r"^\circ")
        yield from (bare, bare + "°", bare + r"^{\circ}", bare + " degrees")
        yield bare + r"\text{ degrees}"
    elif asks_for("degree", gold, problem):
        yield from (gold + r"^\circ", gold + "°")


def thousands_comma(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(THOUSANDS, gold):
        yield from (re.sub(r",(\\!)?", comma, gold) for comma in ("", ",", "{,}"))
    elif re.fullmatch(r"-?[1-9]\d{3,}", gold):
        yield from (f"{int(gold):,}", f"{int(gold):,}".replace(",", ",\\!"))


def set_and_tuple_spacing(gold: str, problem: str) -> Iterator[str]:
    if (found := items_of(gold)) and r"\in" not in gold.replace(r"\infty", ""):
        opening, items, closing = found
        # Without brackets and spaces 1,234 would be one number.
        joints = (",", ", ", " , ") if opening or not re.search(r"\d,\s?\d{3}", gold) else (", ",)
        yield from (opening + joint.join(items) + closing for joint in joints)


def interval(gold: str, problem: str) -> Iterator[str]:
    if found := interval_of(gold):
        yield rf"x \in {found[0]}{', '.join(found[1])}{found[2]}"
        if side := inequality(found):
            yield side
    elif r"\cup" in gold:
        yield r" \cup ".join(reversed([p.strip() for p in gold.split(r"\cup")]))


def set_builder(gold: str, problem: str) -> Iterator[str]:
    if (found := interval_of(gold)) and (side := inequality(found)):
        yield fill(r"\{x \mid <0>\}", side)
        yield fill(r"\left\{ x \in \mathbb{R} : <0> \right\}", side)
        yield fill(r"\{t\in\mathbb R | <0>\}", inequality(found, "t"))


def union_as_inequalities(gold: str, problem: str) -> Iterator[str]:
    parts = [found for part in gold.split(r"\cup") if (found := items_of(part.strip()))]
    if len(parts) > 1:
        sides = [inequality(part) for part in parts]
        joined = r" \text{ or } ".join(sides)
        yield from (joined, " or ".join(sides), fill(r"\{x \mid <0>\}", joined))


def set_difference(gold: str, problem: str) -> Iterator[str]:
    whole = re.sub(r"\s", "", gold)
    if m := re.fullmatch(r"\((-\\infty|-?\d+),(-?\d+)\)\\cup\(\2,(\\infty|-?\d+)\)", whole):
        yield fill(r"(<0>, <2>) \setminus \{<1>\}", *m.groups())
        yield fill(r"(<0>, <2>) - \{<1>\}", *m.groups())
        if "infty" in m[1] and "infty" in m[3]:
            yield from (rf"\mathbb{{R}} \setminus \{{{m[2]}\}}", rf"x \neq {m[2]}")
    elif whole == r"(-\infty,\infty)":
        yield from (r"\mathbb{R}", r"\mathbb R", r"x \in \mathbb{R}", r"\text{all real numbers}")


def matrices(gold: str, problem: str) -> Iterator[str]:
    if "{pmatrix}" in gold:
        yield gold.replace("pmatrix", "bmatrix")
        yield re.sub(r"\s+", "", gold)
        yield re.sub(r"\s*\\\\\s*", r" \\\\[4pt] ", gold)


def other_order(gold: str, problem: str) -> Iterator[str]:
    sides = [s.strip() for s in gold.split("=")]
    if not all(is_value(s) and "|" not in s for s in sides):
        return
    longest = max(sides, key=len)
    terms = [t for t in parts_of(longest, "+-") if t]
    signed = [t if t[0] in "+-" else "+" + t for t in reversed(terms)]
    turned = " ".join(signed).removeprefix("+")
    if len(terms) > 1:
        yield " = ".join(turned if s == longest else s for s in sides)
    if len(sides) == 2:
        yield f"{sides[1]} = {sides[0]}"
    elif m := re.fullmatch(r"(\([^()]+\))(\([^()]+\))", gold):
        yield m[2] + m[1]
    elif m := re.fullmatch(r"(\d+)([a-zA-Z](?:\^\d)?)", gold):
        yield rf"{m[2]} \cdot {m[1]}"


def mixed_number(gold: str, problem: str) -> Iterator[str]:
    if m := re.fullmatch(r"(-?)(\d+) ?\\frac\{(\d+)\}\{(\d+)\}", gold):
        value = int(m[2]) + Fraction(int(m[3]), int(m[4]))
        yield rf"{m[1]}\frac{{{value.numerator}}}{{{value.denominator}}}"
        yield f"{m[1]}{m[2]} {m[3]}/{m[4]}"
        if decimal := decimal_of(value):
            yield m[1] + decimal
    elif (found := fraction_of(gold)) and found[1] > found[2] > 1 and found[1] % found[2]:
        sign, a, b = found
        yield from (rf"{sign}{a // b}\frac{{{a % b}}}{{{b}}}", f"{sign}{a // b} {a % b}/{b}")


def scientific(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(PLAIN, gold) and Fraction(gold):
        number = Decimal(gold).normalize()
        exponent = number.adjusted()
        mantissa = str(number.scaleb(-exponent))
        yield from (f"{mantissa}e{exponent}", f"{mantissa}E{exponent:+03d}")
        yield rf"{mantissa} \times 10^{{{exponent}}}"
        yield rf"\boxed{{{mantissa}\cdot 10^{{{exponent}}}}}"


def python_number(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(INT, gold):
        yield from (f"{int(gold)}.0", f"Fraction({int(gold)}, 1)", f"({int(gold)}+0j)")
    elif re.fullmatch(PLAIN, gold):
        yield from (str(float(gold)), f"Decimal('{gold}')")
    elif found := fraction_of(gold):
        sign, a, b = found
        yield from (f"Fraction({sign}{a}, {b})", f"Rational({sign}{a}, {b})")
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
        if not re.search(r"[{}\\]|\d+i\b|\*i\b", text):
            yield text


def python_container(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and not re.search(r"[a-zA-Z\\]", "".join(found[1])):
        items = ", ".join(found[1])
        if found[0] == "":
            yield from (f"[{items}]", f"{{{items}}}", f"[{', '.join(reversed(found[1]))}]")
        elif found[0] + found[2] == "()":
            yield from (f"({items})", f"**({items})**")
    elif "{pmatrix}" in gold and "&" not in gold:
        cells = re.sub(r"\\(?:begin|end)\{pmatrix\}", "", gold).split(r"\\")
        yield "Matrix([" + ", ".join(f"[{cell.strip()}]" for cell in cells) + "])"


def letters_as_text(gold: str, problem: str) -> Iterator[str]:
    letters = list_of(gold)
    if letters and all(re.fullmatch(r"\(?[A-E]\)?", letter) for letter in letters):
        yield from (rf"\text{{{', '.join(letters)}}}", rf"\boxed{{\text{{{','.join(letters)}}}}}")
        yield r",\ ".join(rf"\text{{{letter}}}" for letter in reversed(letters))


def spaced_thousands(gold: str, problem: str) -> Iterator[str]:
    plain = re.sub(r",(\\!)?", "", gold) if re.fullmatch(THOUSANDS, gold) else gold
    if re.fullmatch(r"[1-9]\d{3,17}", plain):
        groups = f"{int(plain):,}"
        yield from (groups.replace(",", r"\ "), groups.replace(",", r"\,"))
        yield rf"\boxed{{{groups.replace(',', ' ')}}}"


def unicode_signs(gold: str, problem: str) -> Iterator[str]:
    if "begin" not in gold:
        text = re.sub(r"\\sqrt\{(\d+)\}", r"√\1", gold)
        for latex, sign in UNICODE.items():
            text = text.replace(latex, sign)
        yield text


UNICODE = {
    r"\pi": "π", r"\infty": "∞", "-": "−", "^2": "²", "^3": "³", r"\cup": "∪",
    r"\frac{1}{2}": "½", r"\frac{1}{4}": "¼", r"^\circ": "°",
}  # fmt: skip


def durations(gold: str, problem: str) -> Iterator[str]:
    m = re.fullmatch(r"(\d+)(?:\s|\\ )*\\text\{\s*minutes\s*\}", gold)
    if m and int(m[1]) > 60 and int(m[1]) % 60:
        h, rest = divmod(int(m[1]), 60)
        yield rf"{h}\text{{ hours }}{rest}\text{{ minutes}}"
        yield from (f"{h} hours and {rest} minutes", f"{h} h {rest} min")
    elif m := re.fullmatch(r"(\d+)\\text\{ hours \}(\d+)\\text\{ minutes\}", gold):
        yield from (f"{m[1]} hours {m[2]} minutes", f"{m[1]} hours and {m[2]} minutes")
        yield f"{int(m[1]) * 60 + int(m[2])} minutes"


NOTATIONS: dict[str, Rule] = {
    **named(fraction, spaces, percent_sign, degree_sign, thousands_comma, set_and_tuple_spacing),
    **named(interval, set_builder, union_as_inequalities, mixed_number, scientific),
    **named(letters_as_text, spaced_thousands, durations),
    "integer as decimal": matching((INT, "<0>.0", "<0>.00"), (r"(-?\d+)\.0+", "<1>", "<0>0")),
    r"\left \right": left_right,
    r"\,": thin_spaces,
    "$": around("$<0>$", r"\(<0>\)", r"\[<0>\]"),
    "unit, dollars": matching(
        (rf"\\\$({NUMBER})", "<1>", "<1> dollars", r"<1>\text{ dollars}"),
        (rf"({NUMBER})\s*{UNIT}", "<1>", r"<1> \text<2>", r"<1>\text<2>"),
        (
            f"{NUMBER}|{FRACTION}",
            *(r"<0>\text{ cm}", "<0> cm", r"<0> \text{ units}", "<0> dollars"),
            *(r"<0>\mbox{ inches}^2", "<0> miles", r"\$<0>"),
        ),
    ),
    r"\text{}": matching(
        (TEXT, "<1>", r"\textbf{<1>}", r"\mathrm{<1>}", r"\text{ <1> }"), (PLAIN, r"\text{<0>}")
    ),
    "pmatrix, bmatrix": matrices,
    "roots and pi": matching(
        (r"(\d*) ?\\sqrt\{(\d+)\}", "<1>sqrt(<2>)"),
        (r"(\d*) ?\\sqrt\{(\d)\}", r"<1>\sqrt<2>"),
        (r"(\d+) ?\\sqrt\{(\d+)\}", r"\sqrt{<2>} \cdot <1>", r"<1> \cdot \sqrt{<2>}"),
        (r"(\d+) ?\\sqrt\{(\d+)\}", lambda m: rf"\sqrt{{{int(m[1]) ** 2 * int(m[2])}}}"),
        (r"(\d+) ?\\pi", r"\pi \cdot <1>", r"<1> \cdot \pi", "<1>π", "<1>*pi"),
        (r"(-?)\\frac\{(\\pi|\\sqrt\{\d+\})\}\{(\d+)\}", "<1><2>/<3>", r"<1>\frac{1}{<3>}<2>"),
    ),
    "order of terms, factors": other_order,
    "base subscript": matching(
        (BASE, "<1>_{<2>}", "(<1>)_<2>", "<1>", r"<1>_{\text{<2>}}"),
        (r"(\d+)_[235689]", lambda m: rf"{m[1]}_{{\text{{{BASES[m[0][-1]]}}}}}"),
    ),
    "letter, parentheses": matching(
        (LETTER, "<1>", "(<1>)", r"\text{<1>}", r"\textbf{(<1>)}", "<1>.", "Answer: <1>"),
        (LETTER, "The answer is (<1>).", "<1>) what the option says"),
    ),
    "Python number": python_number,
    "Python formula": python_formula,
    "Python container": python_container,
    "set difference, R": set_difference,
    "decimal comma": matching(
        (r"(-?\d+)\.(\d{1,2}|\d{4,})", "<1>{,}<2>", "Die Antwort ist <1>,<2>.")
    ),
    "Unicode signs": unicode_signs,
    "currency": matching(
        (rf"\\\$({NUMBER})", "<1> USD", r"US\$<1>", r"\boxed{\text{\$<1>}}"),
        (PLAIN, "€<0>", "<0> €", r"<0> \text{ euros}", "£<0>", "<0>元"),
    ),
    "articles": matching(
        (r"\\text\{(?!even|east)([a-z]{4,})\}", "an <1>", "The answer is the <1>."),
        (r"\\text\{(?!even|east)([a-z]{4,})\}", lambda m: rf"\boxed{{\text{{{m[1].title()}.}}}}"),
    ),
}
