"""RowStore: durable storage for the rows of long runs, in an SQLite file.

A row is a job and its result. Its key contains exactly what the result depends on: no path, no
time. An interrupted run therefore continues when the same jobs are passed again, and rows of
several configurations can share a file.

Processes on one machine may share a file. Machines may not: SQLite's write-ahead log needs shared
memory. A commit survives the death of its process at any time; after a power failure the last few
rows may have to be computed again (synchronous=NORMAL), but the file stays consistent.
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

APPLICATION_ID = 0x53544152  # "STAR": marks our files
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY,  -- insertion order
    key TEXT NOT NULL UNIQUE,
    input TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'todo',
    owner TEXT,                  -- the store that claimed a running row
    result TEXT,
    error TEXT
)
"""
_FREE = "UPDATE rows SET state = 'todo', owner = NULL WHERE owner = ?"


class RowStore:
    """The rows of a file, in insertion order.

    A store owns the rows it claims until they are finished, failed or released, or until its
    process dies: an open store holds a lock on a small file next to the database, which the
    operating system drops with the process, however it dies and in whatever container it ran.
    (Process ids would not work: they are reused, and differ between containers that share a
    folder.)

    Calls are short transactions on the caller's thread, a fraction of a millisecond each.

    Args:
        path: the file; created if it does not exist.

    Raises:
        ConfigError: the file is not a readable row store. All methods may raise it.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._closed = False
        self._owner = uuid.uuid4().hex
        with self._explained():
            self._database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                # One process at a time: a half-created file looks like another program's, SQLite
                # does not wait when the journal mode changes, and a lock file must not be removed
                # between its creation and its locking.
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
            raise ConfigError(f"{str(self._path)!r} is not a row store but another database")
        if ours and version != SCHEMA_VERSION:
            raise ConfigError(
                f"{str(self._path)!r} has row store version {version}, but this start-sdk reads "
                f"version {SCHEMA_VERSION}: use the start-sdk that wrote it"
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
        """Takes this store's lock, and removes the lock files of dead processes."""
        marks = self._lock_file("").name
        for file in self._path.parent.iterdir():
            if file.name.startswith(marks) and _is_free(file):
                file.unlink(missing_ok=True)
        lock = os.open(self._lock_file(self._owner), os.O_CREAT | os.O_RDWR, 0o644)
        _locks.add(lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds missing jobs, all or none; existing rows only get the new `input`."""
        with self._transaction():
            for job in jobs:
                self._run(
                    "INSERT INTO rows (key, input) VALUES (?, ?) ON CONFLICT DO UPDATE "
                    "SET input = excluded.input WHERE input != excluded.input",
                    job.key,
                    json.dumps(dict(job.input)),
                )

    def claim(self, job: Job) -> bool:
        """Claims a "todo" row for this store, atomically; False if that is not possible."""
        return self._change(
            "UPDATE rows SET state = 'running', owner = ? WHERE key = ? AND state = 'todo'",
            self._owner,
            job.key,
        )

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Stores the result (JSON) of a claimed row and marks it done, in one transaction."""
        self._settle(job, "done", result=json.dumps(dict(result)))

    def fail(self, job: Job, error: str) -> None:
        """Marks a claimed row failed, with the error as one line."""
        self._settle(job, "failed", error=" ".join(error.split()))

    def release(self, job: Job) -> None:
        """Releases a claimed row: any store may claim it again."""
        self._settle(job, "todo")

    def retry(self, jobs: Iterable[Job]) -> None:
        """Makes the failed rows of these jobs claimable again."""
        with self._transaction():
            for job in jobs:
                self._run(
                    "UPDATE rows SET state = 'todo', error = NULL "
                    "WHERE key = ? AND state = 'failed'",
                    job.key,
                )

    def recover(self) -> int:
        """Releases rows of dead processes; returns how many. Opening a store also does this."""
        recovered = 0
        owners = self._run("SELECT DISTINCT owner FROM rows WHERE owner IS NOT NULL").fetchall()
        for (owner,) in owners:
            if _is_free(self._lock_file(owner)):
                recovered += self._run(_FREE, owner).rowcount
        return recovered

    def state(self, job: Job) -> State | None:
        """The state of a job; None if it was never added."""
        found = self._run("SELECT state FROM rows WHERE key = ?", job.key).fetchone()
        return found[0] if found else None

    def counts(self, jobs: Iterable[Job] | None = None) -> Counter[State]:
        """The number of rows in each state, of these jobs or of all."""
        if jobs is None:
            return Counter(dict(self._run("SELECT state, COUNT(*) FROM rows GROUP BY state")))
        return Counter(state for job in jobs if (state := self.state(job)))

    def rows(self, jobs: Iterable[Job] | None = None) -> Iterator[Row]:
        """The rows of these jobs, in their order; or all rows, in insertion order."""
        columns = "SELECT key, input, state, result, error FROM rows"
        if jobs is None:
            with self._explained():
                yield from map(_row, self._run(f"{columns} ORDER BY number"))
        else:
            for job in jobs:
                yield from map(_row, self._run(f"{columns} WHERE key = ?", job.key).fetchall())

    def close(self) -> None:
        """Releases rows that are still claimed and closes the file. Idempotent."""
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
            raise ConfigError(f"row {job.key} is not claimed by this store")

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
    """Whether nobody holds a lock: its owner is dead, or has closed and removed it."""
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
    """Holds a lock on a folder: one process at a time."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


_locks: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _forget_locks() -> None:
    """Closes inherited locks in a forked child, which may outlive its parent."""
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_forget_locks)
