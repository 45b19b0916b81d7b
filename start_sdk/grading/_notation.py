r"""Notations of plain text, of other countries and of rarer LaTeX, in the one that is parsed.

`\nicefrac{3}{4}`, `{5 \choose 2}`, `1⅔`, `x<2 \lor x>3`, `(3|2)`, `42^{\text{nd}}`, `0.333...`.
"""

from __future__ import annotations

import re
import unicodedata

_NAMES = "sin|cos|tan|cot|sec|csc|ln|log|sinh|cosh|tanh|arcsin|arccos|arctan|exp|max|min|gcd|lcm"
_WORD = r"\\(?:text|mathrm|mbox)\s?\{\s?([a-z]{1,12})\s?\}"
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:nice|s)frac(?![A-Za-z])", r"\\frac"),
        (r"\^\{?(\d{1,9})\}? ?/ ?_\{?(\d{1,9})\}?", r"\\frac{\1}{\2}"),
        (rf"\\frac\s?\{{\s?{_WORD}\s?\}}\s?\{{\s?{_WORD}\s?\}}$", r"\\text{ \1/\2}"),
        (r"\{([^{}\\]*)\\choose(?![A-Za-z])([^{}\\]*)\}", r"\\binom{\1}{\2}"),
        (rf"\\operatorname\s?\{{({_NAMES})\}}", r"\\\1 "),
        (r"(?<![\\A-Za-z])log(?=_)|\\lg(?![A-Za-z])", r"\\log"),
        (r"\\log_\s?(?:\{e\}|e(?![A-Za-z]))", r"\\ln "),
        (r"(\d{1,9}) choose (\d{1,9})", r"\\binom{\1}{\2}"),
        (r"\\(?:lor|vee)(?![A-Za-z])", " or "),
        (r"\\(?:land|wedge)(?![A-Za-z])", " and "),
        (r"(?<=[)\]}]) ?U ?(?=[(\[]|\\\{)", r"\\cup "),
        (r"(?<=\d) ?x ?(?=10\^)", r"\\cdot "),
        (r"(?<=[\d})]), ?(?=[a-z] ?\\ne(?![a-z]))", r" \\cap "),  # 2<x<9, x\ne 5
        (r"^\(([^|()]+)\|([^|()]+)\)$", r"(\1,\2)"),  # a point, in Germany
        (r"(?<=\d)(?:\^ ?)?\{?(?:\\text(?:rm)?\{)? ?(?:st|nd|rd|th)\}{0,2}$", ""),
        (r"^(-?\d{1,9}) and (?=\d{1,9}/\d{1,9}$)", r"\1 "),
        (r"^(\d{1,9}) to (?=\d{1,9}$)", r"\1:"),
        (r"(\d\.\d{0,20}?)(\d{1,3}?)\2{2,9} ?(?:\.\.\.|\\ldots)$", r"\1\\overline{\2}"),
        (
            r"^(?:x ?\\in ?)?(?:\\text\{ ?)?(?:x is )?[Aa]ll (?:real numbers|reals)(?: x)?"
            r"(?: except| other than| but)(?: for)? ?\}? ?(?=[-\d\\])(.{1,99})$",
            r"\\mathbb{R}\\setminus\\{\1\\}",
        ),
    )
]
SIGNS = {
    c: rf"\frac{{{'}{'.join(unicodedata.normalize('NFKD', c).split('⁄'))}}}"
    for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
}
"""Fractions of one character."""
_CLOCK = re.compile(r"(\d{1,2}):(\d\d) ?(?:\\text\{)? ?([ap])\.? ?m\.?\}?", re.IGNORECASE)


def usual(text: str) -> str:
    """The same answer in the usual notation; other texts as they are. Takes linear time."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def time_of_day(text: str) -> str | None:
    r"""`2:30 pm` for `2:30\text{ p.m.}`; None for other texts."""
    found = _CLOCK.fullmatch(text)
    return f"{int(found[1])}:{found[2]} {found[3].lower()}m" if found else None
