"""Whether two expressions are equal: constants exactly, formulas at exact points.

Runs only in worker processes: sympy may hang or exhaust memory on a short input.

A constant is never compared within a tolerance. Its difference to the other is a rational number,
which is zero or not; or it is evaluated until its first digits are certain, which proves that it is
not zero; or sympy proves that it is zero; or the result is undecided.
"""

from __future__ import annotations

from itertools import product
from math import lcm
from typing import Any, Literal

import sympy
from sympy.core.function import AppliedUndef

Result = Literal["symbolic", "numeric", "different", "undecided", "not proved"]
EQUAL: tuple[Result, ...] = ("symbolic", "numeric")
OPEN: tuple[Result, ...] = ("undecided", "not proved")
"""An answer that cannot be read, or a pair that may be equal or not."""

_R = sympy.Rational
# Positive ones first, since a count and a length are; then of both signs; then whole ones.
_POINTS = [
    [_R(pair) for pair in point.split()]
    for point in (
        "37/23 53/41 29/7 17/61 71/67", "3/11 19/8 2/9 31/6", "13/19 7/31 5/13 3/17",
        "-53/41 29/7 -61/17 71/67", "13/19 -7/11 5/13 -3/17", "-19/29 -23/31 3/37 -43/5",
        "7 5 3 2", "12 9 8 5", "4 3 2 6", "5 11 6 4",
    )
]  # fmt: skip
_WHOLE = {"n", "m", "k", "N", "M", "K", "j", "p", "q"}
_DIGITS = 500
_DIGITS_AT_A_POINT = 100
_TRANSCENDENTAL = (
    sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.tan, sympy.cot, sympy.asin, sympy.acos,
    sympy.atan, sympy.sinh, sympy.cosh, sympy.tanh,
)  # fmt: skip


def equal(a: Any, b: Any) -> Result:
    """Whether two expressions are equal, and by which method."""
    if a == b:
        return "symbolic"
    a, b = a.doit(), b.doit()
    if a == b:
        return "symbolic"
    if a.is_infinite or b.is_infinite:
        return "different" if a.is_number and b.is_number else "undecided"
    difference = a - b
    if difference.has(AppliedUndef):
        return "symbolic" if sympy.expand(difference) == 0 else "not proved"
    if not difference.free_symbols:
        return is_zero(difference)
    if difference.has(sympy.floor, sympy.ceiling, sympy.Mod):
        return _equal_with_floors(difference)
    return _equal_at_points(a, b, difference)


def is_zero(value: Any) -> Result:
    """Whether a constant is zero."""
    if value.is_Rational or not value.is_finite:
        return "symbolic" if value == 0 else ("different" if value.is_Rational else "undecided")
    digits = _DIGITS + 2 * sum(len(str(q)) for q in value.atoms(sympy.Rational))
    if _surely_not_zero(value, min(digits, 5_000)):
        return "different"
    if sympy.expand(value) == 0 or sympy.simplify(value) == 0:
        return "symbolic"
    if value.is_algebraic:
        return "symbolic" if sympy.minimal_polynomial(value, _X) == _X else "not proved"
    # Hundreds of digits agree; nested functions could still differ after those.
    return "numeric" if _depth(value) <= 1 else "not proved"


_X = sympy.Symbol("x")


def _surely_not_zero(value: Any, digits: int) -> bool:
    """Whether the value has a digit that is certain, and not zero, among this many."""
    near = value.evalf(10, maxn=digits)
    parts = [near] if near.is_Float else list(near.atoms(sympy.Float))
    # The precision of what evalf gives is that of its certain bits: 1 if everything cancelled.
    return any(part != 0 and part._prec > 8 for part in parts)


def _depth(value: Any) -> int:
    """How deep exponentials, logarithms and the like are nested."""
    inner = max((_depth(part) for part in value.args), default=0)
    return inner + isinstance(value, _TRANSCENDENTAL)


