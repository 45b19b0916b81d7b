"""Rows as a recipe leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from start_sdk.batch import Row, RowStore


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Makes a folder whose rows.sqlite contains these rows, done or failed."""
    folder.mkdir(parents=True, exist_ok=True)
    with RowStore(folder / "rows.sqlite") as store:
        for row in rows:
            store.add([row.job])
            assert store.claim(row.job)
            if row.result is None:
                store.fail(row.job, row.error or "")
            else:
                store.finish(row.job, row.result)
