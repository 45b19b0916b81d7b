"""Runs that are driven to their end: one, or many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from start_sdk._loop.run import Run
from start_sdk.errors import StartError
from start_sdk.trace import Trace


async def finish(run: Run) -> Trace:
    """Drives a run to its end."""
    async with aclosing(run):
        async for _ in run:
            pass
    return run.trace


async def finish_all(runs: Sequence[Run], max_concurrency: int) -> list[Trace]:
    """Drives runs to their end, at most `max_concurrency` at the same time.

    Raises:
        StartError: the first that a run raised, after all others have ended; its `traces` holds the
            traces of all runs.
    """
    free = asyncio.Semaphore(max_concurrency)
    errors: list[StartError] = []

    async def one(run: Run) -> None:
        async with free:
            try:
                await finish(run)
            except StartError as error:
                errors.append(error)

    async with asyncio.TaskGroup() as group:
        for run in runs:
            group.create_task(one(run))
    traces = [run.trace for run in runs]
    if errors:
        errors[0].traces = traces
        raise errors[0]
    return traces
