"""Kernels from a pool: ready immediately, in order, within a limit, and removed completely."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from start_tools.python import PythonTool
from start_tools.python import pool as pools
from start_tools.python.isolation import trouble

from benchmarks import soak
from start_sdk.errors import InterpreterError

pytestmark = pytest.mark.skipif(bool(trouble("namespaces")), reason="no namespaces here")

Until = Callable[[Callable[[], object]], Awaitable[None]]


def make(**settings: object) -> PythonTool:
    return PythonTool(isolation="namespaces", preload=(), **settings)  # type: ignore[arg-type]


def descendants(pid: int) -> list[int]:
    """All descendants of a process, except zombies."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # a thread or process that has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text(encoding="ascii").split():
                    if runs(int(child)):
                        found += [int(child), *descendants(int(child))]
    return found


def runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


async def test_kernels_share_nothing() -> None:
    async with make().open() as one, make().open() as two:
        await one.run("x = 1\nopen('/tmp/mine', 'w').close()")
        seen = await two.run(
            "import os\n'x' in globals(), 'mine' in os.listdir('/tmp'), os.listdir('.')"
        )
        users = {(await kernel.run("import os; os.getuid()")).text for kernel in (one, two)}

    assert seen.text == "(False, False, [])"
    assert len(users) == (2 if os.getuid() == 0 else 1)


async def test_random_numbers_differ_between_kernels() -> None:
    code = "import random, uuid, numpy\nrandom.random(), uuid.uuid4(), numpy.random.rand()"
    texts = set()
    for _ in range(3):
        async with PythonTool(isolation="namespaces", preload=("numpy",)).open() as kernel:
            texts.add((await kernel.run(code)).text)

    assert len(texts) == 3


@pytest.mark.slow
@pytest.mark.parametrize("part", [soak.cells, soak.opens])
async def test_long_use_leaves_nothing_behind(
    part: Callable[[int], Awaitable[tuple[soak.Row, soak.Row]]],
) -> None:
    first, last = await part(40)

    # Time and memory mean nothing in so short a run: use `python -m benchmarks.soak`.
    found = soak.verdicts("", first, last)
    counts = [row for row in found if "MB" not in row[0] and "time" not in row[0]]
    assert all(value <= most for _, value, most in counts), found


async def test_the_longest_waiting_caller_gets_the_next_kernel() -> None:
    tool = make(max_kernels=1, warm=0)
    order: list[int] = []

    async def session(number: int) -> None:
        async with tool.open() as kernel:
            order.append(number)
            await kernel.run("1")

    async with tool.open():
        waiting = []
        for number in range(4):
            waiting.append(asyncio.create_task(session(number)))
            await asyncio.wait(waiting, timeout=0.05)
        assert order == []
        waiting[1].cancel()
    await asyncio.wait(waiting)

    assert order == [0, 2, 3]


async def test_a_full_pool_is_a_clear_error() -> None:
    tool = make(max_kernels=1, warm=0, wait=0.2)
    async with tool.open() as kernel:
        with pytest.raises(InterpreterError, match=r"free for 0.2 s: 1 are open, max_kernels is 1"):
            async with tool.open():
                pass
        assert (await kernel.run("1")).text == "1"
    async with tool.open() as kernel:
        assert (await kernel.run("2")).text == "2"


