"""Answers of our own, one of each kind, and big numbers: what a file of problems may lack."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from math import comb, factorial

ANSWERS = [
    "17", "6.0", "-3", r"\frac{3}{8}", r"\frac17", r"-\frac{22}{7}", "0.0009", "45,600", r"\$4.50",
    r"105^\circ", r"2\frac{3}{5}", "1021_3", r"\text{(D)}", r"\text{Monday}", r"\text{not enough}",
    r"7\sqrt{3}", r"9\pi", r"\frac{\sqrt{5}}{2}", "(4,-1)", "[2,6)", r"(-\infty,1]\cup(3,9)",
    r"\{-1,\sqrt2\}", "2, 9", r"2\pm\sqrt{5}", "(a+1)(b-3)", "3x^2-x+5", "y = 4x - 1",
    r"\begin{pmatrix} 1 \\ \frac12 \end{pmatrix}", r"4\text{ cm}", "12.75", r"\infty", "0", "D",
    "588", "3.14", "1, -2", "(3,2)", r"(-\infty,3]", r"(-\infty,\infty)", "A, C", "15",
    r"3\text{ hours }20\text{ minutes}", r"200\text{ minutes}", r"\text{parabola}", "1234567",
    r"(-\infty,2)\cup(2,\infty)", r"[-4,4]", "2, 3, 5", r"\left\lfloor \sqrt{n-1} \right\rfloor",
    r"\left\lceil \frac{n}{2} \right\rceil", "N^2", r"\frac{n(n+1)}{2}", "4+3i", "2^{n}-1",
    r"\frac{x^{40}-1}{x-1}", "n! + 1", r"\sin 2x", r"e^{x}+1", r"\ln 2", r"\log_2 3",
    r"\sqrt[3]{2}", r"\frac{1+\sqrt{5}}{2}", "(1,2,3)", r"x^2+y^2=25", r"k \pi", r"\frac{\pi}{6}",
    r"a^2 b - c",
    r"75\%", r"(0,1)\cup(1,4)", r"5 \text{ euros}", "16!", r"2^{10} \cdot 3^4", r"\binom{20}{10}",
]  # fmt: skip


def wrong_big_numbers(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of a wrong answer and the gold answer, both of more than twenty digits."""
    draw = random.Random(seed)
    while n:
        gold, value = _big_number(draw)
        other = _neighbour(value, draw)
        if min(abs(value), abs(other)) > 10**20 and other != value:
            n -= 1
            yield _written(other, gold, value, draw), gold if draw.random() < 0.6 else str(value)


def right_big_numbers(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of another form and the gold answer; the number is the same."""
    draw = random.Random(seed)
    for _ in range(n):
        gold, value = _big_number(draw)
        other = draw.choice([str(value), f"{value:,}", f"{gold} + 5 - 5", f"7 + {gold} - 7"])
        yield rf"\boxed{{{other}}}", gold


def _big_number(draw: random.Random) -> tuple[str, int]:
    """A number as it is written, and its value."""
    base, exponent = draw.randint(2, 13), draw.randint(70, 320)
    n = draw.randint(23, 90)
    k = draw.randint(n // 3, n // 2)
    shift, literal = draw.choice([-1, 1, 2]), draw.getrandbits(120) | 1 << 119
    forms = [
        (f"{base}^{{{exponent}}}", base**exponent),
        (f"{base}^{{{exponent}}} {shift:+d}", base**exponent + shift),
        (f"{n}!", factorial(n)),
        (f"{n}! {shift:+d}", factorial(n) + shift),
        (rf"\binom{{{3 * n}}}{{{k}}}", comb(3 * n, k)),
        (rf"\binom{{{3 * n}}}{{{k}}} {shift:+d}", comb(3 * n, k) + shift),
        (rf"2^{{{n}}} \cdot 3^{{{n}}} \cdot {base}", 6**n * base),
        (rf"\frac{{3^{{{exponent}}} - 1}}{{2}}", (3**exponent - 1) // 2),
        (rf"{n}! \cdot {base}^{{5}}", factorial(n) * base**5),
        (str(literal), literal),
    ]
    return draw.choice(forms)


def _neighbour(value: int, draw: random.Random) -> int:
    kind = draw.choice(["step", "last digit", "factor"])
    if kind == "step":
        return value + draw.choice([-1, 1])
    if kind == "last digit":
        return value - value % 10 + draw.randrange(10)
    return value // 2 * 3 if draw.random() < 0.5 else value + value // 10**20


def _written(other: int, gold: str, value: int, draw: random.Random) -> str:
    """The wrong number in digits, as the right form with a term, or in scientific notation."""
    forms = [str(other), f"{gold} {other - value:+d}", f"{other:,}"]
    rounded = f"{Decimal(other):.16e}"
    if Decimal(rounded) != value:
        forms.append(rounded)
    text = draw.choice(forms)
    return text if draw.random() < 0.3 else rf"\boxed{{{text}}}"
