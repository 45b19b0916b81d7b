"""Locks of stores: files that the operating system unlocks when their process dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

File = tuple[int, int]
"""Device and inode: what identifies a file, whatever it is called."""


def identity(path: Path) -> File:
    found = path.lstat()
    return found.st_dev, found.st_ino


def take(file: Path, database: Path) -> int:
    """Creates and locks the lock file of a store on a database; returns its descriptor."""
    lock = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
    _held[lock] = identity(database)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def give_back(lock: int) -> None:
    del _held[lock]
    os.close(lock)


def opened() -> set[File]:
    """The databases on which this process has a store."""
    return set(_held.copy().values())


def is_free(file: Path) -> bool:
    """Whether nobody holds a lock: its owner is dead, or has closed and removed it."""
    try:
        lock = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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
def folder_locked(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder: one process at a time."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


_held: dict[int, File] = {}
"""Descriptors of the locks that this process holds, and the database that each is for."""


def _forget_locks() -> None:
    """Closes inherited locks in a forked child, which may outlive its parent."""
    while _held:
        os.close(_held.popitem()[0])


os.register_at_fork(after_in_child=_forget_locks)
