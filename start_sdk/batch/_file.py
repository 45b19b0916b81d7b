"""The file of a RowStore: created whole, and checked before SQLite obeys what it says.

A folder may come from someone else. SQLite follows what it finds in one: a rollback journal can
name any file of the user, which SQLite then deletes; a named pipe blocks it; a trigger or a view
runs whatever it contains; and what is written through a link ends up elsewhere. So only a file of
ours is opened, and only regular files next to it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from start_sdk.batch._locks import File, identity
from start_sdk.batch._packed import MAX_BYTES
from start_sdk.errors import ConfigError

APPLICATION_ID = 0x53544152  # "STAR": marks our files
SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY,  -- insertion order
    key TEXT NOT NULL UNIQUE,
    input BLOB NOT NULL,         -- compressed JSON, as is result
    state TEXT NOT NULL DEFAULT 'todo',
    owner TEXT,                  -- the store that claimed a running row
    result BLOB,
    error TEXT
)
""".strip()
_INDEX = "CREATE INDEX owned ON rows (owner) WHERE owner IS NOT NULL"
_OBJECTS = [  # of sqlite_master: type, name, table and SQL, by name
    ("index", "owned", "rows", _INDEX),
    ("table", "rows", "rows", _SCHEMA),
    ("index", "sqlite_autoindex_rows_1", "rows", None),
]
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def beside(path: Path, ending: str) -> Path:
    """The file of a store whose name is that of the database and an ending."""
    return path.with_name(path.name + ending)


def lock_files(path: Path) -> Iterator[Path]:
    """The lock files of all stores on a database, whether their processes live or not."""
    marks = beside(path, "-owner-").name
    return (file for file in path.parent.iterdir() if file.name.startswith(marks))


def size(path: Path) -> int:
    """Bytes that the database and its log have on disk, without holes in them."""
    total = 0
    for file in (path, beside(path, "-wal")):
        with suppress(FileNotFoundError):
            total += 512 * file.stat().st_blocks
    return total


def prepare(path: Path, opened: set[File]) -> None:
    """Creates the database if there is none, else checks all files before SQLite opens any.

    Args:
        path: the database.
        opened: files that this process has open; they were checked. They must not be read again:
            closing any descriptor of a file drops the locks that SQLite holds on it.

    Raises:
        ConfigError: another program wrote one of them.
        OSError: one cannot be read or created.
    """
    if os.path.lexists(journal := beside(path, "-journal")):
        raise ConfigError(
            f"{str(journal)!r} is not from start-sdk, and SQLite would delete the files it names: "
            "use another folder"
        )
    for file in (path, beside(path, "-wal"), beside(path, "-shm"), *lock_files(path)):
        _check_kind(file)
    if not path.exists() or not path.stat().st_size:
        _create(path)
    elif identity(path) not in opened:
        _check_header(path)


def _check_kind(file: Path) -> None:
    try:
        found = file.lstat()
    except FileNotFoundError:
        return
    kind = _KINDS.get(stat.S_IFMT(found.st_mode)) or ("a hard link" if found.st_nlink > 1 else "")
    if kind:
        raise ConfigError(f"{str(file)!r} is {kind}, not a file of a row store")


def _check_header(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        header = os.read(file, 100)
    finally:
        os.close(file)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise ConfigError(f"row store {str(path)!r}: file is not a database")
    version, application = (int.from_bytes(header[at : at + 4]) for at in (60, 68))
    _check_version(path, application, version)
    if header[18:20] != b"\2\2":  # what SQLite would do with it is not what a store does
        raise ConfigError(f"{str(path)!r} was changed by another program: its journal mode")


def _check_version(path: Path, application: int, version: int) -> None:
    if application != APPLICATION_ID:
        raise ConfigError(f"{str(path)!r} is not a row store but another database")
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"{str(path)!r} has row store version {version}, but this start-sdk reads "
            f"version {SCHEMA_VERSION}: use the start-sdk that wrote it"
        )


def _create(path: Path) -> None:
    """Creates a store under another name and renames it: no crash leaves half of one.

    SQLite itself creates it elsewhere, so that it never leaves a journal next to it either.
    """
    with TemporaryDirectory() as folder:
        made = Path(folder, "rows.sqlite")
        with closing(sqlite3.connect(made, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")  # only what is renamed has to last
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            database.execute(_SCHEMA)
            database.execute(_INDEX)
            database.execute("PRAGMA journal_mode = WAL")
        content = made.read_bytes()
    unfinished = beside(path, "-new")
    for leftover in (unfinished, beside(path, "-wal"), beside(path, "-shm")):
        leftover.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)


def check_opened(path: Path, database: sqlite3.Connection) -> None:
    """Checks what only SQLite can read, before anything else is asked of it.

    The log of a database overrides its pages, so that what the header said is checked again.

    Raises:
        ConfigError: another program wrote it.
        sqlite3.Error: SQLite cannot read it.
    """
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    names = ("application_id", "user_version")
    (application,), (version,) = (database.execute(f"PRAGMA {n}").fetchone() for n in names)
    _check_version(path, application, version)
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name LIMIT ?"
    if database.execute(query, [len(_OBJECTS) + 1]).fetchall() != _OBJECTS:
        raise ConfigError(f"{str(path)!r} was changed by another program: its tables")
