"""Runs that are driven to their end: one, or many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from start_sdk._loop.run import Run
from start_sdk.trace import Trace


async def finish(run: Run) -> Trace:
    """Drives a run to its end."""
    async with run:
        async for _ in run:
            pass
    return run.trace


async def finish_all(runs: Sequence[Run], max_concurrency: int) -> list[Trace]:
    """Drives runs to their end, at most `max_concurrency` at the same time.

    Raises:
        Exception: the first that a run raised, after all others have ended; its `traces` holds the
            traces of all runs.
    """
    free = asyncio.Semaphore(max_concurrency)
    errors: list[Exception] = []

    async def one(run: Run) -> None:
        async with free:
            try:
                await finish(run)
            except Exception as error:  # the other runs go on
                errors.append(error)

    async with asyncio.TaskGroup() as group:
        for run in runs:
            group.create_task(one(run))
    traces = [run.trace for run in runs]
    if errors:
        with suppress(AttributeError):  # an error of others' code may take no attributes
            errors[0].traces = traces  # type: ignore[attr-defined]
        raise errors[0]
    return traces
