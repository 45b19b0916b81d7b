r"""Units of quantities: `5\text{ cm}`, `\$5`, `12厘米`, `3\text{ hours }20\text{ minutes}`."""

from __future__ import annotations

import re
from fractions import Fraction

_DAY = 86_400
# Per dimension: names of each unit, and its size.
_DIMENSIONS: dict[str, dict[str, str | int | Fraction]] = {
    "angle": {"degree degrees deg 度 grad": 1},
    "radian": {"radian radians rad": 1},
    "dollar": {"dollar dollars usd us$ 美元": 100, "cent cents ¢": 1},
    "euro": {"euro euros eur € 欧元": 1},
    "pound": {"pound pounds gbp £ 英镑": 1},
    "yuan": {"yuan rmb cny 元": 1},
    "yen": {"yen jpy ¥": 1},
    "rupee": {"rupee rupees inr ₹": 1},
    "length": {
        "mm millimeter millimeters millimetre millimetres 毫米": 1,
        "cm centimeter centimeters centimetre centimetres 厘米": 10,
        "m meter meters metre metres 米": 1_000,
        "km kilometer kilometers kilometre kilometres 千米 公里": 1_000_000,
        "inch inches in": Fraction(127, 5),
        "foot feet ft": Fraction(1524, 5),
        "yard yards yd": Fraction(4572, 5),
        "mile miles mi": Fraction(8046720, 5),
    },
    "time": {
        "second seconds sec s 秒": 1,
        "minute minutes min minuten 分钟 分": 60,
        "hour hours hr hrs h stunden stunde 小时": 3_600,
        "day days tage 天": _DAY,
        "week weeks wochen 周": 7 * _DAY,
    },
    "year": {"year years jahre 年": 1},
    "mass": {"g gram grams 克": 1, "kg kilogram kilograms 千克 公斤": 1_000},
    "volume": {
        "ml milliliter milliliters millilitre millilitres 毫升": 1,
        "liter liters litre litres 升": 1_000,
    },
    "force": {"newton newtons": 1},
    "energy": {"joule joules": 1, "kj": 1_000},
    "power": {"watt watts": 1, "kw": 1_000},
    "voltage": {"volt volts": 1},
    "": {"unit units": 1},
}
_UNITS: dict[str, tuple[str, str, Fraction]] = {
    alias: (names.split()[0], dimension, Fraction(size))
    for dimension, units in _DIMENSIONS.items()
    for names, size in units.items()
    for alias in names.split()
}
_TEXT = r"\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s?"
_IN_TEXT = re.compile(
    _TEXT + r"\{\s*((?:[^{}\\]|\\ )+)\}\s*(?:\^\s*\{?\s*([23])\s*\}?)?$", re.IGNORECASE
)
_IN_WORDS = re.compile(
    r"(?:(?<=[\d})])|(?<=\\pi)) ?"
    r"([A-Za-z]{2,20}\.?(?: [A-Za-z]{1,20}){0,3}|[€£¥₹¢]|(?<=[\d} ])[\u4e00-\u9fff]{1,4}"
    r"|(?<=\d )[A-Za-z](?=$|\^))(?:\^\{?([23])\}?)?$"
)
_DEGREES = re.compile(
    rf"\s?(?:\^\s?(?:\\circ|\{{ ?\\circ ?\}})|\\degree)(?:\s?(?:{_TEXT}\{{ ?[CF] ?\}}|[CF]))?$"
)
_PER = re.compile(
    rf"(?<=[\d\s}}])(?:{_TEXT}\{{)?\s?([A-Za-z一-鿿]{{1,12}})\s?(?:/|\bper\b)\s?([A-Za-z一-鿿]{{1,12}})\s?\}}?$"
)
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "平方": "2", "立方": "3"}
_NO_UNITS = {"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "or", "and", "base", "mod"}
_PARTS = re.compile(
    r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]{1,12}|[\u4e00-\u9fff]{1,2})(?:,|\s|and\b)*"
)
_BEFORE = re.compile(
    r"(-?)\s?(?:(US\\?\$|Rs\.?|\\?\$|[€£¥₹]|\\(?:euro|pounds)\b)"
    r"|(USD|EUR|GBP|CNY|RMB|INR|JPY)(?=[ \d]))\s?(?=[-\d.\\])"
)
_IN_CAPITALS = {"N": "newton", "J": "joule", "W": "watt", "V": "volt", "L": "liter"}
_RAISED = re.compile(
    r"(?<=[\d}) ])\\(?:mathrm|text)\s?\{ ?([A-Za-z]{1,3})[^{}]*(?:\{-?\d\}[^{}]*){1,3}\}$"
)
_SIGNS = {"Rs": "₹", "Rs.": "₹", "\\euro": "€", "\\pounds": "£"}


