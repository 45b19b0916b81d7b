r"""Compares two normalised answers by their shape, and their scalars with math-verify.

Runs only in worker processes: math-verify and sympy may hang or exhaust memory on a short input
(`9^{9^{9^9}}`). math-verify's time limit is a signal, which a long multiplication ignores, so it
is disabled here and the worker is killed instead. Units, percents and small rewrites are handled
before (`_normalise.py`), so math-verify's own are disabled too: they read `2d` as 2 days. Its
floats are never used: it compares them rounded to six places, so 0.0000671 equals 0.0000672.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import sympy
from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify

from start_sdk.grading._compare import approximates
from start_sdk.grading._normalise import is_decimal, number
from start_sdk.grading._structure import Shape, shape, split

Result = Literal["symbolic", "numeric", "different", "undecided"]

_LATEX = LatexExtractionConfig(
    boxed_match_priority=-1,
    normalization_config=NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none"
    ),
)
_POINTS = [sympy.Rational(n, d) for n, d in ((37, 23), (-53, 41), (29, 7), (-61, 17), (71, 67))]
_PRECISION = sympy.Float("1e-25")
_NAMED = re.compile(r"[A-Za-z](?:_\w|_\{\w+\})?(?:\([a-z]\))?|\\[a-z]+")


def compare(answer: str, gold: str) -> Result:
    """Whether two answers are equal, and by which method.

    Args:
        answer: the model's answer, as returned by `normalise`.
        gold: the gold answer, likewise.
    """
    ours, right = shape(answer), shape(gold)
    if ours.kind == "scalar" and right.kind != "scalar" and "=" in ours.text:
        ours = shape(_without_name(ours.text))
    if right.kind == "scalar" and ours.kind != "scalar" and "=" in right.text:
        right = shape(_without_name(right.text))
    return _compare_shapes(ours, right)


def _compare_shapes(a: Shape, b: Shape) -> Result:
    if a.kind == b.kind == "scalar":
        return _compare_scalars(a.text, b.text)
    for group, other in ((a, b), (b, a)):
        if group.kind in ("set", "list") and other.kind == "scalar" and len(group.items) == 1:
            return _compare_shapes(group.items[0], other)
    kinds = {a.kind, b.kind}
    if a.kind != b.kind and kinds not in ({"list", "set"}, {"list", "()"}):
        return "different"  # an interval is not a tuple, and [1,2] is not (1,2]
    if len(a.items) != len(b.items):
        return "different"
    if a.ordered or b.ordered:
        return _all(_compare_shapes(x, y) for x, y in zip(a.items, b.items, strict=True))
    return _all(_match_unordered(list(a.items), list(b.items)))


def _match_unordered(ours: list[Shape], right: list[Shape]) -> Iterator[Result]:
    """One result per gold item: that of the first of our items that equals it."""
    for item in right:
        results: list[Result] = [_compare_shapes(candidate, item) for candidate in ours]
        equal = [i for i, result in enumerate(results) if result in ("symbolic", "numeric")]
        if not equal:
            yield "undecided" if "undecided" in results else "different"
            return
        yield results[equal[0]]
        del ours[equal[0]]


def _all(results: Iterator[Result]) -> Result:
    """Combines the results of the parts; stops at the first that differs."""
    whole: Result = "symbolic"
    for result in results:
        if result == "different":
            return "different"
        if whole != "undecided" and result != "symbolic":
            whole = result
    return whole


def _without_name(text: str) -> str:
    """`5` for `x=5` and `f(x)=5`, the last side of a chain of equations; other texts as is."""
    sides = split(text, ("=",))
    return sides[-1] if len(sides) > 2 or _NAMED.fullmatch(sides[0]) else text


def _compare_scalars(a: str, b: str) -> Result:
    if ("=" in a) != ("=" in b):
        a, b = _without_name(a), _without_name(b)
    if a == b:
        return "symbolic"
    x, y = number(a), number(b)
    if x is not None and y is not None:
        same = x == y or approximates(a, y, b) or approximates(b, x, a)
        return "numeric" if same else "different"
    left, right = _read(a), _read(b)
    if left is None or right is None:
        return "undecided"
    if _is_expression(left) and _is_expression(right):
        near = _nearly_equal(left, right)
        if near is False:
            return "numeric" if _rounded(a, right, b) or _rounded(b, left, a) else "different"
        if verify([right], [left], timeout_seconds=None):
            return "symbolic"
        return "numeric" if near else "different"
    return "symbolic" if verify([right], [left], timeout_seconds=None) else "different"


@lru_cache(maxsize=256)
def _read(text: str) -> Any:
    """A formula as parsed by math-verify, with decimals as exact fractions; None if it fails."""
    exact = re.sub(r"\d+\.\d+", _as_fraction, text)
    exact = re.sub(r"(?<=\d)i(?![A-Za-z])", " i", exact)  # it only knows `i` as a separate word
    found = parse(
        f"${exact}$",
        [_LATEX],
        fallback_mode="no_fallback",
        parsing_timeout=None,  # pyright: ignore[reportArgumentType]
    )
    return found[0] if found else None


def _as_fraction(decimal: re.Match[str]) -> str:
    value = Fraction(decimal[0])
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _is_expression(value: Any) -> bool:
    return isinstance(value, sympy.Expr) and not isinstance(value, sympy.MatrixExpr)


def _nearly_equal(a: Any, b: Any) -> bool | None:
    """Whether two expressions agree to 25 digits at five points; None if no point can be used.

    This decides most wrong answers without a search for a proof, and most correct ones that
    `simplify` cannot prove.
    """
    symbols = a.free_symbols | b.free_symbols
    names = sorted({str(s) for s in symbols})  # `x` may be real in one and complex in the other
    compared = 0
    for shift in range(len(_POINTS) if symbols else 1):
        value = {n: _POINTS[(i + shift) % len(_POINTS)] + i for i, n in enumerate(names)}
        point = {s: value[str(s)] for s in symbols}
        x, y = (sympy.N(e.subs(point), 30) for e in (a, b))
        gap = sympy.Abs(sympy.N((a - b).subs(point), 30))
        scale = sympy.Abs(x) + sympy.Abs(y)
        if not (gap.is_number and gap.is_finite and scale.is_finite):
            continue
        if gap > _PRECISION * scale:
            return False
        compared += 1
    return True if compared else None


def _rounded(decimal: str, value: Any, written: str) -> bool:
    """Whether a decimal approximates an irrational number (see `approximates`)."""
    if not is_decimal(decimal) or value.free_symbols:
        return False
    near = sympy.N(value, 40)
    return bool(near.is_real) and approximates(decimal, Fraction(str(near)), written)
