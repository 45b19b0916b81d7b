"""The three ways to request a continuation: with token ids, as text, or as a chat.

Stop texts are never sent. The shared matcher finds them, and closing the stream stops the server:
a server's own stops cut text but not ids, do not say what matched, or are disabled in thinking.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openai import APIConnectionError, AsyncOpenAI, AsyncStream

from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation, request_seed
from start_sdk.generation import Sampling
from start_sdk.protocols import Tokenizer

ENDS = ("stop", "length")
"""The regular finish reasons. Any other ("abort") means that the server gave up."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The content of one event of a stream."""

    token_ids: Sequence[int] = ()
    logprobs: Sequence[float] | None = None
    finish: str | None = None
    """The server's finish reason."""
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a request mode needs to know."""

    client: AsyncOpenAI
    model: str
    tokenizer: Tokenizer
    work: Continuation
    sampling: Sampling
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    """Additional fields of each request."""

    @property
    def extra(self) -> dict[str, Any]:
        """Fields that OpenAI's own API does not have: the caller's, and what differs from the
        defaults of `Sampling`."""
        set_here = self.sampling.model_dump(
            include={"top_k", "min_p", "repetition_penalty"}, exclude_defaults=True
        )
        return {**set_here, **self.body, **self.sampling.extra}

    @property
    def common(self) -> dict[str, Any]:
        """Fields of all three modes; without them a server would use its own defaults."""
        position = len(self.work.token_ids)
        seeded = {"seed": request_seed(self.sampling.seed, position)}
        return {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            **(seeded if self.sampling.temperature else {}),
            "extra_headers": self.headers,
        }


Pieces = AsyncGenerator[Piece, None]
RequestMode = Callable[[Request], Pieces]


async def by_token_ids(request: Request) -> Pieces:
    """Sends and receives ids: vLLM's extension of `/completions`. Nothing is ever re-encoded."""
    extra = {
        "return_token_ids": True,
        "ignore_eos": True,  # the tokenizer's `eos_ids` decide, not the server's defaults
        "stop_token_ids": sorted(request.tokenizer.eos_ids),
        "top_k": request.sampling.top_k or -1,
        "min_p": request.sampling.min_p,
        "repetition_penalty": request.sampling.repetition_penalty,
        **request.extra,
    }
    options = {"logprobs": 0} if request.sampling.logprobs else {}
    create: Any = request.client.completions.create
    stream = await create(
        prompt=request.work.token_ids,
        max_tokens=request.work.left,
        extra_body=extra,
        **request.common,
        **options,
    )

    def read(choice: Any) -> Piece:
        ids = getattr(choice, "token_ids", None) or ()
        if choice.text and not ids:
            raise ValueError("received text without token ids")
        logprobs = choice.logprobs.token_logprobs if choice.logprobs else None
        return Piece(ids, logprobs, choice.finish_reason)

    async for piece in _pieces(stream, read):
        yield piece


async def by_text(request: Request) -> Pieces:
    """Sends and receives text; the ids are an encoding of the text received."""
    tokenizer = request.tokenizer
    create: Any = request.client.completions.create
    stream = await create(
        prompt=tokenizer.decode(request.work.token_ids),
        max_tokens=request.work.left,
        extra_body=request.extra,
        **request.common,
    )

    def read(choice: Any) -> Piece:
        ids = tokenizer.encode(choice.text or "")  # text of a server is never control
        return Piece(ids, finish=choice.finish_reason)

    async for piece in _pieces(stream, read):
        yield piece


async def by_chat(request: Request) -> Pieces:
    """Sends messages, receives text; only some servers can continue an open thought."""
    tokenizer = request.tokenizer
    assert isinstance(tokenizer, CharTokenizer)
    messages, written = tokenizer.messages(request.work.token_ids)
    extra = request.extra
    if written:
        messages.append({"role": "assistant", "content": written})
        extra = {"continue_final_message": True, "add_generation_prompt": False, **extra}
    create: Any = request.client.chat.completions.create
    stream = await create(
        messages=messages,
        max_tokens=request.work.left,
        extra_body=extra,
        **request.common,
    )
    inside = "<think>" in written and "</think>" not in written
    separated = False

    def read(choice: Any) -> Piece:
        nonlocal inside, separated
        delta, text = choice.delta, ""
        # Servers that separate thinking from the answer use one of these two names for it.
        thought = getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None)
        if thought:
            text = thought if inside else f"<think>\n{thought}"
            inside = separated = True
        if delta.content:
            text += f"\n</think>\n\n{delta.content}" if separated else delta.content
            inside = separated = False
        return Piece(tokenizer.encode(text), finish=choice.finish_reason)

    async for piece in _pieces(stream, read):
        yield piece


async def _pieces(stream: AsyncStream[Any], read: Callable[[Any], Piece]) -> Pieces:
    """Reads a stream to its end; each piece has tokens or is the last one.

    The last piece is held back for the usage, which arrives after it.

    Raises:
        APIConnectionError: the stream ended before the generation did.
    """
    last: Piece | None = None
    async with stream:
        async for event in stream:
            piece = read(event.choices[0]) if event.choices else Piece()
            if piece.finish in ENDS:
                last = piece
            elif piece.token_ids:
                yield piece
            details = event.usage and event.usage.prompt_tokens_details
            if last and details:
                last = replace(last, cached=details.cached_tokens or 0)
    if last is None:
        message = "the stream ended early"
        raise APIConnectionError(message=message, request=stream.response.request)
    yield last
