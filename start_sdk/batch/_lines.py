"""Reads JSON Lines: one object per line, in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from start_sdk.errors import ConfigError


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers.

    Only a line feed ends a line: U+2028 may occur in a JSON string. A byte order mark is skipped.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    yield from ((n, line) for n, line in enumerate(lines, 1) if line.strip())


def json_object(line: bytes) -> dict[str, Any]:
    """The object in a line.

    Raises:
        ValueError: there is none; the message says why.
    """
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        # Python's parser accepts NaN and lone surrogates, which are not valid JSON elsewhere.
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return record


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its line number.

    Raises:
        ConfigError: the file cannot be read, or a line holds no object; it names the line.
    """
    for number, line in numbered_lines(path):
        try:
            yield number, json_object(line)
        except ValueError as error:
            raise ConfigError(f"{str(path)!r}, line {number}: {error}") from error
