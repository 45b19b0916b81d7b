"""Markdown of figures, and of texts that anyone may have written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from start_sdk.cli import visible


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [row(head), row(["---", *["---:"] * (len(head) - 1)]), *map(row, rows)]
    return "\n".join(lines) + "\n"


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(inline, cells))} |"


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


def counted(counts: Mapping[str, int]) -> str:
    """Counts as a sentence has them."""
    return ", ".join(f"{inline(name) or '-'} {n}" for name, n in counts.items())
