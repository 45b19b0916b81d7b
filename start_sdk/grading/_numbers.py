"""Numbers as they are written: integers, decimals, fractions of integers."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)")
_RATIO = re.compile(r"(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}|(-?)\(?(-?\d+)\)?/\(?(\d+)\)?")
_SCIENTIFIC = re.compile(
    r"(?<![\w.}^\\])(\d+(?:\.\d*)?|\.\d+)"
    r"(?:[eE]([+-]?\d{1,3})|\*10\^(?:\{([+-]?\d{1,3})\}|(\d)))(?![\w.^({\\])"
)
_REPEATING = re.compile(
    r"(?<![\w.])(\d{1,30})\.(\d{0,30})(?:\\(?:overline|bar|dot)\{(\d{1,30})\}|\((\d{1,30})\))(?![\w.(])"
)
_LONGEST = 300  # digits of a number that is compared in this process; longer ones go to a worker


def number(text: str) -> Fraction | None:
    """The exact value of an integer, a decimal or a fraction of integers; else None."""
    if len(text) > 2 * _LONGEST:
        return None
    if _NUMBER.fullmatch(text):
        return Fraction(text.rstrip("."))
    if match := _RATIO.fullmatch(text):
        sign, above, below = (match[i] or match[i + 3] or "" for i in (1, 2, 3))
        return Fraction(int(sign + "1") * int(above), int(below)) if int(below) else None
    return None


def is_decimal(text: str) -> bool:
    """Whether a text is a number in digits: 12, -0.5."""
    return _NUMBER.fullmatch(text) is not None


def plain_decimals(text: str) -> str:
    r"""Writes `5.88e2` and `5.88*10^{2}` in digits: `588`, `0.\\overline{3}` as a fraction."""

    def digits(m: re.Match[str]) -> str:
        whole, _, places = m[1].partition(".")
        exponent = int(m[2] or m[3] or m[4]) - len(places)
        figures = (whole + places).lstrip("0") or "0"
        if exponent >= 0:
            return figures + "0" * exponent
        figures = figures.zfill(1 - exponent)
        return f"{figures[:exponent]}.{figures[exponent:]}"

    return _REPEATING.sub(_fraction, _SCIENTIFIC.sub(digits, text))


def _fraction(repeating: re.Match[str]) -> str:
    r"""`\frac{1}{3}` for 0.333..., written with a bar or with parentheses."""
    whole, places, again = repeating[1], repeating[2], repeating[3] or repeating[4]
    below = (10 ** len(again) - 1) * 10 ** len(places)
    value = Fraction(int(whole + places + again) - int(whole + places), below)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def approximates(decimal: str, value: Fraction, written: str, significant: int = 6) -> bool:
    """Whether a decimal such as 0.333333 approximates a value that it cannot express exactly.

    It has to be the value rounded or truncated to the places that the decimal shows, or the value's
    float as Python prints it.

    Args:
        decimal: the approximation.
        value: exact, or far more precise than the decimal.
        written: how the value is written: a decimal is compared exactly, but for the last bits of
            a float that Python prints in full (0.30000000000000004), and so is an integer.
        significant: how many significant digits the decimal needs.
    """
    digits = re.fullmatch(r"(-?)(\d+)\.(\d+)", decimal)
    if not digits or value.denominator == 1:
        return False
    if is_decimal(written):
        return len(written) < 16 < len(decimal) and _is_float_of(decimal, value)
    if len((digits[2] + digits[3]).lstrip("0")) < significant:
        return False
    shown, unit = abs(Fraction(decimal)), Fraction(1, 10 ** len(digits[3]))
    if value and (digits[1] == "-") != (value < 0):
        return False
    if len(decimal) > 16 and abs(value) < 10**15 and repr(float(value)) == decimal:
        return True
    return abs(shown - abs(value)) <= unit / 2 or 0 <= abs(value) - shown < unit


def _is_float_of(decimal: str, value: Fraction) -> bool:
    """Whether a decimal is a float in full, at most two steps from the value's."""
    near = float(decimal)
    return repr(near) == decimal and abs(near - float(value)) <= 2 * math.ulp(near)
