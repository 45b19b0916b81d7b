"""Compares what a program printed, or a function returned, with what a test expects."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

TOLERANCE = 1e-6
"""Absolute or relative, for numbers that a test writes with a decimal point."""
ROUNDED = 5e-6
"""Absolute, for those that it writes with five decimals, rounded, as LeetCode does."""
_DIGITS = 4000
"""Python converts no more of them by default, and a host should not have to."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_ZEROS = re.compile(r"[-+]?0[0-9]+")
"""Digits that are a word, such as a binary string: 0010 is not 10."""
_SPACE = " \t\n\r\v\f"
_WORD = re.compile(rf"[^{_SPACE}]+")
_FLOAT = re.compile(r"(?<![\w.])[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]{1,4})?(?![\w.])")


def same_text(printed: str, expected: str, *, exact: bool = False) -> bool:
    """Whether a printed text is right: as many lines, and each the same word for word.

    Space around lines and texts does not count, nor how much there is between two words. Numbers
    may be written in other digits, but none has zeros before it that the other lacks. Only a line
    feed ends a line, and only space of ASCII separates words.

    Args:
        printed: what the program wrote.
        expected: by the test.
        exact: numbers have to be equal, not close.
    """
    ours, right = (text.strip(_SPACE).split("\n") for text in (printed, expected))
    return len(ours) == len(right) and all(
        _same_line(a, b, exact) for a, b in zip(ours, right, strict=True)
    )


def _same_line(a: str, b: str, exact: bool) -> bool:
    if a == b:
        return True
    ours, right = _WORD.findall(a), _WORD.findall(b)
    return len(ours) == len(right) and all(
        x == y or _same_word(x, y, exact) for x, y in zip(ours, right, strict=True)
    )


def _same_word(a: str, b: str, exact: bool) -> bool:
    if _ZEROS.fullmatch(b) or _ZEROS.fullmatch(a):
        return False
    if _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b):
        return Decimal(a) == Decimal(b) or (not exact and not b.isdecimal() and _near(a, b))
    if exact:
        return False
    # "[0.5," is a word, too: what is around the numbers has to be the same.
    ours, right = _FLOAT.findall(a), _FLOAT.findall(b)
    same = len(ours) == len(right) and _FLOAT.split(a) == _FLOAT.split(b)
    return bool(right) and same and all(map(_near, ours, right))


def _near(a: str, b: str) -> bool:
    return any(mark in b for mark in ".eE") and _close(Decimal(a), Decimal(b))


def _close(ours: int | Decimal, right: Decimal) -> bool:
    absolute = ROUNDED if right.as_tuple().exponent == -5 else TOLERANCE
    return math.isclose(_float(ours), float(right), rel_tol=TOLERANCE, abs_tol=absolute)


def _float(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def same_value(returned: str, expected: str, *, exact: bool = False) -> bool:
    """Whether a returned value is right; both in JSON, which has lists for tuples.

    Raises:
        ValueError: one of them is no JSON.
    """
    return _equal(read_json(returned), read_json(expected), exact)


def read_json(text: str) -> Any:
    """A value of JSON, with its decimals as they are written, and integers of any length.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_float=Decimal)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _integer(digits: str) -> object:
    return int(digits) if len(digits) <= _DIGITS else ("integer", digits)


def _equal(ours: Any, right: Any, exact: bool) -> bool:
    if isinstance(ours, list) and isinstance(right, list):
        pairs = zip(ours, right, strict=False)
        return len(ours) == len(right) and all(_equal(a, b, exact) for a, b in pairs)
    if isinstance(ours, dict) and isinstance(right, dict):
        return ours.keys() == right.keys() and all(_equal(ours[k], right[k], exact) for k in ours)
    if isinstance(right, Decimal) and isinstance(ours, int | Decimal) and not exact:
        return _close(ours, right)
    return bool(ours == right)
