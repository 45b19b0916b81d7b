"""Reads a file of problems, JSON Lines; what is wrong with a line is reported by its number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from start_sdk.batch import (
    fingerprint,
)
from start_sdk.errors import ConfigError

TEXT_COLUMNS = ("problem", "question", "prompt")
"""Where the text of a problem may stand: the first of these that a line has."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of a file of problems."""

    id: str
    text: str
    record: Mapping[str, Any]
    """All columns of the line."""
    line: int


@dataclass(frozen=True, slots=True)
class Problems:
    """The good lines of a file, in order, and what was wrong with the others, by number."""

    good: list[Problem] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)


def read_problems(path: Path) -> Problems:
    """Reads JSON Lines: an object per line with a text, perhaps an id, and any more columns.

    Raises:
        ConfigError: the file cannot be read, two lines have one id, or no line is a problem.
    """
    found = Problems()
    first_line: dict[str, int] = {}
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            problem = _problem(line, number)
        except RecursionError:
            found.skipped[number] = "nested too deep"
        except ValueError as error:
            found.skipped[number] = str(error)
        else:
            if (before := first_line.setdefault(problem.id, number)) != number:
                what = f"id {problem.id!r}" if "id" in problem.record else "problem without an id"
                raise ConfigError(f"lines {before} and {number} of {str(path)!r} have one {what}")
            found.good.append(problem)
    if not found.good:
        why = next((f"; line {n}: {reason}" for n, reason in found.skipped.items()), "")
        raise ConfigError(f"no line of {str(path)!r} is a problem{why}")
    return found


def _problem(line: bytes, number: int) -> Problem:
    """Raises ValueError with what is wrong."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    # Python's reader takes NaN and halves of surrogate pairs, which no one else does.
    json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    text = next((record[c] for c in TEXT_COLUMNS if c in record), None)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"no text in {', '.join(map(repr, TEXT_COLUMNS))}")
    name = record.get("id", fingerprint(text))
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("its id is neither a string nor a whole number")
    return Problem(str(name), text, record, number)
