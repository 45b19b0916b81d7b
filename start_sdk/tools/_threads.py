"""Runs blocking work beside an event loop, in threads that can be abandoned."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def in_thread(work: Callable[[], R]) -> R:
    """Runs `work` in a new thread, which is abandoned on cancellation.

    Does not use a pool like `asyncio.to_thread`: there, a function that hangs would occupy a worker
    and Python would wait for it on exit.
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
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is waiting
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
