"""Markdown of figures, and of texts that anyone may have written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from start_sdk.batch.scoring import Score
from start_sdk.cli import visible


def heading(title: str, facts: Mapping[str, object]) -> str:
    """The head of a report: its title, and a line for each fact."""
    lines = [f"# {inline(title)}\n", *(f"- {name}: {inline(v)}" for name, v in facts.items())]
    return "\n".join(lines) + "\n"


def grid(lines: Iterable[tuple[object, Mapping[str, object]]], corner: str = "") -> str:
    """A table of named lines, with a column for each name in them; nothing without lines."""
    found = list(lines)
    names = list(dict.fromkeys(name for _, cells in found for name in cells))
    rows = [[first, *map(cells.get, names)] for first, cells in found]
    return table([corner, *names], rows) if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [row(head), row(["---", *["---:"] * (len(head) - 1)]), *map(row, rows)]
    return "\n".join(lines) + "\n"


def row(cells: Iterable[object]) -> str:
    """A line of a Markdown table, of texts, numbers, scores, and None where there is nothing."""
    return f"| {' | '.join(map(cell, cells))} |"


def cell(value: object) -> str:
    """A value as tables have it."""
    if value is None:
        return "-"
    return shown(value) if isinstance(value, dict) else inline(value)


def shown(score: Score, sign: str = "") -> str:
    """A score with its interval; with `sign="+"`, a difference."""
    return "{value:{0}.1f} [{low:{0}.1f}, {high:{0}.1f}]".format(sign, **score)


def inline(text: object) -> str:
    """Text of anyone within a line of Markdown: no second line, cell, HTML, image or link."""
    line = visible(" ".join(str(text).split()))
    for mark, instead in (("<", "&lt;"), ("|", "&#124;"), ("](", "]\\("), ("][", "]\\[")):
        line = line.replace(mark, instead)
    return line


def fenced(text: str) -> str:
    """Text of anyone as a block of Markdown, in a fence that is longer than all that it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(5, longest + 1)
    return f"{fence}text\n{visible(text)}\n{fence}\n"


def counted(counts: Mapping[str, float]) -> str:
    """Counts, or other numbers, as a sentence has them."""
    return ", ".join(f"{inline(name) or '-'} {n}" for name, n in counts.items())
