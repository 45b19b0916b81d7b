r"""Normalises the notation of an answer before it is compared.

Each rule is one step of `normalise`; their order matters, and none changes the meaning. Units,
percent signs and bases are removed from the text and stored next to it for the comparison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "÷": "/",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "°": r"^\circ ",
        "±": r"\pm ", "∪": r"\cup ", "∈": r"\in ", "²": "^2", "³": "^3", "√": r"\sqrt ",
        "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "，": ",",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ",
    }
)  # fmt: skip
_UNITS = {
    "degree": "degrees degree deg", "radian": "radians radian rad",
    "dollar": "dollars dollar usd", "cent": "cents cent",
    "mm": "mm millimeters millimeter", "cm": "cm centimeters centimeter centimetres",
    "m": "m meters meter metres metre", "km": "km kilometers kilometer kilometres",
    "inch": "inches inch in", "foot": "feet foot ft", "yard": "yards yard yd",
    "mile": "miles mile mi", "second": "seconds second sec s", "minute": "minutes minute min",
    "hour": "hours hour hr h", "day": "days day", "week": "weeks week", "year": "years year",
    "g": "grams gram g", "kg": "kg kilograms kilogram", "mph": "mph", "": "units unit",
}  # fmt: skip
_UNIT_OF = {alias: unit for unit, aliases in _UNITS.items() for alias in aliases.split()}
_DIGITS_OF = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_TEXT = r"\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s?"
_UNIT_TEXT = re.compile(
    _TEXT + r"\{\s*((?:[^{}\\]|\\ )+)\}\s*(?:\^\s*\{?\s*([23])\s*\}?)?$", re.IGNORECASE
)
_UNIT_WORDS = re.compile(
    r"(?:(?<=[\d})])|(?<=\\pi)) ?([A-Za-z]{2,20}\.?(?: [A-Za-z]{2,20}){0,3})(?:\^\{?([23])\}?)?$"
)
_POWERS = {"square": "2", "sq": "2", "cubic": "3"}
_NOT_UNITS = {"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "or", "and", "base", "mod"}
_BASE = re.compile(
    r"\(?([0-9][0-9A-Fa-f]*)\)?(?:_\{?|\s*\(?base )\s*(?:\\text\{)?(?:base )?(\w{1,7})\}{0,2}\)?"
)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)")
_RATIO = re.compile(r"(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}|(-?)\(?(-?\d+)\)?/\(?(\d+)\)?")
_LONGEST = 300  # digits of a number that is compared in this process; longer ones go to a worker


@dataclass(frozen=True)
class Answer:
    """A normalised answer."""

    text: str
    unit: str = ""
    """Name of the unit, with its power ("cm^2"); "" if there is none or it is unknown."""
    percent: bool = False
    base: int | None = None
    """Base of the number system, for digits with a subscript; `text` has the digits."""
    words: bool = False
    """The text is a word or a phrase, not a formula."""


def normalise(text: str) -> Answer:
    """Normalises an answer, in time linear in its length."""
    text = _delimiters(text.translate(_UNICODE).strip())
    text, dollars = _dollars(text)
    text = _spaces(_thousands(text))
    text = re.sub(r"(?<![\\A-Za-z])[Ii]nfinity(?![A-Za-z])", r"\\infty ", text)
    whole = re.fullmatch(_TEXT + r"\{([^{}]*)\}", text)
    if whole and not re.search(r"[\d\\]", whole[1]):
        return Answer(" ".join(whole[1].split()), words=True)
    text = whole[1].strip() if whole else text
    if (based := _BASE.fullmatch(text)) and (base := _base(based[2])):
        return Answer(based[1].lstrip("0").upper() or "0", base=base)
    text, percent = _percent(text)
    text, unit = ("", "") if not text else _unit(text)
    unit = "dollar" if dollars else unit
    text = re.sub(_TEXT + r"\{\s*,?\s*(?:and|or)\s*\}|,? (?:and|or) (?=\S)", ",", text)
    text = re.sub(_TEXT + r"\{\s*([A-Za-z])\s*\}", r"\1", text)
    if re.match(r"[A-Za-z]{4}", text) and re.fullmatch(r"[A-Za-z]+(?:[ -][A-Za-z]+)*", text):
        return Answer(text, words=True)
    return Answer(_close_up(_mixed(_braces(text))), unit=unit, percent=percent)


def number(text: str) -> Fraction | None:
    """The exact value of an integer, a decimal or a fraction of integers; else None."""
    if len(text) > 2 * _LONGEST:
        return None
    if _NUMBER.fullmatch(text):
        return Fraction(text.rstrip("."))
    if match := _RATIO.fullmatch(text):
        sign, above, below = (match[i] or match[i + 3] or "" for i in (1, 2, 3))
        return Fraction(int(sign + "1") * int(above), int(below)) if int(below) else None
    return None


def is_decimal(text: str) -> bool:
    """Whether a text is a number in digits: 12, -0.5."""
    return _NUMBER.fullmatch(text) is not None


def _delimiters(text: str) -> str:
    r"""Removes `$...$`, `\(...\)`, `\left`, `\right`, `\displaystyle` and a final full stop."""
    text = re.sub(r"\\\\\s?\[[^\]\n]{0,12}\]", r"\\\\ ", text)  # `\\[2pt]` in a matrix
    text = re.sub(r"(?<!\\)\\[()\[\]]", " ", text)
    text = re.sub(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])(?:\s?\.)?", "", text)
    text = re.sub(r"\\(?:displaystyle|limits|nolimits)(?![A-Za-z])", " ", text)
    text = re.sub(r"\\lbrace(?![A-Za-z])", r"\{", text)
    text = re.sub(r"\\rbrace(?![A-Za-z])", r"\}", text)
    text = re.sub(r"\\(?:leq|leqslant)(?![A-Za-z])", r"\\le", text)
    text = re.sub(r"\\(?:geq|geqslant)(?![A-Za-z])", r"\\ge", text)
    text = text.strip().strip("*").strip()
    bare = text.rstrip(".;, ")
    return bare[:-1].rstrip() if bare != text and bare.endswith("\\") else bare  # `5\,`


def _dollars(text: str) -> tuple[str, bool]:
    """The text without its dollar signs, and whether one of them meant money."""
    signs = len(re.findall(r"(?<!\\)\$", text))
    money = r"\$" in text or (signs == 1 and re.match(r"-?\$", text) is not None)
    return re.sub(r"\\?\$", "", text).strip(), money


def _thousands(text: str) -> str:
    r"""Joins `10,\!080`, `10{,}080`, `10\,080`, and `10,080` where it cannot be a list."""
    text = re.sub(r"(?<=\d)(?:,\\!|\{,\}|\\,|\\!)(?=\d{3}(?!\d))", "", text)
    if not re.search(r"[(\[{]\s*-?[\d.]+\s*,", text):
        groups = r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)"
        text = re.sub(groups, lambda m: m[0].replace(",", ""), text)
    return text


def _spaces(text: str) -> str:
    text = re.sub(r"\\[!]", "", text)
    text = re.sub(r"(?<!\\)\\[,;: ]|\\q?quad(?![A-Za-z])|~", " ", text)
    return " ".join(text.split())


def _base(name: str) -> int | None:
    base = int(name) if name.isdecimal() and len(name) < 3 else _DIGITS_OF.get(name.lower(), 0)
    return base if 2 <= base <= 36 else None


def _percent(text: str) -> tuple[str, bool]:
    bare = re.sub(r"\s?(?:\\?%|" + _TEXT + r"\{ ?percent ?\}| percent)$", "", text)
    return bare.rstrip(), bare != text


def _unit(text: str) -> tuple[str, str]:
    """The text without the unit after a quantity, and the unit's name if it is known."""
    bare = re.sub(r"\s?\^\s?(?:\\circ|\{ ?\\circ ?\})$|\s?\\degree$", "", text)
    if bare != text:
        return bare, "degree"
    match = _UNIT_TEXT.search(text)
    plain = None if match else _UNIT_WORDS.search(text)
    found = match or plain
    if not found or not text[: found.start()].strip():
        return text, ""
    words = found[1].lower().replace("\\ ", " ").replace(".", " ").split()
    if not words or _NOT_UNITS & set(words) or re.search(r"[\d=]", found[1]):
        return text, ""
    if len(words[0]) == 1 and words[0] not in _UNIT_OF:  # `2\text{x}`
        return text, ""
    counted = plain and text[plain.start()] == " " and len(words[0]) > 3
    if plain and not counted and words[0] not in {**_UNIT_OF, **_POWERS}:
        return text, ""  # "3 apples" counts something, "3abc" is a product
    power = found[2] or _POWERS.get(words[0], "")
    known = _UNIT_OF.get(words[-1] if power and not found[2] else " ".join(words), "")
    return text[: found.start()].strip(), known + f"^{power}" * bool(known and power)


