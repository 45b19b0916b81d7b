r"""Reads a formula with math-verify's parser: variables keep their case, numbers are exact.

Runs only in worker processes. Units, percents and small rewrites are handled before
(`_normalise.py`), so those of math-verify are disabled: it reads `2d` as 2 days. Its floats are
never used: it compares them rounded to six places, so 0.0000671 equals 0.0000672.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig

_NOTATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none"
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_UNREADABLE = re.compile(r"'|\\prime|\\(?:gcd|lcm)[^\d]*[A-Za-z]|\\ldots|\\Gamma(?!\s?\()")


@lru_cache(maxsize=256)
def read(text: str) -> Any:
    """A formula as sympy has it, evaluated where that is exact; None if it cannot be parsed."""
    if _UNREADABLE.search(text):
        return None
    text = re.sub(r"\d+\.\d+", _as_fraction, text)
    text = re.sub(r"(\d+)\^(?:\\circ(?![a-z])|\{\\circ\})", r"\\frac{\1\\pi}{180}", text)
    # It takes a capital I for the imaginary unit, and i for a variable.
    text = re.sub(r"(?<![A-Za-z\\])I(?![A-Za-z])", r"\\iota ", text)
    text = re.sub(r"(?<=\d)i(?![A-Za-z])", " i", text)  # it only knows `i` as a separate word
    try:
        value = latex2sympy(
            text, is_real=True, normalization_config=_NOTATION, conversion_config=_CONVERSION
        )
    except MemoryError:
        raise
    except Exception:  # the parser raises Exception itself, and sympy a dozen kinds
        return None
    if not isinstance(value, sympy.Basic):
        return None
    symbols: dict[Any, Any] = {
        s: sympy.Symbol(s.name, real=True) for s in value.atoms(sympy.Symbol)
    }
    symbols |= {s: sympy.I for s in symbols if s.name == "i"}
    return value.subs(symbols, simultaneous=True) if symbols else value


def is_expression(value: Any) -> bool:
    """Whether it is a number or a formula: no relation, set or matrix."""
    return isinstance(value, sympy.Expr) and not isinstance(value, sympy.MatrixExpr)


def _as_fraction(decimal: re.Match[str]) -> str:
    value = Fraction(decimal[0])
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
