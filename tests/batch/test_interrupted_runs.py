"""Batch runs in separate processes that are killed, interrupted, or share a store."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from start_sdk.batch import Row, RowStore

# A process that works through 40 rows. It records each row that it starts, and reports each row
# that it finishes with a byte on standard output.
WORKER = """
import asyncio, hashlib, os, sys
from start_sdk.batch import run_batch
from start_sdk.batch import Job
from start_sdk.batch import RowStore

folder, name = sys.argv[1:]
notes = os.open(f"{folder}/started", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

async def work(job):
    os.write(notes, f"{name} {job.problem}\\n".encode())
    value = job.problem
    for _ in range(20):
        value = hashlib.sha256(value.encode() * 1000).hexdigest()
        await asyncio.sleep(0)
    return {"value": value * 50}

with RowStore(f"{folder}/rows.sqlite") as store:
    jobs = [Job(problem=f"p{n}") for n in range(40)]
    asyncio.run(run_batch(store, jobs, work, max_concurrency=3, on_row=lambda row: os.write(1, b".")))
"""


def worker(folder: Path, name: str = "0") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)


def run_to_end(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return process.returncode


def interrupt(process: subprocess.Popen[bytes], after: int, number: signal.Signals) -> int:
    """Sends a signal once `after` rows are done; returns how many were reported in total."""
    assert process.stdout is not None
    reported = 0
    with process:
        while reported < after:
            received = process.stdout.read(after - reported)
            assert received, "it ended before the signal"
            reported += len(received)
        process.send_signal(number)
        reported += len(process.stdout.read())
    return reported


def started(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "started").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("unbroken")
    run_to_end(worker(folder))
    with RowStore(folder / "rows.sqlite") as store:
        rows = list(store.rows())
    assert len(rows) == 40 and {row.state for row in rows} == {"done"}
    return rows


def test_a_repeatedly_killed_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, unbroken: list[Row]
) -> None:
    kills_after = [random.Random(seed).randint(1, 7) for seed in range(6)]
    done_before: list[set[str]] = []
    done: set[str] = set()
    for attempt, rows in enumerate(kills_after):
        done_before.append(done)
        process = worker(tmp_path, str(attempt))
        reported = interrupt(process, rows, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        with RowStore(tmp_path / "rows.sqlite") as store:
            done = {row.job.problem for row in store.rows() if row.state == "done"}
        assert len(done) >= len(done_before[-1]) + reported  # no reported row is lost
    done_before.append(done)
    run_to_end(worker(tmp_path, str(len(kills_after))))
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert list(store.rows()) == unbroken
    again = [(name, p) for name, p in started(tmp_path) if p in done_before[int(name)]]
    assert again == []
    # At most the rows in flight are lost: three per kill.
    assert len(started(tmp_path)) <= 40 + 3 * len(kills_after)


def test_two_processes_on_one_store_compute_every_row_once(
    tmp_path: Path, unbroken: list[Row]
) -> None:
    with worker(tmp_path, "0") as one, worker(tmp_path, "1") as other:
        run_to_end(one)
        run_to_end(other)
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert list(store.rows()) == unbroken
    assert sorted(p for _, p in started(tmp_path)) == sorted(f"p{n}" for n in range(40))


def test_ctrl_c_releases_running_rows(tmp_path: Path) -> None:
    process = worker(tmp_path)
    reported = interrupt(process, 5, signal.SIGINT)
    assert process.returncode != 0
    # Checked before opening a store, which would recover rows: Ctrl-C itself cleaned up.
    assert not list(tmp_path.glob("*-owner-*"))
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"done": reported, "todo": 40 - reported}
