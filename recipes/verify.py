"""Samples traces with hints and calls, and verifies each: `python -m recipes.verify --n 200`.

`start_sdk.verify_trace` checks the ids, text and mask of every trace against its tokenizer. The
problems are held-out problems of the miniature world; trace i has the seed `--seed` + i. Exits with
1 at the first mismatch and prints it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from start_tools.python import PythonTool

from recipes.command import CommandLine, add_backend_options
from recipes.tiny.families import FAMILIES
from recipes.tiny.world import problems
from start_sdk import (
    AfterConnective,
    BeforeEnd,
    FirstOf,
    ReasoningSession,
    Trace,
    TraceDrift,
    models,
    open_backend,
    verify_trace,
)
from start_sdk.cli import parsed_options, say


def questions(n: int, seed: int) -> list[str]:
    """`n` questions, the families in turn."""
    each = -(-n // len(FAMILIES))
    drawn = [problems(family, "test", seed, each) for family in FAMILIES]
    return [problem.question for row in zip(*drawn, strict=True) for problem in row][:n]


async def main(model: str, options: dict[str, Any], n: int, seed: int) -> None:
    backend = open_backend(model, **options)
    # Both places of the paper: behind connectives, at random, and before the end of the thought.
    hints = FirstOf((AfterConnective(probability=0.3, seed=seed), BeforeEnd()))
    session = ReasoningSession(backend, interpreter=PythonTool(), hints=hints)
    began = time.monotonic()
    traces: list[Trace] = []
    try:
        for i, question in enumerate(questions(n, seed)):
            trace = await session.run(question, seed=seed + i)
            verify_trace(trace, backend.tokenizer)
            traces.append(trace)
            if (i + 1) % 10 == 0:
                left = (time.monotonic() - began) / (i + 1) * (n - i - 1)
                say(f"{i + 1} of {n} verified, about {left:.0f} s left", error=True)
    except TraceDrift as drift:
        say(f"trace {len(traces)} (seed {seed + len(traces)}): {drift}", error=True)
        sys.exit(1)
    finally:
        await backend.aclose()
    hinted = sum(bool(t.hints) for t in traces)
    called = sum(bool(t.calls) for t in traces)
    tokens = sum(len(t.token_ids) for t in traces)
    say(
        f"{n} traces verified: {hinted} with hints, {called} with calls, {tokens} tokens, "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    parser = CommandLine(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default=models.BASE)
    add_backend_options(parser)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    asyncio.run(main(args.model, parsed_options(args.backend_option), args.n, args.seed))
