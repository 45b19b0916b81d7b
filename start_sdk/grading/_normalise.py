r"""Normalises the notation of an answer before it is compared.

Each rule is one step of `normalise`; their order matters, and none changes the meaning. Units,
percent signs and bases are removed from the text and stored next to it for the comparison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from start_sdk.grading import _words
from start_sdk.grading._notation import SIGNS, time_of_day, usual
from start_sdk.grading._numbers import plain_decimals
from start_sdk.grading._python import as_latex
from start_sdk.grading._units import split_unit

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "÷": "/",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "°": r"^\circ ",
        "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "√": r"\sqrt ", "≠": r"\ne ",
        "≈": r"\approx ", "ℝ": r"\mathbb{R}", "∅": r"\emptyset ", "∖": r"\setminus ",
        "∣": r"\mid ", "∨": r"\lor ", "∧": r"\land ", "⁄": "/", **SIGNS,
        "或": " or ", "和": " and ", "与": " and ", "及": " and ", "、": ", ", "。": ".", "；": ";",
        "【": "[", "】": "]", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
        **{chr(0xFF01 + i): chr(0x21 + i) for i in range(94)},  # wide forms of ASCII
    }
)  # fmt: skip
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_TEXT = r"\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s?"
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_SPACE = r"\s|~|\\[ ,;:!]|\\q?quad(?![A-Za-z])"
OPTION = re.compile(
    r"(?:" + _TEXT + r"\{\s*(?:\([A-J]\)|[A-J][.:)])\s*\}|\([A-J]\))"
    rf"(?:{_SPACE})*"
    r"(?=[-\w\\$.])"
)
_BASE = re.compile(
    r"\(?([0-9][0-9A-Fa-f]*|[A-F][0-9A-F]+)\)?(?:_\{?|\s*(?:\\text\{)?\s*(?:in )?\(?base )\s*"
    r"\(?(?:\\text\{)?(?:base ?\}? ?)?(\w{1,7})\)?\}{0,2}\)?"
)
_SPELT = re.compile(r"(.+?) ?(?:\\text\{ ?)?\(([A-Za-z -]{3,20})\)\}?")  # 42 (forty-two)
_CODED = re.compile(r"0([bBoOxX])([0-9A-Fa-f]+)")
_REMAINDER = re.compile(r"(-?\d+)\s?(?:\(mod |\\p?mod\s?\{?\s?)(\d+)[})]?")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt|ne)(?![A-Za-z])")


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
    text = usual(_delimiters(_scripts(text).translate(_UNICODE).strip()))
    text = _option(text)
    text, dollars = _dollars(text)
    text = _spaces(_thousands(as_latex(text)))
    text = re.sub(r"^(?:\\(?:approx|simeq)(?![A-Za-z])|=)\s?", "", text)
    text = re.sub(r"(?<![\\A-Za-z])[Ii]nfinity(?![A-Za-z])", r"\\infty ", text)
    text = re.sub(_TEXT + r"\{([^{}]*\d[^{}]*|[0-9A-F]+(?=\}_))\}(?=.)", r"\1", text)
    text = re.sub(rf"^{_TEXT}\{{[A-Za-z ,.]*[A-Za-z](?:\s|:)\s?\}}\s?(?=[-\d(\[])", "", text)
    if clock := time_of_day(text):
        return Answer(clock, words=True)
    if (twice := _SPELT.fullmatch(text)) and _words.meaning(twice[2]):
        text = twice[1]
    if remainder := _REMAINDER.fullmatch(text):
        return Answer(remainder[1], unit=f"mod {remainder[2]}")
    whole = re.fullmatch(_TEXT + r"\{([^{}]*)\}", text)
    if whole and not re.search(r"[\d\\]", whole[1]) and not _letters(whole[1]):
        return _phrase(whole[1])
    text = whole[1].strip() if whole else text
    if coded := _CODED.fullmatch(text):
        named = {"b": 2, "o": 8, "x": 16}[coded[1].lower()]
        return Answer(coded[2].lstrip("0").upper() or "0", base=named)
    if (based := _BASE.fullmatch(text)) and (base := _base(based[2], based[1])):
        return Answer(based[1].lstrip("0").upper() or "0", base=base)
    text, percent = _percent(text)
    text, unit = split_unit(_millions(text)) if text else ("", "")
    unit = "dollar" if dollars else unit
    text = _joined(_decimal_comma(text))
    if _words.is_phrase(text):
        return _phrase(text)
    text = _close_up(_mixed(_braces(text)))
    return Answer(plain_decimals(text), unit=unit, percent=percent)


def _scripts(text: str) -> str:
    """Writes raised and lowered characters as exponents and indices: x^{2} for x²."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda m: f"^{{{m[0].translate(_RAISED)}}}", text)
    return re.sub("[₀₁₂₃₄₅₆₇₈₉ₙ]+", lambda m: f"_{{{m[0].translate(_LOWERED)}}}", text)


