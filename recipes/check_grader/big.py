"""Big numbers: exact answers of more than twenty digits, and the wrong ones beside them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from math import comb, factorial

Form = tuple[str, int]
"""A number as it is written, and its value."""


def wrong_big_numbers(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of a wrong answer and the gold answer, both of more than twenty digits."""
    draw = random.Random(seed)
    made = 0
    while made < n:
        gold, value = _form(draw)
        other = _neighbour(value, draw)
        if min(abs(value), abs(other)) > 10**20 and other != value:
            made += 1
            yield _written(other, gold, value, draw), gold if draw.random() < 0.6 else str(value)


def right_big_numbers(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of another form and the gold answer; the number is the same."""
    draw = random.Random(seed)
    for _ in range(n):
        gold, value = _form(draw)
        other = draw.choice([str(value), f"{value:,}", f"{gold} + 5 - 5", f"7 + {gold} - 7"])
        yield rf"\boxed{{{other}}}", gold


def _form(draw: random.Random) -> Form:
    base, exponent = draw.randint(2, 13), draw.randint(70, 320)
    n = draw.randint(23, 90)
    k = draw.randint(n // 3, n // 2)
    shift, literal = draw.choice([-1, 1, 2]), draw.getrandbits(120) | 1 << 119
    forms: list[Form] = [
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
