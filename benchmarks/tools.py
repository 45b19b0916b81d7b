"""The cost of calling a host tool: `python -m benchmarks.tools`. Takes half a minute.

One cell calls `search` and a user's own tool 1,000 times each, in turn, so that load on the machine
affects both alike; each call is timed in the cell. The limit is 5 ms at the median. The reference
is the round trip of a whole cell, `1 + 1`, in the same kernel, timed here, before and after.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path

from start_tools.python import PythonTool
from start_tools.search import Search

from start_sdk import Toolbox, tool

CALLS = 1000
LIMIT = 5.0
"""Milliseconds per call, at the median."""
DOCS = Path(__file__).parents[1] / "docs"
RESULT = Path(__file__).parent / "results" / "tools.json"
CELL = f"""
import json, time

def timed(call, *args):
    began = time.perf_counter()
    call(*args)
    return 1000 * (time.perf_counter() - began)

queries = ["how are hints put into a thought", "limits of memory", "seed", "trace json fields"]
taken = {{"search": [], "a user's @tool": []}}
for i in range({CALLS}):
    taken["search"].append(timed(search, queries[i % 4]))
    taken["a user's @tool"].append(timed(convert, i / 7, "mile"))
print(json.dumps([[round(n, 4) for n in taken[name]] for name in taken], separators=(",", ":")))
"""


@tool
def convert(length: float, unit: str) -> float:
    """Converts a length to metres."""
    return length * {"mile": 1609.344, "inch": 0.0254}[unit]


async def measure() -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {"peer: a cell, 1 + 1": []}
    python = PythonTool(max_chars=100_000, tool_time=600.0, timeout=600.0)
    with Search.over(DOCS) as search:
        async with python.open(tools=Toolbox([search, convert])) as kernel:

            async def cells() -> None:
                for _ in range(200):
                    began = time.perf_counter()
                    await kernel.run("1 + 1")
                    rows["peer: a cell, 1 + 1"].append(1000 * (time.perf_counter() - began))

            await kernel.run("search('a'), convert(1, 'mile')")
            await cells()
            result = await kernel.run(CELL)
            await cells()
    rows["search"], rows["a user's @tool"] = json.loads(result.text)
    return rows


def main() -> None:
    rows = asyncio.run(measure())
    found = {}
    print(f"{'milliseconds':22} {'median':>8} {'p95':>8} {'calls':>8}")
    for name, taken in rows.items():
        median, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
        found[name] = {"median": round(median, 3), "p95": round(p95, 3), "calls": len(taken)}
        verdict = ""
        if not name.startswith("peer"):
            verdict = f"limit {LIMIT:g}: {'kept' if median <= LIMIT else 'MISSED'}"
        print(f"{name:22} {median:8.2f} {p95:8.2f} {len(taken):8} {verdict}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