def _braces(text: str) -> str:
    r"""Writes `\dfrac`, `\frac43`, `\frac{1}2`, `\sqrt3`, `sqrt(3)` with braces: `\sqrt{3}`."""
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r"(?<![\\A-Za-z])(sqrt|pi)(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\sqrt\s*(\d+|[A-Za-z](?![A-Za-z])|\\pi)", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac\s*(\d|[A-Za-z](?![A-Za-z])|\\pi)", r"\\frac{\1}", text)
    swaps: dict[int, str] = {}
    round_ = matching(text, "(", ")")
    for root in re.finditer(r"(?:\\sqrt|\^|\*\*)\s*\(", text):  # `\sqrt(3)`, `x^(n+1)`
        if (end := round_.get(root.end() - 1)) is not None:
            swaps |= {root.end() - 1: "{", end: "}"}
    curly = matching(text, "{", "}")
    for fraction in re.finditer(r"\\frac\s*\{", text):
        end = curly.get(fraction.end() - 1, len(text))
        below = re.compile(r"\s*(\d|[A-Za-z](?![A-Za-z]))").match(text, end + 1)
        if below:
            swaps[below.start(1)] = "{" + below[1] + "}"
    return "".join(swaps.get(i, c) for i, c in enumerate(text)) if swaps else text