async def test_kernels_serve_several_event_loops() -> None:
    texts: dict[int, str] = {}

    async def session(i: int) -> None:
        async with make().open() as kernel:
            await kernel.run(f"x = {i}")
            texts[i] = (await kernel.run("x")).text

    threads = [threading.Thread(target=asyncio.run, args=(session(i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert texts == {0: "0", 1: "1", 2: "2"}


async def test_a_dead_zygote_is_replaced_and_its_lost_kernels_are_reported() -> None:
    tool = make(warm=1, max_chars=1000)  # its own pool
    before = set(descendants(os.getpid()))
    async with tool.open() as kernel:
        await kernel.run("x = 1")
        for pid in set(descendants(os.getpid())) - before:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        result = await kernel.run("print('again')")
        assert not result.state_kept or (await kernel.run("1")).text == "1"
        result = await kernel.run("'x' in globals()")
        assert result.text.endswith("False")


async def test_a_zygote_is_replaced_after_many_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_FORKS", 2)
    tool = make(warm=0, max_chars=2000)
    async with tool.open() as first:
        await first.run("x = 1")
        for _ in range(4):
            async with tool.open() as kernel:
                await kernel.run("1")
        assert (await first.run("x")).text == "1"


async def test_a_cancelled_open_gives_its_kernel_back(until: Until) -> None:
    tool = make(max_kernels=1, warm=0, wait=20, max_chars=3000)

    async def opened() -> None:
        async with tool.open():
            await asyncio.Event().wait()

    for moment in (0, 0.001, 0.01, 0.05, 0.1, 0.3):
        task = asyncio.create_task(opened())
        await asyncio.wait([task], timeout=moment)
        task.cancel()
        await asyncio.wait([task])

    async with tool.open() as kernel:
        assert (await kernel.run("1")).text == "1"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
async def test_no_process_outlives_a_host_that_is_killed(until: Until, ending: int) -> None:
    script = (
        "import asyncio\nfrom start_tools.python import PythonTool\n"
        "async def main():\n"
        "    tool = PythonTool(isolation='namespaces', preload=(), warm=1)\n"
        "    async with tool.open() as kernel:\n"
        '        await kernel.run(\'import subprocess; subprocess.Popen(["sleep", "1000"])\')\n'
        "        print('ready', flush=True)\n"
        "        await kernel.run('while True: pass', timeout=1000)\n"
        "asyncio.run(main())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment
    ) as host:
        assert host.stdout
        assert await asyncio.to_thread(host.stdout.readline) == b"ready\n"
        left = descendants(host.pid)
        assert len(left) > 3
        host.send_signal(ending)

    await until(lambda: not any(map(runs, left)))


async def test_a_parent_that_cannot_start_is_a_clear_error_and_not_retried_endlessly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = make(max_chars=5000)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "no-such-python")
        with pytest.raises(InterpreterError, match=r"did not start: .*no-such-python"):
            async with tool.open():
                pass
    async with tool.open() as kernel:
        assert (await kernel.run("1")).text == "1"


async def test_files_can_be_put_and_fetched(tmp_path: Path) -> None:
    async with make(disk_mb=1).open() as kernel:
        await kernel.put_file("data.bin", bytes(range(256)))
        assert (await kernel.run("sum(open('data.bin', 'rb').read())")).text == "32640"
        await kernel.run("open('out.txt', 'w').write('from the cell')")
        assert await kernel.get_file("out.txt") == b"from the cell"
        with pytest.raises(InterpreterError, match=r"'out.txt'.*larger than 4 bytes"):
            await kernel.get_file("out.txt", max_bytes=4)
        with pytest.raises(InterpreterError, match="No space left"):
            await kernel.put_file("big", bytes(2 << 20))
        assert (await kernel.run("1")).text == "1"


@pytest.mark.usefixtures("patient")
async def test_cpu_time_of_a_cell_is_limited() -> None:
    code = "import subprocess, time\n" + (
        "ps = [subprocess.Popen('while :; do :; done', shell=True) for _ in range(3)]\ntime.sleep(60)"
    )
    async with make(cpu_time=1).open() as kernel:
        result = await kernel.run(code, timeout=30)

    assert (result.status, result.state_kept) == ("timeout", True)
    assert "used more than 1 s of CPU time and was interrupted" in result.text


async def test_pictures_and_formulas_are_kept() -> None:
    code = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
        "import sympy\nsympy.Symbol('x') ** 2"
    )
    pytest.importorskip("matplotlib")
    async with make().open() as kernel:
        result = await kernel.run(code, timeout=60)

    assert result.text.splitlines()[-2:] == ["[picture 1: 547 x 413 pixels]", "x**2"]
    assert result.latex == (r"$\displaystyle x^{2}$",)
    (picture,) = result.pictures
    assert picture.startswith("iVBORw0KGgo")
