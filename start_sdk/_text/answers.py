"""Answers in a text."""

from __future__ import annotations

import re


def last_boxed(text: str) -> str | None:
    r"""The content of the last complete `\boxed{...}` in a text, braces balanced; None without.

    Takes time linear in the text: what a model writes may hold a megabyte of open boxes.
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
