"""A folder from someone else: what is no file of a store is refused before SQLite opens it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from start_sdk import ConfigError
from start_sdk.batch import Job, Row, RowStore, export_jsonl

PAGE = 4096
A = Job(problem="a", input={"text": "a"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "stranger"
    folder.mkdir()
    return folder / "rows.sqlite"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_bytes(b"dear diary\n")
    return file


def store(path: Path) -> None:
    """A store of ours with one row."""
    with RowStore(path) as made:
        made.add([A])


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def refused(path: Path, says: str) -> None:
    """One line, and nothing is left behind or gone."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ConfigError, match=says) as caught:
        RowStore(path)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.iterdir()) == before


def hot_journal(database: Path, names: Path) -> bytes:
    """A rollback journal whose super-journal is a file, which SQLite deletes after playing it."""
    magic = bytes.fromhex("d9d505f920a163d7")
    head = magic + struct.pack(">IIIII", 0, 1, database.stat().st_size // PAGE, 512, PAGE)
    name = str(names).encode()
    tail = struct.pack(">I", 0x40000000 // PAGE + 1) + name
    return head.ljust(512, b"\0") + tail + struct.pack(">II", len(name), sum(name)) + magic


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_journal_cannot_delete_a_file(path: Path, precious: Path, mode: str) -> None:
    store(path)
    execute(path, f"PRAGMA journal_mode = {mode}")
    path.with_name("rows.sqlite-journal").write_bytes(hot_journal(path, precious))
    refused(path, "journal' is not from start-sdk, and SQLite would delete the files it names")
    assert precious.read_bytes() == b"dear diary\n"
    path.unlink()  # without a database, too
    refused(path, "journal' is not from start-sdk")


def test_a_store_in_another_journal_mode_is_refused(path: Path) -> None:
    store(path)
    execute(path, "PRAGMA journal_mode = DELETE")
    refused(path, "was changed by another program: its journal mode")


def bound_socket(file: Path) -> None:
    here = Path.cwd()
    os.chdir(file.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(file.name)
    finally:
        os.chdir(here)


OTHERS: dict[str, Callable[[Path, Path], object]] = {
    "a folder": lambda file, precious: file.mkdir(),
    "a symbolic link": lambda file, precious: file.symlink_to(precious),
    "a named pipe": lambda file, precious: os.mkfifo(file),
    "a socket": lambda file, precious: bound_socket(file),
    "a hard link": lambda file, precious: file.hardlink_to(precious),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("ending", ["", "-wal", "-shm", f"-owner-{'0' * 32}"])
def test_what_is_no_file_of_its_own_is_refused(
    path: Path, precious: Path, kind: str, ending: str
) -> None:
    if ending:
        store(path)
    file = path.with_name(path.name + ending)
    OTHERS[kind](file, precious)
    refused(path, f"{file.name}' is {kind}, not a file of a row store")
    assert precious.read_bytes() == b"dear diary\n"


def test_a_link_to_nothing_or_to_a_device_is_refused(path: Path, precious: Path) -> None:
    for target in (precious.with_name("new"), Path("/dev/zero")):
        path.symlink_to(target)
        refused(path, "is a symbolic link")
        path.unlink()
    assert not precious.with_name("new").exists()


def test_a_folder_that_is_a_named_pipe_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="Not a directory"):
        RowStore(tmp_path / "pipe" / "rows.sqlite")


def test_leftovers_of_a_store_that_is_gone_are_not_read(path: Path) -> None:
    """A log without its database belongs to nothing; links in the way of a new file only go."""
    elsewhere = path.with_name("other.sqlite")
    store(elsewhere)
    with closing(sqlite3.connect(elsewhere, isolation_level=None)) as database:
        database.execute("UPDATE rows SET state = 'done'")
        shutil.copy(f"{elsewhere}-wal", f"{path}-wal")
    path.with_name("rows.sqlite-new").symlink_to(elsewhere)
    with RowStore(path) as made:
        assert not made.counts()
    path.with_name("empty.sqlite").touch()
    RowStore(path.with_name("empty.sqlite")).close()


CHANGES = {
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON rows BEGIN DELETE FROM rows; END",
    "a view": "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n",
    "a table": "CREATE TABLE theirs (x)",
    "an index": "CREATE INDEX theirs ON rows (abs(number))",
    "a column": "ALTER TABLE rows ADD COLUMN twice AS (number * 2)",
    "another name": "ALTER TABLE rows RENAME COLUMN result TO answer",
    "statistics": "ANALYZE",
}
VIEW = [
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET type = 'view', rootpage = 0, sql = 'CREATE VIEW rows AS WITH "
    "RECURSIVE n(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM n) SELECT number, 1 AS key, "
    "1 AS input, 1 AS state, 1 AS owner, 1 AS result, 1 AS error FROM n' WHERE type = 'table'",
    "DELETE FROM sqlite_master WHERE type = 'index'",
]


@pytest.mark.parametrize("statements", [*([s] for s in CHANGES.values()), VIEW])
def test_tables_that_are_not_ours_are_refused(path: Path, statements: list[str]) -> None:
    store(path)
    execute(path, *statements)
    refused(path, "was changed by another program: its tables")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (CHANGES["a trigger"], "was changed by another program: its tables"),
        ("PRAGMA application_id = 7", "is not a row store but another database"),
        ("PRAGMA user_version = 7", "has row store version 7"),
    ],
)
def test_a_log_cannot_change_what_was_checked(path: Path, statement: str, says: str) -> None:
    store(path)
    theirs = path.with_name("theirs.sqlite")
    shutil.copy(path, theirs)
    with closing(sqlite3.connect(theirs, isolation_level=None)) as database:
        database.execute(statement)
        shutil.copy(f"{theirs}-wal", f"{path}-wal")
    with pytest.raises(ConfigError, match=says):
        RowStore(path)


def compressed(text: bytes) -> str:
    return f"x'{zlib.compress(text).hex()}'"


GOOD = zlib.compress(b'{"text": "' + b"long " * 99 + b'"}')
VALUES = {
    "key = '[]'": "not a mapping",
    "key = '{}'": "a row has the fields problem, ",
    "key = x'ff'": "invalid start byte",
    """key = '{"problem": [], "sample": 0, "policy": "", "seed": 0, "config": ""}'""": "problem is",
    """key = '{"problem": "", "sample": true, "policy": "", "seed": 0, "config": ""}'""": "sample",
    """key = '{"problem": "", "sample": 0, "policy": "", "seed": -1, "config": ""}'""": "seed=-1",
    "input = '{}'": "a bytes-like object is required, not 'str'",
    "input = 7": "a bytes-like object is required, not 'int'",
    "input = x''": "does not end where the content ends",
    "input = x'7b7d'": "not compressed JSON: Error -3",
    f"input = x'{GOOD[:-9].hex()}'": "does not end where the content ends",
    f"input = x'{GOOD.hex()}00'": "does not end where the content ends",
    f"input = x'{GOOD[:-1].hex()}00'": "incorrect data check",
    f"input = {compressed(b'x')}": "Expecting value",
    f"input = {compressed(b'[1]')}": "input is of the wrong type: list",
    f"input = {compressed(b'{' + bytes([255]) + b'}')}": "invalid start byte",
    f"result = {compressed(b'[' * 100_000)}": "recursion",
    f"result = {compressed(b'1' * 5_000)}": "integer string conversion",
    f"result = {compressed(b'7')}": "result is of the wrong type: int",
    f"result = {compressed(b' ' * (1 << 26) + b'{}')}": "its JSON has more than 67,108,864 bytes",
    "error = x'00'": "error is of the wrong type: bytes",
    "state = 'ready'": "'ready' is not the state of a row",
    "state = x'00'": "state is of the wrong type: bytes",
}


@pytest.mark.parametrize("change", VALUES)
def test_a_value_that_no_store_writes_is_one_line_that_names_its_row(
    path: Path, change: str
) -> None:
    store(path)
    execute(path, f"UPDATE rows SET {change}")
    with RowStore(path) as opened, pytest.raises(ConfigError, match="row 1 of the store") as caught:
        list(opened.rows())
    assert VALUES[change] in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_state_is_one_line(path: Path) -> None:
    store(path)
    execute(path, "UPDATE rows SET state = 'ready'")
    with RowStore(path) as opened:
        for ask in (opened.counts, lambda: opened.state(A)):
            with pytest.raises(ConfigError, match="unknown state 'ready'"):
                ask()


@pytest.mark.parametrize("owner", ["'../../x'", "'a' || char(0)", "x'00'", f"'{'x' * 300}'"])
def test_an_owner_that_is_no_store_owns_nothing(path: Path, owner: str) -> None:
    store(path)
    execute(path, f"UPDATE rows SET state = 'running', owner = {owner}")
    with RowStore(path) as opened:
        assert opened.counts() == {"todo": 1}


def endless(path: Path) -> None:
    """Puts pages above the only row whose children are all the same page: 300^10 rows."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'table'"
        ((root,),) = database.execute(query).fetchall()
    at = (root - 1) * PAGE
    content += content[at : at + PAGE]
    for level in range(10):
        child, cells = len(content) // PAGE, b""
        for _ in range(300):
            cells = struct.pack(">IB", child, 1) + cells
        start = PAGE - len(cells)
        head = struct.pack(">BHHHBI", 5, 0, 300, start, 0, child)
        head += b"".join(struct.pack(">H", start + 5 * i) for i in range(300))
        page = head.ljust(start, b"\0") + cells
        if level < 9:
            content += page
        else:
            content[at : at + PAGE] = page
    content[28:32] = struct.pack(">I", len(content) // PAGE)
    path.write_bytes(content)
    os.truncate(path, 1 << 34)  # with a hole, so that its length explains nothing


def test_pages_that_lead_nowhere_end(path: Path) -> None:
    store(path)
    endless(path)
    with RowStore(path) as opened:
        for ask in (opened.counts, lambda: list(opened.rows())):
            with pytest.raises(ConfigError, match="malformed"):
                ask()


@pytest.mark.slow
def test_a_value_that_is_too_large_is_one_line(path: Path) -> None:
    store(path)
    execute(path, "UPDATE rows SET result = zeroblob(300000000)")
    with RowStore(path) as opened, pytest.raises(ConfigError, match="too big"):
        list(opened.rows())


KILLED = """
import os, signal, sys
from pathlib import Path
from start_sdk.batch import RowStore

def killed(path, lines):
    left = lines
    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_code.co_filename.endswith(("_store.py", "_file.py", "_locks.py")):
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    child = os.fork()
    if not child:
        sys.settrace(trace)
        RowStore(path)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

lines = 0
while True:
    path = Path(sys.argv[1], str(lines), "rows.sqlite")
    path.parent.mkdir()
    if not killed(path, lines):
        break
    RowStore(path).close()
    assert os.listdir(path.parent) == [path.name]
    lines += 1
print(lines)
"""


def test_a_store_that_was_killed_while_it_was_created_can_be_opened(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


OPENED = """
import sys
from start_sdk.batch import RowStore
RowStore(sys.argv[1]).close()
"""


def test_a_second_store_of_a_process_keeps_the_locks_of_the_first(path: Path) -> None:
    """Closing any descriptor of a file drops a process's locks on it, those of SQLite too: another
    process would then take the log for its own."""
    with RowStore(path) as first:
        first.add([A])
        RowStore(path).close()
        subprocess.run([sys.executable, "-c", OPENED, str(path)], check=True, timeout=60)
        assert path.with_name("rows.sqlite-wal").exists()
        assert first.counts() == {"todo": 1}


def test_an_export_does_not_write_through_a_link(tmp_path: Path, precious: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / f".rows.jsonl.{os.getpid()}").symlink_to(precious)
    (folder / "rows.jsonl").symlink_to(precious)
    export_jsonl([Row(A, "todo")], folder / "rows.jsonl")
    assert precious.read_bytes() == b"dear diary\n"
