"""Compares rows of `recipes.tiny.evaluate`, problem by problem.

    python -m recipes.tiny.report --base none-*.json --other end-*.json

Files of both sides pair up in order, and must hold the same problems. The gain has a 95 % bootstrap
interval over problems (paired, 10,000 resamples, seed 0).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

Rows = list[dict[str, Any]]


def read(files: list[Path]) -> Rows:
    """The rows of all files, in order.

    Raises:
        ValueError: in one line, for a file that is missing or has no rows.
    """
    rows: Rows = []
    for file in files:
        try:
            rows += json.loads(file.read_text(encoding="utf-8"))["rows"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is no file of rows: {error}") from error
    return rows


def gain(base: Rows, other: Rows) -> tuple[float, float, float]:
    """Difference of the shares of right answers and its 95 % interval, in points.

    Raises:
        ValueError: the two sides are about different problems.
    """
    if not base or [r["problem"] for r in base] != [r["problem"] for r in other]:
        raise ValueError("the two sides hold different problems: evaluate both with the same seeds")
    lifts = np.array(
        [float(o["correct"]) - float(b["correct"]) for b, o in zip(base, other, strict=True)]
    )
    mean = float(100 * lifts.mean())
    if (lifts == lifts[0]).all():  # nothing to resample
        return mean, mean, mean
    found = bootstrap((lifts,), np.mean, n_resamples=10_000, method="percentile", rng=0)
    low, high = found.confidence_interval
    return mean, float(100 * low), float(100 * high)


def share(rows: Rows, what: str) -> str:
    """Percent of rows that are "right" or have "calls"."""
    hits = sum(bool(r["correct"] if what == "right" else r["calls"]) for r in rows)
    return f"{100 * hits / len(rows):.1f}"


def table(base: Rows, other: Rows) -> Table:
    """A line per family, and one for all."""
    shown = Table(title="in percent; gain in points, with its 95 % interval")
    columns = ("family", "n", "base right", "right", "gain", "base with calls", "with calls")
    for column in columns:
        shown.add_column(column, justify="left" if column == "family" else "right")
    families = [*dict.fromkeys(r["family"] for r in base), "all"]
    for family in families:
        ours, theirs = (
            [r for r in rows if family in (r["family"], "all")] for rows in (base, other)
        )
        mean, low, high = gain(ours, theirs)
        shown.add_row(
            family,
            str(len(ours)),
            share(ours, "right"),
            share(theirs, "right"),
            f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]",
            share(ours, "calls"),
            share(theirs, "calls"),
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base", type=Path, nargs="+", required=True, help="files of rows")
    parser.add_argument("--other", type=Path, nargs="+", required=True, help="compared with base")
    args = parser.parse_args()
    try:
        shown = table(read(args.base), read(args.other))
    except ValueError as error:
        parser.error(str(error))
    Console().print(shown)


if __name__ == "__main__":
    main()
