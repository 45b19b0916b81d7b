"""RowStore: rows survive their process, and each has one owner at a time."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from start_sdk import ConfigError
from start_sdk.batch import Job, Row, RowStore, export_jsonl, export_parquet, sample_seed


def job(problem: str, **parts: object) -> Job:
    return Job(problem=problem, input={"text": problem}, **parts)  # type: ignore[arg-type]


A, B, C = job("a"), job("b"), job("c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def test_rows_are_returned_in_insertion_order(path: Path) -> None:
    with RowStore(path) as store:
        store.add([B, A])
        assert store.claim(A) and store.claim(B)
        store.finish(A, {"answer": "\ud800 é"})  # a lone surrogate: models write anything
        store.fail(B, "two\nlines")
    with RowStore(path) as store:
        store.add([A, C, B])
        assert list(store.rows()) == [
            Row(B, "failed", error="two lines"),
            Row(A, "done", {"answer": "\ud800 é"}),
            Row(C, "todo"),
        ]
        assert [row.job for row in store.rows([C, A])] == [C, A]
        assert store.counts() == {"failed": 1, "done": 1, "todo": 1}
        assert store.counts([A, job("never added")]) == {"done": 1}
        assert [row.job.input for row in store.rows([A])] == [{"text": "a"}]


def test_every_key_field_identifies_a_row_and_the_input_does_not(path: Path) -> None:
    others = [job("a", sample=1), job("a", policy="end"), job("a", seed=1), job("a", config="f00")]
    jobs = [A, *others]
    renewed = Job(problem="a", input={"text": "a", "level": 3})
    with RowStore(path) as store:
        store.add(jobs)
        store.add([*jobs, renewed])
        assert [row.job for row in store.rows()] == jobs
        assert next(store.rows([A])).job.input == renewed.input


def test_a_row_has_one_owner_at_a_time(path: Path) -> None:
    with RowStore(path) as one, RowStore(path) as two:
        one.add([A, B])
        assert one.claim(A) and not two.claim(A) and not one.claim(A)
        assert two.recover() == 0
        with pytest.raises(ConfigError, match="not claimed by this store"):
            two.finish(A, {})
        one.release(A)
        assert two.claim(A)
        two.finish(A, {})
        assert not one.claim(A) and one.state(A) == "done"
        assert not one.claim(job("never added"))


def test_closing_a_store_releases_its_rows(path: Path) -> None:
    with RowStore(path) as other:
        other.add([A])
        with RowStore(path) as store:
            assert store.claim(A)
        assert other.state(A) == "todo"
    store.close()
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_failed_rows_are_claimed_again_only_on_request(path: Path) -> None:
    with RowStore(path) as store:
        store.add([A, B])
        for each in (A, B):
            assert store.claim(each)
            store.fail(each, "no")
            assert not store.claim(each)
        store.retry([B, C])
        assert not store.claim(A) and store.claim(B)


CLAIM = """
import os, sys
from start_sdk.batch import Job
from start_sdk.batch import RowStore
store = RowStore(sys.argv[1])
assert store.claim(Job(problem="a"))
if os.fork() == 0:  # a child that outlives its parent
    print("claimed", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


def test_the_rows_of_a_killed_process_are_free_at_once(path: Path) -> None:
    with RowStore(path) as store:
        store.add([A])
        with subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == b"claimed\n"
            assert store.recover() == 0 and not store.claim(A)
            process.kill()
            assert process.wait() == -9
            assert store.recover() == 1 and store.claim(A)
    with RowStore(path):
        assert len([p for p in path.parent.iterdir() if "-owner-" in p.name]) == 1


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()


def newer(path: Path) -> None:
    RowStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def test_a_file_may_be_created_by_many_threads_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def opened(path: Path) -> None:
        together.wait(timeout=30)
        RowStore(path).close()

    with ThreadPoolExecutor(8) as threads:
        for number in range(5):
            list(threads.map(opened, [tmp_path / f"{number}.sqlite"] * 8))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "file is not a database"),
        (Path.mkdir, "is a folder, not a file of a row store"),
        (foreign, "not a row store but another database"),
        (newer, "has row store version 99, but this start-sdk reads version 2"),
    ],
)
def test_a_file_that_is_not_a_row_store_is_one_clear_line(
    path: Path, make: object, says: str
) -> None:
    make(path)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=says) as caught:
        RowStore(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not [p for p in path.parent.iterdir() if "-owner-" in p.name]


def test_later_damage_is_one_clear_line_too(path: Path) -> None:
    with RowStore(path) as store:
        store.add([job(f"{n:0200}") for n in range(200)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="malformed"), RowStore(path) as store:
        list(store.rows())


def test_a_seed_beyond_64_bits_is_rejected() -> None:
    with pytest.raises(ConfigError, match="seed=9223372036854775808"):
        Job(problem="a", seed=2**63)


def test_sample_seeds_are_distinct_and_stable() -> None:
    jobs = [job(p, sample=k, seed=s) for p in "ab" for k in range(3) for s in range(3)]
    assert len({sample_seed(j) for j in jobs}) == len(jobs)
    # A run continued with a newer version must use the same seeds as the older one.
    assert sample_seed(job("a", sample=2, seed=7)) == SEED
    assert sample_seed(job("a", sample=2, seed=7, config="another")) == SEED


SEED = 18_066_055_223_917


def test_both_exports_contain_the_same_rows(path: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with RowStore(path) as store:
        store.add([A, B, C])
        for each in (A, B):
            assert store.claim(each)
        store.finish(A, {"answer": 4, "text": "\ud800 é\n", "nested": {"x": [1, None]}})
        store.fail(B, "no")
        rows = list(store.rows())
        assert export_jsonl(rows, tmp_path / "rows.jsonl") == 3
        assert export_parquet(rows, tmp_path / "rows.parquet") == 3
    text = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines == [row.as_dict() for row in rows]
    table = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    for found in table:
        for name in ("input", "result"):
            found[name] = json.loads(found[name] or "null")
    assert table == lines


def test_a_failed_export_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    export_jsonl([Row(A, "todo")], path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        export_jsonl([Row(B, "todo"), Row(C, "done", {"x": object()})], path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match="cannot write"):
        export_jsonl([], tmp_path / "nowhere" / "rows.jsonl")
