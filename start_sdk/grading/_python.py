r"""Answers as Python, numpy and sympy print them, in the notation of LaTeX.

`Fraction(3, 56)`, `(1+2j)`, `[3, 5]`, `Matrix([[1], [2]])`, `3*sqrt(5)`, `exp(x)`, `5e-05`.
"""

from __future__ import annotations

import re

_FRACTION = re.compile(r"\b(?:Fraction|Rational)\(\s*(-?\d+),\s*(\d+)\s*\)")
_WRAPPED = re.compile(
    r"\b(?:Decimal|mpf|float(?:16|32|64)?|u?int(?:8|16|32|64)?)\(\s*'?(-?[\w.+-]+)'?\s*\)"
)
_MODULE = re.compile(
    r"(?<![\w.\\])(?:c?math|np|numpy|sympy|sp|mpmath|mp|fractions|decimal)\.(?=[A-Za-z])"
)
_COLLECTED = re.compile(r"(list|sorted|tuple|set|frozenset|dict_values|dict_keys)\((.+)\)")
_SPACED = re.compile(r"\[[\[\]\d.\s+-]*[\d.]\s[\[\]\d.\s+-]*\]")
_MATRIX = re.compile(
    r"(?:(?:Matrix|array)\(\s*)?\[\s*(\[[^\[\]]*\](?:\s*,\s*\[[^\[\]]*\])*)\s*\]\)?"
)
_FUNCTIONS = re.compile(
    r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|ln|sinh|cosh|tanh|arcsin|arccos|arctan)"
    r"(?= ?[\d(\\|^]| [a-zA-Z](?![A-Za-z]))"
)
_LOG = re.compile(r"(?<![\\A-Za-z])log(?= ?[\d(\\]| [a-zA-Z](?![A-Za-z]))")
_SOLUTION = re.compile(r"\{(\w+: [^{}:,]+(?:, \w+: [^{}:,]+)*)\}")
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
    text = _MODULE.sub("", text)
    if collected := _COLLECTED.fullmatch(text):
        kind, text = collected.groups()
        text = re.sub(r"^\[(.*)\]$", r"(\1)", text) if kind == "tuple" else text
    if _SPACED.fullmatch(text) and "," not in text:  # numpy's
        text = re.sub(r"(?<=[\d.\]])\s+(?=[-\d.\[])", ", ", text)
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    if solved := _SOLUTION.fullmatch(text.removeprefix("[").removesuffix("]")):
        text = solved[1].replace(": ", "=")
    elif text.startswith("[{") and not re.sub(r"[\[\], ]", "", _SOLUTION.sub("", text)):
        text = ", ".join(_values(found) for found in _SOLUTION.findall(text))
    if _CONDITIONS.fullmatch(text):
        text = text.replace("(", "").replace(")", "").replace("&", "and").replace("|", "or")
    text = re.sub(r"^\(([^(),]+),\)$", r"\1", text)
    text = re.sub(r"^array\((\[[^\[\]]*\])\)$", r"\1", text)
    text = re.sub(r"^\[(\([^()\[\]]*,[^()\[\]]*\))\]$", r"\1", text)  # one pair
    text = re.sub(r"^FiniteSet\(([^()]*)\)$|^\{([^{}\\]*,[^{}]*)\}$", r"\\{\1\2\\}", text)
    text = re.sub(r"\bInterval\(([^()]*)\)", r"[\1]", text)
    text = re.sub(r"\bInterval\.open\(([^()]*)\)", r"(\1)", text)
    text = re.sub(r"\bInterval\.Lopen\(([^()]*)\)", r"(\1]", text)
    text = re.sub(r"\bInterval\.Ropen\(([^()]*)\)", r"[\1)", text)
    if union := re.fullmatch(r"Union\((.*)\)", text):
        text = re.sub(r"(?<=[)\]}]), (?=[\[(\\{])", r"\\cup ", union[1])
    text = re.sub(r"^Eq\(([^(),]*), ([^(),]*)\)$", r"\1=\2", text)
    text = re.sub(r"\bfactorial\(([^()]*)\)", r"(\1)!", text)
    text = re.sub(r"\b(?:binomial|comb|nCr)\(([^(),]*), ?([^(),]*)\)", r"\\binom{\1}{\2}", text)
    text = re.sub(r"\b(?:perm|nPr)\(([^(),]*), ?([^(),]*)\)", r"P(\1,\2)", text)
    text = re.sub(r"\bcbrt\(([^()]*)\)", r"\\sqrt[3]{\1}", text)
    text = re.sub(r"\b[Aa]bs\(([^()]*)\)", r"|\1|", text)
    text = _FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _WRAPPED.sub(r"\1", text)
    if matrix := _MATRIX.fullmatch(text.strip()):
        rows = re.findall(r"\[([^\[\]]*)\]", matrix[1])
        body = r"\\".join(row.replace(",", "&") for row in rows)
        return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"
    text = _INVERSE.sub(lambda m: "\\arc" + m[0][1:], text)
    text = _FUNCTIONS.sub(r"\\\1", text)
    text = re.sub(r"(?<![\\A-Za-z])log(2|10)(?=\()", r"\\log_{\1}", text)
    text = _LOG.sub(r"\\anylog", text)  # see `_readings.py`
    text = re.sub(r"(?<![\\A-Za-z])E\*\*", "e**", text)
    text = re.sub(r"(?<![\\A-Za-z])exp\(([^()]*)\)", r"e^{\1}", text)
    text = re.sub(r"(?<![\\A-Za-z])exp(?=\()", r"\\exp", text)
    text = re.sub(r"(?<![\\A-Za-z])floor\(([^()]*)\)", r"\\lfloor \1\\rfloor ", text)
    text = re.sub(r"(?<![\\A-Za-z])ceil(?:ing)?\(([^()]*)\)", r"\\lceil \1\\rceil ", text)
    text = re.sub(r"(?<![\\A-Za-z])(?:oo|inf)(?![A-Za-z])", r"\\infty ", text)
    return re.sub(
        r"(?<=\d)[jJ](?![A-Za-z\d])|(?<=\*)I(?![A-Za-z_])|(?<=\* )I(?![A-Za-z_])", "i", text
    )


def _values(solution: str) -> str:
    """`(1,2)` for `y: 2, x: 1`, `1` for `x: 1`."""
    pairs = sorted(pair.strip().split(": ") for pair in solution.split(","))
    values = ",".join(value for _, value in pairs)
    return f"({values})" if len(pairs) > 1 else values
