"""The three ways to request a continuation: with token ids, as text, or as a chat.

Stop texts are never sent. The shared matcher finds them, and closing the stream stops the server:
a server's own stops cut text but not ids, do not say what matched, or are disabled in thinking.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation, request_seed
from start_sdk.backends._http import Json
from start_sdk.backends.openai._chat import ChatReader, Way, conversation
from start_sdk.backends.openai._pieces import Piece
from start_sdk.errors import BackendError
from start_sdk.generation import Sampling
from start_sdk.protocols import Tokenizer

CHARACTERS = 3
"""Characters per token, at least, of English text and code: how much a context holds."""
UNBOUNDED = 4096
"""Tokens to ask a server for that does not say how long its context is."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a way of requesting needs to know."""

    model: str
    tokenizer: Tokenizer
    work: Continuation
    sampling: Sampling
    context: int | None
    """The server's, in tokens, if it says so."""
    way: Way | None = None
    """Of continuing a chat; None if the server cannot."""
    logprobs: bool = False
    """Whether log probabilities are requested and the server returns them."""
    body: Json = field(default_factory=dict)
    """Additional fields of each request."""

    @property
    def common(self) -> Json:
        """Fields of all three modes; without them a server would use its own defaults. Fields that
        OpenAI's own API does not have are sent where they differ from the defaults."""
        sampling = self.sampling
        own = sampling.model_dump(
            include={"top_k", "min_p", "repetition_penalty"}, exclude_defaults=True
        )
        position = len(self.work.token_ids)
        seeded = {"seed": request_seed(sampling.seed, position)} if sampling.temperature else {}
        return {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **seeded,
            **own,
            **self.body,
            **sampling.extra,
        }

    @property
    def room(self) -> int:
        """Tokens to ask for, where ids are characters: no more than the server's context holds."""
        if self.context is None:
            return min(self.work.left, UNBOUNDED)
        prompt = len(self.work.token_ids) // 2  # tokens, at most
        return max(1, min(self.work.left, self.context - prompt))


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and how its answer is read."""

    path: str
    body: Json
    read: Callable[[Json], Piece]
    rest: Callable[[], Piece] = Piece
    """What is left when the text has ended."""


def by_token_ids(request: Request) -> Call:
    """Sends and receives ids: vLLM's extension of `/completions`. Nothing is ever re-encoded."""
    wanted = request.logprobs
    body = {
        "return_token_ids": True,
        "ignore_eos": True,  # the tokenizer's `eos_ids` decide, not the server's defaults
        "stop_token_ids": sorted(request.tokenizer.eos_ids),
        "top_k": request.sampling.top_k or -1,
        "min_p": request.sampling.min_p,
        "repetition_penalty": request.sampling.repetition_penalty,
        **request.common,
        "prompt": request.work.token_ids,
        "max_tokens": request.work.left,
        **({"logprobs": 0} if wanted else {}),
    }

    def read(choice: Json) -> Piece:
        ids = choice.get("token_ids") or ()
        if not all(type(i) is int for i in ids):
            raise ValueError(f"token ids are {str(ids)[:80]}")
        if choice.get("text") and not ids:
            raise ValueError("received text without token ids")
        return Piece(ids, _logprobs(choice, len(ids)) if wanted and ids else None)

    return Call("/completions", body, read)


def by_text(request: Request) -> Call:
    """Sends and receives text; the ids are an encoding of the text received."""
    tokenizer, characters = request.tokenizer, isinstance(request.tokenizer, CharTokenizer)
    body = {
        **request.common,
        "prompt": tokenizer.decode(request.work.token_ids),
        "max_tokens": request.room if characters else request.work.left,
    }

    def read(choice: Json) -> Piece:
        text = choice.get("text") or ""
        if not isinstance(text, str):
            raise ValueError(f"a text is {str(text)[:80]!r}")
        return Piece(tokenizer.encode(text))  # text of a server is never control

    return Call("/completions", body, read)


def by_chat(request: Request) -> Call:
    """Sends messages, receives text; only some servers can continue an open thought."""
    tokenizer = request.tokenizer
    assert isinstance(tokenizer, CharTokenizer)
    messages, written = tokenizer.messages(request.work.token_ids)
    if written and request.way is None:
        raise BackendError(f"{request.model}: the server cannot continue a text that was begun")
    body = {**request.common, **conversation(messages, written, request.way)}
    if request.work.left <= UNBOUNDED:  # else the server's own limit is as good
        body["max_tokens"] = request.room
    reader = ChatReader(written, separate=request.way is None)
    return Call(
        "/chat/completions",
        body,
        lambda choice: Piece(tokenizer.encode(reader.read(choice))),
        lambda: Piece(tokenizer.encode(reader.rest())),
    )


def _logprobs(choice: Json, count: int) -> list[float]:
    """The log probability of each token. None may be missing, and none is made up."""
    found: Any = choice.get("logprobs")
    values: Any = found.get("token_logprobs") if isinstance(found, dict) else None
    if not isinstance(values, list) or len(values) != count:
        sent = len(values) if isinstance(values, list) else "no"
        raise ValueError(f"{sent} log probabilities for {count} tokens")
    if not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise ValueError(f"log probabilities are {str(values)[:80]}")
    return [float(v) for v in values]
