"""OpenAIBackend: continues prefixes on a server, and resumes streams that break."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal

from openai import APIStatusError, OpenAIError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation, joined
from start_sdk.backends.openai._requests import (
    Piece,
    Pieces,
    Request,
    RequestMode,
    by_chat,
    by_text,
    by_token_ids,
)
from start_sdk.backends.openai._server import Served, Server, is_transient
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.errors import BackendError, ModelError, StartError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.protocols import Tokenizer

Mode = Literal["tokens", "text", "chat"]

_REQUESTS: dict[Mode, RequestMode] = {"tokens": by_token_ids, "text": by_text, "chat": by_chat}
_NOTES: dict[Mode, str] = {
    "tokens": "token ids over HTTP; noise per request, not per position",
    "text": "text over HTTP: ids are an encoding of it; seeds and defaults are the server's",
    "chat": "chat over HTTP: ids are characters; continues a thought only where the server takes "
    "continue_final_message",
}


class _Lost(Exception):
    """A stream broke after it had delivered tokens."""


class OpenAIBackend:
    """Continues prefixes on an OpenAI-compatible server.

    If the server returns token ids (vLLM), the backend is exact. Otherwise it exchanges text, and
    `capabilities.exact` is False.

    Requests are retried while the server is busy, unreachable or restarting. A broken stream
    resumes after the last token received, so that nothing is duplicated or lost. Create and use
    the backend in one event loop.

    Args:
        model: the name of a served model, or the server's address if it serves only one model.
        base_url: the server's address, up to `/v1`; by default `OPENAI_BASE_URL`.
        api_key: by default `OPENAI_API_KEY`; self-hosted servers usually need no key.
        tokenizer: an embedded model, a folder or a hub id; by default the model's source as
            reported by the server. Not used in chat mode.
        mode: "tokens", "text" or "chat"; by default "tokens" if the server returns ids, else
            "text".
        max_context: in tokens; by default what the server reports, else 32,768.
        timeout: seconds without a byte from the server after which a request counts as lost.
        retry_seconds: how long a generation keeps retrying without a new token.
        extra_body: additional fields of each request, for server-specific options.

    Raises:
        ModelError: the server does not answer or rejects the key, the model is not served, or its
            tokenizer cannot be found.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        tokenizer: str | None = None,
        mode: Mode | None = None,
        max_context: int | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 60.0,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        if mode is not None and mode not in _REQUESTS:
            raise ModelError(f"mode={mode!r}: must be one of {', '.join(_REQUESTS)}")
        is_address = model.startswith(("http://", "https://"))
        url = model if is_address else base_url or os.environ.get("OPENAI_BASE_URL")
        if not url:
            raise ModelError(f"no server address for {model!r}: set OPENAI_BASE_URL or base_url=")
        self._server = Server(url, api_key, timeout)
        served = self._server.find(None if is_address else model)
        self._model = served.id
        self._tokenizer, mode = self._settle(served, tokenizer, mode)
        self._start_request = _REQUESTS[mode]
        self._max_context = max_context or served.max_context or 32_768
        self._capabilities = Capabilities(
            model=served.id,
            exact=mode == "tokens",
            logprobs=mode == "tokens",
            seeded=mode == "tokens",
            note=_NOTES[mode],
        )
        self._extra = extra_body or {}
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            wait=_wait,
            stop=stop_before_delay(retry_seconds),
            reraise=True,
        )

    def _settle(
        self, served: Served, tokenizer: str | None, mode: Mode | None
    ) -> tuple[Tokenizer, Mode]:
        """The tokenizer, and the mode (detected if None)."""
        if mode == "chat":
            return CharTokenizer(opens_thought=False), mode
        try:
            loaded = load_tokenizer(tokenizer or served.root)
        except ModelError as error:
            raise ModelError(f"{error}; pass tokenizer=, or mode='chat'") from error
        returns_ids = mode != "text" and self._server.returns_ids(served.id, loaded)
        if mode == "tokens" and not returns_ids:
            raise ModelError(f"{self._server.url} does not return token ids: try mode='text'")
        return loaded, "tokens" if returns_ids else "text"

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def max_context(self) -> int:
        return self._max_context

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

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
        report it only at the end of a stream, and that stream was closed."""
        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        headers = {"X-Session-ID": key} if key else {}  # routers can keep a session on its replica
        request = Request(
            self._server.client, self._model, self._tokenizer, work, sampling, headers, self._extra
        )
        while True:  # terminates: each iteration receives a token or fails
            try:
                async with aclosing(await self._opened(request)) as pieces:
                    async for piece in pieces:
                        chunk = self._chunk(piece, work)
                        if chunk.token_ids or chunk.reason:
                            yield chunk
                        if chunk.reason:
                            return
            except _Lost:
                pass
            except StartError:
                raise
            except Exception as error:  # a boundary: a server may send anything
                raise BackendError(self._server.explain(error)) from error

    async def _opened(self, request: Request) -> Pieces:
        """Opens a stream; retries after transient errors."""
        pieces: Pieces = await self._retrying(self._open, request)
        return pieces

    async def _open(self, request: Request) -> Pieces:
        """The pieces of a stream, once the first one has arrived: only that counts as progress."""
        pieces = self._start_request(request)
        try:
            first = await anext(pieces)
        except BaseException:
            await pieces.aclose()
            raise
        return _prepended(first, pieces)

    def _chunk(self, piece: Piece, work: Continuation) -> Chunk:
        """What a piece releases. If the server ended and no stop matched, the chunk ends too."""
        chunk = work.take(piece.token_ids, piece.logprobs)
        if piece.finish and not chunk.reason:
            if piece.finish == "stop" and self._capabilities.exact:
                raise BackendError(
                    f"{self._server.url} stopped at a token that does not end a text in this "
                    "tokenizer: pass the model's own tokenizer with tokenizer="
                )
            end = (
                work.eos(min(self._tokenizer.eos_ids)) if piece.finish == "stop" else work.length()
            )
            chunk = joined(chunk, end)
        return replace(chunk, cached=piece.cached)

    async def release(self, key: str) -> None:
        """Does nothing: the server evicts its cache by itself."""

    async def reset_cache(self) -> None:
        """Makes the server drop all cached prefixes.

        Raises:
            BackendError: it does not support this; vLLM does if started with
                VLLM_SERVER_DEV_MODE=1.
        """
        await self._server.reset_cache()

    async def aclose(self) -> None:
        """Closes the connections. Idempotent."""
        await self._server.client.close()


async def _prepended(first: Piece, rest: Pieces) -> Pieces:
    """Yields `first`, then `rest`; raises `_Lost` if the connection is lost on the way."""
    async with aclosing(rest):
        yield first
        try:
            async for piece in rest:
                yield piece
        except OpenAIError as error:
            if not is_transient(error):
                raise
            raise _Lost from error


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt: jittered exponential backoff, at least `Retry-After`."""
    error = state.outcome.exception() if state.outcome else None
    after = error.response.headers.get("retry-after") if isinstance(error, APIStatusError) else None
    backoff = wait_random_exponential(multiplier=0.5, max=8)(state)
    return max(backoff, float(after)) if after and after.isdecimal() else backoff
