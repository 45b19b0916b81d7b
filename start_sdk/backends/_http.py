"""The connection to a server, shared by all backends that have one.

Whatever a server does comes out as JSON objects or as a `ServerError` in one line. The API key is
sent to the server's own address only, and appears in no error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from urllib.parse import urljoin

import httpx2

from start_sdk._text.visible import visible
from start_sdk.backends._address import checked_address, checked_key, origin, shown
from start_sdk.backends._failures import Failure, ServerError, is_transient, retrying
from start_sdk.backends._wire import Answer, Event, EventStream
from start_sdk.errors import BackendError

__all__ = ["DONE", "Connection", "Json", "ServerError", "is_transient", "retrying"]

Json = dict[str, Any]

DONE: Final[Json] = {}
"""What `Connection.events` yields last if the server said that its stream is complete."""

QUIET = 5
"""Timeouts without an event, but with signs of life, after which a stream counts as lost."""
REDIRECTS = 3


class Connection:
    """A server's address and key. Use its async methods in one event loop; `ask` in any thread.

    Args:
        url: the address, with or without `/v1`.
        api_key: sent with each request; None sends none.
        timeout: seconds without a byte after which a request counts as lost.

    Attributes:
        url: as given, for messages.
        root: without `/v1`. All paths begin here.

    Raises:
        ModelError: the address or the key cannot be used.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 120.0) -> None:
        self.url = checked_address(url)
        self.root = self.url.removesuffix("/v1").rstrip("/")
        self._key = checked_key(api_key)
        self._timeout = timeout
        options: dict[str, Any] = {
            "timeout": httpx2.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            "headers": {"authorization": f"Bearer {self._key}"} if self._key else {},
            # No request leaves the address, so a plain one needs no certificates (50 ms to load).
            "verify": httpx2.create_ssl_context() if url.startswith("https:") else False,
        }
        self._client = httpx2.AsyncClient(**options)
        self._sync = httpx2.Client(**options)

    def ask(
        self, method: str, path: str, body: Json | None = None, *, timeout: float | None = None
    ) -> Json:
        """Sends a request and waits: for set-up, and for threads.

        Args:
            method: "GET" or "POST".
            path: from the root, with its leading slash.
            body: becomes JSON.
            timeout: seconds for the whole answer; by default the connection's.

        Raises:
            ServerError: there is no answer, or one that is no JSON object or list, or an error.
        """
        seconds = timeout or self._timeout
        with self._translated():
            url = self.root + path
            for _ in range(REDIRECTS):
                limit = httpx2.Timeout(seconds, connect=min(seconds, 10.0))
                with self._sync.stream(
                    method, url, content=_encoded(body), headers=_JSON, timeout=limit
                ) as response:
                    if target := self._redirected(response):
                        url = target
                        continue
                    answer = Answer(seconds)
                    for data in response.iter_bytes():
                        answer.add(data)
                    return self._object(response, answer.data)
            raise self.error("redirects in a circle")

    async def post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        """Sends a request and returns the answer's JSON object.

        Raises:
            ServerError: as for `ask`.
        """
        async with self._sent(path, body, headers or {}) as response:
            return await self._whole(response)

    async def events(
        self, path: str, body: Json, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Json, None]:
        """Sends a request and yields the JSON objects of a stream of server-sent events.

        `DONE` comes last if the server sent `[DONE]`. Without it the generator ends with the
        stream; the caller knows whether that was too early. An answer that is a single JSON object
        is yielded as one event.

        Raises:
            ServerError: there is no answer, it is no stream, the connection is lost, or an event is
                no JSON object, is too large, or holds an error.
        """
        plain = {"accept": "text/event-stream", "accept-encoding": "identity"}
        async with self._sent(path, body, {**plain, **(headers or {})}) as response:
            if response.status_code >= 400:
                await self._whole(response)
            stream, heard, events = EventStream(), time.monotonic(), 0
            data = response.aiter_bytes()
            async for piece in data:
                for event in stream.feed(piece):
                    heard, events = time.monotonic(), events + 1
                    if event.data.strip() == "[DONE]":
                        await _drained(data)
                        yield DONE
                        return
                    yield self._event(event)
                if time.monotonic() - heard > QUIET * self._timeout:
                    raise self.error("keeps its stream open and sends nothing", transient=True)
            for event in stream.end():
                events += 1
                if event.data.strip() == "[DONE]":
                    yield DONE
                elif _is_json(event.data):  # else it was cut off: the caller misses its end
                    yield self._event(event)
            if stream.stray and not events:
                yield self._object(response, stream.stray)

    def close(self) -> None:
        """Closes what `ask` has opened. Idempotent."""
        self._sync.close()

    async def aclose(self) -> None:
        """Closes all connections. Idempotent."""
        self.close()
        await self._client.aclose()

    def explain(self, error: Exception) -> str:
        """One line on an error of any kind, without the key."""
        if isinstance(error, BackendError):
            return str(error)
        return self._line(f"did not follow the protocol: {type(error).__name__}: {error}")

    def error(self, why: str, **more: Any) -> ServerError:
        """An error of this server, in one line without the key.

        Args:
            why: follows the address: "cannot be reached".
            more: as for `ServerError`.
        """
        return ServerError(self._line(why), **more)

    @asynccontextmanager
    async def _sent(
        self, path: str, body: Json, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        with self._translated():
            url = self.root + path
            for _ in range(REDIRECTS):
                async with self._client.stream(
                    "POST", url, content=_encoded(body), headers={**_JSON, **headers}
                ) as response:
                    if target := self._redirected(response):
                        url = target
                        continue
                    yield response
                    return
            raise self.error("redirects in a circle")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the HTTP library, and of what was read, become a `ServerError`."""
        try:
            yield
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise self.error("did not answer in time", transient=True) from error
        except httpx2.TransportError as error:
            why = f"cannot be reached: {error or type(error).__name__}"
            # A wrong certificate, or a header that HTTP does not allow, stays wrong.
            final = "CERTIFICATE" in why or isinstance(error, _FINAL)
            raise self.error(why, transient=not final) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError) as error:
            raise self.error(f"did not follow the protocol: {error}") from error

    async def _whole(self, response: httpx2.Response) -> Json:
        answer = Answer(self._timeout)
        async for data in response.aiter_bytes():
            answer.add(data)
        return self._object(response, answer.data)

    def _object(self, response: httpx2.Response, answer: bytearray) -> Json:
        """The JSON object of a complete answer."""
        text = answer.decode(errors="replace")
        is_page = "html" in response.headers.get("content-type", "")
        value = None
        if not is_page:
            with suppress(ValueError, RecursionError):
                value = json.loads(text or "{}")  # nothing is what some commands return
        if response.status_code >= 400:
            said = "a web page" if is_page else text[:300]
            raise self._failure(value or said, response.status_code, response.headers)
        if isinstance(value, list):  # some list their models without an object around them
            value = {"data": value}
        if not isinstance(value, dict):
            said = "a web page" if is_page else repr(text[:80])
            raise self.error(f"did not answer with a JSON object but {said}: is the address right?")
        return self._checked(value)

    def _event(self, event: Event) -> Json:
        try:
            value: Any = json.loads(event.data)
        except (ValueError, RecursionError):
            value = event.data
        if event.name == "error":
            raise self._failure(value)
        if not isinstance(value, dict):
            raise self.error(f"did not send a JSON object but {event.data[:80]!r}")
        return self._checked(value)

    def _checked(self, value: Json) -> Json:
        """An answer that holds no error: some servers send theirs with status 200."""
        if value.get("error") or value.get("object") == "error":
            raise self._failure(value)
        return value

    def _failure(
        self, body: Any, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> ServerError:
        """The error that an answer or an event describes."""
        failure = Failure.read(body, status, headers or {})
        if failure.status in (401, 403):
            why = f"rejects the API key: set OPENAI_API_KEY, or pass api_key= ({failure.message})"
        elif failure.status:
            why = f"answered {failure.status}: {failure.message}"
        else:
            why = f"failed: {failure.message}"
        if failure.retry_after:
            why += f" (it asks to wait {failure.retry_after:.3g} s)"
        return self.error(
            why,
            message=self._hidden(failure.message),
            status=failure.status,
            transient=failure.transient,
            retry_after=failure.retry_after,
        )

    def _redirected(self, response: httpx2.Response) -> str | None:
        """Where a redirect leads, if that is on the same server: no other gets the key."""
        if response.status_code not in (301, 302, 303, 307, 308):
            return None
        target = urljoin(str(response.url), response.headers.get("location", ""))
        if origin(target) == origin(self.url):
            return target
        raise self.error(f"redirects to {shown(target)}: if you trust it, pass that address")

    def _line(self, why: str) -> str:
        return visible(self._hidden(" ".join(f"{self.url} {why}".split())))[:400]

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


_FINAL = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
_JSON = {"content-type": "application/json"}


async def _drained(data: AsyncIterator[bytes]) -> None:
    """Reads what is left of an answer, so that its connection can be used again."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(0.1):
            async for _ in data:
                pass


def _is_json(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False


def _encoded(body: Json | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
