"""Reads the finished rows of a run, from its store or from JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from start_sdk.batch._packed import MAX_BYTES
from start_sdk.batch._rows import Row
from start_sdk.batch._store import RowStore
from start_sdk.errors import ConfigError

LONGEST = 4 * MAX_BYTES
"""Bytes of a line that are read: a row has two values, which a store bounds, and short texts."""


def read_rows(path: str | Path) -> Iterator[Row]:
    """The rows that are done or failed, in the order in which they were added, one at a time.

    They need not fit into memory together. Nothing is claimed, and other processes may write to the
    store meanwhile. A store may hold rows of several configs (`Job.config`); all are read.

    Args:
        path: a folder with `rows.sqlite` or, if it has none, `rows.jsonl`; or such a file: one
            that ends in `.sqlite` is a store, any other is JSON Lines as `export_jsonl` writes it.

    Raises:
        ConfigError: there is no such file, or it contains something else.
    """
    path = Path(path)
    if path.is_dir():
        names = ("rows.sqlite", "rows.jsonl")
        files = [path / name for name in names if (path / name).is_file()]  # no pipe
        if not files:
            raise ConfigError(f"{str(path)!r} contains no rows: it has no {' and no '.join(names)}")
        path = files[0]
    rows = _stored(path) if path.suffix == ".sqlite" else _lines(path)
    yield from (row for row in rows if row.state in ("done", "failed"))


def _stored(path: Path) -> Iterator[Row]:
    if not path.exists():  # a store would create it
        raise ConfigError(f"cannot read {str(path)!r}: no such file")
    with RowStore(path) as store:
        yield from store.rows()


def _lines(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as lines:  # of bytes: a text's lines also end at U+2028
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST), b""), 1):
                try:
                    row = Row.from_dict(json.loads(line))
                except (ValueError, TypeError, RecursionError) as why:
                    raise ConfigError(f"{str(path)!r}, line {number}: not a row: {why}") from why
                yield row
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
