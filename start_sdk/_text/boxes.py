r"""Boxes of LaTeX in a model's text: `\boxed{...}`, and `\fbox{...}` where there is no other.

The text is untrusted: every function runs in time linear in its length.
"""

from __future__ import annotations

import re

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # `\{` is a character, no group
_COMMAND = re.compile(r"\\(boxed|fbox|framebox)\s{0,9}$")
_JOINT = re.compile(
    r"""(?:[\s$,;.&:*~、，；。：]
    | \\[,;:!\s()\[\]\\] | \\q?quad (?![A-Za-z])
    | \\(?:text|mbox|mathrm) \s? \{ \s* (?:and|or|und|oder|,)? \s* \}
    | (?:and|or|und|oder)\b | 以及 | [和或与及]
    | (?:[Pp]art\b\s?)? \(? (?:[a-z1-9]|[iv]{2,3}) \) | [Pp]art\s[a-z1-9]\b   # Part (a)
    | [A-Za-z] (?:_\{?\w\}?)? \s? (?:=|\\in\b)                  # x =
    | \( [a-z] (?:,\s?[a-z])+ \) \s? =                          # (x, y) =
    )*+""",
    re.VERBOSE,
)
_LONGEST_JOINT = 80
_EMPTY = re.compile(
    r"(?:\s|~|\\(?:[ ,;:!]|$)|\\q?quad|\.\.\.|…|_|\\[cl]?dots|\\text\s?\{\s*\}|\{\s*\})*+"
)

Box = tuple[int, int, str]
"""Where a box begins and ends, and its content."""


def last_boxed(text: str) -> str | None:
    r"""The content of the last complete `\boxed{...}` with balanced braces; None without one."""
    found = _boxes(text)
    return found[-1][2] if found else None


def boxed_answer(text: str) -> str | None:
    r"""The answer that a text puts into boxes: the last one that is not empty, and those before it
    that only a comma, "and" or a label such as `x =` separates from it. None without one.

    `$x=\boxed{1}$ or $x=\boxed{2}$` is `1, 2`; in `\boxed{1}, no: \boxed{2}` the last counts.
    """
    found = [box for box in _boxes(text) if not _EMPTY.fullmatch(box[2])]
    if not found:
        return None
    group = [found[-1]]
    for box in reversed(found[:-1]):
        between = text[box[1] : group[0][0]]
        if len(between) > _LONGEST_JOINT or not _JOINT.fullmatch(between):
            break
        group.insert(0, box)
    contents = [box[2] for box in group]
    *before, last = ("".join(content.split()) for content in contents)
    if all(content == last for content in before) or ",".join(before) == last:
        return contents[-1]  # said twice, or summed up
    return ", ".join(contents)


def _boxes(text: str) -> list[Box]:
    r"""The outermost complete boxes; those of `\fbox` only if there is no `\boxed`."""
    found: dict[str, list[Box]] = {"boxed": [], "fbox": []}
    opened: list[int] = []
    for token in _BRACE.finditer(text):
        if token[0] == "{":
            opened.append(token.start())
        elif token[0] == "}" and opened:
            at = opened.pop()
            if command := _COMMAND.search(text[max(0, at - 20) : at]):
                start = at - len(command[0])
                boxes = found["boxed" if command[1] == "boxed" else "fbox"]
                while boxes and boxes[-1][0] > start:
                    boxes.pop()  # inside of this one
                boxes.append((start, token.end(), text[at + 1 : token.start()].strip()))
    return found["boxed"] or found["fbox"]
