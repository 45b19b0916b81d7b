"""Reads a JSON Lines file of problems; invalid lines are reported by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from start_sdk.batch import fingerprint, read_json_lines
from start_sdk.errors import ConfigError

TEXT_COLUMNS = ("problem", "question", "prompt")
"""Columns that may hold the text of a problem; the first one present counts."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, from one line of the file."""

    id: str
    text: str
    record: Mapping[str, Any]
    """All columns of the line."""
    line: int


@dataclass(frozen=True, slots=True)
class Problems:
    """The valid problems of a file, in order, and the reasons why other lines were skipped."""

    good: list[Problem] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)


def read_problems(path: Path) -> Problems:
    """Reads JSON Lines: one object per line with a text, an optional id, and any other columns.

    Raises:
        ConfigError: the file cannot be read, two lines have the same id, or no line is a problem.
    """
    found = Problems()
    first_line: dict[str, int] = {}
    for number, record in read_json_lines(path, on_bad=found.skipped.__setitem__):
        try:
            problem = _problem(record, number)
        except ValueError as error:
            found.skipped[number] = str(error)
        else:
            if (before := first_line.setdefault(problem.id, number)) != number:
                same = f"id {problem.id!r}" if "id" in problem.record else "problem and no id"
                raise ConfigError(
                    f"lines {before} and {number} of {str(path)!r} have the same {same}"
                )
            found.good.append(problem)
    if not found.good:
        why = next((f"; line {n}: {reason}" for n, reason in found.skipped.items()), "")
        raise ConfigError(f"no line of {str(path)!r} is a problem{why}")
    return found


def _problem(record: Mapping[str, Any], number: int) -> Problem:
    """Raises ValueError with the reason if a record is not a problem."""
    text = next((record[c] for c in TEXT_COLUMNS if c in record), None)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"no text in any of {', '.join(map(repr, TEXT_COLUMNS))}")
    name = record.get("id", fingerprint(text))
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("its id is neither a string nor an integer")
    return Problem(str(name), text, record, number)
