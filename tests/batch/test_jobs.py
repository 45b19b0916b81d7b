"""Batches are bounded, fair and cancellable; however they end, no work is lost or repeated."""

from __future__ import annotations

import asyncio
import re
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
    LiveTable,
    Row,
    RowStore,
    State,
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


async def test_jobs_start_in_order_within_max_concurrency(store: RowStore) -> None:
    started: list[str] = []
    running, peak = 0, 0

    async def work(job: Job) -> dict[str, object]:
        nonlocal running, peak
        started.append(job.problem)
        running += 1
        peak = max(peak, running)
        for _ in range(7 - job.input["n"]):  # the earlier ones take longer
            await asyncio.sleep(0)
        running -= 1
        return {"n": job.input["n"]}

    rows: list[Row] = []
    assert await run_batch(store, JOBS, work, max_concurrency=3, on_row=rows.append) == {"done": 6}
    assert started == [job.problem for job in JOBS] and peak == 3
    assert [row.result for row in store.rows()] == [{"n": n} for n in range(6)]
    assert sorted(rows, key=lambda row: row.job.problem) == list(store.rows())


def test_first_samples_come_before_second_samples() -> None:
    order = [(job.sample, job.problem) for job in in_rounds(JOBS[:2], 3)]
    assert order == [(0, "p0"), (0, "p1"), (1, "p0"), (1, "p1"), (2, "p0"), (2, "p1")]


async def test_a_failed_job_is_stored_and_the_others_continue(store: RowStore) -> None:
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
async def test_a_bug_ends_the_batch_and_releases_running_jobs(store: RowStore, bug: Any) -> None:
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


async def test_a_cancelled_batch_keeps_finished_rows_and_can_continue(store: RowStore) -> None:
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


async def test_rows_of_other_runs_are_not_touched(store: RowStore) -> None:
    other = Job(problem="p0", config="other")
    store.add([other])

    async def work(job: Job) -> dict[str, object]:
        return {}

    await run_batch(store, JOBS, work)
    assert store.state(other) == "todo"


async def test_two_stores_share_the_work_and_respect_each_others_claims(tmp_path: Path) -> None:
    done: dict[str, list[str]] = {"one": [], "two": []}
    both = asyncio.Barrier(2)

    async def batch(name: str) -> Counter[Any]:
        async def work(job: Job) -> dict[str, object]:
            done[name].append(job.problem)
            if len(done[name]) == 1:
                await both.wait()
            return {}

        with RowStore(tmp_path / "rows.sqlite") as store:
            return await run_batch(store, JOBS, work, max_concurrency=1)

    counts = await asyncio.gather(batch("one"), batch("two"))
    assert sorted(done["one"] + done["two"]) == [job.problem for job in JOBS]
    assert done["one"] and done["two"] and counts[-1]["done"] + counts[-1]["running"] == 6


async def test_a_batch_ends_while_another_process_still_holds_a_row(
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


async def test_the_row_of_a_process_that_dies_midway_is_taken_over(tmp_path: Path) -> None:
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


async def test_max_concurrency_must_be_at_least_one(store: RowStore) -> None:
    with pytest.raises(ConfigError, match="max_concurrency=0"):
        await run_batch(store, JOBS, lambda job: asyncio.sleep(0, {}), max_concurrency=0)


def test_the_hash_of_a_model_depends_on_its_files_and_not_on_their_path(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(1000))
    (two / "README.md").write_text("moved")
    assert model_hash(str(one)) == model_hash(str(two))
    (two / "model.safetensors").write_bytes(bytes(999) + b"\1")  # the same size, other content
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


def test_every_setting_that_affects_a_result_changes_the_config_hash() -> None:
    class Unnamed:  # its repr contains an address
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


def test_progress_on_a_terminal_is_a_bar_with_a_line() -> None:
    console = Console(width=200, force_terminal=True, color_system=None)
    with console.capture() as shown, BatchProgress(2, console=console) as progress:
        progress.add(Row(JOBS[0], "done", {}))
    assert "━" in shown.get() and "1 of 2 rows" in shown.get()


def test_progress_without_a_terminal_is_an_occasional_line() -> None:
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


def test_a_table_counts_right_answers_and_calls_by_family(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")

    def row(family: str, correct: bool, state: State = "done") -> Row:
        result = {"correct": correct, "trace": {"segments": [{"call": {}}]}}
        return Row(Job(problem="p", input={"family": family}), state, result)

    # A failed row is tried again: only its second try counts.
    with LiveTable([row("sums", True), row("sums", False, "failed")], 3) as table:
        table.add(row("sums", False))
        table.add(row("primes", True))
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    last = said[said.rindex("family") :]
    cells = [re.findall(r"[\w.%]+", line) for line in last.splitlines()]
    for expected in (
        ["sums", "2", "50%", "1.00"],
        ["primes", "1", "100%", "1.00"],
        ["all", "3", "67%", "1.00"],
    ):
        assert expected in cells
    assert "3 of 3 rows" in last
