"""Finds answers in a text."""

from __future__ import annotations

import re


def last_boxed(text: str) -> str | None:
    r"""Returns the content of the last complete `\boxed{...}` with balanced braces, or None.

    Runs in linear time, since a model may write a megabyte of unclosed boxes.
    """
    found, start = None, -1
    opened: list[int] = []
    for brace in re.finditer(r"[{}]", text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            at = opened.pop() - len("\\boxed")
            if at > start and text.startswith("\\boxed", at):
                found, start = text[at + 7 : brace.start()], at
    return None if found is None else found.strip()