def _phrase(text: str) -> Answer:
    """A word or a phrase; some have a meaning in formulas."""
    words = _words.bare(text)
    meaning = _words.meaning(words) or words
    return Answer(meaning, words=_words.is_phrase(meaning) or meaning == words)


def _millions(text: str) -> str:
    """`5 million` as a product."""
    scale = re.search(
        _TEXT + r"\{\s?(\w+illion|thousand)\s?\}|(?<=\d) (\w+illion|thousand)\b", text
    )
    power = _SCALES.get(scale[1] or scale[2]) if scale else None
    return (
        text
        if scale is None or power is None
        else (rf"{text[: scale.start()].rstrip()} \times 10^{{{power}}}{text[scale.end() :]}")
    )


def _letters(text: str) -> bool:
    """Whether a text is a list of letters: `A, C`."""
    return re.fullmatch(r"\s*[A-Z](?:\s*(?:,|and|or)\s*[A-Z])+\s*", text) is not None


def _option(text: str) -> str:
    r"""`15` for `\textbf{(C) }15`, the text of an option after its letter."""
    label = OPTION.match(text)
    return text[label.end() :] if label else text


def _joined(text: str) -> str:
    r"""Commas for "and" and "or" of a list; signs of sets for those of inequalities."""
    either, both = (r" \cup ", r" \cap ") if _RELATION.search(text) else (",", ",")
    for words, sign in (("or|oder", either), ("and|und", both)):
        joint = _TEXT + rf"\{{\s*,?\s*(?:{words})\s*\}}|,? (?:{words}) (?=\S)"
        text = re.sub(joint, lambda _, sign=sign: sign, text)  # type: ignore[misc]
    text = re.sub(_TEXT + r"\{\s*([A-Za-z])\s*\}", r"\1", text)
    return " ".join(text.split())


def _decimal_comma(text: str) -> str:
    """Writes `3{,}14` and `1.234,5` with a point."""
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ".", text)
    if re.fullmatch(r"-?\d{1,3}(?:\.\d{3})+,\d+", text):
        return text.replace(".", "").replace(",", ".")
    return text.replace(".", "") if re.fullmatch(r"-?\d{1,3}(?:\.\d{3}){2,}", text) else text


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
    text = re.sub(r"\\(?:neq|not\s?=)(?![A-Za-z])", r"\\ne", text)
    text = re.sub(r"\\(?:varnothing)(?![A-Za-z])", r"\\emptyset", text)
    text = re.sub(r"\\mathbb\s?(?:\{\s?([A-Z])\s?\}|([A-Z])(?![A-Za-z]))", r"\\mathbb{\1\2}", text)
    text = re.sub(r"\\(?:c|d|l|v)?dots(?![A-Za-z])|\.\.\.|…", r"\\ldots ", text)
    text = re.sub(r"\\middle(?![A-Za-z])\s?", "", text)
    text = _unboxed(text)
    text = re.sub(r"^(['\"`])(.*)\1$", r"\2", text.strip().strip("*").strip(), flags=re.DOTALL)
    text = re.sub(rf"^(?:{_SPACE})+", "", text)
    text = re.sub(r"(?<!\\)\\$", "", text.rstrip(".;, "))  # `\\ ` and `\\,` at the end
    return re.sub(rf"(?:{_SPACE})+$", "", text).rstrip(".;, ")


