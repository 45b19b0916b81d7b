"""The live table of a running evaluation; without a terminal, a line from time to time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from start_sdk import ConfigError
from start_sdk.batch import BatchProgress, Row
from start_sdk.cli import Terminal


class LiveTable:
    """Right answers and calls by family, above the batch's line of progress.

    Args:
        before: rows of the store: those an earlier run finished are counted.
        total: rows of the whole evaluation.
    """

    def __init__(self, before: Iterable[Row], total: int) -> None:
        self._console = Terminal(stderr=True)
        self._samples: dict[str, int] = defaultdict(int)
        self._right: dict[str, int] = defaultdict(int)
        self._calls: dict[str, int] = defaultdict(int)
        done = 0
        for row in before:  # one at a time: all traces together may not fit into the memory
            if row.state == "done":  # failed ones are tried again
                self._count(row)
                done += 1
        self._progress = BatchProgress(total, before=done, console=self._console)
        self._live = Live(console=self._console, refresh_per_second=4, auto_refresh=False)

    def add(self, row: Row) -> None:
        """Counts a row that was just finished, and shows it."""
        self._count(row)
        if self._console.is_terminal:
            self._progress.tally.add(row)
            self._live.update(Group(self._table(), Text(self._progress.line())), refresh=True)
        else:
            self._progress.add(row)

    def _count(self, row: Row) -> None:
        result = row.result or {}
        calls = result.get("calls", 0)
        if not isinstance(calls, int):
            raise ConfigError(f"the calls of row {row.job.key} are no number")
        for name in {str(row.job.input.get("family") or "all"), "all"}:
            self._samples[name] += 1
            self._right[name] += bool(result.get("correct"))
            self._calls[name] += calls

    def _table(self) -> Table:
        table = Table("family")
        for name in ("samples", "right %", "calls"):
            table.add_column(name, justify="right")
        for name in sorted(self._samples, key=lambda family: family == "all"):
            samples = self._samples[name]
            right, calls = self._right[name] / samples, self._calls[name] / samples
            table.add_row(name, str(samples), f"{right:.0%}", f"{calls:.2f}")
        return table

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._live.stop()
