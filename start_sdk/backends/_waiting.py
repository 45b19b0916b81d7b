"""Waits for asynchronous work in code that is not asynchronous.

Asynchronous work can be given up at any moment. A blocking read cannot: a server that sends one
byte at a time would hold it for as long as it likes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def waited(work: Coroutine[Any, Any, T]) -> T:
    """The result of work, which is done in an event loop that all callers of a process share."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    except BaseException:  # an interrupt of the caller ends the work as well
        future.cancel()
        raise


def started(work: Coroutine[Any, Any, object]) -> None:
    """Has work done that nobody waits for."""
    asyncio.run_coroutine_threadsafe(work, _loop())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="start-sdk-requests", daemon=True).start()
    return loop


if hasattr(os, "register_at_fork"):  # the copy of a process has no such thread
    os.register_at_fork(after_in_child=_loop.cache_clear)