def _equal_at_points(a: Any, b: Any, difference: Any) -> Result:
    """Compares at rational points. Where one of the two is not real, they are not compared: a root
    or a logarithm stands for what it is of positive numbers."""
    names = sorted(difference.free_symbols, key=str)
    complex_too = difference.has(sympy.I)
    compared = 0
    for point in _POINTS:
        at = {name: point[i % len(point)] + i // len(point) for i, name in enumerate(names)}
        if not complex_too and not (_is_real(a, at) and _is_real(b, at)):
            continue
        zero = _is_zero_at(difference, at)
        if zero is False:
            return "different"
        compared += zero is True
    if compared >= 3:
        return "symbolic" if _expands_to_zero(difference) else "numeric"
    if not complex_too:  # nowhere real
        zeros = [_is_zero_at(difference, dict(zip(names, p, strict=False))) for p in _POINTS[:3]]
        if False in zeros:
            return "different"
    return "symbolic" if _expands_to_zero(difference) else "not proved"


def _is_real(value: Any, at: dict[Any, Any]) -> bool:
    near = value.subs(at).evalf(10)
    if not (near.is_Float or near.is_Rational):
        return False
    roots = [power.base for power in value.atoms(sympy.Pow) if not power.exp.subs(at).is_integer]
    logarithms = [found.args[0] for found in value.atoms(sympy.log)]
    return all(part.subs(at).evalf(10).is_nonnegative for part in (*roots, *logarithms))


def _is_zero_at(difference: Any, at: dict[Any, Any]) -> bool | None:
    """Whether it is zero there; None if it has no value."""
    value = difference.subs(at)
    if value.is_Rational:
        return bool(value == 0)
    if value.free_symbols or not value.is_finite:
        return None
    digits = _DIGITS_AT_A_POINT + 2 * sum(len(str(q)) for q in difference.atoms(sympy.Rational))
    return not _surely_not_zero(value, digits)


def _expands_to_zero(difference: Any) -> bool:
    exponents = [abs(p.exp) for p in difference.atoms(sympy.Pow) if p.exp.is_Rational]
    return max(exponents, default=0) <= 60 and sympy.expand(difference) == 0


def _equal_with_floors(difference: Any) -> Result:
    """Decides formulas with a floor, a ceiling or a remainder, which points cannot prove.

    They differ if they do at a whole number. They are equal if that follows by algebra; or if, for
    a variable that counts, the arguments are polynomials: then it does for each remainder of it.
    """
    names = sorted(difference.free_symbols, key=str)
    counts = {str(name) for name in names} <= _WHOLE
    values = [_R(n, 1 if counts else 3) for n in range(1, 41)]
    points = [(v,) for v in values] if len(names) == 1 else product(values[:8], repeat=len(names))
    for point in points:
        value = difference.subs(dict(zip(names, point, strict=True)))
        if value.is_number and value.is_finite and value.is_real:
            if not value.is_Rational and not _surely_not_zero(value, _DIGITS):
                continue
            if value != 0:
                return "different"
    difference = difference.rewrite(sympy.floor)
    if sympy.expand(difference) == 0 or sympy.simplify(difference) == 0:
        return "symbolic"
    if len(names) == 1 and counts and (period := _period(difference, names[0])):
        m = sympy.Symbol("m", integer=True)
        rest = (sympy.expand(difference.subs(names[0], period * m + r)) for r in range(period))
        if all(value == 0 for value in rest):
            return "symbolic"
    return "not proved"


def _period(difference: Any, name: Any) -> int | None:
    """What the remainders of a variable are taken by: its coefficients' common denominator."""
    denominators = [1]
    for rounded in difference.atoms(sympy.floor, sympy.ceiling):
        inside = rounded.args[0]
        if not inside.is_polynomial(name):
            return None
        coefficients: list[Any] = sympy.Poly(inside, name).coeffs()
        if not all(c.is_Rational for c in coefficients):
            return None
        denominators += [int(c.q) for c in coefficients]
    period = lcm(*denominators)
    return period if period <= 60 and not difference.has(sympy.Mod) else None
