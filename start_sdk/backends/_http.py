"""The connection to a server, shared by all backends that have one.

Whatever a server does comes out as JSON objects or as a `ServerError` in one line. The API key is
sent to the server's own address only, and appears in no error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from urllib.parse import urljoin

import httpx2

from start_sdk._text.visible import visible
from start_sdk.backends._address import checked_address, checked_key, origin, shown
from start_sdk.backends._failures import (
    Failure,
    ServerError,
    is_failure,
    is_transient,
    retrying,
    scheme_hint,
)
from start_sdk.backends._secret import Secret
from start_sdk.backends._transport import QUIET, Transport
from start_sdk.backends._waiting import waited
from start_sdk.backends._wire import MAX_ANSWER, Event, EventStream, is_json
from start_sdk.errors import BackendError

__all__ = ["DONE", "QUIET", "Connection", "Json", "ServerError", "is_transient", "retrying"]

Json = dict[str, Any]

DONE: Final[Json] = {}
"""What `Connection.events` yields last if the server said that its stream is complete."""

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
        key = checked_key(api_key)
        self._secret = Secret(key)
        self._timeout = timeout
        self._transport = Transport(self.url, key)

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
        return waited(self._asked(method, path, body, timeout or self._timeout))

    async def _asked(self, method: str, path: str, body: Json | None, seconds: float) -> Json:
        sent = self._sent(path, body, {}, seconds, method=method, blocking=True)
        async with sent as response:
            return await self._whole(response, seconds)

    async def post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        """Sends a request and returns the answer's JSON object.

        Raises:
            ServerError: as for `ask`.
        """
        async with self._sent(path, body, headers or {}, self._timeout) as response:
            return await self._whole(response, self._timeout)

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
        sent = self._sent(path, body, {**plain, **(headers or {})}, self._timeout)
        async with sent as response:
            if response.status_code >= 400:
                await self._whole(response, self._timeout)
            stream, heard, events = EventStream(), time.monotonic(), 0
            data = response.aiter_bytes()
            while piece := await self._next(data):
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
                elif is_json(event.data):  # else it was cut off: the caller misses its end
                    yield self._event(event)
            if stream.stray and not events:
                yield self._object(response, stream.stray)

    async def _next(self, data: AsyncIterator[bytes]) -> bytes:
        """Bytes of a stream, b"" at its end. Compressed ones may come and mean nothing yet."""
        async with asyncio.timeout(QUIET * self._timeout):
            return await anext(data, b"")

    def close(self) -> None:
        """Closes what `ask` has opened. Idempotent."""
        self._transport.close()

    async def aclose(self) -> None:
        """Closes all connections. Idempotent."""
        await self._transport.aclose()

    def explain(self, error: Exception) -> str:
        """One line on an error of any kind, without the key."""
        if isinstance(error, BackendError):
            return str(error)
        return self._line(f"did not follow the protocol: {type(error).__name__}: {error}")

    def cause(self, error: Exception) -> BaseException | None:
        """An error as the cause of another: None if the key is in it."""
        return self._secret.cause(error)

    def error(self, why: str, **more: Any) -> ServerError:
        """An error of this server, in one line without the key.

        Args:
            why: follows the address: "cannot be reached".
            more: as for `ServerError`.
        """
        return ServerError(self._line(why), **more)

    @asynccontextmanager
    async def _sent(
        self,
        path: str,
        body: Json | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        method: str = "POST",
        blocking: bool = False,
    ) -> AsyncIterator[httpx2.Response]:
        with self._translated():
            url = self.root + path
            for _ in range(REDIRECTS):
                response = await self._transport.answer(
                    method, url, body, headers, seconds, blocking=blocking
                )
                async with aclosing(response):
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
            why = f"did not answer in time{scheme_hint(self.url, error)}"
            raise self.error(why, transient=True) from self.cause(error)
        except httpx2.TransportError as error:
            what = error or type(error).__name__
            why = f"cannot be reached: {what}{scheme_hint(self.url, error)}"
            # A wrong certificate, or a header that HTTP does not allow, stays wrong.
            final = "CERTIFICATE" in why or isinstance(error, _FINAL)
            raise self.error(why, transient=not final) from self.cause(error)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError) as error:
            raise self.error(f"did not follow the protocol: {error}") from self.cause(error)
        except RuntimeError as error:
            if not self._transport.is_closed:
                raise
            raise self.error("cannot be asked: the backend is closed") from self.cause(error)

    async def _whole(self, response: httpx2.Response, seconds: float) -> Json:
        answer = bytearray()
        async with asyncio.timeout(seconds):
            async for data in response.aiter_bytes():
                answer += data
                if len(answer) > MAX_ANSWER:
                    raise ValueError(f"the answer has more than {MAX_ANSWER >> 20} MiB")
        return self._object(response, answer)

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
        if is_failure(value):
            raise self._failure(value)
        return value

    def _event(self, event: Event) -> Json:
        try:
            value: Any = json.loads(event.data)
        except (ValueError, RecursionError):
            value = event.data
        if event.name == "error":
            raise self._failure(value)
        if not isinstance(value, dict):
            raise self.error(f"did not send a JSON object but {event.data[:80]!r}")
        if is_failure(value, event=True):
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
            message=self._secret.hidden(failure.message),
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
        return visible(self._secret.hidden(" ".join(f"{self.url} {why}".split())))[:400]


_FINAL = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)


async def _drained(data: AsyncIterator[bytes]) -> None:
    """Reads what is left of an answer, so that its connection can be used again."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(0.1):
            async for _ in data:
                pass
