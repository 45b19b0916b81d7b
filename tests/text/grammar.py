"""What a line, a program or a paragraph says by itself: the parts of the slow reading."""

from __future__ import annotations

import re

STRING_LINES = 60
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
AFTER_NUMBER = "*+-/=^<>\\_|&×·"
"""What makes a formula of a price if there is a space before it."""


def opens(line: str, *, glued: bool = True) -> tuple[str, str] | None:
    """Fence and language of the block that a line opens."""
    unindented = line.lstrip(" ")
    for mark in "`~":
        info = unindented.lstrip(mark)
        fence = unindented[: len(unindented) - len(info)]
        indented = len(line) - len(unindented) > 3
        if len(fence) >= 3 and not indented and not (mark == "`" and mark in info):
            return fence, language(info)
    if not glued:
        return None
    before, _, word = line.removesuffix("\r").rstrip(" \t").rpartition("`")
    fence = "`" * (len(before) - len(before.rstrip("`")) + 1)
    named = word.removeprefix("{").removeprefix(".")[:1]
    if len(fence) >= 3 and named and named in LETTERS and not any(c.isspace() for c in word):
        return fence, language(word)
    return None


def language(info: str) -> str:
    info = info.lstrip(" \t").removeprefix("{").lstrip(" \t").removeprefix(".")
    return re.split(r"[\s{},]", info)[0].lower()


def closes(line: str, fence: str) -> bool:
    marks = line.removesuffix("\n").removesuffix("\r").rstrip(" \t")
    indent = len(marks) - len(marks.lstrip(" "))
    return indent <= 3 and len(marks) - indent >= len(fence) and set(marks[indent:]) == {fence[0]}


QUOTED = re.compile(
    r"""\#[^\n]* | '{3}(?:\\.|[^\\])*?'{3} | "{3}(?:\\.|[^\\])*?"{3} | (?P<open>'{3}|"{3})
    | '(?:\\.|[^'\\\n])*(?:'|\n|\\?\Z) | "(?:\\.|[^"\\\n])*(?:"|\n|\\?\Z)""",
    re.DOTALL | re.VERBOSE,
)


def unfinished_string(code: str) -> int | None:
    """Where the triple-quoted string begins that code ends in."""
    found = [match for match in QUOTED.finditer(code) if match["open"]]
    return found[0].start() if found else None


CLOSING = {"\\[": r"(?:\\[^\]]|[^\\])*\\\]", "\\(": r"(?:\\[^)]|[^\\])*\\\)"}
DOLLARS = r"(?:\\.|[^\\$]|\$(?!\$))*\$\$"
DOLLAR = r"(?:\\.|[^\\$])*\$"


def formulas(paragraph: str) -> list[tuple[int, float]]:
    """Where formulas open and close, the marks that decide it included."""
    found: list[tuple[int, float]] = []
    at = 0
    while at < len(paragraph):
        rest = paragraph[at:]
        span: tuple[int, float] | None = None
        if rest.startswith(("\\[", "\\(")):
            span = (at + 2, _closed(CLOSING[rest[:2]], paragraph, at + 2))
        elif rest.startswith("\\begin{"):
            span = (at + 7, _environment_end(paragraph, at + 7))
        elif rest.startswith("$$"):
            span = (at + 2, _closed(DOLLARS, paragraph, at + 2))
        elif price := re.match(r"\$\d[\d.,]*( *)", rest):
            after, end = rest[price.end() :][:1], at + price.end()
            if after == "$" and not price[1]:
                span = (end + 1, end + 1)
            elif after and after in AFTER_NUMBER + ("" if price[1] else "([{!" + LETTERS):
                span = (end + 1, _closed(DOLLAR, paragraph, end))
            else:
                at = end
                continue
        elif len(rest) > 1 and rest[0] == "$":
            span = (at + 2, _closed(DOLLAR, paragraph, at + 1))
        if span is None:
            skipped = re.match(r"\\[A-Za-z]+|\\.|.", rest, re.DOTALL)
            at += len(skipped[0]) if skipped else 1
            continue
        found.append(span)
        if span[1] == float("inf"):
            break
        at = int(span[1])
    return found


def _closed(pattern: str, text: str, at: int) -> float:
    match = re.compile(pattern, re.DOTALL).match(text, at)
    return match.end() if match else float("inf")


def _environment_end(text: str, at: int) -> float:
    depth = 1
    for token in re.compile(r"\\begin\{|\\end\{|\\[A-Za-z]+|\\.|.", re.DOTALL).finditer(text, at):
        depth += (token[0] == "\\begin{") - (token[0] == "\\end{")
        if depth == 0:
            brace = text.find("}", token.end())
            return brace + 1 if brace >= 0 else float("inf")
    return float("inf")


def separates(c: str) -> bool:
    """Whether a character ends a word: also one of a script that separates no words."""
    return not c.isalnum() or c >= "\u2e80"


def quoted(line: str) -> bool:
    marks = line.count('"') % 2 or line.count("“") > line.count("”")
    return bool(marks) or line.lstrip()[:1] == ">"
