"""Batches: bounded, fair, cancellable; and nothing is lost or done twice, however they end."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from start_sdk import BackendError, BeforeEnd, ConfigError, Limits, NoHints, Sampling
from start_sdk.batch import (
    BatchProgress,
    Job,
    Row,
    RowStore,
    config_hash,
    in_rounds,
    model_hash,
    run_batch,
)

JOBS = [Job(problem=f"p{n}", input={"n": n}) for n in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RowStore(tmp_path / "rows.sqlite") as store:
        yield store


async def test_jobs_start_in_order_and_no_more_than_allowed_at_once(store: RowStore) -> None:
    started: list[str] = []
    running, most = 0, 0

    async def work(job: Job) -> dict[str, object]:
        nonlocal running, most
        started.append(job.problem)
        running += 1
        most = max(most, running)
        for _ in range(7 - job.input["n"]):  # the earlier ones take longer
            await asyncio.sleep(0)
        running -= 1
        return {"n": job.input["n"]}

    rows: list[Row] = []
    assert await run_batch(store, JOBS, work, max_concurrency=3, on_row=rows.append) == {"done": 6}
    assert started == [job.problem for job in JOBS] and most == 3
    assert [row.result for row in store.rows()] == [{"n": n} for n in range(6)]
    assert sorted(rows, key=lambda row: row.job.problem) == list(store.rows())


def test_the_first_sample_of_every_problem_comes_before_the_second_of_any() -> None:
    order = [(job.sample, job.problem) for job in in_rounds(JOBS[:2], 3)]
    assert order == [(0, "p0"), (0, "p1"), (1, "p0"), (1, "p1"), (2, "p0"), (2, "p1")]


async def test_a_job_that_fails_is_stored_and_the_rest_goes_on(store: RowStore) -> None:
    broken = {"p1", "p3"}

    async def work(job: Job) -> dict[str, object]:
        if job.problem in broken:
            raise BackendError("out of\nmemory")
        return {}

    assert await run_batch(store, JOBS, work) == {"done": 4, "failed": 2}
    assert [r.error for r in store.rows(JOBS[1:2])] == ["BackendError: out of memory"]
    broken.clear()
    assert await run_batch(store, JOBS, work) == {"done": 4, "failed": 2}
    assert await run_batch(store, JOBS, work, retry_failed=True) == {"done": 6}


@pytest.mark.parametrize("bug", [ZeroDivisionError("in work"), {"not": {"JSON"}}])
async def test_a_bug_ends_the_batch_and_gives_back_what_was_running(
    store: RowStore, bug: Any
) -> None:
    async def work(job: Job) -> dict[str, object]:
        if job.problem == "p0":
            return {}
        if job.problem == "p1":
            await asyncio.Event().wait()
        if isinstance(bug, Exception):
            raise bug
        return dict(bug)

    with pytest.raises((ZeroDivisionError, TypeError)):
        await run_batch(store, JOBS, work, max_concurrency=2)
    assert store.counts() == {"done": 1, "todo": 5}


async def test_a_cancelled_batch_keeps_what_is_done_and_can_go_on(store: RowStore) -> None:
    hanging = asyncio.Event()
    stuck = True

    async def work(job: Job) -> dict[str, object]:
        if job.problem == "p2" and stuck:
            hanging.set()
            await asyncio.Event().wait()
        return {}

    batch = asyncio.create_task(run_batch(store, JOBS[:3], work, max_concurrency=1))
    await hanging.wait()
    assert store.state(JOBS[2]) == "running"
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert store.counts() == {"done": 2, "todo": 1}
    stuck = False
    assert await run_batch(store, JOBS[:3], work) == {"done": 3}


async def test_rows_of_other_runs_are_left_alone(store: RowStore) -> None:
    other = Job(problem="p0", config="other")
    store.add([other])

    async def work(job: Job) -> dict[str, object]:
        return {}

    await run_batch(store, JOBS, work)
    assert store.state(other) == "todo"


async def test_two_stores_share_the_work_and_leave_each_other_what_runs(tmp_path: Path) -> None:
    took: dict[str, list[str]] = {"one": [], "two": []}
    both = asyncio.Barrier(2)

    async def batch(name: str) -> Counter[Any]:
        async def work(job: Job) -> dict[str, object]:
            took[name].append(job.problem)
            if len(took[name]) == 1:
                await both.wait()
            return {}

        with RowStore(tmp_path / "rows.sqlite") as store:
            return await run_batch(store, JOBS, work, max_concurrency=1)

    counts = await asyncio.gather(batch("one"), batch("two"))
    assert sorted(took["one"] + took["two"]) == [job.problem for job in JOBS]
    assert took["one"] and took["two"] and counts[-1]["done"] + counts[-1]["running"] == 6


async def test_a_batch_ends_while_another_process_has_a_row_in_hand(
    store: RowStore, tmp_path: Path
) -> None:
    async def work(job: Job) -> dict[str, object]:
        return {}

    with RowStore(tmp_path / "rows.sqlite") as other:
        other.add(JOBS)
        assert other.claim(JOBS[0])
        assert await run_batch(store, JOBS, work) == {"done": 5, "running": 1}
    assert await run_batch(store, JOBS, work) == {"done": 6}


CLAIM = """
import sys
from start_sdk.batch import Job
from start_sdk.batch import RowStore
store = RowStore(sys.argv[1])
store.add([Job(problem="p0")])
print(store.claim(Job(problem="p0")), flush=True)
sys.stdin.read()
"""


async def test_the_row_of_a_process_that_dies_on_the_way_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", CLAIM, str(path)]
    other = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert other.stdout and await other.stdout.readline() == b"True\n"
    order: list[str] = []

    async def work(job: Job) -> dict[str, object]:
        order.append(job.problem)
        if job.problem == "p3":
            other.kill()
            await other.communicate()
        return {}

    with RowStore(path) as store:
        assert await run_batch(store, JOBS, work, max_concurrency=1) == {"done": 6}
    assert order == ["p1", "p2", "p3", "p4", "p5", "p0"]


async def test_at_least_one_job_runs_at_a_time(store: RowStore) -> None:
    with pytest.raises(ConfigError, match="max_concurrency=0"):
        await run_batch(store, JOBS, lambda job: asyncio.sleep(0, {}), max_concurrency=0)


# A process that works through 40 rows. It notes each row that it starts, and tells each that it
# finished with a byte on standard output.
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


def run_out(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return process.returncode


def interrupt(process: subprocess.Popen[bytes], after: int, number: signal.Signals) -> int:
    """Sends a signal once so many rows are done; how many were told in all."""
    assert process.stdout is not None
    told = 0
    with process:
        while told < after:
            some = process.stdout.read(after - told)
            assert some, "it ended before the signal"
            told += len(some)
        process.send_signal(number)
        told += len(process.stdout.read())
    return told


def started(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "started").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("unbroken")
    run_out(worker(folder))
    with RowStore(folder / "rows.sqlite") as store:
        rows = list(store.rows())
    assert len(rows) == 40 and {row.state for row in rows} == {"done"}
    return rows


def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(
    tmp_path: Path, unbroken: list[Row]
) -> None:
    moments = [random.Random(seed).randint(1, 7) for seed in range(6)]
    done_before: list[set[str]] = []
    done: set[str] = set()
    for attempt, moment in enumerate(moments):
        done_before.append(done)
        process = worker(tmp_path, str(attempt))
        told = interrupt(process, moment, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        with RowStore(tmp_path / "rows.sqlite") as store:
            done = {row.job.problem for row in store.rows() if row.state == "done"}
        assert len(done) >= len(done_before[-1]) + told  # what was told to be done is not lost
    done_before.append(done)
    run_out(worker(tmp_path, str(len(moments))))
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert list(store.rows()) == unbroken
    again = [(name, p) for name, p in started(tmp_path) if p in done_before[int(name)]]
    assert again == []
    # Lost are at most the rows that were in flight: three for each time it was killed.
    assert len(started(tmp_path)) <= 40 + 3 * len(moments)


def test_two_processes_on_one_store_compute_every_row_once(
    tmp_path: Path, unbroken: list[Row]
) -> None:
    with worker(tmp_path, "0") as one, worker(tmp_path, "1") as other:
        run_out(one)
        run_out(other)
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert list(store.rows()) == unbroken
    assert sorted(p for _, p in started(tmp_path)) == sorted(f"p{n}" for n in range(40))


def test_ctrl_c_gives_back_what_was_running(tmp_path: Path) -> None:
    process = worker(tmp_path)
    told = interrupt(process, 5, signal.SIGINT)
    assert process.returncode != 0
    # Looked at without the recovery that opening a store brings: Ctrl-C cleaned up by itself.
    assert not list(tmp_path.glob("*-owner-*"))
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"done": told, "todo": 40 - told}


def test_the_hash_of_a_model_is_that_of_its_files_wherever_they_lie(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(1000))
    (two / "README.md").write_text("moved")
    assert model_hash(str(one)) == model_hash(str(two))
    (two / "model.safetensors").write_bytes(bytes(999) + b"\1")  # as long, another number
    assert model_hash(str(one)) != model_hash(str(two))
    assert model_hash("some-server's model") == "some-server's model"


def test_the_hash_of_a_hub_model_is_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    snapshot = tmp_path / "models--acme--tiny" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--acme--tiny" / "refs").mkdir()
    (tmp_path / "models--acme--tiny" / "refs" / "main").write_text("0123abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert model_hash("acme/tiny") == "0123abc"


def test_whatever_shapes_a_result_changes_the_hash_of_the_configuration() -> None:
    class Unnamed:  # its repr holds an address
        pass

    def hashed(**changed: object) -> str:
        given = {"sampling": Sampling(), "limits": Limits(), "hints": NoHints(), "tool": Unnamed()}
        return config_hash("server", **(given | changed))

    others = [
        hashed(sampling=Sampling(temperature=0)),
        hashed(limits=Limits(max_calls=1)),
        hashed(hints=BeforeEnd()),
        hashed(extra=1),
    ]
    assert hashed() == hashed() and len({hashed(), *others}) == 5


def test_progress_on_a_terminal_is_a_bar_with_its_line() -> None:
    console = Console(width=200, force_terminal=True, color_system=None)
    with console.capture() as shown, BatchProgress(2, console=console) as progress:
        progress.add(Row(JOBS[0], "done", {}))
    assert "━" in shown.get() and "1 of 2 rows" in shown.get()


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    now = 0.0
    console = Console(width=200, force_terminal=False)
    trace = {
        "usage": {"prompt": 10, "model": 1_200, "hint": 0},
        "seconds": {"model": 3.0, "tool": 1.0},
        "segments": [{"call": None}, {"call": {}}],
    }
    with (
        console.capture() as shown,
        BatchProgress(20, before=4, console=console, clock=lambda: now) as progress,
    ):
        for n in range(4):
            now += 10
            failed = Row(JOBS[0], "failed", error="no")
            progress.add(failed if n == 0 else Row(JOBS[0], "done", {"trace": trace}))
    assert progress.tally.calls == 3
    assert shown.get() == (
        "7 of 20 rows · 1 failed · 6.0 rows/min · about 0:02:10 left · "
        "tokens: prompt 20, model 2,400 · tools 25% of the time\n"
    )
