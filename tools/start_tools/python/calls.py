"""Handles calls of a cell to tools of the host, which arrive on the stdin channel."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence

from start_sdk.protocols import Tool, ToolHost
from start_tools.sandbox.host import EOF


def definitions(tools: Sequence[Tool]) -> str:
    """The code of a cell that defines the tools as functions (sandbox/host.py)."""
    specifications = [
        {
            "name": tool.name,
            "signature": tool.signature,
            "description": tool.description,
            "max_chars": tool.max_chars,
        }
        for tool in tools
    ]
    return f"get_ipython().kernel.host_tools.define({json.dumps(specifications)!r})"


class Calls:
    """Answers the calls of one cell, one at a time.

    A cell waits for each answer before it sends another request, so at most one request needs to
    wait, and a newer one replaces it. Whatever a cell sends, at most one call runs and one waits.

    Args:
        tools: the tools that can be called, if any; checks everything in a request.
        reply: sends the text of an answer.
    """

    def __init__(self, tools: ToolHost | None, reply: Callable[[str], Awaitable[None]]) -> None:
        self._tools = tools
        self._reply = reply
        self._waiting: str | None = None
        self._served = 0.0
        self._since = 0.0
        self._closed = False
        self.running: asyncio.Task[None] | None = None
        """The task that serves calls; done when no call is running."""

    @property
    def seconds(self) -> float:
        """Seconds that the host has taken so far, including a running call."""
        running = self.running and not self.running.done()
        return self._served + (time.monotonic() - self._since if running else 0.0)

    def ask(self, question: object) -> None:
        if self._closed or not self._tools or not isinstance(question, str):
            return
        self._waiting = question
        if self.running is None or self.running.done():
            self._since = time.monotonic()
            self.running = asyncio.create_task(self._serve())

    def close(self) -> None:
        """Stops answering: the cell has ended, or is being stopped."""
        self._closed = True
        if self.running:
            self.running.cancel()

    async def _serve(self) -> None:
        try:
            while self._waiting is not None:
                question, self._waiting = self._waiting, None
                await self._reply(await self._answer(question))
        finally:
            self._served += time.monotonic() - self._since

    async def _answer(self, question: str) -> str:
        number, _, call = question.partition(" ")
        name, separator, arguments = call.partition(" ")
        assert self._tools
        if not separator or not number.isdecimal() or len(number) > 18:
            return EOF  # the caller, such as `input` or `getpass`, gets an EOFError
        done = await self._tools.call(name, arguments)
        answer = {"number": int(number), "result": done.result}
        return json.dumps({**answer, "error": done.error, "message": done.message})
