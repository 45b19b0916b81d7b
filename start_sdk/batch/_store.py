"""RowStore: the one durable place for the rows of long runs, a file of sqlite3.

A row is a job and what came of it. Its key is what the result depends on and nothing else: no
path, no time. So a run that was stopped, by whatever, goes on when the same jobs are given again,
and rows of several configurations lie side by side.

Processes of one machine may share a file. Machines may not: sqlite's write-ahead log needs memory
that all of them see. A commit survives the death of its process at any moment; after a loss of
power the last few rows may have to be run again (synchronous=NORMAL), and the file stays whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from start_sdk.batch._rows import Job, Row, State
from start_sdk.errors import ConfigError

APPLICATION_ID = 0x53544152  # "STAR": tells our files from other people's
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY,  -- the order in which rows were added
    key TEXT NOT NULL UNIQUE,
    input TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'todo',
    owner TEXT,                  -- of a running row: the store that claimed it
    result TEXT,
    error TEXT
)
"""
_FREE = "UPDATE rows SET state = 'todo', owner = NULL WHERE owner = ?"


class RowStore:
    """The rows of a file, in the order in which they were added.

    Who claims a row owns it until it is finished, failed or released, or until its process dies: an
    open store holds a lock on a small file beside the database, which the kernel drops with the
    process, however it dies and in whatever container it ran. (Process ids would not do: they are
    used again, and differ between containers that share a folder.)

    Calls are short transactions on the caller's thread, a fraction of a millisecond each.

    Args:
        path: the file; made if it is not there.

    Raises:
        ConfigError: the file cannot be opened or read, or is not one of ours. So do all methods.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._closed = False
        self._owner = uuid.uuid4().hex
        with self._explained():
            self._database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                # One process at a time: a file half made looks like another program's, sqlite does
                # not wait its turn when the journal's mode changes, and no lock may be swept away
                # between its making and its locking.
                with _folder_locked(self._path.parent):
                    self._check()
                    self._prepare()
                    self._lock = self._own()
                self.recover()
            except BaseException:
                self._database.close()
                raise

    def _check(self) -> None:
        version = self._one("PRAGMA user_version")[0]
        ours = self._one("PRAGMA application_id")[0] == APPLICATION_ID
        if not ours and (version or self._one("SELECT COUNT(*) FROM sqlite_master")[0]):
            raise ConfigError(f"{str(self._path)!r} is a database of another program")
        if ours and version != SCHEMA_VERSION:
            raise ConfigError(
                f"{str(self._path)!r} has version {version} of the row store, this start-sdk reads "
                f"{SCHEMA_VERSION}: use the start-sdk that wrote it"
            )

    def _prepare(self) -> None:
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if self._one("PRAGMA application_id")[0] != APPLICATION_ID:
                self._run(_SCHEMA)
                self._run("CREATE INDEX owned ON rows (owner) WHERE owner IS NOT NULL")
                self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
                self._run(f"PRAGMA application_id = {APPLICATION_ID}")

    def _own(self) -> int:
        """Takes this store's lock, and sweeps away those of the dead."""
        marks = self._lock_file("").name
        for file in self._path.parent.iterdir():
            if file.name.startswith(marks) and _is_free(file):
                file.unlink(missing_ok=True)
        lock = os.open(self._lock_file(self._owner), os.O_CREAT | os.O_RDWR, 0o644)
        _locks.add(lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds what is not there yet, all or none; of other rows only the `input` is renewed."""
        with self._transaction():
            for job in jobs:
                self._run(
                    "INSERT INTO rows (key, input) VALUES (?, ?) ON CONFLICT DO UPDATE "
                    "SET input = excluded.input WHERE input != excluded.input",
                    job.key,
                    json.dumps(dict(job.input)),
                )

    def claim(self, job: Job) -> bool:
        """Makes a row that is to do ours; False if it is not there to be had. Atomic."""
        return self._change(
            "UPDATE rows SET state = 'running', owner = ? WHERE key = ? AND state = 'todo'",
            self._owner,
            job.key,
        )

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Stores the result (JSON) of a row of ours, and that it is done: one transaction."""
        self._settle(job, "done", result=json.dumps(dict(result)))

    def fail(self, job: Job, error: str) -> None:
        """Stores why a row of ours could not be computed, as one line."""
        self._settle(job, "failed", error=" ".join(error.split()))

    def release(self, job: Job) -> None:
        """Gives a row of ours back: anyone may claim it again."""
        self._settle(job, "todo")

    def retry(self, jobs: Iterable[Job]) -> None:
        """Makes the failed ones of these jobs claimable again."""
        with self._transaction():
            for job in jobs:
                self._run(
                    "UPDATE rows SET state = 'todo', error = NULL "
                    "WHERE key = ? AND state = 'failed'",
                    job.key,
                )

    def recover(self) -> int:
        """Gives back the rows of processes that died; how many. Opening a store does it, too."""
        recovered = 0
        owners = self._run("SELECT DISTINCT owner FROM rows WHERE owner IS NOT NULL").fetchall()
        for (owner,) in owners:
            if _is_free(self._lock_file(owner)):
                recovered += self._run(_FREE, owner).rowcount
        return recovered

    def state(self, job: Job) -> State | None:
        """Where a job stands; None if it was never added."""
        found = self._run("SELECT state FROM rows WHERE key = ?", job.key).fetchone()
        return found[0] if found else None

    def counts(self, jobs: Iterable[Job] | None = None) -> Counter[State]:
        """How many rows are in each state; of these jobs, or of all."""
        if jobs is None:
            return Counter(dict(self._run("SELECT state, COUNT(*) FROM rows GROUP BY state")))
        return Counter(state for job in jobs if (state := self.state(job)))

    def rows(self, jobs: Iterable[Job] | None = None) -> Iterator[Row]:
        """The rows of these jobs, in their order; or all, in the order in which they were added."""
        columns = "SELECT key, input, state, result, error FROM rows"
        if jobs is None:
            with self._explained():
                yield from map(_row, self._run(f"{columns} ORDER BY number"))
        else:
            for job in jobs:
                yield from map(_row, self._run(f"{columns} WHERE key = ?", job.key).fetchall())

    def close(self) -> None:
        """Gives back what is still ours, and closes the file; idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._run(_FREE, self._owner)
        finally:
            self._database.close()
            self._lock_file(self._owner).unlink(missing_ok=True)
            _locks.discard(self._lock)
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _settle(
        self, job: Job, state: State, *, result: str | None = None, error: str | None = None
    ) -> None:
        settled = self._change(
            "UPDATE rows SET state = ?, result = ?, error = ?, owner = NULL "
            "WHERE key = ? AND owner = ?",
            state,
            result,
            error,
            job.key,
            self._owner,
        )
        if not settled:
            raise ConfigError(f"the row {job.key} is not claimed by this store")

    def _lock_file(self, owner: str) -> Path:
        return self._path.with_name(f"{self._path.name}-owner-{owner}")

    def _change(self, sql: str, *values: Any) -> bool:
        return self._run(sql, *values).rowcount == 1

    def _one(self, sql: str) -> Any:
        return self._run(sql).fetchone()

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        with self._explained():
            return self._database.execute(sql, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"row store {str(self._path)!r}: {error}") from error


def _row(columns: tuple[str, str, State, str | None, str | None]) -> Row:
    key, text, state, result, error = columns
    job = Job(**json.loads(key), input=json.loads(text))
    return Row(job, state, None if result is None else json.loads(result), error)


def _is_free(file: Path) -> bool:
    """Whether nobody holds a lock: its owner is dead, or closed it and took it away."""
    try:
        lock = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """One process at a time."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


_locks: set[int] = set()
"""Descriptors of the owners' locks of this process."""


def _forget_locks() -> None:
    """A forked child must not hold its parent's locks: it may outlive it."""
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_forget_locks)
