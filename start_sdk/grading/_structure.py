r"""The shape of an answer: a list, tuple, interval, set, union or matrix of scalars.

math-verify reads `(8,-2)` as an empty interval, equal to any other empty one, and sorts the
elements of a set by their printed form; so shapes are parsed here, and it only gets scalars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MATRIX = re.compile(
    r"\\begin\{((?:[pbB]|small)?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL
)
_FACTOR = re.compile(r"([^()\[\],;&=]{1,40}?)\*?(?=\\begin\{(?:[pbB]?matrix|smallmatrix|array)\})")
_COLUMN = re.compile(r"[(\[]([^()\[\]]*,[^()\[\]]*)[)\]]\^(?:\{?(?:T|\\top|\\mathsf\{T\})\}?)")
_OPEN, _CLOSE = {"(", "[", r"\{", r"\langle", "{"}, {")", "]", r"\}", r"\rangle", "}"}
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_VARIABLE = r"(?:[A-Za-z]|\\(?:theta|alpha|beta|lambda|phi|omega))"
_ELEMENT = re.compile(rf"(?:{_VARIABLE}|\([a-z](?:,[a-z])+\))\\in(?![a-z])\s*(.*)", re.DOTALL)
_BUILDER = re.compile(
    rf"\\\{{{_VARIABLE}(?:\\in ?\\mathbb\{{R\}})?"
    r"(?:\\(?:mid|vert|colon)(?![a-z])|[|:])\s*(.*)\\\}",
    re.DOTALL,
)
RELATION = re.compile(r"(<|>|\\[lg][te](?![A-Za-z]))")
_ANY_REAL = re.compile(rf"^{_VARIABLE}\\in ?\\mathbb\{{R\}},|,{_VARIABLE}\\in ?\\mathbb\{{R\}}$")
_HALVES = {
    **dict.fromkeys(("^+", "^{+}", "_+", "_{+}", "_{>0}"), r"(0,\infty)"),
    **dict.fromkeys(("^-", "^{-}", "_-", "_{-}", "_{<0}"), r"(-\infty,0)"),
    r"_{\ge0}": r"[0,\infty)",
    "": r"(-\infty,\infty)",
}
_OUTWARD = re.compile(r"([\[\]])([^\[\]]*[,;][^\[\]]*)([\[\]])")  # ]1,3[ is (1,3)
_CASES = re.compile(r"\\begin\{cases\}(.*)\\end\{cases\}", re.DOTALL)
_POINT = re.compile(r"^[A-Z]'?(?=\([^()]*,[^()]*\)$)")  # A(1,2)
_UNEQUAL = re.compile(rf"{_VARIABLE}\\ne(?![a-z])\s*(.*)", re.DOTALL)
_REALS = r"\mathbb{R}"
SET_OPERATIONS = ("union", "minus", "cap")
_LE = r"\le"
_FLIPPED = {">": "<", r"\gt": r"\lt", r"\ge": _LE, "<": ">", r"\lt": r"\gt", _LE: r"\ge"}
_DEEPEST = 30
_OPERATIONS = (
    ((r"\cup",), "union"),
    ((r"\setminus", r"\backslash"), "minus"),
    ((r"\cap",), "cap"),
    ((",", ";"), "list"),
)


@dataclass(frozen=True)
class Shape:
    """A node. `kind` is "scalar", "list" (no brackets), "set", "ratio" (of three or more), "RxC
    matrix", the two brackets of a tuple or interval, such as "()" or "[)", or what is done with
    sets: "union", "minus", "cap"."""

    kind: str
    text: str
    items: tuple[Shape, ...] = ()

    @property
    def ordered(self) -> bool:
        return self.kind not in ("list", "set", "union", "cap")


def shape(text: str, depth: int = 0) -> Shape:
    """Parses the shape of a normalised answer; parts that are nested too deeply stay scalars."""
    text = _plain_set(text.strip())
    if depth > _DEEPEST:
        return Shape("scalar", text)
    if matrix := _matrix(text, depth):
        return matrix
    for separators, kind in _OPERATIONS:
        parts = split(text, separators)
        if len(parts) > 1:
            return _group(kind, parts, text, depth)
    if len(ratio := split(text, (":",))) > 2:
        return Shape("ratio", text, tuple(Shape("scalar", part) for part in ratio))
    brackets, inside = _brackets(text)
    if brackets == r"\{\}":
        return _group("set", split(inside, (",", ";")), text, depth)
    if r"\pm" in text:
        return _group("list", _both_signs(text), text, depth)
    if not brackets:
        return Shape("scalar", text)
    parts = split(inside, (",", ";"))
    if len(parts) == 1:
        alone = brackets == "()" or _MATRIX.fullmatch(inside)
        return shape(inside, depth + 1) if alone else Shape("scalar", text)
    brackets = "()" if brackets == r"\langle\rangle" else brackets
    return Shape(brackets, text, tuple(shape(p, depth + 1) for p in parts))


def _plain_set(text: str) -> str:
    r"""An interval or a difference for `x\in S`, `\{x\mid ...\}`, an inequality and `x\ne 2`."""
    if builder := _BUILDER.fullmatch(text):
        text = _ANY_REAL.sub("", builder[1])
    if element := _ELEMENT.fullmatch(text):
        text = element[1]
    if unequal := _UNEQUAL.fullmatch(text):
        names = re.sub(rf"(?:,|\\cap)\s*{_VARIABLE}\\ne(?![a-z])\s*", ",", unequal[1])
        return rf"{_REALS}\setminus\{{{names}\}}"
    if (outward := _OUTWARD.fullmatch(text)) and "[]" not in (outward[1] + outward[3],):
        text = f"{'(' if outward[1] == ']' else '['}{outward[2]}{')' if outward[3] == '[' else ']'}"
    if (cases := _CASES.fullmatch(text)) and "&" not in text:
        text = ",".join(re.split(r"\\\\", cases[1]))
    text = _POINT.sub("", text)
    if text.startswith(_REALS) and (half := _HALVES.get(text.removeprefix(_REALS))):
        return half
    return re.sub(r"(?<=[)\]}])-(?=\\\{)", r"\\setminus ", _interval(text))


def in_order(text: str) -> str:
    """`(x,y)=(3,2)` for `(y,x)=(2,3)`, `x=3,y=2` for `y=2,x=3`; other texts as they are."""
    sides = split(text, ("=",))
    if len(sides) == 2 and re.fullmatch(r"\([a-z](?:,[a-z])+\)", sides[0]):
        brackets, inside = _brackets(sides[1])
        names, values = sides[0][1:-1].split(","), split(inside, (",",))
        if brackets == "()" and len(names) == len(values) and _is_family(names):
            pairs = sorted(zip(names, values, strict=True))
            ordered, of = (",".join(column) for column in zip(*pairs, strict=True))
            return f"({ordered})=({of})"
    parts = split(text, (",", ";"))
    labels = [re.match(r"([a-z])=", part) for part in parts]
    if len(parts) > 1 and _is_family([label[1] if label else "" for label in labels]):
        return ",".join(sorted(parts))
    return text


def _is_family(names: list[str]) -> bool:
    """Whether names have an order that all expect, and each is there once."""
    return len(set(names)) == len(names) and any({*names} <= {*f} for f in ("xyz", "abcd"))


def split(text: str, separators: tuple[str, ...]) -> list[str]:
    """Splits at the separators outside of brackets."""
    parts, level = [""], 0
    for token in _TOKEN.findall(text):
        level += (token in _OPEN) - (token in _CLOSE)
        if level == 0 and token in separators:
            parts.append("")
        else:
            parts[-1] += token
    return [p.strip() for p in parts]


def _group(kind: str, parts: list[str], text: str, depth: int) -> Shape:
    r"""A list, or a set or union without duplicates; `1\pm2` counts as two items."""
    nodes = [shape(part, depth + 1) for part in parts]
    items = [i for node in nodes for i in (node.items if node.kind == "list" else (node,))]
    if kind in ("set", "union"):
        items = list({item.text: item for item in items}.values())
    return Shape(kind, text, tuple(items))


def _both_signs(text: str) -> list[str]:
    plus = re.sub(r"\\pm ?", "+", re.sub(r"\\mp ?", "-", text))
    minus = re.sub(r"\\pm ?", "-", re.sub(r"\\mp ?", "+", text))
    return [plus.removeprefix("+"), minus]


def _matrix(text: str, depth: int) -> Shape | None:
    """A matrix, a number times a matrix, or `(1,2)^T`; None for other texts."""
    if (factor := _FACTOR.match(text)) and _MATRIX.fullmatch(text, factor.end()):
        by = "-1" if factor[1] == "-" else factor[1]
        matrix = shape(text[factor.end() :], depth + 1)
        cells = tuple(shape(f"({by})*({cell.text})") for cell in matrix.items)
        return Shape(matrix.kind, text, cells)
    if column := _COLUMN.fullmatch(text):
        return _rows(r"\\".join(split(column[1], (",",))), text, depth)
    found = _MATRIX.fullmatch(text)
    return _rows(found[2], text, depth) if found else None


def _rows(body: str, text: str, depth: int) -> Shape:
    rows = [row.split("&") for row in re.split(r"\\\\", body) if row.strip()]
    if len({len(row) for row in rows}) != 1:
        return Shape("scalar", text)
    cells = tuple(shape(cell, depth + 1) for row in rows for cell in row)
    return Shape(f"{len(rows)}x{len(rows[0])} matrix", text, cells)


def _brackets(text: str) -> tuple[str, str]:
    """The two brackets around a whole text, and their content; ("", text) if there are none."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < 3 or tokens[0] not in _OPEN - {"{"} or tokens[-1] not in _CLOSE - {"}"}:
        return "", text
    level = 0
    for i, token in enumerate(tokens):
        level += (token in _OPEN) - (token in _CLOSE)
        if level == 0 and i < len(tokens) - 1:
            return "", text
    return tokens[0] + tokens[-1], "".join(tokens[1:-1]).strip()


def _interval(text: str) -> str:
    r"""Writes `-2\le x\le7` as `[-2,7]`, `x>5` and `5<x` as `(5,\infty)`; other texts as is."""
    sides = RELATION.split(text)
    if len(sides) not in (3, 5):
        return text
    sides = [s.strip() for s in sides]
    if sides[1] in (">", r"\gt", r"\ge"):
        sides = [_FLIPPED.get(s, s) for s in reversed(sides)]
    if len(sides) == 3:
        whole = re.fullmatch(_VARIABLE, sides[0])
        sides = [r"-\infty", "<", *sides] if whole else [*sides, "<", r"\infty"]
    left, opens, variable, closes, right = sides
    free = re.search("[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", left + right))
    if free or not re.fullmatch(_VARIABLE, variable) or closes in (">", r"\gt", r"\ge"):
        return text
    return f"{'[' if opens == _LE else '('}{left},{right}{']' if closes == _LE else ')'}"
