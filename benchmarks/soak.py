"""Leaks over a long run: `python -m benchmarks.soak [CELLS OPENS]`. Needs Linux namespaces.

Runs CELLS cells (2,000) in one kernel: values, prints, errors, displays, threads, child processes.
Then opens OPENS kernels (1,000) from one pool, three at a time. Descriptors, tasks, processes,
memory and time of the last tenth are compared with those of the first. Finally a host with busy
kernels is killed with `kill -9`: seconds until none of its processes is left. Takes minutes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from start_tools.python import PythonTool

from benchmarks.kernel import descendants

RESULT = Path(__file__).parent / "results" / "soak.json"
TOOL = PythonTool(isolation="namespaces", preload=())
CELLS = (
    "x = 1; x + 1",
    "for i in range(100): print(i)",
    "y = list(range(10_000)); len(y)",
    "1 / 0",
    "import subprocess; subprocess.run('echo out', shell=True);",
    "display(x)",
    "import threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()",
)
KERNEL = (
    "import asyncio, gc, os; gc.collect()\n"
    "io = get_ipython().kernel.iopub_thread\n"  # it only cleans up after threads every 10 s
    "asyncio.run_coroutine_threadsafe(io._event_pipe_gc(), io.io_loop.asyncio_loop).result()\n"
    "len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task')),"
    " int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6"
)
HOST = """
import asyncio
from start_tools.python import PythonTool
async def work():
    async with PythonTool(isolation="namespaces", preload=()).open() as kernel:
        await kernel.run("import subprocess; subprocess.Popen(['sleep', '1000'])")
        print("ready", flush=True)
        await kernel.run("while True: pass", timeout=1000)
async def main():
    await asyncio.gather(*[work() for _ in range(3)])
asyncio.run(main())
"""
Row = dict[str, float]


def resources() -> Row:
    """The resources that this process holds."""
    gc.collect()
    status = Path("/proc/self/statm").read_text(encoding="ascii")
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "processes": len(descendants(os.getpid())),
        "MB": int(status.split()[1]) * 4096 / 1e6,
    }


async def settled() -> Row:
    """The resources once the pool has started its spare kernels and stopped the others."""
    last: Row = {}
    for _ in range(100):
        row = resources()
        if all(row[name] == last.get(name) for name in ("descriptors", "tasks", "processes")):
            break
        last = row
        await asyncio.sleep(0.2)
    return row


async def cells(count: int) -> tuple[Row, Row]:
    """The first and the last tenth of `count` cells in one kernel."""
    rows = []
    async with TOOL.open() as kernel:
        for _ in range(10):
            times = []
            for i in range(count // 10):
                result = await kernel.run(CELLS[i % len(CELLS)])
                assert result.state_kept, result
                times.append(1000 * result.seconds)
            inside = (await kernel.run(KERNEL)).text.strip("()").split(", ")
            names = ("kernel's descriptors", "kernel's threads", "kernel's MB")
            rows.append({
                **await settled(),
                **dict(zip(names, map(float, inside), strict=True)),
                "ms": statistics.median(times),
            })  # fmt: skip
    return rows[0], rows[-1]


async def opens(count: int) -> tuple[Row, Row]:
    """The first and the last tenth of `count` kernels from one pool."""

    async def session() -> float:
        began = time.perf_counter()
        async with TOOL.open() as kernel:
            assert (await kernel.run("1 + 1")).text == "2"
        return 1000 * (time.perf_counter() - began)

    rows = []
    for _ in range(10):
        times: list[float] = []
        while len(times) < count // 10:
            times += await asyncio.gather(*[session() for _ in range(3)])
        rows.append({**await settled(), "ms": statistics.median(times)})
    return rows[0], rows[-1]


def killed() -> float:
    """Seconds until no process of a killed host is left."""
    host = subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE)
    with host:
        assert host.stdout
        for _ in range(3):
            assert host.stdout.readline() == b"ready\n"
        left = descendants(host.pid)
        assert len(left) > 6
        host.send_signal(signal.SIGKILL)
        began = time.perf_counter()
        while any(map(is_running, left)):
            time.sleep(0.01)
        return time.perf_counter() - began


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


def verdicts(part: str, first: Row, last: Row) -> list[tuple[str, float, float]]:
    """Name, measured figure and its limit, for each comparison."""
    found = []
    for name, value in last.items():
        if name == "ms":
            found.append((f"{part}: time, last tenth / first", value / first[name], 1.5))
        else:
            # A kernel keeps the source of every cell, for tracebacks, and a few threads' pipes.
            limit = {"MB": 2.0, "kernel's MB": 5.0, "kernel's descriptors": 4.0}.get(name, 0.0)
            found.append((f"{part}: {name} more than at first", value - first[name], limit))
    return found


async def measure(cell_count: int, open_count: int) -> list[tuple[str, float, float]]:
    found = verdicts(f"{cell_count:,} cells", *await cells(cell_count))
    found += verdicts(f"{open_count:,} opens", *await opens(open_count))
    return [*found, ("kill -9: seconds until nothing is left", killed(), 2.0)]


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [2000, 1000]
    found = asyncio.run(measure(*counts))
    for name, value, limit in found:
        print(f"{name:48} {value:8.2f}  limit {limit:g}: {'kept' if value <= limit else 'MISSED'}")
    rows = {name: {"value": round(value, 2), "limit": limit} for name, value, limit in found}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
