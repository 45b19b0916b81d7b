"""Rows as a recipe leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from start_sdk.batch import Job, Row, RowStore


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


def judged(right: list[list[bool]]) -> list[Row]:
    """Rows of problems and samples, right or wrong as given; the families are f0 and f1 in turn."""
    return [
        Row(
            Job(
                problem=f"p{i}",
                sample=j,
                input={"question": f"Question {i}?", "family": f"f{i % 2}"},
            ),
            "done",
            {
                "answer": "1" if correct else f"wrong {i}",
                "correct": correct,
                "how": "exact",
                "calls": 1,
                "trace": {"usage": {"model": 10, "dropped": 2}, "finish": "eos"},
            },
        )
        for i, samples in enumerate(right)
        for j, correct in enumerate(samples)
    ]