def split_unit(text: str) -> tuple[str, str]:
    """The text without the unit of its quantity, and the unit: a name, with its power ("cm^2"), or
    "" if there is none or it is unknown."""
    if compound := _compound(text):
        return compound
    if (before := _BEFORE.match(text)) and "=" not in text:
        sign = before[2] or before[3]
        name = "usd" if "$" in sign else _SIGNS.get(sign, sign).lower()
        rest, _ = _split_after(before[1] + text[before.end() :])
        return rest, _UNITS[name][0]
    return _split_after(text)


def _split_after(text: str) -> tuple[str, str]:
    if re.search(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])", text):
        return text, ""  # degrees in an argument
    text = re.sub(r"(?<![A-Za-z])mph(?![A-Za-z])", "miles/hour", text)
    text = re.sub(r"(?<![A-Za-z])k(?:ph|mh)(?![A-Za-z])", "km/hour", text)
    if (raised := _RAISED.search(text)) and _IN_CAPITALS.get(raised[1], raised[1]) in _UNITS:
        return text[: raised.start()].rstrip(), ""
    bare = _DEGREES.sub("", text)
    if bare != text:
        return bare, "degree"
    if text.endswith(r"\$"):
        return text[:-2].rstrip(), "dollar"
    if speed := _PER.search(text):
        names = [_UNITS.get(name.lower(), ("", "", 0))[0] for name in speed.groups()]
        return text[: speed.start()].rstrip(), "/".join(names) if all(names) else ""
    return _split_words(text)


def _split_words(text: str) -> tuple[str, str]:
    in_text = _IN_TEXT.search(text)
    found = in_text or _IN_WORDS.search(text)
    if not found or not text[: found.start()].strip():
        return text, ""
    exact = _IN_CAPITALS.get(found[1].strip()) if in_text else None
    words = (exact or found[1]).lower().replace("\\ ", " ").replace(".", " ").split()
    if not words or _NO_UNITS & set(words) or re.search(r"[\d=]", found[1]):
        return text, ""
    first, chinese = words[0], words[0] >= "\u4e00"
    if len(first) == 1 and first not in _UNITS and not chinese:
        return text, ""  # `2\text{x}`
    counted = text[found.start()] == " " and len(first) > 3
    if not (in_text or chinese or counted or first in _UNITS or first in _POWERS):
        return text, ""  # "3 apples" counts something, "3abc" is a product
    power = found[2] or _POWERS.get(first[:2] if chinese else first, "")
    if power and not found[2]:
        words = [first[2:]] if chinese else words[-1:]
    name, kind, _ = _UNITS.get(" ".join(words), ("", "", 0))
    known = name if kind else ""
    return text[: found.start()].strip(), known + f"^{power}" * bool(known and power)


def _compound(text: str) -> tuple[str, str] | None:
    """`3 hours and 20 minutes` in minutes; None for other texts."""
    plain = re.sub(_TEXT + r"\{([^{}]*)\}", r" \1 ", text).strip()
    total, sizes, dimension, at = Fraction(0), list[Fraction](), "", 0
    unit = ""
    while part := _PARTS.match(plain, at):
        if part[2].lower() not in _UNITS:
            return None
        unit, kind, size = _UNITS[part[2].lower()]
        if not kind or (sizes and (kind != dimension or size >= sizes[-1])):
            return None
        total, dimension, at = total + Fraction(part[1]) * size, kind, part.end()
        sizes.append(size)
    if len(sizes) < 2 or at < len(plain):
        return None
    value = total / sizes[-1]
    return (str(value) if value.denominator == 1 else f"{float(value):.12g}"), unit


def ratio(unit: str, other: str) -> Fraction | None:
    """How many of `other` a unit is; None if they measure different things."""
    if "/" in unit or "/" in other:
        (a, _, b), (c, _, d) = unit.partition("/"), other.partition("/")
        above, below = (ratio(a, c), ratio(b, d)) if b and d else (None, None)
        return above / below if above and below else None
    if "mod" in unit or "mod" in other:
        return None
    name, _, power = unit.partition("^")
    second, _, exponent = other.partition("^")
    (_, kind, size), (_, dimension, base) = _UNITS[name], _UNITS[second]
    if kind != dimension or power != exponent:
        return None
    return (size / base) ** int(power or 1)
