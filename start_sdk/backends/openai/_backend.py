"""OpenAIBackend: continues prefixes on a server, and resumes streams that break."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from start_sdk.backends._address import address_of, check_limits, is_address, key_of
from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation, joined
from start_sdk.backends._http import Connection, ServerError
from start_sdk.backends._resuming import Lost, opened
from start_sdk.backends.openai._fields import SAMPLING, Fields
from start_sdk.backends.openai._mode import MODES, Mode, settle
from start_sdk.backends.openai._parking import Parking
from start_sdk.backends.openai._pieces import EndedEarly, Piece, Pieces, pieces
from start_sdk.backends.openai._requests import (
    CHARACTERS,
    Call,
    Request,
    by_chat,
    by_text,
    by_token_ids,
)
from start_sdk.backends.openai._server import Server
from start_sdk.errors import BackendError, ModelError, StartError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.protocols import Tokenizer

_REQUESTS = {"tokens": by_token_ids, "text": by_text, "chat": by_chat}
CONTEXT = 32_768
"""Tokens, where a server does not say."""
EARLY = 3
"""Streams of one generation that may end without saying why."""


class OpenAIBackend:
    """Continues prefixes on an OpenAI-compatible server.

    If the server returns token ids (vLLM), the backend is exact. Otherwise it exchanges text, and
    `capabilities.exact` is False; without a tokenizer an id is a character. `capabilities.note`
    says which mode was chosen and what follows from it.

    Requests are retried while the server is busy, unreachable or restarting. A broken stream
    resumes after the last token received, so that nothing is duplicated or lost. Create and use
    the backend in one event loop.

    Args:
        model: the name of a served model, or the server's address if it serves only one model.
        base_url: the server's address; by default `OPENAI_BASE_URL`.
        api_key: by default `OPENAI_API_KEY`; self-hosted servers usually need no key.
        api_key_env: another environment variable that holds the key.
        tokenizer: an embedded model, a folder or a hub id; by default the model's source as
            reported by the server. Not used in chat mode.
        mode: "tokens", "text" or "chat"; by default what the server can do, in this order.
        max_context: in tokens; by default what the server reports, else 32,768.
        timeout: seconds without a byte from the server after which a request counts as lost.
        retry_seconds: how long a generation keeps retrying without a new token.
        extra_body: additional fields of each request, for server-specific options.

    Raises:
        ModelError: the server does not answer or rejects the key, the model is not served, or the
            mode or the tokenizer do not suit it.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        tokenizer: str | None = None,
        mode: Mode | None = None,
        max_context: int | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 60.0,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        if mode is not None and mode not in MODES:
            raise ModelError(f"mode={mode!r}: must be one of {', '.join(MODES)}")
        check_limits(timeout, retry_seconds, max_context)
        key = key_of(api_key, api_key_env)
        self._connection = Connection(address_of(model, base_url), key, timeout)
        self._server = Server(self._connection)
        served = self._server.find(None if is_address(model) else model)
        self._model = served.id
        self._extra = extra_body or {}
        self._fields = Fields(tuple(name for name in SAMPLING if name not in self._extra))
        self._settled = settled = settle(self._server, served, tokenizer, mode, self._fields)
        self._context = max_context or served.max_context
        if settled.mode == "tokens":  # nothing is left to the server's defaults
            self._fields = Fields(())
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self._parking = Parking()

    @property
    def tokenizer(self) -> Tokenizer:
        return self._settled.tokenizer

    @property
    def max_context(self) -> int:
        """In ids, which are characters where the tokenizer is not known."""
        characters = isinstance(self.tokenizer, CharTokenizer)
        return (self._context or CONTEXT) * (CHARACTERS if characters else 1)

    @property
    def capabilities(self) -> Capabilities:
        settled = self._settled
        return Capabilities(
            model=self._model,
            exact=settled.mode == "tokens",
            logprobs=settled.logprobs,
            seeded=settled.mode == "tokens",
            can_continue=settled.can_continue,
            note=settled.note + self._fields.note,
        )

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`. `Chunk.cached` is None where the watch stopped it: servers
        report it only at the end of a stream, and that stream was closed.

        In chat mode a stream that the watch stopped stays open, and is read on if the next prefix
        is what it has delivered: many servers cannot continue it in any other way.
        """
        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        request = Request(
            self._model,
            self.tokenizer,
            work,
            sampling,
            context=self._context,
            way=self._settled.way,
            logprobs=sampling.logprobs and self._settled.logprobs,
            body=self._extra,
        )
        stream = await self._parking.leave(key, prefix_ids)
        early = 0
        while True:  # terminates: each iteration receives a token or fails
            try:
                stream = stream or await self._opened(request, key)
                async with aclosing(self._chunks(stream, work, key)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                        if chunk.reason:
                            return
            except Lost as lost:
                early += isinstance(lost.__cause__, EndedEarly)
                if early > EARLY or not self._settled.can_continue:
                    raise self._broken(lost) from lost
            except StartError:
                raise
            except Exception as error:  # a boundary: a server may send anything
                raise BackendError(self._connection.explain(error)) from self._connection.cause(
                    error
                )
            stream = None

    async def _chunks(
        self, stream: Pieces, work: Continuation, key: str | None
    ) -> AsyncGenerator[Chunk, None]:
        """What a stream releases, up to the end of the text or an event. Then it is closed, or
        parked."""
        parked = False
        try:
            async for piece in stream:
                before = work.left
                chunk = self._chunk(piece, work)
                if key and self._stays_open(chunk):
                    rest = replace(piece, token_ids=piece.token_ids[before - work.left :])
                    await self._parking.enter(key, work.token_ids, rest, stream)
                    parked = True
                if chunk.token_ids or chunk.reason:
                    yield chunk
                if chunk.reason:
                    return
        finally:
            if not parked:
                await stream.aclose()

    def _stays_open(self, chunk: Chunk) -> bool:
        """Whether the session may read the stream on: not after code that is run."""
        if self._settled.mode != "chat" or chunk.reason != "stop":
            return False
        event = chunk.stops[0].event
        return event is not None and event.kind in ("end", "answer", "trigger")

    def _chunk(self, piece: Piece, work: Continuation) -> Chunk:
        """What a piece releases. If the server ended and no stop matched, the chunk ends too."""
        chunk = work.take(piece.token_ids, piece.logprobs)
        if piece.finish and not chunk.reason:
            exact = self._settled.mode == "tokens"
            if piece.finish == "stop" and exact:
                raise BackendError(
                    f"{self._connection.url} stopped at a token that does not end a text in this "
                    "tokenizer: pass the model's own tokenizer with tokenizer="
                )
            ended = piece.finish != "length" and not exact  # no id is made up in an exact trace
            end = work.eos(min(self.tokenizer.eos_ids)) if ended else work.length()
            chunk = joined(chunk, end)
        return replace(chunk, cached=piece.cached)

    async def _opened(self, request: Request, key: str | None) -> Pieces:
        """Opens a stream; retries after transient errors."""
        headers = {"x-session-id": key} if key else {}  # routers keep a session on its replica
        return await opened(lambda: self._pieces(request, headers), self._retry_seconds)

    async def _pieces(self, request: Request, headers: dict[str, str]) -> Pieces:
        """The pieces of one request; of the next one, if a field is not taken by the server."""
        call: Call = _REQUESTS[self._settled.mode](request)
        path = f"{self._server.api}{call.path}"
        while True:  # ends: each error leaves out another field
            body, begun = self._fields.fit(call.body), False
            events = self._connection.events(path, body, headers)
            stream = pieces(self._connection, events, call.read, call.rest, self._timeout)
            try:
                async with aclosing(stream):
                    async for piece in stream:
                        begun = True
                        yield piece
                return
            except ServerError as error:
                if begun or not self._fields.learn(error, body):
                    raise

    def _broken(self, lost: Lost) -> BackendError:
        why = str(lost.__cause__)
        if not self._settled.can_continue:
            why += "; it cannot continue what it has begun"
        return BackendError(why)

    async def release(self, key: str) -> None:
        """Closes the session's stream, if one is open. The server evicts its cache by itself."""
        await self._parking.drop(key)

    async def reset_cache(self) -> None:
        """Makes the server drop all cached prefixes.

        Raises:
            BackendError: it does not support this; vLLM does if started with
                VLLM_SERVER_DEV_MODE=1.
        """
        try:
            await self._connection.post("/reset_prefix_cache", {})
        except ServerError as error:
            raise BackendError(f"the cache cannot be reset: {error}") from error

    async def aclose(self) -> None:
        """Closes the connections. Idempotent."""
        await self._parking.aclose()
        await self._connection.aclose()
