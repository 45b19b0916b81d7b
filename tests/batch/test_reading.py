"""Finished rows are read one at a time, from a store that others may write to, or from JSON Lines."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from rows import write_rows
from typer.testing import CliRunner

from start_sdk import ConfigError
from start_sdk.batch import Job, Row, RowStore, export_jsonl, read_rows
from start_sdk.cli import app


def job(problem: str) -> Job:
    return Job(problem=problem, input={"text": f"{problem}\u2028\ud800"})


A, B, C, D = map(job, "abcd")
FINISHED = [Row(B, "done", {"answer": "\u2028\ud800\x7f"}), Row(A, "failed", error="no")]


def test_a_store_and_lines_give_the_same_finished_rows(tmp_path: Path) -> None:
    write_rows(tmp_path, FINISHED)
    with RowStore(tmp_path / "rows.sqlite") as store:
        store.add([C, D])
        assert store.claim(C)
        assert list(read_rows(tmp_path)) == FINISHED
        assert store.state(C) == "running" and store.state(D) == "todo"
        export_jsonl(store.rows(), tmp_path / "all.jsonl")
    assert list(read_rows(tmp_path / "rows.sqlite")) == FINISHED
    assert list(read_rows(tmp_path / "all.jsonl")) == FINISHED
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.jsonl", "rows.sqlite"]
    (tmp_path / "rows.sqlite").unlink()
    (tmp_path / "all.jsonl").rename(tmp_path / "rows.jsonl")
    assert list(read_rows(tmp_path)) == FINISHED


def test_rows_that_finish_meanwhile_are_read_and_none_is_held(tmp_path: Path) -> None:
    write_rows(tmp_path, FINISHED)
    found = read_rows(tmp_path)
    assert next(found) == FINISHED[0]
    with RowStore(tmp_path / "rows.sqlite") as store:
        store.add([C])
        assert store.claim(C)
        store.finish(C, {})
    assert list(found) == [FINISHED[1], Row(C, "done", {})]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.sqlite"]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    text = "".join(map(str, range(20_000)))  # about 100 kB
    write_rows(tmp_path, (Row(job(f"p{n}"), "done", {"text": text}) for n in range(40)))
    export_jsonl(read_rows(tmp_path), tmp_path / "lines")
    for path in (tmp_path, tmp_path / "lines"):
        tracemalloc.start()
        assert sum(1 for _ in read_rows(path)) == 40
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
        tracemalloc.stop()


def test_a_store_takes_much_less_than_its_rows(tmp_path: Path) -> None:
    ids = [n * n % 50_257 for n in range(9_000)]
    trace = {"text": "So it is 4, since 2 + 2 is 4. " * 900, "token_ids": ids}
    write_rows(tmp_path, [Row(job(f"p{n}"), "done", trace) for n in range(20)])
    export_jsonl(read_rows(tmp_path), tmp_path / "rows.jsonl")
    sizes = [(tmp_path / name).stat().st_size for name in ("rows.sqlite", "rows.jsonl")]
    assert sizes[0] < sizes[1] / 2


def test_a_row_too_large_to_be_read_is_not_written(tmp_path: Path) -> None:
    with RowStore(tmp_path / "rows.sqlite") as store:
        store.add([A])
        assert store.claim(A)
        with pytest.raises(ConfigError, match="bytes is too large: at most 67,108,864"):
            store.finish(A, {"text": "x" * (1 << 26)})
        assert store.state(A) == "running"


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path, "contains no rows: it has no rows.sqlite and no rows.jsonl"),
        (tmp_path / "gone", "cannot read .*gone': No such file"),
        (tmp_path / "gone.sqlite", "cannot read .*gone.sqlite': no such file"),
    ):
        with pytest.raises(ConfigError, match=says):
            list(read_rows(path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "7", "{}", '{"problem": 1}', f'"{"x" * 9}"', "1" * 5000, "", "\udcff"]
)
def test_lines_that_are_no_rows_are_one_error(tmp_path: Path, line: str) -> None:
    good = json.dumps(FINISHED[0].as_dict())
    text = f"{good}\n{line}\n"
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match="line 2: not a row") as caught:
        list(read_rows(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_command_prints_rows_as_json_lines(tmp_path: Path) -> None:
    write_rows(tmp_path, FINISHED)
    done = CliRunner().invoke(app, ["rows", str(tmp_path)])
    assert done.exit_code == 0 and "\x7f" not in done.stdout
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        row.as_dict() for row in FINISHED
    ]
    assert CliRunner().invoke(app, ["rows", str(tmp_path / "gone")]).exit_code == 2


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(ConfigError, match="contains no rows"):
        list(read_rows(tmp_path))
