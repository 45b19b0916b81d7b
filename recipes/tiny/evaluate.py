"""How often the miniature is right, with a hint and without, through real sessions and kernels.

    python -m recipes.tiny.evaluate --hints none --n 30 --seed 7 --json none.json
    python -m recipes.tiny.evaluate --hints end --n 30 --seed 7 --json end.json
    python -m recipes.tiny.report none.json end.json

Held-out problems, greedy, `--n` per family. Prints a table; `--json` also writes the rows, each
with its whole trace. Figures of a miniature: they say nothing about a model of the paper.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from start_tools.python import PythonTool

from recipes.tiny.families import CODE, FAMILIES, MATH
from recipes.tiny.prompts import PROMPTS, with_prompt
from recipes.tiny.world import Problem, problems
from start_sdk import (
    BeforeEnd,
    ConfigError,
    HintPolicy,
    Interpreter,
    ReasoningSession,
    Sampling,
    StartError,
    Trace,
    models,
    open_backend,
)
from start_sdk.cli import check_writable, load_policy

GROUPS = {"math": MATH, "code": CODE, "all": FAMILIES}
#: Problems in flight: while one waits for its kernel to start, others think.
AT_ONCE = 3
_BLOCK = re.compile(r"```python\n(.*?)\n?```", re.S)


def answer_of(problem: Problem, trace: Trace) -> str | None:
    """The boxed number, or, for a code task, the last block of code."""
    if not problem.family.is_code:
        return trace.answer
    blocks = _BLOCK.findall(trace.response) or _BLOCK.findall(trace.thinking)
    return blocks[-1] if blocks else None


async def is_right(problem: Problem, answer: str | None, python: Interpreter) -> bool:
    """Whether a number is the one asked for, or a function gives the values of the hidden tests."""
    if answer is None or problem.family.hidden_samples is None:
        return answer == problem.answer
    samples = problem.family.hidden_samples(problem.params)
    calls = ", ".join(f"f({s.argument})" for s in samples)
    async with python.open() as kernel:
        result = await kernel.run(f"{answer}\nprint('values:', [{calls}])")
    return result.text.strip().endswith(f"values: {[s.value for s in samples]}")


async def row(
    session: ReasoningSession, problem: Problem, prompt: str, python: Interpreter
) -> dict[str, Any]:
    """One problem, run and graded."""
    trace = await session.run(with_prompt(prompt, problem.question))
    answer = answer_of(problem, trace)
    return {
        "family": problem.family.name,
        "problem": problem.question,
        "gold": problem.answer,
        "answer": answer,
        "correct": await is_right(problem, answer, python),
        "calls": len(trace.calls),
        "tokens": trace.usage.model_dump(),
        "trace": trace.model_dump(mode="json"),
    }


async def evaluate(
    model: str, policy: HintPolicy, prompt: str, todo: list[Problem]
) -> list[dict[str, Any]]:
    """A row for each problem, in order."""
    backend = open_backend(model_name(model))
    python = PythonTool(isolation="plain")
    session = ReasoningSession(
        backend, interpreter=python, hints=policy, sampling=Sampling(temperature=0)
    )
    free = asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()
    done = 0

    async def one(problem: Problem) -> dict[str, Any]:
        nonlocal done
        async with free:
            made = await row(session, problem, prompt, python)
        done += 1
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (len(todo) - done)
            print(f"{done} of {len(todo)}, about {left:.0f} s left", file=sys.stderr)
        return made

    try:
        return await asyncio.gather(*(one(problem) for problem in todo))
    finally:
        await backend.aclose()


def model_name(model: str) -> str:
    """The embedded model that "base" or "start" stands for; any other name as it is."""
    name = {"base": "start-tiny-base", "start": "start-tiny"}.get(model, model)
    if model == "start" and models.folder(name) is None:
        raise ConfigError("start-tiny, the miniature that Hint-RFT makes, is not there yet")
    return name


def chosen_policy(hints: str, hint: str | None, seed: int) -> HintPolicy:
    """The policy by its name; `hint` says which text `end` takes."""
    if hint is None:
        return load_policy(hints, rounds=1, seed=seed)
    if hints != "end":
        raise ConfigError("--hint goes with --hints end")
    return BeforeEnd(hints=(hint,))


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """Right answers and traces with calls, by family and in all."""
    shown = Table(title=title)
    for column in ("family", "n", "right %", "with calls %", "model tokens"):
        shown.add_column(column, justify="left" if column == "family" else "right")
    for name in [*dict.fromkeys(r["family"] for r in rows), "all"]:
        some = [r for r in rows if name in (r["family"], "all")]
        right = sum(r["correct"] for r in some) / len(some)
        called = sum(r["calls"] > 0 for r in some) / len(some)
        tokens = sum(r["tokens"]["model"] for r in some) / len(some)
        shown.add_row(name, str(len(some)), f"{right:.0%}", f"{called:.0%}", f"{tokens:.0f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="base", help="base, start, a folder, or a hub id")
    parser.add_argument("--hints", default="none", help="none, end, connective, or a plugin")
    parser.add_argument("--hint", help="id of the hint that `end` takes (default: general)")
    parser.add_argument("--prompt", choices=PROMPTS, default="plain", help="how it is asked")
    parser.add_argument("--families", choices=GROUPS, default="all", help="which problems")
    parser.add_argument("--n", type=int, default=20, help="problems per family")
    parser.add_argument("--seed", type=int, default=0, help="which problems of a family")
    parser.add_argument("--json", type=Path, help="file for the rows")
    args = parser.parse_args()
    families = GROUPS[args.families]
    todo = [p for family in families for p in problems(family, "test", args.seed, args.n)]
    try:
        if args.json:
            check_writable(args.json)
        policy = chosen_policy(args.hints, args.hint, args.seed)
        rows = asyncio.run(evaluate(args.model, policy, args.prompt, todo))
    except StartError as error:
        parser.error(str(error))
    hints = f"{args.hints} {args.hint or ''}".strip()
    Console().print(table(rows, f"{args.model}, hints {hints}, {args.prompt}, seed {args.seed}"))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
