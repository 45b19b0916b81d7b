"""Blocking work beside an event loop, by threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def in_thread(work: Callable[[], R]) -> R:
    """Runs it in a thread of its own, which is left to itself if this is cancelled.

    Not in a pool, as `asyncio.to_thread`: there, a function that hangs takes the place of others,
    and Python would wait for it at its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    results: list[R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end)

    def end() -> None:
        if not done.done():
            done.set_result(None)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="tool", daemon=True).start()
    await done
    if errors:
        raise errors[0]
    return results[0]
