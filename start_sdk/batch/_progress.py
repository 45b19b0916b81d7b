"""Progress of a batch and totals over its rows, as a live bar or, without a terminal, as lines."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from start_sdk._printing import Terminal
from start_sdk._text.visible import visible
from start_sdk.batch._rows import Row, State
from start_sdk.errors import ConfigError

EVERY = 30.0
"""Seconds between two lines if there is no terminal."""


class Tally:
    """Totals over rows, taken from each result's `trace` if it has one.

    Attributes:
        states: rows by state.
        tokens: by source: prompt, model, hint, tool, notice; and those sampled but dropped.
        seconds: wall clock time of model and tool.
        calls: cells run.
        correct: rows whose result says `correct`.
    """

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.correct = 0
        self.tokens: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.calls = 0

    def add(self, row: Row) -> None:
        """Counts a row.

        Raises:
            ConfigError: its trace is none; a file may come from someone else.
        """
        self.states[row.state] += 1
        result = row.result or {}
        self.correct += result.get("correct") is True
        trace = result.get("trace", {})
        try:
            self.tokens.update({who: int(n) for who, n in trace.get("usage", {}).items()})
            self.seconds.update({who: float(n) for who, n in trace.get("seconds", {}).items()})
            self.calls += sum(s["call"] is not None for s in trace.get("segments", ()))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"the trace of row {row.job.key} is damaged: {error}") from error

    @property
    def tool_share(self) -> float:
        """Share of the time spent in cells, 0 to 1."""
        return self.seconds["tool"] / (sum(self.seconds.values()) or 1)

    def tokens_text(self) -> str:
        """Tokens by source, without the sources that have none."""
        return ", ".join(f"{who} {n:,}" for who, n in self.tokens.items() if n) or "none"


class BatchProgress:
    """Context manager that shows the progress of a batch, with rate and estimated time left.

    On a terminal it updates one line; otherwise it prints a line at most every 30 seconds.

    Args:
        total: rows of the batch; None if nobody counted them.
        before: rows that earlier runs already finished or failed.
        console: by default standard error.
        clock: returns seconds.
    """

    def __init__(
        self,
        total: int | None,
        *,
        before: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self._total = total
        self._before = before
        self._console = console or Terminal(stderr=True)
        self._clock = clock
        self._began = self._written = clock()
        self._live = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            refresh_per_second=4,
            disable=not self._console.is_terminal,
        )
        self._task = self._live.add_task(self.line(), total=total, completed=before)

    def add(self, row: Row) -> None:
        """Counts a row that has just finished or failed."""
        self.tally.add(row)
        finished = self._before + self.tally.states.total()
        self._live.update(self._task, completed=finished, description=self.line())
        if self._live.disable and self._clock() - self._written >= EVERY:
            self._written = self._clock()
            self._console.print(Text(self.line()), soft_wrap=True)

    def line(self) -> str:
        """The whole progress report as one line."""
        tally, elapsed = self.tally, self._clock() - self._began
        here = tally.states.total()
        finished = self._before + here
        of = "" if self._total is None else f" of {self._total}"
        parts = [f"{finished}{of} rows"]
        if tally.states["failed"]:
            parts.append(f"{tally.states['failed']} failed")
        if here and elapsed:
            parts.append(f"{here / elapsed * 60:.1f} rows/min")
            if self._total is not None:
                left = timedelta(seconds=round((self._total - finished) * elapsed / here))
                parts.append(f"about {left} left")
        if tally.tokens:
            parts += [f"tokens: {tally.tokens_text()}", f"tools {tally.tool_share:.0%} of the time"]
        return visible(" · ".join(parts), keep="")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._live.stop()


class LiveTable:
    """Context manager that shows right answers and calls above the line of `BatchProgress`.

    The table has a row for each `family` of the jobs' `input`, and one for all. Without a terminal,
    only the line is printed, from time to time.

    Args:
        before: rows of the store: those that earlier runs finished are counted.
        total: rows of the batch.
    """

    def __init__(self, before: Iterable[Row], total: int) -> None:
        console = Terminal(stderr=True)
        self._families: defaultdict[str, Tally] = defaultdict(Tally)
        for row in before:  # one at a time: all traces together may not fit into the memory
            if row.state == "done":  # failed ones are tried again
                self._count(row)
        done = self._families["all"].states.total()
        self._progress = BatchProgress(total, before=done, console=console)
        self._live = Live(console=console, auto_refresh=False)

    def add(self, row: Row) -> None:
        """Counts a row that was just finished, and shows it."""
        self._count(row)
        self._progress.add(row)
        if self._live.console.is_terminal:
            self._live.update(Group(self._table(), Text(self._progress.line())), refresh=True)

    def _count(self, row: Row) -> None:
        for family in {str(row.job.input.get("family") or "all"), "all"}:
            self._families[family].add(row)

    def _table(self) -> Table:
        table = Table("family")
        for name in ("samples", "right %", "calls"):
            table.add_column(name, justify="right")
        for name in sorted(self._families, key=lambda family: family == "all"):
            tally = self._families[name]
            rows = tally.states.total()
            calls = f"{tally.calls / rows:.2f}"
            table.add_row(name, str(rows), f"{tally.correct / rows:.0%}", calls)
        return table

    def __enter__(self) -> Self:
        if self._live.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._live.stop()
