"""Reads JSON Lines, one object per line, in UTF-8; and Parquet, which has the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from start_sdk.errors import ConfigError, MissingExtra


def read_json_lines(
    path: Path, *, on_bad: Callable[[int, str], object] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its line number.

    Only a line feed ends a line, since U+2028 may occur in a JSON string. A byte order mark and
    empty lines are skipped.

    Args:
        path: the file.
        on_bad: called with the number of each line that holds no object, and the reason.

    Raises:
        ConfigError: the file cannot be read, or, without `on_bad`, a line holds no object.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _object(line)
        except ValueError as error:
            if on_bad is None:
                raise ConfigError(f"{str(path)!r}, line {number}: {error}") from error
            on_bad(number, str(error))
        else:
            yield number, record


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines file, or of a Parquet file (`.parquet`), by column.

    Raises:
        ConfigError: the file cannot be read, or a line holds no object.
        MissingExtra: a Parquet file without pyarrow.
    """
    if path.suffix != ".parquet":
        yield from (record for _, record in read_json_lines(path))
        return
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", "parquet") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} is not a Parquet file: {error}") from error
    yield from rows


def _object(line: bytes) -> dict[str, Any]:
    """Raises ValueError with the reason if a line holds no object."""
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
