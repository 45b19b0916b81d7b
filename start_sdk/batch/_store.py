"""RowStore: durable storage for the rows of long runs, in an SQLite file.

A row is a job and its result. Its key contains exactly what the result depends on: no path, no
time. An interrupted run therefore continues when the same jobs are passed again, and rows of
several configurations can share a file.

Processes on one machine may share a file. Machines may not: SQLite's write-ahead log needs shared
memory. A commit survives the death of its process at any time; after a power failure the last few
rows may have to be computed again (synchronous=NORMAL), but the file stays consistent.

The file may come from someone else. It is then refused unless a store wrote it (`_file.py`), and
what its rows contain is checked when they are read.
"""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, get_args

from start_sdk._text.unicode import printable
from start_sdk.batch._file import beside, check_opened, lock_files, prepare, size
from start_sdk.batch._locks import folder_locked, give_back, is_free, opened, take
from start_sdk.batch._packed import packed, unpacked
from start_sdk.batch._rows import Job, Row, State
from start_sdk.errors import ConfigError

BUSY_SECONDS = 30.0
STEPS = 100_000
"""Of SQLite's virtual machine, after which a statement is checked for being endless."""
MALFORMED = "database disk image is malformed"
_OWNER = re.compile("[0-9a-f]{32}")
_FREE = "UPDATE rows SET state = 'todo', owner = NULL WHERE owner = ?"


class RowStore:
    """The rows of a file, in insertion order.

    A store owns the rows it claims until they are finished, failed or released, or until its
    process dies: an open store holds a lock on a small file next to the database, which the
    operating system drops with the process, however it dies and in whatever container it ran.
    (Process ids would not work: they are reused, and differ between containers that share a
    folder.)

    Calls are short transactions on the caller's thread, of a millisecond or two: traces are
    stored compressed.

    Args:
        path: the file; created if it does not exist.

    Raises:
        ConfigError: the file is not a readable row store. All methods may raise it.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._closed = False
        self._owner = uuid.uuid4().hex
        self._steps = 0
        # One process at a time: a lock file must not be removed between its creation and its
        # locking, nor a database be checked while it is created.
        with self._explained(), folder_locked(self._path.parent):
            prepare(self._path, opened())
            self._database = sqlite3.connect(
                self._path.absolute(), timeout=BUSY_SECONDS, isolation_level=None
            )
            try:
                self._database.set_progress_handler(self._is_endless, STEPS)
                check_opened(self._path, self._database)
                # Of a file that is no database any more: what is not valid is replaced.
                self._database.text_factory = lambda text: text.decode(errors="replace")
                self._run("PRAGMA synchronous = NORMAL")
                self.recover()
                self._lock = self._own()
            except BaseException:
                self._database.close()
                raise

    def _is_endless(self) -> bool:
        """Whether a statement takes more steps than the size of the file explains.

        The pages of a damaged file can form circles, in which SQLite goes round and round.
        """
        self._steps += STEPS
        return self._steps > 100 * STEPS + 16 * size(self._path)

    def _own(self) -> int:
        """Takes this store's lock, and removes the lock files of dead processes."""
        for file in lock_files(self._path):
            if is_free(file):
                file.unlink(missing_ok=True)
        return take(self._lock_file(self._owner), self._path)

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds missing jobs, all or none; existing rows only get the new `input`."""
        with self._transaction():
            for job in jobs:
                self._run(
                    "INSERT INTO rows (key, input) VALUES (?, ?) ON CONFLICT DO UPDATE "
                    "SET input = excluded.input WHERE input != excluded.input",
                    job.key,
                    packed(job.input),
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
        self._settle(job, "done", result=packed(result))

    def fail(self, job: Job, error: str) -> None:
        """Marks a claimed row failed, with the error as one line."""
        self._settle(job, "failed", error=printable(" ".join(error.split())))

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
            if not _OWNER.fullmatch(str(owner)) or is_free(self._lock_file(owner)):
                recovered += self._run(_FREE, owner).rowcount
        return recovered

    def state(self, job: Job) -> State | None:
        """The state of a job; None if it was never added."""
        found = self._one("SELECT state FROM rows WHERE key = ?", job.key)
        return _state(found[0]) if found else None

    def counts(self, jobs: Iterable[Job] | None = None) -> Counter[State]:
        """The number of rows in each state, of these jobs or of all."""
        if jobs is None:
            found = self._run("SELECT state, COUNT(*) FROM rows GROUP BY state").fetchall()
            return Counter({_state(state): count for state, count in found})
        return Counter(state for job in jobs if (state := self.state(job)))

    def rows(self, jobs: Iterable[Job] | None = None) -> Iterator[Row]:
        """The rows of these jobs, in their order; or all rows, in insertion order.

        Each is read when it is asked for, in a transaction of its own: other processes may write
        meanwhile.
        """
        columns = "SELECT number, key, input, state, result, error FROM rows"
        if jobs is None:
            yield from self._in_order(f"{columns} WHERE number > ? ORDER BY number LIMIT 1")
        else:
            for job in jobs:
                if found := self._one(f"{columns} WHERE key = ?", job.key):
                    yield _row(*found)

    def _in_order(self, following: str) -> Iterator[Row]:
        last = 0
        while found := self._one(following, last):
            number = found[0]
            if number <= last:
                raise ConfigError(f"row store {str(self._path)!r}: {MALFORMED}")
            last = number
            yield _row(*found)

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
            give_back(self._lock)

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
        self, job: Job, state: State, *, result: bytes | None = None, error: str | None = None
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
        return beside(self._path, f"-owner-{owner}")

    def _change(self, sql: str, *values: Any) -> bool:
        return self._run(sql, *values).rowcount == 1

    def _one(self, sql: str, *values: Any) -> Any:
        with self._explained():
            return self._run(sql, *values).fetchone()

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._steps = 0
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
            endless = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
            reason = MALFORMED if endless else error
            raise ConfigError(f"row store {str(self._path)!r}: {reason}") from error


def _row(number: int, key: Any, given: Any, state: Any, result: Any, error: Any) -> Row:
    """The row that a line of the table holds.

    Raises:
        ConfigError: a value has another type than a store writes.
    """
    try:
        values = {
            **json.loads(key),
            "input": unpacked(given),
            "state": state,
            "result": None if result is None else unpacked(result),
            "error": error,
        }
        return Row.from_dict(values)
    except (ValueError, TypeError, RecursionError) as why:
        raise ConfigError(f"row {number} of the store is not one of start-sdk: {why}") from why


def _state(value: Any) -> State:
    if value not in get_args(State):
        raise ConfigError(f"the store has a row in the unknown state {value!r}")
    return cast(State, value)
