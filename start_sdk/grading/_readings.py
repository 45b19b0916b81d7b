r"""The readings of an answer that can be read in several ways: each is compared.

Runs only in worker processes, like `_engine.py`.
"""

from __future__ import annotations

import re

_APPROX = re.compile(r"\\(?:approx|simeq)(?![A-Za-z])")
_TWO = re.compile(r"(?<![A-Za-z\\])([CP])\(([^(),]+),([^(),]+)\)")
_N = r"(?:\{(?:\d{1,4})\}|\d{1,4})"
_BESIDE = re.compile(rf"(?<![A-Za-z\\\d])(?:\{{\}})?[\^_]?({_N})([CP])_?({_N})(?![\d^_A-Za-z])")
_RAISED = re.compile(rf"(?<![A-Za-z\\])([ACP])(?:_({_N})\^({_N})|\^({_N})_({_N}))(?![\d^_])")
_LOG = r"\anylog"
_LOG_OF = re.compile(r"\\anylog\(([^(),]+),([^(),]+)\)")


def readings(text: str) -> list[str]:
    r"""All readings of a normalised answer.

    Of `\sqrt2\approx 1.414` both sides; `log` without a backslash is the natural logarithm, as in
    Python, or the common one; `C(5,2)`, `C_5^2` and `5C2` are a point or a product, or `\binom52`.
    """
    sides = [side.strip() for side in _APPROX.split(text)]
    found = [side for side in (sides[0], sides[-1]) if side] if len(sides) > 1 else [text]
    if _LOG in text:
        natural = [_LOG_OF.sub(r"\\frac{\\ln(\1)}{\\ln(\2)}", side) for side in found]
        found = [side.replace(_LOG, name) for side in natural for name in (r"\ln", r"\log")]
    return [*found, *(counted for side in found if (counted := _counted(side)) != side)]


def _counted(text: str) -> str:
    """With combinations and permutations for `C` and `P`."""
    text = _TWO.sub(lambda m: _ways(m[1], m[2], m[3]), text)
    text = _BESIDE.sub(lambda m: _ways(m[2], m[1].strip("{}"), m[3].strip("{}")), text)
    return _RAISED.sub(_raised, text)


def _raised(m: re.Match[str]) -> str:
    """`C_5^2` in China, `C^5_2` elsewhere: the greater number is that of all."""
    few, all_ = sorted((part.strip("{}") for part in m.groups()[1:] if part), key=int)
    return _ways(m[1], all_, few)


def _ways(kind: str, n: str, k: str) -> str:
    if kind == "C":
        return rf"\binom{{{n}}}{{{k}}}"
    return rf"\frac{{({n})!}}{{({n}-{k})!}}"
