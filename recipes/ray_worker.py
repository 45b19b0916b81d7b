"""The actors of `recipes.ray_rollout`, and how their rows reach the driver process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.experiment import Judge
from recipes.rollout_worker import Bases, RolloutWorker
from recipes.settings import RolloutConfig
from start_sdk import ConfigError, StartError, Trace, open_backend, plugins
from start_sdk.batch import Job, Row, Work, export_parquet, fingerprint
from start_sdk.grading import Grader


class Parts:
    """Rows on their way into the store: a Parquet file each, which is whole or not there.

    Actors write, one process reads and drops. Ray gives what a task returns away when the task
    ends, and a task may have many rows: a file is there as soon as its row is.

    Args:
        folder: on a disk that all machines share; made if it is not there.

    Raises:
        ConfigError: the folder cannot be made or read. So do all methods.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create {str(folder)!r}: {error.strerror}") from error

    def add(self, row: Row) -> None:
        """Writes a row."""
        export_parquet([row], self._file(row.job.key))

    def has(self, job: Job) -> bool:
        """Whether the row of a job was written."""
        return self._file(job.key).exists()

    def written(self, keys: Iterable[str]) -> list[str]:
        """Those of these keys whose rows can be read; a file that is broken (by a loss of power)
        is dropped, and its job left to be computed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = []
        for key in self._there(keys):
            try:
                pq.read_table(self._file(key))
                whole.append(key)
            except (pa.ArrowInvalid, OSError):
                self.drop(key)
        return whole

    def read(self, job: Job) -> Row:
        """The row of a job."""
        import pyarrow.parquet as pq

        try:
            (row,) = pq.read_table(self._file(job.key)).to_pylist()
        except OSError as error:
            about = "is it on a disk that all machines share, under this name?"
            raise ConfigError(f"{str(self._folder)!r} is missing a row: {about}") from error
        result = None if row["result"] is None else json.loads(row["result"])
        return Row(job, row["state"], result, row["error"])

    def drop(self, key: str) -> None:
        """Removes what is in the store."""
        self._file(key).unlink(missing_ok=True)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes what nobody needs once these keys are in the store, and the folder if it is
        empty then."""
        for key in self._there(keys):  # the other engine computed them again
            self.drop(key)
        for half in self._folder.glob(".*"):  # of writers that were killed
            half.unlink(missing_ok=True)
        with suppress(OSError):  # rows of another config
            self._folder.rmdir()

    def _there(self, keys: Iterable[str]) -> list[str]:
        names = {file.stem for file in self._folder.glob("*.parquet")}
        return [key for key in keys if fingerprint(key) in names] if names else []

    def _file(self, key: str) -> Path:
        return self._folder / f"{fingerprint(key)}.parquet"


class Shared(Bases):
    """The traces that hints are put into, out of rows.jsonl alone: the files of a store are for
    the processes of one machine (start_sdk/store.py)."""

    def __init__(self, folder: Path) -> None:
        self._at: dict[str, int] = {}
        at = 0
        try:
            self._lines = (folder / "rows.jsonl").open("rb")
        except OSError as error:
            raise ConfigError(f"an actor cannot read {str(folder)!r}: {error.strerror}") from error
        for line in self._lines:
            row = json.loads(line)
            if row["result"] and not row["sample"] and row["policy"] == "none":
                self._at[row["problem"]] = at
            at += len(line)

    def trace(self, problem: str) -> Trace:
        """See `Bases.trace`."""
        if problem not in self._at:
            raise ConfigError("this problem has no trace without hints")
        self._lines.seek(self._at[problem])
        return Trace.model_validate(json.loads(self._lines.readline())["result"]["trace"])


class Turns:
    """Gives each actor a number, and an actor that takes a dead one's place the next."""

    def __init__(self) -> None:
        self._given = -1

    def take(self) -> int:
        self._given += 1
        return self._given


def options_of(config: Config, number: int) -> dict[str, Any]:
    """The options of an actor's backend: those of the config, and its server."""
    options, servers = dict(config.backend_options), config.servers
    if servers:
        options["base_url"] = servers[number % len(servers)]
    return options


class Worker:
    """An actor: a backend, kernels, and the rollout's work on several jobs at once."""

    def __init__(
        self,
        config: dict[str, Any],
        part: dict[str, Any],
        model: str,
        after: Path | None,
        parts: Parts,
        turns: Any,
    ) -> None:
        self._config, self._part = Config(**config), RolloutConfig(**part)
        self._python = plugins.load("interpreters", "python")()
        self._model, self._after, self._parts, self._turns = model, after, parts, turns
        self._work: Work | None = None
        self._refused = ""
        self._opening = asyncio.Lock()
        self._free = asyncio.Semaphore(self._config.max_concurrency)

    async def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The key of a job whose row is written, and why none can be, or ""."""
        job = Job(**json.loads(row["key"]), input=json.loads(row["input"]))
        try:
            if not self._refused:
                await self._computed(job)
        except StartError as why:  # not the job's fault: all others would meet it, too
            self._refused = f"{type(why).__name__}: {why}"
        return {"key": row["key"], "refused": self._refused}

    async def _computed(self, job: Job) -> None:
        async with self._opening:  # a backend belongs to the thread that it works in
            if self._work is None:
                self._work = await self._opened()
        async with self._free:
            if self._parts.has(job):  # Ray gives a task out again when its actor has died
                return
            try:
                row = Row(job, "done", dict(await self._work(job)))
            except StartError as why:
                row = Row(job, "failed", error=f"{type(why).__name__}: {why}")
            await asyncio.to_thread(self._parts.add, row)

    async def _opened(self) -> Work:
        config = self._config
        number = await self._turns.take.remote() if self._turns is not None else 0
        bases = Shared(self._after) if self._after else None
        backend = open_backend(self._model, config.backend, **options_of(config, number))
        judge = Judge(await Grader().__aenter__(), self._python)  # ends with the actor's process
        return RolloutWorker(config, self._part, backend, self._python, bases).work_of(judge)
