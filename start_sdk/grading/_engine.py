r"""Compares two normalised answers by their shape, and their scalars as formulas.

Runs only in worker processes: sympy and math-verify may hang or exhaust memory on a short input
(`9^{9^{9^9}}`). math-verify's time limit is a signal, which a long multiplication ignores, so it
is disabled here and the worker is killed instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import sympy
from math_verify import verify

from start_sdk.grading._equal import EQUAL, OPEN, Result, equal
from start_sdk.grading._formula import is_expression, read
from start_sdk.grading._numbers import approximates, is_decimal, number
from start_sdk.grading._readings import readings
from start_sdk.grading._sets import is_set, same_sets
from start_sdk.grading._structure import Shape, in_order, shape, split

_NAMED = re.compile(
    r"\(?[A-Za-z](?:_\w|_\{\w+\})?(?:,[A-Za-z](?:_\w|_\{\w+\})?)*\)?(?:\([a-z]\))?|\\[a-z]+"
    r"|\\(?:text|mathrm|mathbf|vec|overrightarrow|overline|hat)\s?\{[^{}]*\}|[A-Za-z]+"
)
_STATED = 3  # significant digits of a gold answer that states a precision: 3.14


def compare(answer: str, gold: str) -> Result:
    """Whether two answers are equal, and by which method.

    Args:
        answer: the model's answer, as returned by `normalise`.
        gold: the gold answer, likewise.
    """
    answer, gold = in_order(answer), in_order(gold)
    if ("=" in answer) != ("=" in gold):
        answer, gold = _without_label(answer), _without_label(gold)
    results: list[Result] = []
    for ours in readings(answer):
        for right in readings(gold):
            results.append(_compare_shapes(shape(ours), shape(right)))
            if results[-1] in EQUAL:
                return results[-1]
    return _no_match(results)


def _compare_shapes(a: Shape, b: Shape) -> Result:
    for labelled, other in ((a, b), (b, a)):
        if labelled.kind == "scalar" and other.kind != "scalar" and "=" in labelled.text:
            bare = shape(_without_name(labelled.text))
            a, b = (bare, b) if labelled is a else (a, bare)
    if a.kind == b.kind == "scalar":
        return _compare_scalars(a.text, b.text)
    if a.kind == b.kind == "ratio":
        return _same_ratios(a, b)
    if (is_set(a) or is_set(b)) and (same := same_sets(a, b)) is not None:
        return "symbolic" if same else "different"
    for group, other in ((a, b), (b, a)):
        if group.kind in ("set", "list") and group.kind != other.kind and len(group.items) == 1:
            return _compare_shapes(group.items[0], other)
    pairs = ({"list", "set"}, {"list", "()"}, {"list", "[]"}, {"set", "[]"})
    if a.kind != b.kind and {a.kind, b.kind} not in pairs:
        return "different"  # an interval is not a tuple, and [1,2] is not (1,2]
    if len(a.items) != len(b.items):
        return "different"
    # The brackets of a list that Python prints say nothing of its order.
    if (a.ordered or b.ordered) and {a.kind, b.kind} not in pairs[2:]:
        return _all(_compare_shapes(x, y) for x, y in zip(a.items, b.items, strict=True))
    return _all(_match_unordered(list(a.items), list(b.items)))


def _match_unordered(ours: list[Shape], right: list[Shape]) -> Iterator[Result]:
    """One result per gold item: that of the first of our items that equals it."""
    for item in right:
        results: list[Result] = [_compare_shapes(candidate, item) for candidate in ours]
        found = [i for i, result in enumerate(results) if result in EQUAL]
        if not found:
            yield _no_match(results)
            return
        yield results[found[0]]
        del ours[found[0]]


def _no_match(results: list[Result]) -> Result:
    """The result where nothing was equal: open if one of them is."""
    still_open: list[Result] = [result for result in results if result in OPEN]
    return still_open[0] if still_open else "different"


def _all(results: Iterator[Result]) -> Result:
    """Combines the results of the parts; stops at the first that differs."""
    whole: Result = "symbolic"
    for result in results:
        if result == "different":
            return "different"
        if whole not in OPEN and result != "symbolic":
            whole = result
    return whole


def _without_label(text: str) -> str:
    r"""`(1,2)` for `(x,y)=(1,2)`, `\{1\pm2\}` for `S=\{1\pm2\}`; other texts as they are."""
    sides = split(text, ("=",))
    if len(sides) == 2 and (_NAMED.fullmatch(sides[0]) or shape(sides[1]).kind != "scalar"):
        return sides[1]
    return text


def _without_name(text: str) -> str:
    """`5` for `x=5` and `f(x)=5`, the last side of a chain of equations; other texts as is."""
    sides = split(text, ("=",))
    return sides[-1] if len(sides) > 2 or _NAMED.fullmatch(sides[0]) else text


def _value_of(text: str) -> str:
    """The last side of an equation if it is a number: 33 of `m+n=33`."""
    named = _without_name(text)
    last = split(named, ("=",))[-1]
    return last if number(last) is not None or not re.search("[A-Za-z]", last) else named


def _compare_scalars(a: str, b: str) -> Result:
    if "=" in a and "=" not in b:
        a = _value_of(a)
    elif "=" in b and "=" not in a:
        b = _without_name(b)
    if a == b:
        return "symbolic"
    chains = [[shape(side) for side in split(text, ("=",))] for text in (a, b)]
    if any(len(sides) > 2 for sides in chains):
        if len(chains[0]) != len(chains[1]):
            return "different"
        return _all(_match_unordered(*chains))
    x, y = number(a), number(b)
    if x is not None and y is not None:
        same = x == y or approximates(a, y, b) or approximates(b, x, a)
        return "numeric" if same else "different"
    left, right = read(a), read(b)
    if left is None or right is None:
        return "undecided"
    if is_expression(left) and is_expression(right):
        result = equal(left, right)
        if result == "different" and (_rounded(a, right) or _rounded(b, left, _STATED)):
            return "numeric"
        return result
    if isinstance(left, sympy.Eq) and isinstance(right, sympy.Eq):
        return _same_equations(left, right)
    return "symbolic" if verify([right], [left], timeout_seconds=None) else "different"


def _same_ratios(a: Shape, b: Shape) -> Result:
    """Whether `3:4:5` and `6:8:10` say the same."""
    ours, right = ([read(part.text) for part in ratio.items] for ratio in (a, b))
    if len(ours) != len(right):
        return "different"
    if None in (*ours, *right):
        return "undecided"
    pairs = zip(ours[1:], right[1:], strict=True)
    return _all(equal(x * right[0], y * ours[0]) for x, y in pairs)


def _same_equations(a: Any, b: Any) -> Result:
    """Whether two equations say the same: one is a multiple of the other."""
    if a.lhs == b.lhs and a.lhs.is_Symbol:
        return equal(a.rhs, b.rhs)
    ours, right = a.lhs - a.rhs, b.lhs - b.rhs
    names = sorted(ours.free_symbols | right.free_symbols, key=str)
    at = {name: sympy.Rational(31 + 7 * i, 11 + 2 * i) for i, name in enumerate(names)}
    base, other = ours.subs(at), right.subs(at)
    if base == 0 or other == 0:
        return "not proved"
    return equal(ours * other, right * base)


def _rounded(decimal: str, value: Any, significant: int = 6) -> bool:
    """Whether a decimal approximates an irrational number (see `approximates`)."""
    if not is_decimal(decimal) or value.free_symbols or value.doit().is_rational is not False:
        return False
    near = sympy.N(value, 40 + len(decimal))
    return bool(near.is_real) and approximates(decimal, Fraction(str(near)), "", significant)
