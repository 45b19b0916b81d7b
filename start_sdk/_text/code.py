"""The fenced blocks of a whole text, also those that a model forgot to close."""

from __future__ import annotations

from collections.abc import Iterator

from start_sdk._text.blocks import Block, opening

_RUN = ("python", "py", "python3")
_PYTHON = {"python", "py", "pypy", "ipython"}


def is_python(language: str) -> bool:
    """Whether an info string names Python, of any version: `python3`, `py`, `python3.11`."""
    return language.rstrip("0123456789.") in _PYTHON


def code_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language, in lower case, and code of each block of a text, in order.

    Blocks are the reader's. One ends at its closing fence, at a fence that opens another block
    inside it, or where the text ends. Code that is indented as a whole, as in a list, loses that
    indentation, and so does its closing fence.
    """
    block: Block | None = None
    indent: int | None = None
    *lines, last = text.split("\n")  # U+2028 and the like break no line
    for line in lines:
        if block is None:
            block, indent = opening(line), None
            continue
        bare = line.lstrip(" \t")
        if indent is None and bare:
            indent = len(line) - len(bare)
        _write(block, line[min(indent or 0, len(line) - len(bare)) :] + "\n")
        result = block.end_line(_RUN, glued=False)
        if result:
            yield block.language, "".join(block.code)
            block, indent = None if result is True else result, None
    if block:
        bare = last.lstrip(" \t")
        _write(block, last[min(indent or 0, len(last) - len(bare)) :])
        unfinished = "".join(block.line)
        code = block.end(unfinished)
        yield block.language, "".join(block.code) + unfinished if code is None else code


def _write(block: Block, text: str) -> None:
    block.line.append(text)
    for c in text:
        block.strings.read(c)
