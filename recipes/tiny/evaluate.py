"""How often the miniature is right, with a hint and without, through real sessions and kernels.

    python -m recipes.tiny.evaluate --hints none --n 20 --seed 7
    python -m recipes.tiny.evaluate --hints end --n 20 --seed 7 --json rows.json

Held-out problems, greedy, `--n` per family. Prints a table; `--json` also writes the rows, each
with its whole trace. Figures of a miniature: they say nothing about a model of the paper.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from start_tools.python import PythonTool

from recipes.tiny.families import FAMILIES
from recipes.tiny.world import Problem, problems
from start_sdk import ReasoningSession, Sampling, StartError, models, open_backend
from start_sdk.cli import check_writable, load_policy


async def row(session: ReasoningSession, problem: Problem) -> dict[str, Any]:
    """One problem, run and graded: right if the answer is the number."""
    trace = await session.run(problem.question)
    return {
        "family": problem.family.name,
        "problem": problem.question,
        "gold": str(problem.answer),
        "answer": trace.answer,
        "correct": trace.answer == str(problem.answer),
        "calls": len(trace.calls),
        "tokens": trace.usage.model_dump(),
        "trace": trace.model_dump(mode="json"),
    }


async def evaluate(model: str, hints: str, n: int, seed: int) -> list[dict[str, Any]]:
    """Rows of `n` held-out problems per family."""
    backend = open_backend(models.DEFAULT if model == "base" else model)
    session = ReasoningSession(
        backend,
        interpreter=PythonTool(isolation="plain"),
        hints=load_policy(hints, rounds=1, seed=seed),
        sampling=Sampling(temperature=0),
    )
    todo = [p for family in FAMILIES for p in problems(family, "test", seed, n)]
    rows = []
    began = time.monotonic()
    try:
        for problem in todo:
            rows.append(await row(session, problem))
            if len(rows) % 20 == 0:
                left = (time.monotonic() - began) / len(rows) * (len(todo) - len(rows))
                print(f"{len(rows)} of {len(todo)}, about {left:.0f} s left", file=sys.stderr)
    finally:
        await backend.aclose()
    return rows


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """Right answers and traces with calls, by family and in all."""
    shown = Table(title=title)
    for column in ("family", "n", "right %", "with calls %", "model tokens"):
        shown.add_column(column, justify="left" if column == "family" else "right")
    for name in [*(f.name for f in FAMILIES), "all"]:
        some = [r for r in rows if name in (r["family"], "all")]
        right = sum(r["correct"] for r in some) / len(some)
        called = sum(r["calls"] > 0 for r in some) / len(some)
        tokens = sum(r["tokens"]["model"] for r in some) / len(some)
        shown.add_row(name, str(len(some)), f"{right:.0%}", f"{called:.0%}", f"{tokens:.0f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="base", help="base, a folder, or a hub id")
    parser.add_argument("--hints", default="none", help="none, end, connective, or a plugin")
    parser.add_argument("--n", type=int, default=20, help="problems per family")
    parser.add_argument("--seed", type=int, default=0, help="which problems")
    parser.add_argument("--json", type=Path, help="file for the rows")
    args = parser.parse_args()
    try:
        if args.json:
            check_writable(args.json)
        rows = asyncio.run(evaluate(args.model, args.hints, args.n, args.seed))
    except StartError as error:
        parser.error(str(error))
    Console().print(table(rows, f"{args.model}, hints {args.hints}, seed {args.seed}"))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