def _unboxed(text: str) -> str:
    r"""Removes what only changes the look: `\boxed{...}`, `\mathbf{70}`, `\color{red}`."""
    text = re.sub(r"\\(?:color|textcolor)\s?\{\w{1,20}\}|\\(?:bf|rm|it)(?![A-Za-z])", "", text)
    for _ in range(3):
        found = re.match(r"\\(?:boxed|fbox|mathbf|boldsymbol|bm|underline)\s?\{", text)
        if not found or matching(text, "{", "}").get(found.end() - 1) != len(text) - 1:
            break
        text = text[found.end() : -1].strip()
    return text


def _dollars(text: str) -> tuple[str, bool]:
    """The text without its dollar signs, and whether one of them meant money."""
    text = re.sub(r"^(-?)(?:US|HK|NT|[ACRS]) ?(?=\\?\$)", r"\1", text)
    signs = len(re.findall(r"(?<!\\)\$", text))
    money = r"\$" in text or (signs == 1 and re.match(r"-?\$", text) is not None)
    return re.sub(r"\\?\$", "", text).strip(), money


def _thousands(text: str) -> str:
    r"""Joins `10,\!080`, `10{,}080`, `10\,080`, and `10,080` where it cannot be a list."""
    text = re.sub(r"(?<=\d)(?:,\\!|\{,\}|\\[,! ])(?=\d{3}(?!\d))", "", text)
    if re.fullmatch(r"-?[1-9]\d{0,2}(?:[ '_]\d{3})+", text):
        return re.sub("[ '_]", "", text)
    if not re.search(r"[(\[{]\s*-?[\d.]+\s*,", text):
        groups = r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)"
        text = re.sub(groups, lambda m: m[0].replace(",", ""), text)
    return text


def _spaces(text: str) -> str:
    text = re.sub(r"\\[!]", "", text)
    text = re.sub(r"(?<!\\)\\[,;: ]|\\q?quad(?![A-Za-z])|~", " ", text)
    return " ".join(text.split())


def _base(name: str, digits: str) -> int | None:
    base = int(name) if name.isdecimal() and len(name) < 3 else _words.NUMBERS.get(name.lower(), 0)
    return base if 2 <= base <= 36 and all(int(digit, 36) < base for digit in digits) else None


def _percent(text: str) -> tuple[str, bool]:
    bare = re.sub(r"\s?(?:\\?%|" + _TEXT + r"\{ ?per ?cent ?\}| per ?cent)$", "", text)
    return bare.rstrip(), bare != text


def _braces(text: str) -> str:
    r"""Writes `\dfrac`, `\frac43`, `\frac{1}2`, `\sqrt3`, `sqrt(3)` with braces: `\sqrt{3}`."""
    text = re.sub(r"\\[dtc](frac|binom)(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"(?<![\\A-Za-z])(sqrt|pi)(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\sqrt\s*(\d+|[A-Za-z](?![A-Za-z])|\\pi)", r"\\sqrt{\1}", text)
    text = re.sub(r"\\(frac|binom)\s*(\d|(?<=\s)[A-Za-z](?![A-Za-z])|\\pi)", r"\\\1{\2}", text)
    swaps: dict[int, str] = {}
    round_ = matching(text, "(", ")")
    for root in re.finditer(r"(?:\\sqrt|\^|\*\*)\s*\(", text):  # `\sqrt(3)`, `x^(n+1)`
        if (end := round_.get(root.end() - 1)) is not None:
            swaps |= {root.end() - 1: "{", end: "}"}
    curly = matching(text, "{", "}")
    for fraction in re.finditer(r"\\(?:frac|binom)\s*\{", text):
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
