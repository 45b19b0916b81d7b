"""Sets of real numbers: unions, differences and intersections of intervals and finite sets.

Runs only in worker processes, like `_engine.py`.
"""

from __future__ import annotations

from typing import Any

import sympy

from start_sdk.grading._formula import is_expression, read
from start_sdk.grading._structure import RELATION, SET_OPERATIONS, Shape


def is_set(shape: Shape) -> bool:
    """Whether a shape can only be a set of numbers: no point, list or formula."""
    inequality = shape.kind == "scalar" and RELATION.search(shape.text)
    return shape.kind in SET_OPERATIONS or shape.text == r"\emptyset" or bool(inequality)


def same_sets(a: Shape, b: Shape) -> bool | None:
    """Whether two shapes are the same set of real numbers; None if one of them is none."""
    first, second = _as_set(a), _as_set(b)
    if first is None or second is None:
        return None
    return bool(first.symmetric_difference(second) == sympy.S.EmptySet)


def _as_set(shape: Shape) -> Any:
    if shape.text == r"\emptyset":
        return sympy.S.EmptySet
    if shape.kind in ("union", "list", "cap", "minus"):
        parts = [_as_set(item) for item in shape.items]
        if None in parts or (shape.kind == "list" and any(p.is_FiniteSet for p in parts)):
            return None
        if shape.kind == "cap":
            return sympy.Intersection(*parts)
        return sympy.Union(*parts) if shape.kind != "minus" else parts[0] - sympy.Union(*parts[1:])
    if shape.kind == "set":
        values = [_value(item) for item in shape.items]
        return None if None in values else sympy.FiniteSet(*values)
    if shape.kind in ("()", "[)", "(]", "[]") and len(shape.items) == 2:
        low, high = (_value(item) for item in shape.items)
        if low is None or high is None:
            return None
        return sympy.Interval(low, high, shape.kind[0] == "(", shape.kind[1] == ")")
    if shape.kind == "scalar" and RELATION.search(shape.text):  # |x| < 2
        value = read(shape.text)
        solvable = isinstance(value, sympy.core.relational.Relational)
        return value.as_set() if solvable and len(value.free_symbols) == 1 else None
    if shape.kind == "scalar" and "=" in shape.text:  # 1 < x < 3 or x = 5
        value = _value(Shape("scalar", shape.text.rpartition("=")[2]))
        return None if value is None else sympy.FiniteSet(value)
    return None


def _value(shape: Shape) -> Any:
    """The real constant of a scalar, or infinity; else None."""
    value = read(shape.text) if shape.kind == "scalar" else None
    if value is None or not is_expression(value) or value.free_symbols:
        return None
    value = value.doit()
    return value if value.is_extended_real else None
