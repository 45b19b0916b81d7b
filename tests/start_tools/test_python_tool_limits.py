"""Cells that run too long, write too much, or end their kernel.

Each of these hung, returned wrong results or leaked in a peer (reference: gpt-oss, jupyter_client,
nbclient). Time bounds are wide because the machine may be busy.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import start_tools.python.cell
import start_tools.python.kernel
import start_tools.python.plain
from start_tools.python import PythonTool

from start_sdk.errors import InterpreterError
from start_sdk.protocols import CellResult, Kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")

Until = Callable[[Callable[[], object]], Awaitable[None]]
STUBBORN = "import time\nwhile True:\n  try:\n    time.sleep(1)\n  except BaseException:\n    pass"


async def folder(kernel: Kernel) -> Path:
    return Path((await kernel.run("import os; print(os.getcwd())")).text)


def check_timeout(result: CellResult, limit: float, within: float = 20) -> None:
    assert (result.status, result.state_kept) == ("timeout", True)
    assert result.text.splitlines()[-1] == (
        f"TimeoutError: the cell ran longer than {limit:g} s and was interrupted;"
        " variables are kept."
    )
    assert limit <= result.seconds < limit + within


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import asyncio\nawait asyncio.sleep(60)",
        "import asyncio\nawait asyncio.to_thread(lambda: None)\nawait asyncio.Event().wait()",
        "pow(7, 10**9)",
        "import threading\nthreading.Event().wait()",
        "import subprocess\nsubprocess.run(['sleep', '60'])",
        "import os\nos.system('sleep 60')",
        "!sleep 60",
    ],
)
async def test_a_cell_that_runs_too_long_is_interrupted(kernel: Kernel, code: str) -> None:
    await kernel.run("kept = 'still here'")

    check_timeout(await kernel.run(code, timeout=0.5), 0.5)
    # The stale cell: unless the interrupted request is waited for, the next one returns empty
    # output and "ok".
    assert (await kernel.run("print('next'); kept")).text == "next\n'still here'"


@pytest.mark.usefixtures("patient")
async def test_a_cell_that_keeps_printing_still_times_out(kernel: Kernel) -> None:
    code = "import time\nfor i in range(100):\n  print(i, flush=True)\n  time.sleep(0.1)"

    result = await kernel.run(code, timeout=1)

    check_timeout(result, 1)
    assert result.text.startswith("0\n1\n") and "\nline 4: time.sleep(0.1)\n" in result.text
    assert "KeyboardInterrupt" not in result.text


@pytest.mark.usefixtures("patient")
@pytest.mark.usefixtures("patient")
async def test_a_limit_that_ends_before_the_cell_begins_loses_nothing(kernel: Kernel) -> None:
    await kernel.run("kept = 1")

    check_timeout(await kernel.run("import time\ntime.sleep(60)", timeout=1e-6), 1e-6)
    assert (await kernel.run("kept")).text == "1"


@pytest.mark.usefixtures("patient")
async def test_the_timeout_of_the_tool_applies_unless_a_cell_has_its_own() -> None:
    tool = PythonTool(isolation="plain", preload=(), timeout=0.5)
    async with tool.open() as kernel:
        check_timeout(await kernel.run("while True: pass"), 0.5)
        assert (await kernel.run("import time\ntime.sleep(0.7)", timeout=20)).status == "ok"


async def test_a_cell_that_ignores_the_interrupt_is_killed_and_reported(kernel: Kernel) -> None:
    await kernel.run("gone = 1")

    result = await kernel.run(f"print('before', flush=True)\n{STUBBORN}", timeout=0.5)

    assert (result.status, result.state_kept) == ("killed", False)
    assert result.text == (
        "before\nTimeoutError: the cell ran longer than 0.5 s and did not stop;"
        " the kernel was killed and its variables are gone."
    )
    assert 2.5 <= result.seconds < 30
    after = await kernel.run("'gone' in globals()")
    assert (after.status, after.text, after.state_kept) == ("ok", "False", True)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import os\nos._exit(3)", 3),
        ("import ctypes\nctypes.string_at(0)", -11),
        ("import os\nos.kill(os.getpid(), 9)", -9),
        ("import os\nos.abort()", -6),
    ],
)
async def test_a_kernel_that_dies_is_noticed_immediately_and_reported(
    kernel: Kernel, code: str, exit_code: int
) -> None:
    result = await kernel.run(code)

    assert (result.status, result.state_kept) == ("died", False)
    assert result.text == f"The kernel died (exit code {exit_code}); its variables are gone."
    assert result.seconds < 20
    assert (await kernel.run("1 + 1")).text == "2"


async def test_a_kernel_that_linux_kills_for_memory_is_reported(
    fresh_plain: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = itertools.count(1)
    monkeypatch.setattr(start_tools.python.plain, "oom_kills", lambda: next(counter) * 100)

    result = await fresh_plain.run("import os\nos.kill(os.getpid(), 9)")

    assert (result.status, result.state_kept) == ("oom", False)
    assert result.text == "The kernel was killed when memory ran out; its variables are gone."


async def test_linux_kills_the_kernel_before_the_host(kernel: Kernel) -> None:
    assert (await kernel.run("print(open('/proc/self/oom_score_adj').read())")).text == "1000"


async def test_a_death_between_cells_is_reported_by_the_next(
    fresh_plain: Kernel, until: Until
) -> None:
    number = int((await fresh_plain.run("import os; os.getpid()")).text)
    await fresh_plain.run(
        "lost = 1\nimport os, threading\nthreading.Timer(0.1, os._exit, (7,)).start()"
    )
    await until(lambda: not os.path.exists(f"/proc/{number}"))  # reaped, not just dead

    result = await fresh_plain.run("'lost' in globals()")

    assert (result.status, result.state_kept) == ("ok", False)
    assert result.text == (
        "The kernel died between cells (exit code 7); variables of earlier cells are gone.\nFalse"
    )
    assert (await fresh_plain.run("1")).state_kept


async def test_if_no_new_kernel_can_start_the_next_run_raises(
    fresh_plain: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fresh_plain.run("import os\nos._exit(1)")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "no-such-python")
        with pytest.raises(InterpreterError, match="did not start"):
            await fresh_plain.run("1")

    assert (await fresh_plain.run("1")).text == "1"


@pytest.mark.usefixtures("patient")
async def test_a_cancelled_cell_is_interrupted_and_the_kernel_is_kept(
    fresh_plain: Kernel, until: Until
) -> None:
    here = await folder(fresh_plain)
    code = "kept = 3\nopen('begun', 'w').close()\nimport time\ntime.sleep(60)"
    task = asyncio.create_task(fresh_plain.run(code, timeout=100))
    await until((here / "begun").exists)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    result = await fresh_plain.run("kept")
    assert (result.text, result.state_kept) == ("3", True)


async def test_a_cancelled_cell_that_ignores_the_interrupt_is_killed_and_reported(
    fresh_plain: Kernel, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_tools.python.kernel, "INTERRUPT_GRACE", 0.5)
    here = await folder(fresh_plain)
    task = asyncio.create_task(fresh_plain.run(f"open('begun', 'w').close()\n{STUBBORN}"))
    await until((here / "begun").exists)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    result = await fresh_plain.run("1 + 1")
    assert (result.status, result.state_kept) == ("ok", False)
    assert result.text == (
        "The kernel was killed, as a cancelled cell did not stop;"
        " variables of earlier cells are gone.\n2"
    )


@pytest.mark.usefixtures("patient")
async def test_a_flood_in_one_piece_is_cut_and_does_not_fill_the_host(kernel: Kernel) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    result = await kernel.run("kept = 1\nprint('x' * 200_000_000)", timeout=60)

    assert (result.status, result.state_kept) == ("error", True)
    assert "\nOutputError: the cell wrote more than 20,000,000 characters" in result.text
    # It is written in pieces, so the interrupt may keep some of them from being written.
    assert result.cut > 19_990_000 and len(result.text) < 4300
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    assert grown < 50_000
    assert (await kernel.run("kept")).text == "1"


@pytest.mark.usefixtures("patient")
async def test_an_endless_flood_is_interrupted(kernel: Kernel) -> None:
    result = await kernel.run("while True: print('x' * 1000)", timeout=60)

    assert (result.status, result.state_kept) == ("error", True)
    assert result.text.endswith("20,000,000 characters and was interrupted; variables are kept.")
    assert result.seconds < 30
    assert (await kernel.run("1")).text == "1"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("for i in range(10_000): display(i)", 10_000),
        ("for i in range(100_000): print(i)", 100_000),
    ],
)
async def test_long_output_is_complete_and_cut_characters_are_counted(
    kernel: Kernel, code: str, count: int
) -> None:
    result = await kernel.run(code, timeout=120)

    whole = "".join(f"{i}\n" for i in range(count))
    head, _, tail = result.text.partition(f"\n[... {result.cut:,} characters left out ...]\n")
    assert (result.status, result.cut) == ("ok", len(whole) - 4000)
    assert whole.startswith(head) and whole.rstrip().endswith(tail)
    assert len(head) + len(tail) > 3990


async def test_a_host_that_reads_slowly_loses_nothing(kernel: Kernel) -> None:
    code = "for i in range(4000): print(i, flush=True)"  # a message each; queues hold 1000
    running = asyncio.create_task(kernel.run(code, timeout=60))
    await asyncio.wait([running], timeout=0.1)
    time.sleep(1)  # noqa: ASYNC251  # this is the slow host

    result = await running

    head, _, tail = re.split(r"(\n\[\.\.\. .* \.\.\.\]\n)", result.text)
    assert head.startswith("0\n1\n") and tail.endswith("\n3999")
    written = sum(len(f"{i}\n") for i in range(4000))
    assert abs(written - len(head) - len(tail) - result.cut) <= 3


async def test_forged_messages_do_not_hang_the_host(
    fresh: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_tools.python.cell, "GRACE", 1.0)
    send = (
        "from jupyter_client.session import Session\n"
        "kernel = get_ipython().kernel\n"
        "session = Session(key=kernel.session.key)\n"
        "def send(content):\n"
        "  session.send(kernel.iopub_socket, 'stream', content, parent=kernel.get_parent())\n"
    )
    odd = "for c in ({}, {'text': 3}, {'text': [1]}, {'text': None}): send(c)\nprint('fine')"
    assert (await fresh.run(send + odd)).text == "fine"

    # The host drops the connection after so large a message: the end of the cell never arrives.
    result = await fresh.run("send({'text': 'x' * 50_000_000})", timeout=30)

    assert (result.status, result.state_kept) == ("killed", False)
    assert (
        result.text == "The cell's end got lost; the kernel was killed and its variables are gone."
    )
    assert (await fresh.run("1")).text == "1"


async def test_the_event_loop_is_never_blocked(tool: PythonTool) -> None:
    lags: list[float] = []

    async def heartbeat() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.01)
            lags.append(time.thread_time() - began)

    beating = asyncio.create_task(heartbeat())
    async with tool.open() as kernel:
        await kernel.run("for i in range(1000): display(i)")
        await kernel.run("print('x' * 50_000_000)")
        await kernel.run("import os\nos._exit(1)")
        await kernel.run("1")
    beating.cancel()

    # CPU time of this thread between two beats, so that other processes do not count.
    assert max(lags) < 0.3
