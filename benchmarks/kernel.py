"""The cost of a kernel: `python -m benchmarks.kernel`. Needs Linux namespaces; takes two minutes.

All variants take turns in one loop, so that load on the machine affects all alike; results are
medians in milliseconds. `cold` is ipykernel as started by jupyter_client, without a sandbox and
without numpy and sympy, which our kernels have already imported. `smolagents`, if installed, runs
cells in this process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from start_tools.python import PythonTool

TURNS = 30
PATIENCE = 60
"""Seconds to wait for a message of the plain kernel: occasionally one gets lost."""
CONCURRENCY = 50
RESULT = Path(__file__).parent / "results" / "kernel.json"
LINES = "for i in range(200): print(i)"
POOLED = PythonTool(isolation="namespaces", warm=2)
FRESH = PythonTool(isolation="namespaces", warm=0, max_kernels=64)


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - began)


class Cold:
    """A plain ipykernel. A cell has ended once its reply and the idle message have arrived."""

    async def start(self) -> None:
        self.manager = AsyncKernelManager()
        # stderr hides the warning about the unencrypted connection.
        await self.manager.start_kernel(stderr=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.execute("1")
        await self.client.get_shell_msg(timeout=PATIENCE)
        # It arrives with the reply; from here on no message of the kernel is lost.
        while (await self.client.get_iopub_msg(timeout=PATIENCE))["msg_type"] != "iopub_welcome":
            pass

    async def run(self, code: str) -> None:
        sent = self.client.execute(code, store_history=False)
        state = ""
        while state != "idle":
            message: Any = await self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == sent:
                state = message["content"].get("execution_state", "")
        await self.client.get_shell_msg(timeout=PATIENCE)

    async def stop(self) -> None:
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


async def python_pass() -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "pass"], check=True)


async def turn(cells: dict[str, Callable[[str], Awaitable[object]]]) -> dict[str, float]:
    row = {"python -c pass": await milliseconds(python_pass)}
    cold = Cold()
    row["cold: first reply"] = await milliseconds(cold.start)
    await cold.stop()
    for name, tool in (("pool", POOLED), ("fresh fork", FRESH)):
        context = tool.open()
        began = time.perf_counter()
        async with context as kernel:
            await kernel.run("1")
            row[f"{name}: first reply"] = 1000 * (time.perf_counter() - began)
        await asyncio.sleep(0.5)  # lets the pool start another, even on a loaded machine
    for name, run in cells.items():
        row[f"{name}: 1+1"] = await milliseconds(lambda run=run: run("1 + 1"))  # type: ignore[misc]
        row[f"{name}: 200 lines"] = await milliseconds(lambda run=run: run(LINES))  # type: ignore[misc]
    return row


async def many_cold() -> float:
    kernels = [Cold() for _ in range(CONCURRENCY)]
    total = await milliseconds(lambda: asyncio.gather(*[kernel.start() for kernel in kernels]))
    await asyncio.gather(*[kernel.stop() for kernel in kernels])
    return total


async def many_ours() -> tuple[float, float]:
    """Milliseconds until all have answered, and MB per kernel, with shared memory divided up.

    Their share of the zygote is included; the other pool of this process is not.
    """
    others = set(descendants(os.getpid()))
    stack = [FRESH.open() for _ in range(CONCURRENCY)]

    async def start(context: Any) -> None:
        kernel = await context.__aenter__()
        await kernel.run("1")

    total = await milliseconds(lambda: asyncio.gather(*[start(context) for context in stack]))
    pids = [pid for pid in descendants(os.getpid()) if pid not in others]
    memory = sum(map(pss, pids)) / CONCURRENCY / 1e6
    await asyncio.gather(*[context.__aexit__(None, None, None) for context in stack])
    return total, memory


def descendants(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return children + [pid for child in children for pid in descendants(child)]


def pss(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("\nPss:")[2].split()[0]) << 10


def smolagents() -> dict[str, Callable[[str], Awaitable[object]]]:
    if not importlib.util.find_spec("smolagents"):
        return {}
    from smolagents.local_python_executor import (  # type: ignore[import-not-found]
        LocalPythonExecutor,
    )

    executor = LocalPythonExecutor([])
    executor.send_tools({})

    async def run(code: str) -> None:
        executor(code)

    return {"smolagents": run}


async def measure() -> dict[str, float]:
    cold = Cold()
    await cold.start()
    async with POOLED.open() as kernel, FRESH.open():
        cells: dict[str, Callable[[str], Awaitable[object]]]
        cells = {"cold": cold.run, "ours": kernel.run, **smolagents()}
        await turn(cells)
        rows: list[dict[str, float]] = []
        while len(rows) < TURNS:
            try:
                rows.append(await turn(cells))
            except queue.Empty:
                print("a message of the plain kernel got lost: restarting it, repeating this turn")
                await cold.stop()
                cold = Cold()
                await cold.start()
                cells["cold"] = cold.run
    await cold.stop()
    found = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    found["cold: 50 at once"] = await many_cold()
    found["ours: 50 at once"], found["ours: MB of one of them"] = await many_ours()
    return {name: round(value, 1) for name, value in found.items()}


def verdicts(found: dict[str, float]) -> list[tuple[str, float, float]]:
    """Name, measured ratio and its limit, for each requirement."""

    def ratio(ours: str, theirs: str) -> float:
        return found[ours] / found[theirs]

    return [
        ("pool / cold, first reply", ratio("pool: first reply", "cold: first reply"), 1 / 20),
        ("pool / python -c pass", ratio("pool: first reply", "python -c pass"), 1),
        ("fresh fork / cold", ratio("fresh fork: first reply", "cold: first reply"), 1 / 4),
        ("1+1, ours / plain", ratio("ours: 1+1", "cold: 1+1"), 1),
        ("200 lines, ours / plain", ratio("ours: 200 lines", "cold: 200 lines"), 1),
        ("50 at once, ours / cold", ratio("ours: 50 at once", "cold: 50 at once"), 1 / 3),
        ("MB of a kernel", found["ours: MB of one of them"], 30),
    ]  # fmt: skip


def main() -> None:
    found = asyncio.run(measure())
    for name, value in found.items():
        print(f"{name:28} {value:9.1f}")
    for name, value, limit in verdicts(found):
        print(
            f"{name:28} {value:9.3f}  limit {limit:.3f}: {'kept' if value <= limit else 'MISSED'}"
        )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
