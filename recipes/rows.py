"""Reads the rows that a program wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from start_sdk import ConfigError
from start_sdk.batch import Row


def read_rows(folder: Path) -> Iterator[Row]:
    """The rows that a rollout wrote, one at a time: all of them may not fit into the memory.

    Raises:
        ConfigError: the folder has no rows.jsonl, or it is not one of ours.
    """
    for line in read_lines(folder):
        try:
            row = Row.from_dict(json.loads(line))
        except (ValueError, TypeError, RecursionError) as why:
            raise ConfigError(f"{str(folder / 'rows.jsonl')!r} contains no rows: {why}") from why
        yield row


def read_lines(folder: Path) -> Iterator[str]:
    """The lines of rows.jsonl; the same errors."""
    path = folder / "rows.jsonl"
    try:
        with path.open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
