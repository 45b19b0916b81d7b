"""Traces of an earlier rollout that hints are inserted into."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from start_sdk import ConfigError, Trace
from start_sdk.batch import Job, RowStore, read_rows


class Bases:
    """The traces of an earlier rollout without hints, by problem; looked up when they are needed.

    Raises:
        ConfigError: the folder has no such rollout of this seed.
    """

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.config = ""  # hash of how they were made
        self._jobs: dict[str, Job] = {}
        self.correct: set[str] = set()
        for row in read_rows(folder):
            if row.result is None or row.job.sample or row.job.policy != "none":
                continue
            if row.job.seed != seed:  # it shuffles the choices of a problem
                raise ConfigError(f"{str(folder)!r} was made with --seed {row.job.seed}")
            self.config, self._jobs[row.job.problem] = row.job.config, row.job
            if row.result.get("correct"):
                self.correct.add(row.job.problem)
        if not self._jobs or not (folder / "rows.sqlite").exists():  # an archive has no traces
            raise ConfigError(f"{str(folder)!r} contains no traces without hints")
        self._store = stack.enter_context(RowStore(folder / "rows.sqlite"))

    def trace(self, problem: str) -> Trace:
        """The trace of a problem.

        Raises:
            ConfigError: there is none, or the row holds something else.
        """
        job = self._jobs.get(problem)
        row = next(self._store.rows([job]), None) if job else None
        if row is None or row.result is None:
            raise ConfigError("this problem has no trace without hints")
        try:
            return Trace.model_validate(row.result.get("trace"))
        except ValidationError as error:
            raise ConfigError(f"the row of {problem} does not hold a trace") from error
