"""Streams of a server that break: what is worth a retry is retried, until something arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from start_sdk.backends._http import is_transient, retrying

T = TypeVar("T")


class Lost(Exception):
    """A stream broke after it had delivered something: resume it there."""


async def opened(start: Callable[[], AsyncGenerator[T, None]], seconds: float) -> AsyncGenerator[T]:
    """A stream whose first item has arrived: only that counts as progress.

    Args:
        start: sends the request; the items are what it makes of the answer.
        seconds: for how long transient failures are retried before the first item.

    Raises:
        BackendError: no item came. Later, the stream itself raises it, or `Lost`.
    """
    return await retrying(seconds)(_begun, start)


async def _begun(start: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T]:
    items = start()
    try:
        first = await anext(items)
    except BaseException:
        await items.aclose()
        raise
    return _rest(first, items)


async def _rest(first: T, items: AsyncGenerator[T, None]) -> AsyncGenerator[T]:
    async with aclosing(items):
        yield first
        try:
            async for item in items:
                yield item
        except Exception as error:
            if not is_transient(error):
                raise
            raise Lost from error
