"""HTTP requests to one server, of which none lasts for ever."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Mapping
from typing import Any

import httpx2

from start_sdk.backends._waiting import started, waited

QUIET = 5
"""Timeouts without progress, but with signs of life, after which a server counts as lost."""


class Transport:
    """Connections that are used again, with the key in each request.

    Args:
        url: of the server.
        key: "" for none.
    """

    def __init__(self, url: str, key: str) -> None:
        options: dict[str, Any] = {
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            "headers": {"authorization": f"Bearer {key}"} if key else {},
            # No request leaves the address, so a plain one needs no certificates (50 ms to load).
            "verify": httpx2.create_ssl_context() if url.startswith("https:") else False,
        }
        self._client = httpx2.AsyncClient(**options)
        self._blocking = httpx2.AsyncClient(**options)  # used in the loop of `waited`
        unused = weakref.finalize(self, _discard, self._blocking)  # if set-up fails, for example
        unused.atexit = False

    @property
    def is_closed(self) -> bool:
        return self._blocking.is_closed

    async def answer(
        self,
        method: str,
        url: str,
        body: Any,
        headers: Mapping[str, str],
        seconds: float,
        *,
        blocking: bool = False,
    ) -> httpx2.Response:
        """Sends a request; returns once the headers are there. The caller closes the response.

        Args:
            method: of HTTP.
            url: with the path.
            body: becomes JSON; None sends nothing.
            headers: in addition.
            seconds: without a byte after which the request counts as lost.
            blocking: whether a thread waits for it, with `waited`.
        """
        client = self._blocking if blocking else self._client
        request = client.build_request(
            method,
            url,
            content=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", **headers},
            timeout=httpx2.Timeout(seconds, connect=min(seconds, 10.0), pool=None),
        )
        async with asyncio.timeout(QUIET * seconds):  # headers may trickle as well
            return await client.send(request, stream=True)

    def close(self) -> None:
        """Closes the connections of threads. Idempotent."""
        waited(self._blocking.aclose())

    async def aclose(self) -> None:
        """Closes all connections. Idempotent."""
        await asyncio.to_thread(self.close)
        await self._client.aclose()


def _discard(client: httpx2.AsyncClient) -> None:
    started(client.aclose())