def matching(text: str, opening: str, closing: str) -> dict[int, int]:
    r"""Maps the position of each opening bracket to its closing one. `\{` is not a bracket."""
    stack, pairs = [], {}
    for bracket in re.finditer(r"\\.|[(){}\[\]]", text, re.DOTALL):
        if bracket[0] == opening:
            stack.append(bracket.start())
        elif bracket[0] == closing and stack:
            pairs[stack.pop()] = bracket.start()
    return pairs


def _mixed(text: str) -> str:
    r"""Writes `1\frac{4}{5}` and `1 4/5` as `\frac{9}{5}` if the fraction is a proper one."""

    def improper(m: re.Match[str]) -> str:
        whole, above, below = int(m[1]), int(m[2] or m[4]), int(m[3] or m[5])
        return rf"\frac{{{whole * below + above}}}{{{below}}}" if above < below else m[0]

    forms = r"(\d{1,18}) ?(?:\\frac ?\{(\d{1,18})\} ?\{(\d{1,18})\}|(?<= )(\d{1,18})/(\d{1,18}))"
    return re.sub(r"(?<![\d.^_/}])" + forms + r"(?![\d/^])", improper, text)


def _close_up(text: str) -> str:
    r"""Removes spaces, except those between digits, between words or after a command."""
    text = re.sub(r"\\(?:cdot|times)(?![A-Za-z])", "*", text.replace("**", "^"))
    text = re.sub(r"(\\[A-Za-z]+) (?=[A-Za-z])", r"\1~", text)
    text = re.sub(r"(?<=\d) (?=\d)|(?<=[A-Za-z]{2}) (?=[A-Za-z]{2})", "~", text)
    text = text.replace(" ", "").replace("~", " ")
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = re.sub(r"^\+|(?<=[(\[,])\+", "", text)
    pairs, depth = matching(text, "{", "}"), 0
    while pairs.get(depth) == len(text) - 1 - depth:
        depth += 1
    return text[depth : len(text) - depth]
