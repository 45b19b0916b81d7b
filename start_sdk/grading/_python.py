r"""Answers as Python, numpy and sympy print them, in the notation of LaTeX.

`Fraction(3, 56)`, `(1+2j)`, `[3, 5]`, `Matrix([[1], [2]])`, `3*sqrt(5)`, `exp(x)`, `5e-05`.
"""

from __future__ import annotations

import re

_FRACTION = re.compile(r"\b(?:Fraction|Rational)\(\s*(-?\d+),\s*(\d+)\s*\)")
_WRAPPED = re.compile(
    r"\b(?:Decimal|mpf|np\.float64|np\.int64|float|int)\(\s*'?(-?[\w.+-]+)'?\s*\)"
)
_MATRIX = re.compile(
    r"(?:(?:Matrix|array|np\.array)\(\s*)?\[\s*(\[[^\[\]]*\](?:\s*,\s*\[[^\[\]]*\])*)\s*\]\)?"
)
_FUNCTIONS = re.compile(
    r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|ln|log|sinh|cosh|tanh|arcsin|arccos|arctan)(?=\s?\()"
)
_SOLUTION = re.compile(r"\[?\{(\w+: [^{}:,]+(?:, \w+: [^{}:,]+)*)\}\]?")
_CONDITIONS = re.compile(r"\([^()]*[<>][^()]*\)(?: [&|] \([^()]*[<>][^()]*\))+")
_INVERSE = re.compile(r"(?<![\\A-Za-z])(?:asin|acos|atan)(?=\s?\()")


def as_latex(text: str) -> str:
    """The same answer in LaTeX; other texts as they are."""
    if re.match(r"[\[({]", text) and "'" in text:
        text = re.sub(r"'([^'\[\](){}]*)'", r"\1", text)
    if text in ("set()", "[]", "EmptySet", "{}"):
        return r"\emptyset"
    if re.fullmatch("-?I", text):
        return text.lower()
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    if solved := _SOLUTION.fullmatch(text):
        text = solved[1].replace(": ", "=")
    if _CONDITIONS.fullmatch(text):
        text = text.replace("(", "").replace(")", "").replace("&", "and").replace("|", "or")
    text = re.sub(r"^\(([^(),]+),\)$", r"\1", text)
    text = re.sub(r"^(?:np\.)?array\((\[[^\[\]]*\])\)$", r"\1", text)
    text = re.sub(r"^FiniteSet\(([^()]*)\)$|^\{([^{}\\]*,[^{}]*)\}$", r"\\{\1\2\\}", text)
    text = re.sub(r"\bInterval\(([^()]*)\)", r"[\1]", text)
    text = re.sub(r"\bInterval\.open\(([^()]*)\)", r"(\1)", text)
    if union := re.fullmatch(r"Union\((.*)\)", text):
        text = re.sub(r"(?<=[)\]}]), (?=[\[(\\{])", r"\\cup ", union[1])
    text = re.sub(r"^Eq\(([^(),]*), ([^(),]*)\)$", r"\1=\2", text)
    text = re.sub(r"\bfactorial\(([^()]*)\)", r"(\1)!", text)
    text = re.sub(r"\bbinomial\(([^(),]*), ?([^(),]*)\)", r"\\binom{\1}{\2}", text)
    text = re.sub(r"\b[Aa]bs\(([^()]*)\)", r"|\1|", text)
    text = _FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _WRAPPED.sub(r"\1", text)
    if matrix := _MATRIX.fullmatch(text.strip()):
        rows = re.findall(r"\[([^\[\]]*)\]", matrix[1])
        body = r"\\".join(row.replace(",", "&") for row in rows)
        return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"
    text = _INVERSE.sub(lambda m: "\\arc" + m[0][1:], text)
    text = _FUNCTIONS.sub(r"\\\1", text)
    text = re.sub(r"(?<![\\A-Za-z])exp\(([^()]*)\)", r"e^{\1}", text)
    text = re.sub(r"(?<![\\A-Za-z])floor\(([^()]*)\)", r"\\lfloor \1\\rfloor ", text)
    text = re.sub(r"(?<![\\A-Za-z])ceil(?:ing)?\(([^()]*)\)", r"\\lceil \1\\rceil ", text)
    text = re.sub(r"(?<![\\A-Za-z])oo(?![A-Za-z])", r"\\infty ", text)
    return re.sub(
        r"(?<=\d)[jJ](?![A-Za-z\d])|(?<=\*)I(?![A-Za-z_])|(?<=\* )I(?![A-Za-z_])", "i", text
    )
