"""OpenAIBackend: a server goes on with a prefix; what it loses on the way is asked for again."""

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
    Way,
    by_chat,
    by_text,
    by_token_ids,
)
from start_sdk.backends.openai._server import Served, Server, is_passing
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.errors import BackendError, ModelError, StartError
from start_sdk.protocols import Capabilities, Chunk, Sampling, Tokenizer

Mode = Literal["tokens", "text", "chat"]

_WAYS: dict[Mode, Way] = {"tokens": by_token_ids, "text": by_text, "chat": by_chat}
_NOTES: dict[Mode, str] = {
    "tokens": "token ids over HTTP; noise per request, not per position",
    "text": "text over HTTP: ids are an encoding of it; seeds and defaults are the server's",
    "chat": "chat over HTTP: ids are characters; continues a thought only where the server takes "
    "continue_final_message",
}


class _Lost(Exception):
    """A stream broke that had brought tokens."""


class OpenAIBackend:
    """Goes on with prefixes on an OpenAI-compatible server.

    Where the server returns token ids (vLLM) the backend is exact. Elsewhere it sends and gets
    text, and `capabilities.exact` is False.

    A busy server, a lost connection and a server that is started again are waited for; a stream
    that broke is gone on with behind the last token that came, so that nothing is doubled or lost.
    Create it and use it in one event loop.

    Args:
        model: the name of a served model, or the server's address if it serves one model only.
        base_url: the server's address, up to `/v1`; `OPENAI_BASE_URL` by default.
        api_key: `OPENAI_API_KEY` by default; servers of one's own mostly want none.
        tokenizer: an embedded model, a folder or a hub id; by default where the server says that
            it has its model from. Not used in a chat.
        mode: "tokens", "text" or "chat"; by default tokens where the server returns ids, else text.
        max_context: tokens; by default what the server says, else 32,768.
        timeout: seconds without a byte from the server after which a request counts as lost.
        retry_seconds: how long a generation goes on trying while no new token comes.
        extra_body: further fields of each request, for options of one server.

    Raises:
        ModelError: nothing answers there, the key is refused, the model is not served, or its
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
        if mode is not None and mode not in _WAYS:
            raise ModelError(f"mode={mode!r} is none of {', '.join(_WAYS)}")
        is_address = model.startswith(("http://", "https://"))
        url = model if is_address else base_url or os.environ.get("OPENAI_BASE_URL")
        if not url:
            raise ModelError(f"no server is named for {model!r}: set OPENAI_BASE_URL or base_url=")
        self._server = Server(url, api_key, timeout)
        served = self._server.find(None if is_address else model)
        self._model = served.id
        self._tokenizer, mode = self._settle(served, tokenizer, mode)
        self._way = _WAYS[mode]
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
            retry=retry_if_exception(is_passing),
            wait=_wait,
            stop=stop_before_delay(retry_seconds),
            reraise=True,
        )

    def _settle(
        self, served: Served, tokenizer: str | None, mode: Mode | None
    ) -> tuple[Tokenizer, Mode]:
        """The tokenizer, and the way of asking if none was named."""
        if mode == "chat":
            return CharTokenizer(opens_thought=False), mode
        try:
            loaded = load_tokenizer(tokenizer or served.root)
        except ModelError as error:
            raise ModelError(f"{error}; pass tokenizer=, or mode='chat'") from error
        returns_ids = mode != "text" and self._server.returns_ids(served.id, loaded)
        if mode == "tokens" and not returns_ids:
            raise ModelError(f"{self._server.url} returns no token ids: try mode='text'")
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
        stop: Sequence[str] = (),
        *,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`. `Chunk.cached` is None where a stop text matched: servers
        tell it at the end of a stream alone, and that stream was closed."""
        work = Continuation(self, prefix_ids, sampling, stop, max_tokens)
        headers = {"X-Session-ID": key} if key else {}  # routers can keep a session on its replica
        request = Request(
            self._server.client, self._model, self._tokenizer, work, sampling, headers, self._extra
        )
        while True:  # each round takes a token or fails, so that there is an end to them
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
            except Exception as error:  # a boundary: what a server sends may be anything
                raise BackendError(self._server.explain(error)) from error

    async def _opened(self, request: Request) -> Pieces:
        """A stream that works: what passes is waited for."""
        pieces: Pieces = await self._retrying(self._open, request)
        return pieces

    async def _open(self, request: Request) -> Pieces:
        """The pieces of a stream, once the first of them is there: that it comes is progress."""
        pieces = self._way(request)
        try:
            first = await anext(pieces)
        except BaseException:
            await pieces.aclose()
            raise
        return _led(first, pieces)

    def _chunk(self, piece: Piece, work: Continuation) -> Chunk:
        """What a piece sets free; where the server ended and we did not, its end is ours."""
        chunk = work.take(piece.token_ids, piece.logprobs)
        if piece.finish and not chunk.reason:
            if piece.finish == "stop" and self._capabilities.exact:
                raise BackendError(
                    f"{self._server.url} ended behind a token that is no end for this tokenizer: "
                    "pass the model's own with tokenizer="
                )
            end = (
                work.eos(min(self._tokenizer.eos_ids)) if piece.finish == "stop" else work.length()
            )
            chunk = joined(chunk, end)
        return replace(chunk, cached=piece.cached)

    async def release(self, key: str) -> None:
        """Nothing: the server drops what it has no room for."""

    async def reset_cache(self) -> None:
        """Has the server forget all prefixes.

        Raises:
            BackendError: it cannot; vLLM can if it was started with VLLM_SERVER_DEV_MODE=1.
        """
        await self._server.reset_cache()

    async def aclose(self) -> None:
        """Closes the connections; idempotent."""
        await self._server.client.close()


async def _led(first: Piece, rest: Pieces) -> Pieces:
    """Both, in order; a connection that is lost on the way is `_Lost`."""
    async with aclosing(rest):
        yield first
        try:
            async for piece in rest:
                yield piece
        except OpenAIError as error:
            if not is_passing(error):
                raise
            raise _Lost from error


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt: longer each time, jittered, and what the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("retry-after") if isinstance(error, APIStatusError) else None
    backoff = wait_random_exponential(multiplier=0.5, max=8)(state)
    return max(backoff, float(asked)) if asked and asked.isdecimal() else backoff
